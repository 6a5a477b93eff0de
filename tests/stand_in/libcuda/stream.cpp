// Streams and events, captured or not.
#include <algorithm>
#include <cmath>

#include "queue.h"

namespace driver {

struct Event {
  bool timed;
  TaskPtr task;  // null: never recorded
  std::shared_ptr<double> at;
  std::shared_ptr<Capture> capture;  // of the stream it was recorded in, if that was being captured
  std::vector<uint32_t> tails;
};

namespace {

// Captures under way, of all threads.
std::vector<std::weak_ptr<Capture>>& captures() {
  static auto* const all = new std::vector<std::weak_ptr<Capture>>;
  return *all;
}

// What the next task of a stream comes after.
std::vector<TaskPtr> predecessors(const Stream& stream) {
  std::vector<TaskPtr> after{stream.last};
  if (stream.id == 0) {
    for (const Stream* other : stream.context->streams)
      if (other->blocking) after.push_back(other->last);
  } else if (stream.blocking) {
    after.push_back(stream.context->legacy->last);
  }
  return after;
}

void append(Stream& stream, Work work, std::vector<TaskPtr> after, bool host = false) {
  for (TaskPtr& task : predecessors(stream)) after.push_back(std::move(task));
  stream.last = add_task(*stream.context, stream.id, std::move(work), after, host);
}

}  // namespace

Stream* stream(void* handle) {
  if (reinterpret_cast<uintptr_t>(handle) > 2) return static_cast<Stream*>(handle);
  return current() ? current()->legacy.get() : nullptr;
}

Result enqueue(Stream& stream, Work work, bool host) {
  if (!stream.capture) {
    append(stream, std::move(work), {}, host);
    return SUCCESS;
  }
  if (stream.capture->invalid) return STREAM_CAPTURE_INVALIDATED;
  auto& nodes = stream.capture->graph.nodes;
  nodes.push_back({std::move(work), stream.tails, stream.id, host});
  stream.tails = {uint32_t(nodes.size() - 1)};
  return SUCCESS;
}

Result forbidden_in_capture() {
  Result result = SUCCESS;
  for (const auto& each : captures())
    if (const auto capture = each.lock()) {
      const bool mine = capture->thread == this_thread();
      if (capture->mode == 0 || (capture->mode == 1 && mine)) {
        capture->invalid = true;
        result = STREAM_CAPTURE_UNSUPPORTED;
      }
    }
  return result;
}

}  // namespace driver

using namespace driver;

API int cuStreamCreateWithPriority(void** handle, unsigned flags, int) {
  static uint64_t made = 0;
  Lock held(lock());
  if (!current()) return INVALID_CONTEXT;
  auto* one = new Stream{current(), ++made, !(flags & 1), nullptr, nullptr, {}};
  current()->streams.push_back(one);
  *handle = one;
  return SUCCESS;
}
API int cuStreamCreate(void** handle, unsigned flags) { return cuStreamCreateWithPriority(handle, flags, 0); }
API int cuStreamDestroy_v2(void* handle) {
  Lock held(lock());
  auto* one = static_cast<Stream*>(handle);
  auto& all = one->context->streams;
  const auto found = std::find(all.begin(), all.end(), one);
  if (found == all.end()) return INVALID_HANDLE;
  if (one->capture) one->capture->invalid = true;
  // Its work goes on: whoever waits for the context waits for it.
  std::vector<TaskPtr> after{one->last, one->context->legacy->last};
  one->context->legacy->last = add_task(*one->context, one->id, nullptr, after);
  all.erase(found);
  delete one;
  return SUCCESS;
}
// Whether a stream may be asked what it has done: one that captures may not, and captures no more.
static int asked_about(Stream* one) {
  if (!one) return INVALID_CONTEXT;
  if (!one->capture) return SUCCESS;
  one->capture->invalid = true;
  return STREAM_CAPTURE_UNSUPPORTED;
}

API int cuStreamSynchronize(void* handle) {
  Lock held(lock());
  Stream* const one = stream(handle);
  if (const int refused = asked_about(one)) return refused;
  for (const TaskPtr& task : predecessors(*one)) wait_for(held, task);
  check_guards("something", true);
  return SUCCESS;
}
API int cuStreamQuery(void* handle) {
  Lock held(lock());
  Stream* const one = stream(handle);
  if (const int refused = asked_about(one)) return refused;
  if (!one->last || one->last->done) return SUCCESS;
  run_one(held, *one->context);
  return NOT_READY;
}
API int cuStreamGetCtx(void* handle, void** context) {
  Stream* const one = stream(handle);
  *context = one ? one->context : nullptr;
  return one ? SUCCESS : INVALID_CONTEXT;
}
API int cuStreamWaitEvent(void* handle, void* event_handle, unsigned) {
  Lock held(lock());
  Stream* const one = stream(handle);
  auto* event = static_cast<Event*>(event_handle);
  if (!one) return INVALID_CONTEXT;
  if (!event) return INVALID_HANDLE;
  const bool captured = event->capture && event->capture->origin;  // and that capture has not ended
  if (captured) {
    if (one->capture && one->capture != event->capture) return STREAM_CAPTURE_MERGE;
    if (one->id == 0) return STREAM_CAPTURE_UNSUPPORTED;
    if (!one->capture) {  // the event pulls the stream into the capture
      one->capture = event->capture;
      one->tails.clear();
      one->capture->streams.push_back(one);
    }
    for (const uint32_t tail : event->tails)
      if (std::find(one->tails.begin(), one->tails.end(), tail) == one->tails.end()) one->tails.push_back(tail);
    return SUCCESS;
  }
  if (one->capture) {
    one->capture->invalid = true;
    return STREAM_CAPTURE_ISOLATION;
  }
  if (event->task) append(*one, nullptr, {event->task});
  return SUCCESS;
}

