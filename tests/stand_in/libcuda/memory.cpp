// Memory of devices and pinned memory of the host: both are memory of this process.
//
// An allocation begins as garbage and ends as garbage. It lies between two zones that nobody may write; they
// are looked at after kernels. What was freed is kept for a while, so that writing to it shows as well.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>

#include "queue.h"

namespace driver {

namespace {

constexpr size_t ZONE = 1024;
constexpr unsigned char AROUND = 0xff, BEFORE = 0xff, FREED = 0xfe;  // NaN, all of them
constexpr size_t KEPT = 64 << 20;

struct Allocation {
  unsigned char* base;  // where the zone before it begins
  size_t bytes;
  Context* context;
  bool host;
};

std::map<Pointer, Allocation>& live() {
  static auto* const all = new std::map<Pointer, Allocation>;
  return *all;
}

struct Freed {
  std::deque<Allocation> kept;
  size_t bytes = 0;
};

Freed& freed() {
  static auto* const all = new Freed;
  return *all;
}

bool only(const unsigned char* at, size_t bytes, unsigned char value) {
  return bytes == 0 || (at[0] == value && memcmp(at, at + 1, bytes - 1) == 0);
}

void check(const Allocation& memory, const char* culprit) {
  const bool before = only(memory.base, ZONE, AROUND);
  const bool after = only(memory.base + ZONE + memory.bytes, ZONE, AROUND);
  if (before && after) return;
  fprintf(stderr, "stand-in: memory was written %s an allocation of %zu bytes; %s ran last\n",
          before ? "behind" : "before", memory.bytes, culprit);
  abort();
}

Result allocate(Pointer* at, size_t bytes, Context* context, bool host) {
  *at = 0;
  if (!context) return INVALID_CONTEXT;
  if (!bytes) return INVALID_VALUE;
  Device& device = devices()[size_t(context->ordinal)];
  if (!host && bytes > device.memory - device.used) return OUT_OF_MEMORY;
  // A device's memory begins at multiples of 512, pinned memory at pages.
  const size_t alignment = host ? 4096 : 512, lead = host ? 4096 : ZONE;
  void* base;
  if (posix_memalign(&base, alignment, lead + bytes + ZONE)) return OUT_OF_MEMORY;
  auto* const zone = static_cast<unsigned char*>(base) + lead - ZONE;
  memset(zone, AROUND, ZONE);
  memset(zone + ZONE, BEFORE, bytes);
  memset(zone + ZONE + bytes, AROUND, ZONE);
  *at = reinterpret_cast<Pointer>(zone + ZONE);
  live()[*at] = {zone, bytes, context, host};
  if (!host) device.used += bytes;
  return SUCCESS;
}

void* start_of(const Allocation& memory) { return memory.host ? memory.base + ZONE - 4096 : memory.base; }

Result release(Pointer at, bool host) {
  const auto found = live().find(at);
  if (found == live().end() || found->second.host != host) return INVALID_VALUE;
  const Allocation memory = found->second;
  check(memory, "something");
  live().erase(found);
  if (!host) devices()[size_t(memory.context->ordinal)].used -= memory.bytes;
  memset(memory.base + ZONE, FREED, memory.bytes);
  Freed& all = freed();
  all.kept.push_back(memory);
  all.bytes += memory.bytes;
  while (all.bytes > KEPT) {
    const Allocation oldest = all.kept.front();
    all.kept.pop_front();
    all.bytes -= oldest.bytes;
    check(oldest, "something");
    if (!only(oldest.base + ZONE, oldest.bytes, FREED)) {
      fprintf(stderr, "stand-in: an allocation of %zu bytes was written after it was freed\n", oldest.bytes);
      abort();
    }
    free(start_of(oldest));
  }
  return SUCCESS;
}

const Allocation* holds(Pointer at, size_t bytes) {
  auto next = live().upper_bound(at);
  if (next == live().begin()) return nullptr;
  --next;
  const size_t offset = at - next->first;
  return offset <= next->second.bytes && bytes <= next->second.bytes - offset ? &next->second : nullptr;
}

bool is_pinned(const void* at, size_t bytes) {
  const Allocation* memory = holds(reinterpret_cast<Pointer>(at), bytes);
  return memory && memory->host;
}

void* host(Pointer at) { return reinterpret_cast<void*>(at); }

// Copies between the host and a device. What is not pinned is read before the call returns, or written by then.
int to_device(Pointer to, const void* from, size_t bytes, void* handle, bool wait) {
  Lock held(lock());
  if (!is_live(to, bytes)) return INVALID_VALUE;
  if (wait)
    if (const Result refused = forbidden_in_capture()) return refused;
  Stream* const into = stream(handle);
  if (!into) return INVALID_CONTEXT;
  Result result;
  if (is_pinned(from, bytes) || into->capture) {
    result = enqueue(*into, [=] { memcpy(host(to), from, bytes); });
  } else {
    const auto* begin = static_cast<const unsigned char*>(from);
    std::vector<unsigned char> copy(begin, begin + bytes);
    result = enqueue(*into, [to, copy = std::move(copy)] { memcpy(host(to), copy.data(), copy.size()); });
  }
  if (wait && result == SUCCESS) wait_for(held, into->last);
  return result;
}

int to_host(void* to, Pointer from, size_t bytes, void* handle, bool wait) {
  Lock held(lock());
  if (!is_live(from, bytes)) return INVALID_VALUE;
  if (wait)
    if (const Result refused = forbidden_in_capture()) return refused;
  Stream* const into = stream(handle);
  if (!into) return INVALID_CONTEXT;
  const Result result = enqueue(*into, [=] { memcpy(to, host(from), bytes); });
  if (result == SUCCESS && !into->capture && (wait || !is_pinned(to, bytes))) wait_for(held, into->last);
  return result;
}

int within_devices(Pointer to, Pointer from, size_t bytes, void* handle, bool wait) {
  Lock held(lock());
  if (!is_live(to, bytes) || !is_live(from, bytes)) return INVALID_VALUE;
  Stream* const into = stream(handle);
  if (!into) return INVALID_CONTEXT;
  const Result result = enqueue(*into, [=] { memmove(host(to), host(from), bytes); });
  if (result == SUCCESS && wait) wait_for(held, into->last);
  return result;
}

template <class T>
int fill(Pointer to, T value, size_t count, void* handle, bool wait) {
  Lock held(lock());
  if (to % sizeof(T) || !is_live(to, count * sizeof(T))) return INVALID_VALUE;
  Stream* const into = stream(handle);
  if (!into) return INVALID_CONTEXT;
  const Result result = enqueue(*into, [=] {
    for (size_t i = 0; i < count; ++i) static_cast<T*>(host(to))[i] = value;
  });
  if (result == SUCCESS && wait) wait_for(held, into->last);
  return result;
}

int allocate_now(Pointer* at, size_t bytes, bool host) {
  Lock held(lock());
  *at = 0;
  if (const Result refused = forbidden_in_capture()) return refused;
  return allocate(at, bytes, current(), host);
}

int free_now(Pointer at, bool host) {
  if (!at) return SUCCESS;
  Lock held(lock());
  if (const Result refused = forbidden_in_capture()) return refused;
  if (!current()) return INVALID_CONTEXT;
  wait_for_all(held, *current());
  return release(at, host);
}

}  // namespace

bool is_live(Pointer at, size_t bytes) { return holds(at, bytes) != nullptr; }

void check_guards(const char* culprit, bool all) {
  if (!all && live().size() > 128) return;  // too many to look at after each kernel
  for (const auto& entry : live()) check(entry.second, culprit);
}

}  // namespace driver

