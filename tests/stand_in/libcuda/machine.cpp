// Which devices there are, and contexts of them. Set in the environment, before the first call:
//
//   DUEL_STAND_IN_DEVICES=2        how many devices the machine has; 1 if unset
//   DUEL_STAND_IN_DRIVER=12020     what the driver supports, as cuDriverGetVersion tells it; 13000 if unset
//   DUEL_STAND_IN_CC=7.5           compute capability of the devices; 9.0 if unset
//   DUEL_STAND_IN_MEMORY=1000000   bytes of memory of each device; 4 GiB if unset
//   CUDA_VISIBLE_DEVICES           which of them this process sees, as everywhere
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "queue.h"

namespace driver {

std::mutex& lock() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}

namespace {

// What the driver keeps of an OS thread. It is not thread_local: all that is so here is shared memory.
struct ThreadState {
  uint64_t id;
  Context* current = nullptr;
};

ThreadState& thread_state() {
  static const pthread_key_t key = [] {
    pthread_key_t made;
    pthread_key_create(&made, [](void* state) { delete static_cast<ThreadState*>(state); });
    return made;
  }();
  static std::atomic<uint64_t> threads{0};
  auto* state = static_cast<ThreadState*>(pthread_getspecific(key));
  if (!state) {
    state = new ThreadState{++threads};
    pthread_setspecific(key, state);
  }
  return *state;
}

const char* knob(const char* name, const char* otherwise) {
  const char* text = getenv(name);
  return text && *text ? text : otherwise;
}

void uuid(const Device& device, unsigned char bytes[16]) {
  for (int i = 0; i < 16; ++i) bytes[i] = static_cast<unsigned char>(0xd0 + i * 7 + device.ordinal);
}

std::string uuid_text(const Device& device) {
  unsigned char b[16];
  uuid(device, b);
  char text[48];
  snprintf(text, sizeof text, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
           b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
  return text;
}

// The list ends at the first entry that names nothing.
std::vector<Device> visible(const std::vector<Device>& all) {
  const char* list = getenv("CUDA_VISIBLE_DEVICES");
  if (!list) return all;
  std::vector<Device> seen;
  std::string rest = list;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string entry = rest.substr(0, comma);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
    const Device* found = nullptr;
    char* end = nullptr;
    const long ordinal = strtol(entry.c_str(), &end, 10);
    for (const Device& device : all) {
      const bool by_number = end != entry.c_str() && !*end && ordinal == device.ordinal;
      const bool by_name = entry.size() > 4 && uuid_text(device).compare(0, entry.size(), entry) == 0;
      if (by_number || by_name) found = &device;
    }
    if (!found) break;
    seen.push_back(*found);
  }
  return seen;
}

bool& started() {
  static bool yes = false;
  return yes;
}

std::vector<Context*>& primaries() {
  static auto* const all = new std::vector<Context*>;
  return *all;
}

Context* new_context(int ordinal) {
  auto* made = new Context;  // contexts stay: tasks and threads point at them
  made->ordinal = ordinal;
  made->legacy.reset(new Stream{made, 0, true, nullptr, nullptr, {}});
  return made;
}

int attribute(const Device& device, int which) {
  switch (which) {
    case 1: return 1024;                                // MAX_THREADS_PER_BLOCK
    case 2: case 3: return 1024;                        // MAX_BLOCK_DIM_X, Y
    case 4: return 64;                                  // MAX_BLOCK_DIM_Z
    case 5: return INT32_MAX;                           // MAX_GRID_DIM_X
    case 6: case 7: return 65535;                       // MAX_GRID_DIM_Y, Z
    case 8: return 48 << 10;                            // MAX_SHARED_MEMORY_PER_BLOCK
    case 9: return 64 << 10;                            // TOTAL_CONSTANT_MEMORY
    case 10: return 32;                                 // WARP_SIZE
    case 12: return 65536;                              // MAX_REGISTERS_PER_BLOCK
    case 13: return 1500000;                            // CLOCK_RATE, kHz
    case 16: return 4;                                  // MULTIPROCESSOR_COUNT
    case 31: return 1;                                  // CONCURRENT_KERNELS
    case 33: return 0;                                  // PCI_BUS_ID
    case 34: return device.ordinal;                     // PCI_DEVICE_ID
    case 36: return 2000000;                            // MEMORY_CLOCK_RATE, kHz
    case 37: return 5120;                               // GLOBAL_MEMORY_BUS_WIDTH
    case 38: return 50 << 20;                           // L2_CACHE_SIZE
    case 39: return 2048;                               // MAX_THREADS_PER_MULTIPROCESSOR
    case 41: return 1;                                  // UNIFIED_ADDRESSING
    case 75: return device.major;                       // COMPUTE_CAPABILITY_MAJOR
    case 76: return device.minor;                       // COMPUTE_CAPABILITY_MINOR
    case 78: return 1;                                  // STREAM_PRIORITIES_SUPPORTED
    case 81: return most_dynamic_shared(device) + 1024; // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
    case 82: return 65536;                              // MAX_REGISTERS_PER_MULTIPROCESSOR
    case 83: return 1;                                  // MANAGED_MEMORY
    case 97: return most_dynamic_shared(device);        // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
    case 106: return 32;                                // MAX_BLOCKS_PER_MULTIPROCESSOR
    case 111: return 1024;                              // RESERVED_SHARED_MEMORY_PER_BLOCK
    case 115: return 1;                                 // MEMORY_POOLS_SUPPORTED
    default: return 0;
  }
}

const Device* device(int ordinal) {
  auto& all = devices();
  return ordinal >= 0 && size_t(ordinal) < all.size() ? &all[size_t(ordinal)] : nullptr;
}

}  // namespace

