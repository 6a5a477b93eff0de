// NCCL on one machine: ranks, threads or processes, meet in shared memory, and sums run in the order of ranks.
// Work goes through cuLaunchHostFunc, so the order of streams and captures hold.
//
// What a caller can get wrong with NCCL is wrong here: a communicator that does not block answers "in progress"
// and refuses the next call until it has been asked; a peer that dies, leaves or aborts is an error that comes
// out of ncclCommGetAsyncError; two ranks on one device are refused. Set in the environment:
//
//   DUEL_STAND_IN_NCCL=21700       the version that it says it is; 22809 if unset
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

extern "C" int cuLaunchHostFunc(void* stream, void (*function)(void*), void* data);
extern "C" int cuCtxGetDevice(int* device);
extern "C" int cuDeviceGetUuid(unsigned char* bytes, int device);
#define API extern "C" __attribute__((visibility("default")))

namespace {

enum Result : int {
  SUCCESS = 0,
  CUDA_ERROR = 1,
  SYSTEM_ERROR = 2,
  INTERNAL_ERROR = 3,
  INVALID_ARGUMENT = 4,
  INVALID_USAGE = 5,
  REMOTE_ERROR = 6,
  IN_PROGRESS = 7,
};
constexpr int FLOAT32 = 7, SUM = 0;  // the only type and the only reduction that are here

constexpr size_t CHUNK = 1 << 20;  // bytes of a message that are on their way at once
constexpr size_t HEAD = 4096;      // bytes before the chunks
constexpr int MOST = 64;           // ranks

std::mutex& errors() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}
std::string& last_error() {
  static auto* const text = new std::string;
  return *text;
}

__attribute__((format(printf, 2, 3))) Result refuse(Result result, const char* format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  std::lock_guard<std::mutex> held(errors());
  last_error() = text;
  return result;
}

enum Stand : int { ABSENT, SEATED, GONE };

struct Seat {
  std::atomic<int> stand;
  unsigned char device[16];
};

// The first bytes of the shared memory. Each rank holds a lock on the byte of the file that has its number, so
// that others see when its process has ended.
struct Shared {
  std::atomic<int> seated, arrived, generation, aborted;
  Seat seats[MOST];
};
static_assert(sizeof(Shared) <= HEAD);

// Never freed: a graph may hold a sum for longer than the communicator lives. It does nothing then.
struct Comm {
  int world, rank;
  bool blocking;
  std::string name;
  int file;
  Shared* shared;
  char* chunks;  // CHUNK bytes of each rank
  std::atomic<int> result{IN_PROGRESS};
  std::atomic<bool> unasked{false};  // the caller has not asked how the last call went
  std::atomic<bool> stop{false};
  std::mutex memory;  // held while the shared memory is used
  bool released = false;

  size_t bytes() const { return HEAD + size_t(world) * CHUNK; }

  bool holds_its_lock(int other) const {
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = other;
    lock.l_len = 1;
    return fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  }

  bool peers_are_there() {
    for (int other = 0; other < world; ++other) {
      const int stand = shared->seats[other].stand.load();
      if (other == rank || stand == ABSENT) continue;
      if (stand == GONE || !holds_its_lock(other)) {
        refuse(REMOTE_ERROR, "rank %d is gone", other);
        return false;
      }
    }
    return true;
  }

  // Waits until `ready`, or this rank is to stop, or a peer will never come.
  template <class Ready>
  bool wait(Ready ready) {
    for (uint64_t looks = 1; !ready(); ++looks) {
      if (stop.load()) return false;
      if (looks % 64 == 0 && (shared->aborted.load() || !peers_are_there())) {
        // It may have gone right after it did its part.
        if (ready()) return true;
        shared->aborted = 1;
        result = REMOTE_ERROR;
        return false;
      }
      if (looks < 64)
        sched_yield();
      else
        usleep(100);
    }
    return true;
  }