using namespace driver;

API int cuMemGetInfo_v2(size_t* free, size_t* total) {
  Lock held(lock());
  if (!current()) return INVALID_CONTEXT;
  const Device& device = devices()[size_t(current()->ordinal)];
  *total = device.memory;
  *free = device.memory - device.used;
  return SUCCESS;
}
API int cuMemAlloc_v2(Pointer* at, size_t bytes) { return allocate_now(at, bytes, false); }
API int cuMemFree_v2(Pointer at) { return free_now(at, false); }
API int cuMemAllocManaged(Pointer* at, size_t bytes, unsigned) { return allocate_now(at, bytes, false); }
API int cuMemHostAlloc(void** at, size_t bytes, unsigned) {
  Pointer pointer;
  const int result = allocate_now(&pointer, bytes, true);
  *at = host(pointer);
  return result;
}
API int cuMemAllocHost_v2(void** at, size_t bytes) { return cuMemHostAlloc(at, bytes, 0); }
API int cuMemFreeHost(void* at) { return free_now(reinterpret_cast<Pointer>(at), true); }
API int cuMemHostGetDevicePointer_v2(Pointer* device, void* at, unsigned) {
  Lock held(lock());
  *device = reinterpret_cast<Pointer>(at);
  return is_pinned(at, 1) ? SUCCESS : INVALID_VALUE;
}
// Memory of a stream: there at once, gone when the stream comes to it. A capture would make it part of the graph,
// which nothing here needs.
API int cuMemAllocAsync(Pointer* at, size_t bytes, void* handle) {
  Lock held(lock());
  *at = 0;
  Stream* const into = stream(handle);
  if (!into) return INVALID_CONTEXT;
  if (into->capture) return NOT_SUPPORTED;
  return allocate(at, bytes, into->context, false);
}
API int cuMemAllocFromPoolAsync(Pointer* at, size_t bytes, void*, void* handle) {
  return cuMemAllocAsync(at, bytes, handle);
}
API int cuMemFreeAsync(Pointer at, void* handle) {
  Lock held(lock());
  Stream* const into = stream(handle);
  if (!into) return INVALID_CONTEXT;
  if (into->capture) return NOT_SUPPORTED;
  if (!is_live(at, 1)) return INVALID_VALUE;
  return enqueue(*into, [at] {
    Lock inner(lock());
    release(at, false);
  });
}
API int cuDeviceGetDefaultMemPool(void** pool, int) {
  static char one;
  *pool = &one;
  return SUCCESS;
}
API int cuDeviceGetMemPool(void** pool, int device) { return cuDeviceGetDefaultMemPool(pool, device); }
API int cuMemPoolSetAttribute(void*, int, void*) { return SUCCESS; }
API int cuMemPoolGetAttribute(void*, int, void* value) {
  *static_cast<uint64_t*>(value) = 0;
  return SUCCESS;
}
API int cuMemPoolTrimTo(void*, size_t) { return SUCCESS; }

