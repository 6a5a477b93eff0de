// NCCL on one machine: ranks, threads or processes, meet in shared memory, and sums run in the order of ranks.
// Work goes through cuLaunchHostFunc, so the order of streams and captures hold.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

extern "C" int cuLaunchHostFunc(void* stream, void (*function)(void*), void* data);
#define API extern "C" __attribute__((visibility("default")))

namespace {

enum Result : int { SUCCESS = 0, SYSTEM_ERROR = 2, INVALID_ARGUMENT = 4, REMOTE_ERROR = 6 };
enum Type : int { INT32 = 2, FLOAT32 = 7, FLOAT64 = 8, BFLOAT16 = 9 };
enum Reduction : int { SUM = 0, PRODUCT = 1, MAX = 2, MIN = 3, AVERAGE = 4 };

constexpr size_t CHUNK = 1 << 20;  // bytes of a message that are on their way at once

struct Shared {
  std::atomic<int> arrived, generation, aborted;
};

struct Comm {
  Shared* shared;
  char* data;  // CHUNK bytes of each rank
  int world, rank;
  size_t mapped;

  bool barrier() {
    const int generation = shared->generation.load();
    if (shared->arrived.fetch_add(1) + 1 == world) {
      shared->arrived = 0;
      shared->generation.fetch_add(1);
    } else {
      while (shared->generation.load() == generation) {
        if (shared->aborted.load()) return false;
        sched_yield();
      }
    }
    return true;
  }
};

size_t size_of(int type) {
  return type == FLOAT64 ? 8 : type == FLOAT32 || type == INT32 ? 4 : type == BFLOAT16 ? 2 : 0;
}

double load(const char* at, int type, size_t i) {
  if (type == FLOAT32) return reinterpret_cast<const float*>(at)[i];
  if (type == FLOAT64) return reinterpret_cast<const double*>(at)[i];
  if (type == INT32) return reinterpret_cast<const int32_t*>(at)[i];
  const uint32_t bits = uint32_t(reinterpret_cast<const uint16_t*>(at)[i]) << 16;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

void store(char* at, int type, size_t i, double x) {
  if (type == FLOAT64) reinterpret_cast<double*>(at)[i] = x;
  if (type == INT32) reinterpret_cast<int32_t*>(at)[i] = int32_t(x);
  if (type == FLOAT32) reinterpret_cast<float*>(at)[i] = float(x);
  if (type == BFLOAT16) {
    const float rounded = float(x);
    uint32_t bits;
    memcpy(&bits, &rounded, 4);
    reinterpret_cast<uint16_t*>(at)[i] = uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
}

struct Message {
  const char* from;
  char* to;
  size_t count;
  int type, reduction, root;  // root: of a broadcast, or -1
  Comm* comm;
};

void exchange(void* data) {
  const Message m = *static_cast<Message*>(data);  // a graph runs it many times, so it stays
  Comm& comm = *m.comm;
  const size_t size = size_of(m.type), per = CHUNK / size;
  std::vector<char> result(CHUNK);
  for (size_t first = 0; first < m.count; first += per) {
    const size_t n = std::min(per, m.count - first);
    if (m.root < 0 || comm.rank == m.root)
      memcpy(comm.data + size_t(comm.rank) * CHUNK, m.from + first * size, n * size);
    if (!comm.barrier()) return;
    if (m.root >= 0) {
      memcpy(result.data(), comm.data + size_t(m.root) * CHUNK, n * size);
    } else {
      for (size_t i = 0; i < n; ++i) {
        double sum = load(comm.data, m.type, i);
        for (int rank = 1; rank < comm.world; ++rank) {
          const double x = load(comm.data + size_t(rank) * CHUNK, m.type, i);
          sum = m.reduction == MAX ? std::max(sum, x)
                : m.reduction == MIN ? std::min(sum, x)
                : m.reduction == PRODUCT ? sum * x : sum + x;
        }
        store(result.data(), m.type, i, m.reduction == AVERAGE ? sum / comm.world : sum);
      }
    }
    if (!comm.barrier()) return;
    memcpy(m.to + first * size, result.data(), n * size);
  }
}

int send(Message message, void* stream) {
  if (!size_of(message.type)) return INVALID_ARGUMENT;
  return cuLaunchHostFunc(stream, exchange, new Message(message)) ? INVALID_ARGUMENT : SUCCESS;
}

}  // namespace

struct Id {
  char bytes[128];
};

API int ncclGetVersion(int* version) {
  *version = 22809;
  return SUCCESS;
}
API const char* ncclGetErrorString(int result) {
  return result == SUCCESS ? "no error" : result == INVALID_ARGUMENT ? "invalid argument" : "unhandled system error";
}
API const char* ncclGetLastError(void*) { return ""; }
API int ncclGetUniqueId(Id* id) {
  memset(id, 0, sizeof *id);
  unsigned long long random = 0;
  const int file = open("/dev/urandom", O_RDONLY);
  if (file < 0 || read(file, &random, sizeof random) != sizeof random) return SYSTEM_ERROR;
  close(file);
  snprintf(id->bytes, sizeof id->bytes, "/stand-in-nccl-%016llx", random);
  return SUCCESS;
}
API int ncclCommInitRank(Comm** comm, int world, Id id, int rank) {
  if (rank < 0 || rank >= world) return INVALID_ARGUMENT;
  id.bytes[127] = 0;
  const size_t bytes = 4096 + size_t(world) * CHUNK;
  const int file = shm_open(id.bytes, O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, long(bytes))) return SYSTEM_ERROR;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (at == MAP_FAILED) return SYSTEM_ERROR;
  *comm = new Comm{static_cast<Shared*>(at), static_cast<char*>(at) + 4096, world, rank, bytes};
  (*comm)->barrier();
  if (rank == 0) shm_unlink(id.bytes);
  return SUCCESS;
}
API int ncclCommInitRankConfig(Comm** comm, int world, Id id, int rank, void*) {
  return ncclCommInitRank(comm, world, id, rank);
}
API int ncclCommDestroy(Comm* comm) {
  munmap(comm->shared, comm->mapped);
  delete comm;
  return SUCCESS;
}
API int ncclCommAbort(Comm* comm) {
  comm->shared->aborted = 1;
  return ncclCommDestroy(comm);
}
API int ncclCommFinalize(Comm*) { return SUCCESS; }
API int ncclCommGetAsyncError(Comm* comm, int* result) {
  *result = comm->shared->aborted ? REMOTE_ERROR : SUCCESS;
  return SUCCESS;
}
API int ncclCommCount(const Comm* comm, int* count) {
  *count = comm->world;
  return SUCCESS;
}
API int ncclCommUserRank(const Comm* comm, int* rank) {
  *rank = comm->rank;
  return SUCCESS;
}
API int ncclGroupStart() { return SUCCESS; }
API int ncclGroupEnd() { return SUCCESS; }
API int ncclAllReduce(const void* from, void* to, size_t count, int type, int reduction, Comm* comm, void* stream) {
  return send({static_cast<const char*>(from), static_cast<char*>(to), count, type, reduction, -1, comm}, stream);
}
API int ncclBroadcast(const void* from, void* to, size_t count, int type, int root, Comm* comm, void* stream) {
  return send({static_cast<const char*>(from), static_cast<char*>(to), count, type, SUM, root, comm}, stream);
}
