// Tasks: work of streams, done as late and as much out of order as the program allows.
//
// A task runs in the OS thread that waits for it, or for something that comes after it. Of what may run, that
// thread prefers the work of one stream to that of another, as drawn from the seed anew with each wait; and it
// draws whether work that nothing waits for runs as well. So an event that is missing shows sooner or later,
// with the same seed at the same place. Work that nobody waits for is done in the background after a while, as
// another rank may need it.
#pragma once
#include "driver.h"

namespace driver {

struct Task {
  Work work;  // may be empty
  Context* context;
  uint64_t lane;    // whose work: a stream, or a branch of a graph
  uint64_t thread;  // that enqueued it
  double enqueued;
  bool host;        // a function of the host: it may wait for another process, so it has a thread of its own
  bool running = false, done = false;
  uint32_t unmet = 0;
  std::vector<std::shared_ptr<Task>> after, before;
};
using TaskPtr = std::shared_ptr<Task>;

// Adds a task that comes after others. All of these are called under the lock.
TaskPtr add_task(Context& context, uint64_t lane, Work work, const std::vector<TaskPtr>& after, bool host = false);
// Runs what must be run until `task` is done. The lock is let go while work runs.
void wait_for(Lock& held, const TaskPtr& task);
// Runs one task that may run, if there is one. A program that asks again and again gets on, and never waits.
void run_one(Lock& held, Context& context);
// Waits for all that is under way in a context.
void wait_for_all(Lock& held, Context& context);
// Seconds of a clock that never goes back.
double now();

}  // namespace driver
