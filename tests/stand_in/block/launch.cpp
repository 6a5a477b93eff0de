// The blocks of a launch, shared among OS threads; each block begins with garbage in shared memory.
#include "launch.h"

#include <link.h>
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "lane.h"

namespace stand_in {

static const Kernel*& first_kernel() {
  static const Kernel* first = nullptr;
  return first;
}

Kernel::Kernel(const char* name, uint32_t most_threads, size_t param_bytes, void (*body)(const void*))
    : name(name), most_threads(most_threads), param_bytes(param_bytes), body(body), next(first_kernel()) {
  if (kernel(name)) {
    fprintf(stderr, "stand-in: two kernels are called %s\n", name);
    abort();
  }
  first_kernel() = this;
}

const Kernel* kernels() { return first_kernel(); }

const Kernel* kernel(const char* name) {
  for (const Kernel* k = first_kernel(); k; k = k->next)
    if (!strcmp(k->name, name)) return k;
  return nullptr;
}

uint64_t seed() {
  static const uint64_t value = [] {
    const char* text = getenv("DUEL_STAND_IN_SEED");
    return text && *text ? strtoull(text, nullptr, 10) : 1ull;
  }();
  return value;
}

namespace {

// The most dynamic shared memory that any device gives to a block, and a zone behind it.
constexpr size_t MOST_DYNAMIC = 227 << 10, GUARD = 256;

struct Memory {
  unsigned char* at = nullptr;
  size_t bytes = 0;
};

#ifndef __SANITIZE_ADDRESS__
// The shared arrays of this OS thread: all that is thread_local in this binary. So nothing else may be.
thread_local char touched;

Memory find_statics() {
  asm volatile("" ::"r"(&touched));  // they are there once one of them was used
  Memory found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* result) {
        const auto here = reinterpret_cast<uintptr_t>(&find_statics) - info->dlpi_addr;
        bool ours = false;
        size_t bytes = 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& part = info->dlpi_phdr[i];
          if (part.p_type == PT_LOAD) ours |= here - part.p_vaddr < part.p_memsz;
          if (part.p_type == PT_TLS) bytes = part.p_memsz;
        }
        if (ours) *static_cast<Memory*>(result) = {static_cast<unsigned char*>(info->dlpi_tls_data), bytes};
        return int(ours);
      },
      &found);
  return found;
}
#else
Memory find_statics() { return {}; }
#endif

// What an OS thread needs to run blocks. It is kept as long as the thread lives.
struct Worker {
  Block block{};
  unsigned char* pool = nullptr;

  Worker() {
    const Memory statics = find_statics();
    block.statics = statics.at;
    block.statics_bytes = statics.bytes;
#ifndef __SANITIZE_ADDRESS__
    pool = static_cast<unsigned char*>(aligned_alloc(128, MOST_DYNAMIC + GUARD));
#endif
  }
  ~Worker() { free(pool); }

  // Garbage in all shared memory. Dynamic shared memory has a zone behind it, or an allocation of its own
  // size where AddressSanitizer looks.
  void soil() {
    if (block.statics) memset(block.statics, GARBAGE, block.statics_bytes);
#ifdef __SANITIZE_ADDRESS__
    free(pool);
    pool = nullptr;
    if (block.dynamic_bytes && posix_memalign(reinterpret_cast<void**>(&pool), 128, block.dynamic_bytes)) abort();
    if (pool) memset(pool, GARBAGE, block.dynamic_bytes);
#else
    memset(pool, GARBAGE, block.dynamic_bytes + GUARD);
#endif
    block.dynamic = pool;
  }

  void check_guard() const {
#ifndef __SANITIZE_ADDRESS__
    for (size_t i = 0; i < GUARD; ++i)
      if (pool[block.dynamic_bytes + i] != GARBAGE)
        fail(block, "wrote shared memory at byte %zu of %u dynamic bytes", block.dynamic_bytes + i,
             block.dynamic_bytes);
#endif
  }
};

