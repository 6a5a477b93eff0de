// Graphs: what a capture leaves, made runnable and run.
#include "queue.h"

namespace driver {

// A graph that can be launched. Two launches of it never overlap.
struct Executable {
  Graph graph;
  TaskPtr last;
};

}  // namespace driver

using namespace driver;

API int cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
  *executable = new Executable{*static_cast<Graph*>(graph), nullptr};
  return SUCCESS;
}
API int cuGraphUpload(void*, void*) { return SUCCESS; }
API int cuGraphLaunch(void* handle, void* stream_handle) {
  Lock held(lock());
  auto& executable = *static_cast<Executable*>(handle);
  Stream* const into = stream(stream_handle);
  if (!into) return INVALID_CONTEXT;
  if (into->capture) return NOT_SUPPORTED;
  enqueue(*into, nullptr);
  const TaskPtr begin = add_task(*into->context, into->id, nullptr, {into->last, executable.last});
  std::vector<TaskPtr> tasks, all{begin};
  for (const Node& node : executable.graph.nodes) {
    std::vector<TaskPtr> after{begin};
    for (const uint32_t before : node.after) after.push_back(tasks[before]);
    tasks.push_back(add_task(*into->context, node.lane, node.work, after, node.host));
    all.push_back(tasks.back());
  }
  into->last = executable.last = add_task(*into->context, into->id, nullptr, all);
  return SUCCESS;
}
API int cuGraphExecDestroy(void* executable) {
  Lock held(lock());
  delete static_cast<Executable*>(executable);
  return SUCCESS;
}
API int cuGraphDestroy(void* graph) {
  delete static_cast<Graph*>(graph);
  return SUCCESS;
}
API int cuGraphGetNodes(void* graph, void**, size_t* count) {
  *count = static_cast<Graph*>(graph)->nodes.size();
  return SUCCESS;
}
