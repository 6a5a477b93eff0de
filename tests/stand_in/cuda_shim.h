// What nvcc adds to a source before its first line, for g++: with `-include cuda_shim.h` the project's .cu
// files compile as C++ and their kernels run on a CPU, one fibre for each thread of a block.
//
// The parts, each of one thing:
//
//   block/vectors.h      float4, uint2, dim3 and how they are made
//   block/lane.h         a thread of a block, its warp, its block: who waits for whom
//   block/launch.h       kernels by name; running the blocks of one launch
//   block/collective.h   __syncthreads, shuffles, votes
//   block/intrinsics.h   __umulhi, __expf, atomics and the like
//
// What PTX does is modelled in ptx.cuh beside this file, which stands for the project's file of that name.
#pragma once
#include <cfloat>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <math.h>

#include <type_traits>

#include "block/vectors.h"

#include "block/lane.h"
#include "block/launch.h"

#include "block/collective.h"
#include "block/intrinsics.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_assume(condition) ((void)0)

// Shared arrays. One copy for each OS thread, which runs one block at a time; all of them lie together, so
// that they can be filled with garbage before a block. AddressSanitizer puts red zones around plain statics
// alone, so under it they are that, blocks run on one OS thread, and they keep what the last block left.
#ifdef __SANITIZE_ADDRESS__
#define __shared__ static
#else
#define __shared__ static thread_local
#endif

#define DYNAMIC_SHARED(name) unsigned char* const name = stand_in::self().warp->block->dynamic

// Declares a kernel and registers it: name, most threads of a block, bytes of its parameters.
#define KERNEL(threads, name, Params)                                                                   \
  static void name(const Params& p);                                                                    \
  static const stand_in::Kernel registered_##name{                                                      \
      #name, threads, sizeof(Params), [](const void* p) { name(*static_cast<const Params*>(p)); }};     \
  static void name(const Params& p)

#define threadIdx (stand_in::self().thread)
#define blockIdx (stand_in::self().warp->block->index)
#define blockDim (stand_in::self().warp->block->threads)
#define gridDim (stand_in::self().warp->block->grid)
static const int warpSize = 32;