pthread_key_t worker_key() {
  static const pthread_key_t key = [] {
    pthread_key_t made;
    pthread_key_create(&made, [](void* worker) { delete static_cast<Worker*>(worker); });
    return made;
  }();
  return key;
}

Worker& worker() {
  auto* found = static_cast<Worker*>(pthread_getspecific(worker_key()));
  if (!found) {
    found = new Worker;
    pthread_setspecific(worker_key(), found);
  }
  return *found;
}

// A launch under way.
struct Job {
  const Kernel& kernel;
  dim3 grid, threads;
  uint32_t dynamic_bytes;
  const void* params;
  uint64_t blocks;
  std::atomic<uint64_t> next{0};
  int others = 0;  // OS threads besides the caller; under the crew's lock

  void work() {
    Worker& mine = worker();
    Block& block = mine.block;
    block.kernel = kernel.name;
    block.body = kernel.body;
    block.params = params;
    block.threads = threads;
    block.grid = grid;
    block.dynamic_bytes = dynamic_bytes;
    for (uint64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < blocks;) {
      block.index = uint3{unsigned(i % grid.x), unsigned(i / grid.x % grid.y),
                          unsigned(i / (uint64_t(grid.x) * grid.y))};
      block.random = seed() * 0xd1342543de82ef95u + i;
      mine.soil();
      block.run();
      mine.check_guard();
    }
  }
};

// OS threads that take part in whatever launches there are.
struct Crew {
  std::mutex lock;
  std::condition_variable arrived, left;
  std::vector<Job*> jobs;

  explicit Crew(unsigned others) {
    for (unsigned i = 0; i < others; ++i) std::thread([this] { join_in(); }).detach();
  }

  void join_in() {
    std::unique_lock<std::mutex> held(lock);
    for (;;) {
      arrived.wait(held, [this] { return !jobs.empty(); });
      Job* job = jobs.back();
      ++job->others;
      held.unlock();
      job->work();
      held.lock();
      --job->others;
      forget(job);
      left.notify_all();
    }
  }

  void forget(Job* job) {
    for (size_t i = 0; i < jobs.size(); ++i)
      if (jobs[i] == job) {
        jobs.erase(jobs.begin() + long(i));
        return;
      }
  }

  void run(Job& job) {
    {
      std::lock_guard<std::mutex> held(lock);
      jobs.push_back(&job);
    }
    arrived.notify_one();
    job.work();
    std::unique_lock<std::mutex> held(lock);
    forget(&job);
    left.wait(held, [&] { return job.others == 0; });
  }
};

unsigned os_threads() {
#ifdef __SANITIZE_ADDRESS__
  return 1;  // shared arrays are plain statics there
#else
  const char* text = getenv("DUEL_STAND_IN_THREADS");
  const unsigned asked = text && *text ? unsigned(atoi(text)) : std::thread::hardware_concurrency();
  return asked < 1 ? 1 : asked > 64 ? 64 : asked;
#endif
}

}  // namespace

const char* launch(const Kernel& kernel, dim3 grid, dim3 block, uint32_t dynamic_bytes, const void* params) {
  const uint64_t threads = uint64_t(block.x) * block.y * block.z;
  if (!threads || !grid.x || !grid.y || !grid.z) return "a grid or block of nothing";
  if (threads > kernel.most_threads || block.z > 64) return "more threads than the kernel was declared with";
  if (grid.x > INT32_MAX || grid.y > 65535 || grid.z > 65535) return "too large a grid";
  if (dynamic_bytes > MOST_DYNAMIC) return "too much dynamic shared memory";
  Job job{kernel, grid, block, dynamic_bytes, params, uint64_t(grid.x) * grid.y * grid.z};
  static const unsigned count = os_threads();
  if (count == 1 || job.blocks == 1) {
    job.work();
  } else {
    static Crew* const crew = new Crew(count - 1);  // its threads outlive whoever would delete it
    crew->run(job);
  }
  return nullptr;
}

}  // namespace stand_in
