// Models of the instructions in the project's ptx.cuh: the same functions, on a CPU.
#pragma once
#include <stdint.h>

namespace ptx {

using stand_in::Copies;
using stand_in::Lane;
using stand_in::Op;

inline uint32_t shared_address(const void* p) {
  const stand_in::Block& block = *stand_in::self().warp->block;
  if (!block.is_shared(p, 1)) stand_in::fail(block, "shared_address of something that is not in shared memory");
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(p));
}

// Until it lands, garbage lies where the copy goes; it lands as late as the waits allow.
inline void cp_async(void* shared, const void* global, bool valid, uint32_t bytes) {
  Lane& lane = stand_in::self();
  const stand_in::Block& block = *lane.warp->block;
  Copies& copies = *lane.copies;
  if ((reinterpret_cast<uintptr_t>(shared) | reinterpret_cast<uintptr_t>(global)) % bytes)
    stand_in::fail(block, "cp_async%u: an address is not a multiple of %u", bytes, bytes);
  if (!block.is_shared(shared, bytes))
    stand_in::fail(block, "cp_async%u: the destination is not in shared memory", bytes);
#ifdef __SANITIZE_ADDRESS__
  // An instruction that copies nothing still has an address, which must be good.
  const volatile unsigned char* looked_at = static_cast<const unsigned char*>(global);
  (void)looked_at[0], (void)looked_at[bytes - 1];
#endif
  if (copies.begun - copies.landed == Copies::MOST)
    stand_in::fail(block, "more than %u copies of a thread are under way", Copies::MOST);
  copies.ring[copies.begun++ % Copies::MOST] = {shared, valid ? global : nullptr, bytes};
  memset(shared, stand_in::GARBAGE, bytes);
}
inline void cp_async16(void* shared, const void* global, bool valid) { cp_async(shared, global, valid, 16); }
inline void cp_async4(void* shared, const void* global, bool valid) { cp_async(shared, global, valid, 4); }

inline void cp_async_commit() {
  Lane& lane = stand_in::self();
  Copies& copies = *lane.copies;
  if (copies.groups_begun - copies.groups_landed == Copies::MOST_GROUPS)
    stand_in::fail(*lane.warp->block, "more than %u groups of copies are under way", Copies::MOST_GROUPS);
  copies.ends[copies.groups_begun++ % Copies::MOST_GROUPS] = copies.begun;
}

template <int N>
inline void cp_async_wait() {
  Copies& copies = *stand_in::self().copies;
  while (copies.groups_begun - copies.groups_landed > uint32_t(N)) {
    const uint32_t end = copies.ends[copies.groups_landed++ % Copies::MOST_GROUPS];
    for (; copies.landed != end; ++copies.landed) {
      const Copies::Copy& copy = copies.ring[copies.landed % Copies::MOST];
      if (copy.from)
        memcpy(copy.to, copy.from, copy.bytes);
      else
        memset(copy.to, 0, copy.bytes);
    }
  }
}

inline void ldmatrix(uint32_t (&r)[4], const void* row, Op op) {
  Lane& lane = stand_in::self();
  lane.operand().ldmatrix = {row, r};
  lane.arrive(op, ~0u);
}
inline void ldmatrix_x4(uint32_t (&r)[4], const void* row) { ldmatrix(r, row, Op::ldmatrix); }
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) { ldmatrix(r, row, Op::ldmatrix_trans); }

inline void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, Op op) {
  Lane& lane = stand_in::self();
  lane.operand().mma = {a, d, b0, b1};
  lane.arrive(op, ~0u);
}
inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  mma(d, a, b0, b1, Op::mma_bf16);
}
inline void mma_tf32(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  mma(d, a, b0, b1, Op::mma_tf32);
}

inline uint32_t to_tf32(float x) {
  const uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;  // infinities and NaN
  return (bits + 0x1000u) & 0xffffe000u;                 // ties away from zero
}

inline uint32_t bf16_bits(float x) {
  const uint32_t bits = __float_as_uint(x);
  if (x != x) return 0x7fff;
  return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}
inline uint32_t pack_bf16(float low, float high) { return bf16_bits(low) | bf16_bits(high) << 16; }

}  // namespace ptx
