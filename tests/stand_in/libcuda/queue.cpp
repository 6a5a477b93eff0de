// The order in which tasks run.
#include "queue.h"

#include <chrono>
#include <thread>
#include <unordered_set>

#include "../block/launch.h"

namespace driver {

namespace {

// Tasks whose predecessors are done and that nobody runs.
std::vector<TaskPtr>& ready() {
  static auto* const list = new std::vector<TaskPtr>;
  return *list;
}

std::condition_variable& changed() {
  static auto* const condition = new std::condition_variable;
  return *condition;
}

uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

// Numbers for one OS thread: what other threads do must not change the order here.
uint64_t draw() {
  static auto* const drawn = new std::vector<std::pair<uint64_t, uint64_t>>;
  const uint64_t thread = this_thread();
  for (auto& [owner, state] : *drawn)
    if (owner == thread) return mix(state += 0x9e3779b97f4a7c15u);
  drawn->push_back({thread, stand_in::seed()});
  return mix(drawn->back().second);
}

// Marks a task as done.
void end(const TaskPtr& task) {
  task->work = nullptr;
  task->running = false;
  task->done = true;
  for (const TaskPtr& next : task->before)
    if (--next->unmet == 0) ready().push_back(next);
  task->before.clear();
  task->after.clear();
  changed().notify_all();
}

// Takes a task out of those that are ready and runs it; a function of the host is only begun.
void run(Lock& held, TaskPtr task) {
  auto& list = ready();
  for (size_t i = 0; i < list.size(); ++i)
    if (list[i] == task) {
      list.erase(list.begin() + long(i));
      break;
    }
  task->running = true;
  if (task->host) {
    std::thread([task] {
      task->work();
      Lock held(lock());
      end(task);
    }).detach();
    return;
  }
  if (task->work) {
    held.unlock();
    task->work();
    held.lock();
  }
  end(task);
}

void need(const TaskPtr& task, std::unordered_set<Task*>& needed) {
  std::vector<Task*> open{task.get()};
  while (!open.empty()) {
    Task* const next = open.back();
    open.pop_back();
    if (next->done || !needed.insert(next).second) continue;
    for (const TaskPtr& before : next->after) open.push_back(before.get());
  }
}

// How many OS threads wait in a context. While one does, the background keeps out of its way.
int& waiting() {
  static int count = 0;
  return count;
}

constexpr double STALE = 0.1;

void start_background(Context& context) {
  std::thread([&context] {
    Lock held(lock());
    for (;;) {
      changed().wait_for(held, std::chrono::milliseconds(50));
      if (waiting()) continue;
      TaskPtr stale;
      for (const TaskPtr& task : ready())
        if (task->context == &context && now() - task->enqueued > STALE) stale = task;
      if (stale) run(held, stale);
    }
  }).detach();
}

}  // namespace

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

TaskPtr add_task(Context& context, uint64_t lane, Work work, const std::vector<TaskPtr>& after, bool host) {
  static auto* const served = new std::unordered_set<Context*>;
  if (served->insert(&context).second) start_background(context);
  auto task = std::make_shared<Task>();
  task->work = std::move(work);
  task->context = &context;
  task->lane = lane;
  task->thread = this_thread();
  task->enqueued = now();
  task->host = host;
  for (const TaskPtr& before : after)
    if (before && !before->done) {
      task->after.push_back(before);
      before->before.push_back(task);
      ++task->unmet;
    }
  if (task->unmet == 0) ready().push_back(task);
  return task;
}

void wait_for(Lock& held, const TaskPtr& task) {
  if (!task || task->done) return;
  const uint64_t order = draw();
  const bool more = draw() & 1;  // also what nothing waits for
  std::unordered_set<Task*> needed;
  need(task, needed);
  ++waiting();
  while (!task->done) {
    TaskPtr best;
    uint64_t best_rank = 0;
    for (const TaskPtr& candidate : ready()) {
      const bool mine = more && candidate->thread == this_thread() && candidate->context == task->context;
      if (!mine && !needed.count(candidate.get())) continue;
      const uint64_t rank = mix(order + candidate->lane * 0x9e3779b97f4a7c15u) | 1;
      if (rank > best_rank) {
        best = candidate;
        best_rank = rank;
      }
    }
    if (best)
      run(held, best);
    else
      changed().wait(held);  // another thread runs what is needed
  }
  --waiting();
}

void run_one(Lock& held, Context& context) {
  const uint64_t order = draw();
  std::vector<TaskPtr> mine;
  for (const TaskPtr& candidate : ready())
    if (candidate->context == &context && candidate->thread == this_thread()) mine.push_back(candidate);
  if (!mine.empty()) run(held, mine[order % mine.size()]);
}

void wait_for_all(Lock& held, Context& context) {
  std::vector<TaskPtr> last{context.legacy->last};
  for (Stream* stream : context.streams) last.push_back(stream->last);
  while (!last.empty()) {
    const size_t i = draw() % last.size();
    const TaskPtr task = last[i];
    last.erase(last.begin() + long(i));
    wait_for(held, task);
  }
}

}  // namespace driver