uint64_t this_thread() { return thread_state().id; }
Context*& current() { return thread_state().current; }
bool initialized() { return started(); }

int driver_version() { return atoi(knob("DUEL_STAND_IN_DRIVER", "13000")); }

std::vector<Device>& devices() {
  static auto* const seen = new std::vector<Device>([] {
    int major = 9, minor = 0;
    sscanf(knob("DUEL_STAND_IN_CC", "9.0"), "%d.%d", &major, &minor);
    const size_t memory = strtoull(knob("DUEL_STAND_IN_MEMORY", "4294967296"), nullptr, 10);
    std::vector<Device> all;
    for (int i = 0; i < atoi(knob("DUEL_STAND_IN_DEVICES", "1")); ++i) all.push_back({i, major, minor, memory});
    return visible(all);
  }());
  return *seen;
}

int most_dynamic_shared(const Device& device) {
  const int capability = device.major * 10 + device.minor;
  if (capability == 80 || capability == 87) return 163 << 10;
  if (capability == 90 || capability / 10 == 10) return 227 << 10;
  return capability >= 80 ? 99 << 10 : 64 << 10;
}

}  // namespace driver

using namespace driver;

// Most calls need a device of that number.
#define DEVICE_OR_REFUSE(name, ordinal)            \
  if (!initialized()) return NOT_INITIALIZED;      \
  const Device* name = device(ordinal);            \
  if (!name) return INVALID_DEVICE

