// What lanes of a warp or threads of a block do together: barriers, shuffles, votes.
#pragma once
#include "lane.h"

namespace stand_in {

template <class T>
inline T shuffle(Op op, uint32_t mask, T value, int source) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 32 or 64 bits");
  Lane& lane = self();
  Operand& operand = lane.operand();
  operand.word.value = 0;
  memcpy(&operand.word.value, &value, sizeof value);
  operand.word.source = source;
  lane.arrive(op, mask);
  T result;
  memcpy(&result, &operand.word.result, sizeof result);
  return result;
}

inline uint32_t vote(Op op, uint32_t mask, uint64_t value) {
  Lane& lane = self();
  lane.operand().word.value = value;
  lane.arrive(op, mask);
  return static_cast<uint32_t>(lane.operand().word.result);
}

}  // namespace stand_in

inline void __syncthreads() { stand_in::self().barrier(stand_in::Op::barrier, 0); }
inline int __syncthreads_or(int x) { return stand_in::self().barrier(stand_in::Op::barrier_or, x); }
inline int __syncthreads_and(int x) { return stand_in::self().barrier(stand_in::Op::barrier_and, x); }
inline int __syncthreads_count(int x) { return stand_in::self().barrier(stand_in::Op::barrier_count, x); }
inline void __syncwarp(unsigned mask = ~0u) { stand_in::self().arrive(stand_in::Op::syncwarp, mask); }

// Where no lane of the section of `width` lanes is meant, a lane reads itself.
template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const int lane = int(stand_in::self().index);
  return stand_in::shuffle(stand_in::Op::shuffle, mask, value, (lane & ~(width - 1)) | (source & (width - 1)));
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  const int lane = int(stand_in::self().index), source = lane ^ bits;
  return stand_in::shuffle(stand_in::Op::shuffle_xor, mask, value,
                           source < (lane & ~(width - 1)) + width ? source : lane);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = int(stand_in::self().index), source = lane + int(by);
  return stand_in::shuffle(stand_in::Op::shuffle_down, mask, value,
                           source < (lane & ~(width - 1)) + width ? source : lane);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  const int lane = int(stand_in::self().index), source = lane - int(by);
  return stand_in::shuffle(stand_in::Op::shuffle_up, mask, value,
                           source >= (lane & ~(width - 1)) ? source : lane);
}

inline unsigned __ballot_sync(unsigned mask, int x) { return stand_in::vote(stand_in::Op::ballot, mask, x != 0); }
inline int __any_sync(unsigned mask, int x) { return __ballot_sync(mask, x) != 0; }
inline int __all_sync(unsigned mask, int x) { return __ballot_sync(mask, !x) == 0; }
template <class T>
inline unsigned __match_any_sync(unsigned mask, T value) {
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  return stand_in::vote(stand_in::Op::match_any, mask, bits);
}
inline unsigned __activemask() { return stand_in::self().warp->alive; }
template <class T>
inline T stand_in_reduce_add(unsigned mask, T x) {
  for (int bits = 16; bits; bits /= 2) x += __shfl_xor_sync(mask, x, bits);
  return x;
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned x) { return stand_in_reduce_add(mask, x); }
inline int __reduce_add_sync(unsigned mask, int x) { return stand_in_reduce_add(mask, x); }