  bool barrier() {
    const int generation = shared->generation.load();
    if (shared->arrived.fetch_add(1) + 1 == world) {
      shared->arrived = 0;
      shared->generation.fetch_add(1);
      return true;
    }
    return wait([&] { return shared->generation.load() != generation; });
  }

  // Waits for the other ranks to come.
  void come_together() {
    std::lock_guard<std::mutex> held(memory);
    shared->seats[rank].stand = SEATED;
    shared->seated.fetch_add(1);
    if (!wait([&] { return shared->seated.load() == world; })) return;
    shm_unlink(name.c_str());
    for (int other = 0; other < world; ++other)
      if (other != rank && !memcmp(shared->seats[other].device, shared->seats[rank].device, 16)) {
        result = refuse(INVALID_USAGE, "Duplicate GPU detected : rank %d and rank %d both on CUDA device %x", rank, other,
                        unsigned(shared->seats[rank].device[0]) << 12);
        return;
      }
    result = SUCCESS;
  }

  void leave(bool aborted) {
    stop = true;
    std::lock_guard<std::mutex> held(memory);
    if (released) return;
    released = true;
    if (aborted) shared->aborted = 1;
    shared->seats[rank].stand = GONE;
    shm_unlink(name.c_str());
    munmap(shared, bytes());
    close(file);
  }
};

struct Message {
  const float* from;
  float* to;
  size_t count;
  Comm* comm;
};

void exchange(void* data) {
  const Message m = *static_cast<Message*>(data);  // a graph runs it many times, so it stays
  Comm& comm = *m.comm;
  std::lock_guard<std::mutex> held(comm.memory);
  if (comm.released) return;
  const size_t most = CHUNK / sizeof(float);
  std::vector<float> sum(std::min(most, m.count));
  const auto chunk = [&](int rank) { return reinterpret_cast<float*>(comm.chunks + size_t(rank) * CHUNK); };
  for (size_t first = 0; first < m.count; first += most) {
    const size_t n = std::min(most, m.count - first);
    if (comm.result.load() != SUCCESS) return;
    memcpy(chunk(comm.rank), m.from + first, n * sizeof(float));
    if (!comm.barrier()) return;
    memcpy(sum.data(), chunk(0), n * sizeof(float));
    for (int rank = 1; rank < comm.world; ++rank)
      for (size_t i = 0; i < n; ++i) sum[i] += chunk(rank)[i];
    if (!comm.barrier()) return;
    memcpy(m.to + first, sum.data(), n * sizeof(float));
  }
}

// What a communicator answers to a call that has begun.
int begun(Comm* comm) {
  if (comm->blocking) return comm->result;
  comm->unasked = true;
  return IN_PROGRESS;
}

// Whether a call may begin.
int may_begin(Comm* comm) {
  if (comm->unasked.load() || comm->result.load() == IN_PROGRESS)
    return refuse(INVALID_ARGUMENT, "Attempt to use communicator before the previous operation returned ncclSuccess");
  return comm->result;
}

}  // namespace

struct Id {
  char bytes[128];
};

// ncclConfig_t of NCCL 2.18; later versions have more behind it.
struct Config {
  size_t size;
  unsigned magic, version;
  int blocking, cga_cluster_size, min_ctas, max_ctas;
  const char* net_name;
  int split_share;
};