API int cuStreamBeginCapture_v2(void* handle, int mode) {
  Lock held(lock());
  Stream* const one = stream(handle);
  if (!one) return INVALID_CONTEXT;
  if (one->id == 0) return STREAM_CAPTURE_UNSUPPORTED;
  if (one->capture) return INVALID_VALUE;
  one->capture = std::make_shared<Capture>();
  one->capture->origin = one;
  one->capture->mode = mode;
  one->capture->thread = this_thread();
  one->capture->streams = {one};
  one->tails.clear();
  captures().push_back(one->capture);
  return SUCCESS;
}
API int cuStreamIsCapturing(void* handle, int* status) {
  Lock held(lock());
  Stream* const one = stream(handle);
  if (!one) return INVALID_CONTEXT;
  *status = !one->capture ? 0 : one->capture->invalid ? 2 : 1;
  return SUCCESS;
}
API int cuStreamEndCapture(void* handle, void** graph) {
  Lock held(lock());
  *graph = nullptr;
  Stream* const one = stream(handle);
  if (!one || !one->capture) return INVALID_VALUE;
  const auto capture = one->capture;
  if (capture->origin != one) {
    capture->invalid = true;
    return STREAM_CAPTURE_UNMATCHED;
  }
  if (capture->mode != 2 && capture->thread != this_thread()) return STREAM_CAPTURE_WRONG_THREAD;
  // Joined: everything comes before the end of the stream where the capture began.
  const auto& nodes = capture->graph.nodes;
  std::vector<bool> before(nodes.size());
  std::vector<uint32_t> open = one->tails;
  while (!open.empty()) {
    const uint32_t next = open.back();
    open.pop_back();
    if (before[next]) continue;
    before[next] = true;
    open.insert(open.end(), nodes[next].after.begin(), nodes[next].after.end());
  }
  bool unjoined = false;
  for (Stream* each : capture->streams) {
    for (const uint32_t tail : each->tails) unjoined |= !before[tail];
    each->tails.clear();
    each->capture = nullptr;
  }
  capture->origin = nullptr;
  auto& all = captures();
  all.erase(std::remove_if(all.begin(), all.end(), [&](auto& c) { return c.expired() || c.lock() == capture; }),
            all.end());
  if (capture->invalid) return STREAM_CAPTURE_INVALIDATED;
  if (unjoined) return STREAM_CAPTURE_UNJOINED;
  *graph = new Graph(std::move(capture->graph));
  return SUCCESS;
}

API int cuEventCreate(void** handle, unsigned flags) {
  if (!current()) return INVALID_CONTEXT;
  *handle = new Event{!(flags & 2), nullptr, nullptr, nullptr, {}};
  return SUCCESS;
}
API int cuEventDestroy_v2(void* handle) {
  Lock held(lock());
  delete static_cast<Event*>(handle);
  return SUCCESS;
}
API int cuEventRecord(void* handle, void* stream_handle) {
  Lock held(lock());
  Stream* const one = stream(stream_handle);
  auto* event = static_cast<Event*>(handle);
  if (!one) return INVALID_CONTEXT;
  if (!event) return INVALID_HANDLE;
  if (one->capture) {
    if (one->capture->invalid) return STREAM_CAPTURE_INVALIDATED;
    event->capture = one->capture;
    event->tails = one->tails;
    return SUCCESS;
  }
  event->capture = nullptr;
  event->at = std::make_shared<double>(0.0);
  append(*one, [at = event->at] { *at = now(); }, {});
  event->task = one->last;
  return SUCCESS;
}
API int cuEventRecordWithFlags(void* handle, void* stream_handle, unsigned) {
  return cuEventRecord(handle, stream_handle);
}
API int cuEventQuery(void* handle) {
  Lock held(lock());
  auto* event = static_cast<Event*>(handle);
  if (event->capture) return CAPTURED_EVENT;
  if (!event->task || event->task->done) return SUCCESS;
  run_one(held, *event->task->context);
  return NOT_READY;
}
API int cuEventSynchronize(void* handle) {
  Lock held(lock());
  auto* event = static_cast<Event*>(handle);
  if (event->capture) return CAPTURED_EVENT;
  const TaskPtr task = event->task;
  wait_for(held, task);
  return SUCCESS;
}
API int cuEventElapsedTime_v2(float* milliseconds, void* first, void* second) {
  Lock held(lock());
  auto *from = static_cast<Event*>(first), *to = static_cast<Event*>(second);
  if (!from->timed || !to->timed || !from->task || !to->task) return INVALID_HANDLE;
  if (!from->task->done || !to->task->done) return NOT_READY;
  *milliseconds = float(std::fmax((*to->at - *from->at) * 1e3, 0.0005));
  return SUCCESS;
}
API int cuEventElapsedTime(float* milliseconds, void* first, void* second) {
  return cuEventElapsedTime_v2(milliseconds, first, second);
}

API int cuLaunchHostFunc(void* handle, void (*function)(void*), void* data) {
  Lock held(lock());
  Stream* const one = stream(handle);
  if (!one) return INVALID_CONTEXT;
  if (!function) return INVALID_VALUE;
  return enqueue(*one, [=] { function(data); }, true);
}
