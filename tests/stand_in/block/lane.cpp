// Lanes that meet, warps that take turns, and what is said when they never will.
#include "lane.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>

namespace stand_in {

static const char* const NAMES[] = {
    "none",          "__syncwarp",       "__shfl_sync",      "__shfl_up_sync",      "__shfl_down_sync",
    "__shfl_xor_sync", "__ballot_sync",  "__match_any_sync", "ldmatrix_x4",         "ldmatrix_x4_trans",
    "mma_bf16",      "mma_tf32",         "__syncthreads",    "__syncthreads_or",    "__syncthreads_and",
    "__syncthreads_count"};

void fail(const Block& block, const char* format, ...) {
  char text[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  fprintf(stderr, "stand-in: kernel %s, block (%u, %u, %u): %s\n", block.kernel, block.index.x, block.index.y,
          block.index.z, text);
  fflush(stderr);
  abort();
}

// "lanes 0-3, 8" for bits.
static std::string ranges(uint32_t bits) {
  std::string text;
  for (int i = 0; i < 32; ++i) {
    if (!(bits >> i & 1)) continue;
    int end = i;
    while (end + 1 < 32 && bits >> (end + 1) & 1) ++end;
    text += text.empty() ? "" : ", ";
    text += std::to_string(i);
    if (end > i) text += "-" + std::to_string(end);
    i = end;
  }
  return text;
}

// Who waits where in a warp.
static std::string whereabouts(const Warp& warp) {
  std::string text;
  for (int op = 1; op < int(sizeof NAMES / sizeof *NAMES); ++op) {
    uint32_t bits = 0;
    for (int i = 0; i < 32; ++i)
      if ((warp.arrived | warp.at_barrier) >> i & 1 && int(warp.op[i]) == op) bits |= 1u << i;
    if (bits) text += "; lanes " + ranges(bits) + " wait at " + NAMES[op];
  }
  const uint32_t gone = warp.exist & ~warp.alive;
  if (gone) text += "; lanes " + ranges(gone) + " have returned";
  return text;
}

[[noreturn]] static void diverged(const Warp& warp) {
  fail(*warp.block, "the lanes of warp %u do not meet%s", warp.index, whereabouts(warp).c_str());
}

static uint64_t draw(uint64_t& state) {
  uint64_t x = state += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

// Goes on with the next lane of the warp that can run, or with the scheduler.
static void leave(Lane& lane) {
  Warp& warp = *lane.warp;
  const uint32_t behind = lane.index == 31 ? 0 : warp.runnable >> (lane.index + 1) << (lane.index + 1);
  const uint32_t next = behind ? behind : warp.runnable;
  switch_fibre(lane.fibre, next ? warp.lanes[__builtin_ctz(next)]->fibre : warp.block->scheduler);
}

static void complete(Warp& warp, Op op, uint32_t mask) {
  switch (op) {
    case Op::ldmatrix:
    case Op::ldmatrix_trans:
    case Op::mma_bf16:
    case Op::mma_tf32:
      if (mask != ~0u) fail(*warp.block, "%s in a warp of fewer than 32 lanes", NAMES[int(op)]);
      if (op == Op::mma_bf16)
        mma_bf16(warp);
      else if (op == Op::mma_tf32)
        mma_tf32(warp);
      else
        ldmatrix(warp, op == Op::ldmatrix_trans);
      break;
    case Op::ballot: {
      uint32_t bits = 0;
      for (int i = 0; i < 32; ++i)
        if (mask >> i & 1 && warp.operands[i].word.value) bits |= 1u << i;
      for (int i = 0; i < 32; ++i)
        if (mask >> i & 1) warp.operands[i].word.result = bits;
      break;
    }
    case Op::match_any:
      for (int i = 0; i < 32; ++i) {
        uint32_t bits = 0;
        for (int j = 0; j < 32; ++j)
          if (mask >> j & 1 && warp.operands[j].word.value == warp.operands[i].word.value) bits |= 1u << j;
        if (mask >> i & 1) warp.operands[i].word.result = bits;
      }
      break;
    case Op::syncwarp:
      break;
    default:  // shuffles
      for (int i = 0; i < 32; ++i) {
        if (!(mask >> i & 1)) continue;
        const int source = warp.operands[i].word.source;
        if (!(mask >> source & 1))
          fail(*warp.block, "%s in warp %u: lane %d reads lane %d, which does not take part", NAMES[int(op)],
               warp.index, i, source);
        warp.operands[i].word.result = warp.operands[source].word.value;
      }
  }
}

void Lane::arrive(Op op, uint32_t mask) {
  Warp& w = *warp;
  const uint32_t bit = 1u << index;
  mask &= w.exist;
  if (!(mask & bit)) fail(*w.block, "%s: lane %u is not in its own mask", NAMES[int(op)], index);
  w.op[index] = op;
  w.mask[index] = mask;
  w.arrived |= bit;
  if ((w.arrived & mask) == mask) {
    bool agree = true;
    for (int i = 0; i < 32; ++i)
      if (mask >> i & 1) agree &= w.op[i] == op && w.mask[i] == mask;
    if (agree) {
      complete(w, op, mask);
      w.arrived &= ~mask;
      w.runnable |= mask;
      return;
    }
  }
  w.runnable &= ~bit;
  leave(*this);
}

int Lane::barrier(Op op, int value) {
  Block& block = *warp->block;
  const uint32_t bit = 1u << index;
  warp->op[index] = op;
  warp->at_barrier |= bit;
  warp->runnable &= ~bit;
  if (block.barrier_arrived++ == 0) block.barrier_op = op;
  if (block.barrier_op != op)
    fail(block, "deadlock: some threads wait at %s, others at %s", NAMES[int(block.barrier_op)],
         NAMES[int(op)]);
  block.barrier_true += value != 0;
  leave(*this);
  return static_cast<int>(block.barrier_result);
}

static void enter() {
  entered();
  Lane& lane = self();
  Warp& warp = *lane.warp;
  warp.block->body(warp.block->params);
  warp.alive &= ~(1u << lane.index);
  warp.runnable &= ~(1u << lane.index);
  leave(lane);
  abort();  // nobody goes on with a lane that has returned
}

static void make_lanes(Block& block) {
  const dim3 n = block.threads;
  for (uint32_t i = 0; i < block.thread_count; ++i) {
    if (!block.lanes[i]) {
      const uintptr_t stack = reinterpret_cast<uintptr_t>(new_stack());
      block.lanes[i] = new (reinterpret_cast<Lane*>(stack_top(stack)) - 1) Lane{};
      block.lanes[i]->copies = static_cast<Copies*>(malloc(sizeof(Copies)));
    }
    Lane& lane = *block.lanes[i];
    lane.warp = &block.warps[i / 32];
    lane.index = i % 32;
    lane.thread = uint3{i % n.x, i / n.x % n.y, i / (n.x * n.y)};
    lane.copies->begun = lane.copies->landed = lane.copies->groups_begun = lane.copies->groups_landed = 0;
    lane.warp->lanes[i % 32] = &lane;
    begin(lane.fibre, reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(&lane) / STACK * STACK), &lane, enter);
  }
}

void Block::run() {
  thread_count = threads.x * threads.y * threads.z;
  warp_count = (thread_count + 31) / 32;
  for (uint32_t w = 0; w < warp_count; ++w) {
    Warp& warp = warps[w];
    const uint32_t lanes_here = thread_count - w * 32;
    warp.block = this;
    warp.index = w;
    warp.exist = warp.alive = warp.runnable = lanes_here >= 32 ? ~0u : (1u << lanes_here) - 1;
    warp.arrived = warp.at_barrier = 0;
  }
  make_lanes(*this);
  barrier_true = barrier_arrived = barrier_result = 0;

  uint8_t order[32];
  for (uint32_t w = 0; w < warp_count; ++w) order[w] = uint8_t(w);
  for (;;) {
    for (uint32_t w = warp_count; w > 1; --w) std::swap(order[w - 1], order[draw(random) % w]);
    uint32_t alive = 0;
    for (uint32_t o = 0; o < warp_count; ++o) {
      Warp& warp = warps[order[o]];
      if (warp.runnable) {
        const uint32_t from = draw(random) % 32;
        const uint32_t behind = warp.runnable >> from << from;
        switch_fibre(scheduler, warp.lanes[__builtin_ctz(behind ? behind : warp.runnable)]->fibre);
      }
      if (warp.arrived) diverged(warp);
      alive += uint32_t(__builtin_popcount(warp.alive));
    }
    if (alive == 0) return;
    if (alive < thread_count)
      fail(*this, "deadlock: %u threads wait at %s, %u have returned", alive, NAMES[int(barrier_op)],
           thread_count - alive);
    barrier_result = barrier_op == Op::barrier_or    ? barrier_true > 0
                     : barrier_op == Op::barrier_and ? barrier_true == thread_count
                                                     : barrier_true;
    barrier_true = barrier_arrived = 0;
    for (uint32_t w = 0; w < warp_count; ++w) {
      warps[w].runnable = warps[w].at_barrier;
      warps[w].at_barrier = 0;
    }
  }
}

bool Block::is_shared(const void* at, size_t bytes) const {
  const auto inside = [&](const unsigned char* begin, size_t size) {
    const auto a = reinterpret_cast<uintptr_t>(at), b = reinterpret_cast<uintptr_t>(begin);
    return begin && a >= b && a - b <= size && bytes <= size - (a - b);
  };
  return inside(dynamic, dynamic_bytes) || (statics ? inside(statics, statics_bytes) : at != nullptr);
}

}  // namespace stand_in
