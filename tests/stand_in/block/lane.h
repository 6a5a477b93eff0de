// A block on a CPU: its warps, their lanes, and who waits for whom.
//
// A lane runs until it meets an operation of its warp or of its block. The last lane to arrive at an
// operation of the warp does the work of all 32 and goes on; the others go on when it is their turn. A warp
// runs ahead of the others until all its lanes wait for the block, so that a missing __syncthreads shows; in
// which order warps run is drawn anew between any two barriers.
#pragma once
#include "fibre.h"
#include "vectors.h"

namespace stand_in {

// What lanes meet at. The order is that of the names in lane.cpp.
enum class Op : uint8_t {
  none,
  syncwarp,
  shuffle,
  shuffle_up,
  shuffle_down,
  shuffle_xor,
  ballot,
  match_any,
  ldmatrix,
  ldmatrix_trans,
  mma_bf16,
  mma_tf32,
  barrier,
  barrier_or,
  barrier_and,
  barrier_count,
};

// What a lane brings to an operation of its warp, and where the result goes.
union Operand {
  struct {
    uint64_t value;
    uint64_t result;
    int source;
  } word;
  struct {
    const void* row;
    uint32_t* result;
  } ldmatrix;
  struct {
    const uint32_t* a;
    float* d;
    uint32_t b0, b1;
  } mma;
};

struct Block;
struct Lane;

struct Warp {
  Block* block;
  uint32_t index;
  uint32_t exist;     // bits: lanes that the block has
  uint32_t alive;     // bits: lanes that have not returned
  uint32_t runnable;  // bits: lanes that wait for nothing
  uint32_t arrived;   // bits: lanes at an operation of the warp
  uint32_t at_barrier;
  Op op[32];
  uint32_t mask[32];
  Lane* lanes[32];
  Operand operands[32];
};

// Copies to shared memory that are under way, of one lane; a ring.
struct Copies {
  static constexpr uint32_t MOST = 256, MOST_GROUPS = 32;
  struct Copy {
    void* to;
    const void* from;  // null: zeros
    uint32_t bytes;
  };
  Copy ring[MOST];
  uint32_t ends[MOST_GROUPS];  // of the groups under way, as counts of copies
  uint32_t begun, landed, groups_begun, groups_landed;
};

// What a fibre knows of itself. It lies at the top of the fibre's stack.
struct alignas(64) Lane {
  Fibre fibre;
  Warp* warp;
  Copies* copies;
  uint3 thread;
  uint32_t index;  // in the warp

  // Waits at `op` until all lanes of `mask` are there, and the operation is done for all of them.
  void arrive(Op op, uint32_t mask);
  // Waits for the block. `value` counts for barrier_or and its kind; the result is theirs.
  int barrier(Op op, int value);
  Operand& operand() { return warp->operands[index]; }
};
static_assert(sizeof(Lane) == 64, "one line of the cache");

// The block that an OS thread runs.
struct Block {
  const char* kernel;
  void (*body)(const void*);
  const void* params;
  uint3 index;
  dim3 threads, grid;
  unsigned char* dynamic;  // shared memory
  uint32_t dynamic_bytes;
  unsigned char* statics;  // the arrays declared with __shared__, of all kernels; null where unknown
  size_t statics_bytes;
  uint32_t thread_count, warp_count;
  uint64_t random;
  Fibre scheduler;
  Op barrier_op;
  uint32_t barrier_true, barrier_arrived, barrier_result;
  Lane* lanes[1024];
  Warp warps[32];

  // Runs all threads of the block to their ends.
  void run();
  bool is_shared(const void* at, size_t bytes) const;
};

// The lane that runs. It lies at the top of its stack, so the stack pointer tells.
inline Lane& self() {
  return reinterpret_cast<Lane*>(stack_top(reinterpret_cast<uintptr_t>(__builtin_frame_address(0))))[-1];
}

// Says what is wrong, in which kernel and block, and aborts.
[[noreturn]] __attribute__((format(printf, 2, 3))) void fail(const Block& block, const char* format, ...);

// The work of all lanes of a warp, done by the last to arrive. In matrix.cpp.
void ldmatrix(Warp& warp, bool transposed);
void mma_bf16(Warp& warp);
void mma_tf32(Warp& warp);

}  // namespace stand_in