API int ncclGetVersion(int* version) {
  const char* text = getenv("DUEL_STAND_IN_NCCL");
  *version = text && *text ? atoi(text) : 22809;
  return SUCCESS;
}
API const char* ncclGetErrorString(int result) {
  static const char* const texts[] = {"no error",         "unhandled cuda error", "unhandled system error",
                                      "internal error",   "invalid argument",     "invalid usage",
                                      "remote process exited or there was a network error",
                                      "NCCL operation in progress"};
  return result >= SUCCESS && result <= IN_PROGRESS ? texts[result] : "unknown result code";
}
API const char* ncclGetLastError(void*) {
  static thread_local std::string copy;
  std::lock_guard<std::mutex> held(errors());
  copy = last_error();
  return copy.c_str();
}
API int ncclGetUniqueId(Id* id) {
  memset(id, 0, sizeof *id);
  unsigned long long random = 0;
  const int file = open("/dev/urandom", O_RDONLY);
  if (file < 0 || read(file, &random, sizeof random) != sizeof random) return SYSTEM_ERROR;
  close(file);
  snprintf(id->bytes, sizeof id->bytes, "/stand-in-nccl-%016llx", random);
  return SUCCESS;
}
API int ncclCommInitRankConfig(Comm** made, int world, Id id, int rank, const Config* config) {
  *made = nullptr;
  if (config->size < offsetof(Config, split_share) + sizeof(int) || config->magic != 0xcafebeef)
    return refuse(INVALID_ARGUMENT, "ncclConfig_t argument not initialized via NCCL_CONFIG_INITIALIZER");
  for (const int choice : {config->cga_cluster_size, config->min_ctas, config->max_ctas, config->split_share})
    if (choice != INT_MIN && choice < 0) return refuse(INVALID_ARGUMENT, "Invalid config attribute value %d", choice);
  if (rank < 0 || rank >= world || world > MOST || id.bytes[0] != '/' || id.bytes[sizeof id.bytes - 1])
    return refuse(INVALID_ARGUMENT, "Invalid rank requested : %d/%d", rank, world);
  int device = 0;
  unsigned char uuid[16];
  if (cuCtxGetDevice(&device) || cuDeviceGetUuid(uuid, device)) return refuse(CUDA_ERROR, "no current device");

  auto* const comm = new Comm;
  comm->world = world;
  comm->rank = rank;
  comm->blocking = config->version < 21400 || config->blocking != 0;
  comm->name = id.bytes;
  comm->file = shm_open(id.bytes, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (comm->file < 0 || ftruncate(comm->file, long(comm->bytes()))) return refuse(SYSTEM_ERROR, "no shared memory");
  void* const at = mmap(nullptr, comm->bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, comm->file, 0);
  if (at == MAP_FAILED) return refuse(SYSTEM_ERROR, "no shared memory");
  comm->shared = static_cast<Shared*>(at);
  comm->chunks = static_cast<char*>(at) + HEAD;
  struct flock seat = {};
  seat.l_type = F_WRLCK;
  seat.l_whence = SEEK_SET;
  seat.l_start = rank;
  seat.l_len = 1;
  if (fcntl(comm->file, F_OFD_SETLK, &seat)) return refuse(INVALID_USAGE, "two ranks have number %d", rank);
  memcpy(comm->shared->seats[rank].device, uuid, sizeof uuid);

  *made = comm;
  if (!comm->blocking) {
    std::thread([comm] { comm->come_together(); }).detach();
    return IN_PROGRESS;
  }
  comm->come_together();
  return comm->result;
}
API int ncclCommGetAsyncError(Comm* comm, int* result) {
  const bool unasked = comm->unasked.exchange(false);
  *result = comm->result == SUCCESS && unasked ? IN_PROGRESS : comm->result.load();
  return SUCCESS;
}
API int ncclCommFinalize(Comm* comm) {
  const int may = may_begin(comm);
  return may == SUCCESS ? begun(comm) : may;
}
API int ncclCommDestroy(Comm* comm) {
  const int may = may_begin(comm);
  if (may == INVALID_ARGUMENT) return may;
  comm->leave(false);
  return SUCCESS;
}
API int ncclCommAbort(Comm* comm) {
  comm->leave(true);
  return SUCCESS;
}
API int ncclAllReduce(const void* from, void* to, size_t count, int type, int reduction, Comm* comm, void* stream) {
  const int may = may_begin(comm);
  if (may != SUCCESS) return may;
  if (type != FLOAT32 || reduction != SUM) return refuse(INVALID_ARGUMENT, "only sums of float32 are here");
  auto* const message = new Message{static_cast<const float*>(from), static_cast<float*>(to), count, comm};
  if (cuLaunchHostFunc(stream, exchange, message)) return refuse(CUDA_ERROR, "the stream does not take it");
  return begun(comm);
}