API int cuMemcpyHtoDAsync_v2(Pointer to, const void* from, size_t bytes, void* handle) {
  return to_device(to, from, bytes, handle, false);
}
API int cuMemcpyHtoD_v2(Pointer to, const void* from, size_t bytes) {
  return to_device(to, from, bytes, nullptr, true);
}
API int cuMemcpyDtoHAsync_v2(void* to, Pointer from, size_t bytes, void* handle) {
  return to_host(to, from, bytes, handle, false);
}
API int cuMemcpyDtoH_v2(void* to, Pointer from, size_t bytes) { return to_host(to, from, bytes, nullptr, true); }
API int cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, void* handle) {
  return within_devices(to, from, bytes, handle, false);
}
API int cuMemcpyDtoD_v2(Pointer to, Pointer from, size_t bytes) {
  return within_devices(to, from, bytes, nullptr, true);
}
API int cuMemcpyPeerAsync(Pointer to, void*, Pointer from, void*, size_t bytes, void* handle) {
  return within_devices(to, from, bytes, handle, false);
}
API int cuMemsetD8Async(Pointer to, unsigned char value, size_t count, void* handle) {
  return fill(to, value, count, handle, false);
}
API int cuMemsetD8_v2(Pointer to, unsigned char value, size_t count) { return fill(to, value, count, nullptr, true); }
API int cuMemsetD32Async(Pointer to, unsigned value, size_t count, void* handle) {
  return fill(to, value, count, handle, false);
}
API int cuMemsetD32_v2(Pointer to, unsigned value, size_t count) { return fill(to, value, count, nullptr, true); }
