// Two streams of which one works for the other, with the events between them that CUDA asks for. Without one of
// them the result is wrong under the stand-in's driver: that is what it is for, and what a test takes out.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

typedef int CUresult;
extern "C" {
CUresult cuInit(unsigned);
CUresult cuDevicePrimaryCtxRetain(void**, int);
CUresult cuCtxSetCurrent(void*);
CUresult cuMemAlloc_v2(uint64_t*, size_t);
CUresult cuMemcpyDtoHAsync_v2(void*, uint64_t, size_t, void*);
CUresult cuMemcpyDtoDAsync_v2(uint64_t, uint64_t, size_t, void*);
CUresult cuMemsetD32Async(uint64_t, unsigned, size_t, void*);
CUresult cuStreamCreate(void**, unsigned);
CUresult cuStreamSynchronize(void*);
CUresult cuStreamWaitEvent(void*, void*, unsigned);
CUresult cuEventCreate(void**, unsigned);
CUresult cuEventRecord(void*, void*);
CUresult cuStreamBeginCapture_v2(void*, int);
CUresult cuStreamEndCapture(void*, void**);
CUresult cuGraphInstantiateWithFlags(void**, void*, unsigned long long);
CUresult cuGraphLaunch(void*, void*);
}

static void check(CUresult result, const char* call) {
  if (result == 0) return;
  fprintf(stderr, "error: %s answers %d\n", call, result);
  exit(1);
}
#define CHECK(call) check(call, #call)

constexpr size_t COUNT = 1000;
constexpr int ROUNDS = 20;

struct Streams {
  void *stream, *side, *forked, *joined;
  uint64_t first, second, third;

  // third ← second ← first ← value, the middle step on the side.
  void work(unsigned value) {
    CHECK(cuMemsetD32Async(first, value, COUNT, stream));
    CHECK(cuEventRecord(forked, stream));
    CHECK(cuStreamWaitEvent(side, forked, 0));
    CHECK(cuMemcpyDtoDAsync_v2(second, first, 4 * COUNT, side));
    CHECK(cuEventRecord(joined, side));
    CHECK(cuStreamWaitEvent(stream, joined, 0));
    CHECK(cuMemcpyDtoDAsync_v2(third, second, 4 * COUNT, stream));
  }
  bool has(unsigned value) {
    static unsigned found[COUNT];
    CHECK(cuMemcpyDtoHAsync_v2(found, third, 4 * COUNT, stream));
    CHECK(cuStreamSynchronize(stream));
    for (const unsigned x : found)
      if (x != value) return false;
    return true;
  }
};

int main() {
  Streams s;
  void* context;
  CHECK(cuInit(0));
  CHECK(cuDevicePrimaryCtxRetain(&context, 0));
  CHECK(cuCtxSetCurrent(context));
  for (void** stream : {&s.stream, &s.side}) CHECK(cuStreamCreate(stream, 1));
  for (void** event : {&s.forked, &s.joined}) CHECK(cuEventCreate(event, 2));
  for (uint64_t* memory : {&s.first, &s.second, &s.third}) CHECK(cuMemAlloc_v2(memory, 4 * COUNT));

  int wrong = 0;
  for (unsigned round = 1; round <= ROUNDS; ++round) {
    s.work(round);
    wrong += !s.has(round);
  }
  printf("%d of %d wrong\n", wrong, ROUNDS);

  void *graph, *executable;
  CHECK(cuStreamBeginCapture_v2(s.stream, 1));
  s.work(77);
  CHECK(cuStreamEndCapture(s.stream, &graph));
  CHECK(cuGraphInstantiateWithFlags(&executable, graph, 0));
  for (int round = 0; round < ROUNDS; ++round) {
    CHECK(cuMemsetD32Async(s.first, 0, COUNT, s.stream));
    CHECK(cuGraphLaunch(executable, s.stream));
    wrong += !s.has(77);
  }
  return wrong ? 1 : 0;
}
