// What the files of this driver share: its state, and one lock for all of it.
//
// Work of streams is not done when it is enqueued. It is a graph of tasks, done when somebody waits (queue.h).
#pragma once
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

namespace driver {

// CUresult, as far as it is used here.
enum Result : int {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  NO_DEVICE = 100,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  INVALID_PTX = 218,
  UNSUPPORTED_PTX_VERSION = 222,
  FILE_NOT_FOUND = 301,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  NOT_READY = 600,
  NOT_SUPPORTED = 801,
  STREAM_CAPTURE_UNSUPPORTED = 900,
  STREAM_CAPTURE_INVALIDATED = 901,
  STREAM_CAPTURE_MERGE = 902,
  STREAM_CAPTURE_UNMATCHED = 903,
  STREAM_CAPTURE_UNJOINED = 904,
  STREAM_CAPTURE_ISOLATION = 905,
  CAPTURED_EVENT = 907,
  STREAM_CAPTURE_WRONG_THREAD = 908,
};

using Work = std::function<void()>;
using Pointer = uint64_t;  // CUdeviceptr

struct Task;
struct Capture;
struct Stream;

struct Context {
  int ordinal;       // among the visible devices
  int retained = 0;  // of a primary context
  std::unique_ptr<Stream> legacy;
  std::vector<Stream*> streams;
};

// A captured operation: what it does, after which others, on which stream it was captured.
struct Node {
  Work work;
  std::vector<uint32_t> after;
  uint64_t lane;
  bool host;  // a function of the host
};

struct Graph {
  std::vector<Node> nodes;
};

// A graph in the making.
struct Capture {
  Graph graph;
  Stream* origin;
  int mode;
  uint64_t thread;
  bool invalid = false;
  std::vector<Stream*> streams;
};

struct Stream {
  Context* context;
  uint64_t id;
  bool blocking;               // with the legacy stream
  std::shared_ptr<Task> last;  // null: nothing under way
  std::shared_ptr<Capture> capture;
  std::vector<uint32_t> tails;  // captured nodes that the next one comes after
};

// All state of the driver is read and written under this lock. Work itself runs without it.
std::mutex& lock();
using Lock = std::unique_lock<std::mutex>;

uint64_t this_thread();
// The context of this OS thread, or null.
Context*& current();
bool initialized();

// Knobs (machine.cpp).
struct Device {
  int ordinal;  // physical
  int major, minor;
  size_t memory;
  size_t used = 0;
};
std::vector<Device>& devices();
int driver_version();
// Bytes of dynamic shared memory that a block may have if its function asks for it.
int most_dynamic_shared(const Device& device);

// A stream handle of the API; null and the legacy handles mean the context's legacy stream.
Stream* stream(void* handle);
// Puts work into a stream: into its graph if it is being captured.
Result enqueue(Stream& stream, Work work, bool host = false);
// Calls that a capture of this thread, or a global capture of any thread, forbids. They invalidate it.
Result forbidden_in_capture();

// Whether `bytes` from `at` on lie in one live allocation.
bool is_live(Pointer at, size_t bytes);
// Aborts if something was written around an allocation. `culprit` ran last.
void check_guards(const char* culprit, bool all);

}  // namespace driver