API int cuInit(unsigned flags) {
  Lock held(lock());
  if (flags) return INVALID_VALUE;
  if (devices().empty()) return NO_DEVICE;
  started() = true;
  return SUCCESS;
}
API int cuDriverGetVersion(int* version) {
  *version = driver_version();
  return SUCCESS;
}
API int cuDeviceGetCount(int* count) {
  *count = int(devices().size());
  return *count == 0 || initialized() ? SUCCESS : NOT_INITIALIZED;
}
API int cuDeviceGet(int* handle, int ordinal) {
  DEVICE_OR_REFUSE(found, ordinal);
  (void)found;
  *handle = ordinal;
  return SUCCESS;
}
API int cuDeviceGetName(char* name, int length, int handle) {
  DEVICE_OR_REFUSE(found, handle);
  snprintf(name, size_t(length), "Stand-in %d.%d", found->major, found->minor);
  return SUCCESS;
}
API int cuDeviceTotalMem_v2(size_t* bytes, int handle) {
  DEVICE_OR_REFUSE(found, handle);
  *bytes = found->memory;
  return SUCCESS;
}
API int cuDeviceGetAttribute(int* value, int which, int handle) {
  DEVICE_OR_REFUSE(found, handle);
  *value = attribute(*found, which);
  return SUCCESS;
}
API int cuDeviceGetUuid_v2(unsigned char* bytes, int handle) {
  DEVICE_OR_REFUSE(found, handle);
  uuid(*found, bytes);
  return SUCCESS;
}
API int cuDeviceGetUuid(unsigned char* bytes, int handle) { return cuDeviceGetUuid_v2(bytes, handle); }
API int cuDeviceGetPCIBusId(char* text, int length, int handle) {
  DEVICE_OR_REFUSE(found, handle);
  snprintf(text, size_t(length), "0000:%02x:00.0", found->ordinal + 1);
  return SUCCESS;
}
API int cuDeviceCanAccessPeer(int* yes, int from, int to) {
  *yes = from != to;
  return device(from) && device(to) ? SUCCESS : INVALID_DEVICE;
}

API int cuDevicePrimaryCtxRetain(void** context, int handle) {
  DEVICE_OR_REFUSE(found, handle);
  (void)found;
  Lock held(lock());
  auto& all = primaries();
  if (all.empty()) all.resize(devices().size());
  Context*& mine = all[size_t(handle)];
  if (!mine) mine = new_context(handle);
  ++mine->retained;
  *context = mine;
  return SUCCESS;
}
API int cuDevicePrimaryCtxRelease_v2(int handle) {
  Lock held(lock());
  if (size_t(handle) >= primaries().size() || !primaries()[size_t(handle)]) return INVALID_CONTEXT;
  Context& context = *primaries()[size_t(handle)];
  if (context.retained == 0) return INVALID_CONTEXT;
  if (--context.retained == 0) wait_for_all(held, context);
  return SUCCESS;
}
API int cuDevicePrimaryCtxGetState(int handle, unsigned* flags, int* active) {
  DEVICE_OR_REFUSE(found, handle);
  (void)found;
  Lock held(lock());
  *flags = 0;
  *active = size_t(handle) < primaries().size() && primaries()[size_t(handle)] &&
            primaries()[size_t(handle)]->retained > 0;
  return SUCCESS;
}
API int cuCtxGetCurrent(void** context) {
  *context = current();
  return initialized() ? SUCCESS : NOT_INITIALIZED;
}
API int cuCtxSetCurrent(void* context) {
  current() = static_cast<Context*>(context);
  return initialized() ? SUCCESS : NOT_INITIALIZED;
}
API int cuCtxGetDevice(int* handle) {
  if (!current()) return INVALID_CONTEXT;
  *handle = current()->ordinal;
  return SUCCESS;
}
API int cuCtxSynchronize() {
  Lock held(lock());
  if (!current()) return INVALID_CONTEXT;
  for (Stream* each : current()->streams)
    if (each->capture) {
      each->capture->invalid = true;
      return STREAM_CAPTURE_UNSUPPORTED;
    }
  wait_for_all(held, *current());
  check_guards("something", true);
  return SUCCESS;
}
API int cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return SUCCESS;
}
API int cuCtxSetLimit(int, size_t) { return SUCCESS; }
API int cuCtxSetFlags(unsigned) { return SUCCESS; }
API int cuCtxSetCacheConfig(int) { return SUCCESS; }
API int cuProfilerStart() { return SUCCESS; }
API int cuProfilerStop() { return SUCCESS; }
