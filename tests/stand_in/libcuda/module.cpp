// Modules and launches. The PTX is read as far as a driver would refuse it: its version, its target, and which
// kernels it has with how many bytes of parameters. What runs is the same kernel, compiled for the host.
//
//   DUEL_STAND_IN_MISSING=name     a kernel that is not found
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "../block/launch.h"
#include "driver.h"

namespace driver {

namespace {

struct Entry {
  std::vector<size_t> params;  // bytes of each
};

struct Module {
  int target = 0;
  std::map<std::string, Entry> entries;
};

struct Function {
  std::string name;
  Entry entry;
  const stand_in::Kernel* kernel;
  int most_dynamic = 48 << 10;
};

// PTX versions that drivers know: the newest for each version of CUDA.
int newest_ptx(int driver) {
  static const int KNOWN[][2] = {{13010, 91}, {13000, 90}, {12090, 88}, {12080, 87}, {12070, 86}, {12050, 85}, {12040, 84},
                                 {12030, 83}, {12020, 82}, {12010, 81}, {12000, 80}, {11080, 78}, {11070, 77}};
  for (const auto& [cuda, ptx] : KNOWN)
    if (driver >= cuda) return ptx;
  return 70;
}

// The parameters of a kernel: `.param .align 8 .b8 name_param_0[136]` or `.param .u64 name_param_0`.
Entry read_params(const std::string& list) {
  Entry entry;
  for (size_t at = list.find(".param"); at != std::string::npos; at = list.find(".param", at + 1)) {
    const std::string one = list.substr(at, list.find(',', at) - at);
    const size_t bracket = one.find('[');
    size_t bytes = bracket == std::string::npos ? 1 : strtoull(one.c_str() + bracket + 1, nullptr, 10);
    for (const char* type : {".u64", ".s64", ".b64", ".f64"})
      if (one.find(type) != std::string::npos) bytes *= 8;
    for (const char* type : {".u32", ".s32", ".b32", ".f32"})
      if (one.find(type) != std::string::npos) bytes *= 4;
    entry.params.push_back(bytes);
  }
  return entry;
}

std::string without_comments(const char* text) {
  std::string clean;
  for (const char* c = text; *c; ++c) {
    if (c[0] == '/' && c[1] == '/') {
      while (*c && *c != '\n') ++c;
      if (!*c) break;
    }
    clean += *c;
  }
  return clean;
}

Result read_ptx(const char* image, const Device& device, Module& module, std::string& log) {
  const std::string text = without_comments(image);
  int major = 0, minor = 0;
  const size_t version = text.find(".version"), target = text.find(".target");
  if (version == std::string::npos || target == std::string::npos ||
      sscanf(text.c_str() + version, ".version %d.%d", &major, &minor) != 2) {
    log = "ptxas fatal   : Missing .version directive at start of file";
    return INVALID_IMAGE;
  }
  if (major * 10 + minor > newest_ptx(driver_version())) {
    log = "ptxas application ptx input, line 1; fatal   : Unsupported .version " + std::to_string(major) + "." +
          std::to_string(minor) + "; current version is '" + std::to_string(newest_ptx(driver_version()) / 10) + "." +
          std::to_string(newest_ptx(driver_version()) % 10) + "'";
    return UNSUPPORTED_PTX_VERSION;
  }
  char suffix = 0;
  sscanf(text.c_str() + target, ".target sm_%d%c", &module.target, &suffix);
  const int capability = device.major * 10 + device.minor;
  if (module.target > capability || (suffix == 'a' && module.target != capability)) {
    log = "ptxas fatal   : SM version specified by .target is higher than default SM version assumed";
    return INVALID_PTX;
  }
  for (size_t at = text.find(".entry"); at != std::string::npos; at = text.find(".entry", at + 1)) {
    size_t begin = at + 6;
    while (isspace(static_cast<unsigned char>(text[begin]))) ++begin;
    size_t end = begin;
    while (isalnum(static_cast<unsigned char>(text[end])) || text[end] == '_' || text[end] == '$') ++end;
    const size_t close = text.find(')', end);
    module.entries[text.substr(begin, end - begin)] = read_params(text.substr(end, close - end));
  }
  return SUCCESS;
}

// Options of cuModuleLoadDataEx: buffers for what the compiler says.
void tell(const std::string& log, unsigned count, const int* options, void** values) {
  constexpr int ERROR_LOG_BUFFER = 5, ERROR_LOG_SIZE = 6;
  char* buffer = nullptr;
  size_t size = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (options[i] == ERROR_LOG_BUFFER) buffer = static_cast<char*>(values[i]);
    if (options[i] == ERROR_LOG_SIZE) size = reinterpret_cast<size_t>(values[i]);
  }
  if (buffer && size) snprintf(buffer, size, "%s", log.c_str());
}

int run_kernel(Function* function, dim3 grid, dim3 block, unsigned dynamic, void* handle, void** params, void** extra) {
  Lock held(lock());
  Stream* const into = stream(handle);
  if (!into) return INVALID_CONTEXT;
  if (!function) return INVALID_HANDLE;
  const stand_in::Kernel& kernel = *function->kernel;
  const uint64_t threads = uint64_t(block.x) * block.y * block.z;
  if (!threads || threads > kernel.most_threads || block.z > 64 || !grid.x || !grid.y || !grid.z ||
      grid.x > INT32_MAX || grid.y > 65535 || grid.z > 65535 || dynamic > unsigned(function->most_dynamic))
    return INVALID_VALUE;
  const void* from = params ? params[0] : nullptr;
  if (extra) {  // CU_LAUNCH_PARAM_BUFFER_POINTER, CU_LAUNCH_PARAM_BUFFER_SIZE, CU_LAUNCH_PARAM_END
    size_t bytes = 0;
    for (; *extra; extra += 2) {
      if (reinterpret_cast<uintptr_t>(extra[0]) == 1) from = extra[1];
      if (reinterpret_cast<uintptr_t>(extra[0]) == 2) bytes = *static_cast<size_t*>(extra[1]);
    }
    if (bytes != kernel.param_bytes) return INVALID_VALUE;
  }
  if (!from) return INVALID_VALUE;
  if (function->entry.params.size() != 1 || function->entry.params[0] != kernel.param_bytes) {
    fprintf(stderr, "stand-in: the PTX of %s takes other parameters than its source: build the PTX again\n", kernel.name);
    return INVALID_VALUE;
  }
  const auto* bytes = static_cast<const unsigned char*>(from);
  // Aligned as every parameter of the kernels is.
  std::vector<uint64_t> copy((kernel.param_bytes + 7) / 8);
  memcpy(copy.data(), bytes, kernel.param_bytes);
  return enqueue(*into, [&kernel, grid, block, dynamic, copy = std::move(copy)] {
    if (const char* refused = stand_in::launch(kernel, grid, block, dynamic, copy.data())) {
      fprintf(stderr, "stand-in: kernel %s: %s\n", kernel.name, refused);
      abort();
    }
    Lock inner(lock());
    check_guards(kernel.name, false);
  });
}

}  // namespace

}  // namespace driver

using namespace driver;

API int cuModuleLoadDataEx(void** handle, const void* image, unsigned count, int* options, void** values) {
  *handle = nullptr;
  if (!current()) return INVALID_CONTEXT;
  if (!image) return INVALID_VALUE;
  auto module = std::make_unique<Module>();
  std::string log;
  const Result result =
      read_ptx(static_cast<const char*>(image), devices()[size_t(current()->ordinal)], *module, log);
  tell(log, count, options, values);
  if (result == SUCCESS) *handle = module.release();
  return result;
}
API int cuModuleLoadData(void** handle, const void* image) {
  return cuModuleLoadDataEx(handle, image, 0, nullptr, nullptr);
}
API int cuModuleLoad(void** handle, const char* path) {
  FILE* file = fopen(path, "rb");
  if (!file) return FILE_NOT_FOUND;
  std::string text;
  for (int c; (c = fgetc(file)) != EOF;) text += char(c);
  fclose(file);
  return cuModuleLoadData(handle, text.c_str());
}
API int cuModuleUnload(void* handle) {
  delete static_cast<Module*>(handle);  // its functions stay: work under way may use them
  return SUCCESS;
}
API int cuModuleGetFunction(void** function, void* handle, const char* name) {
  *function = nullptr;
  auto& module = *static_cast<Module*>(handle);
  const auto entry = module.entries.find(name);
  const stand_in::Kernel* kernel = stand_in::kernel(name);
  const char* missing = getenv("DUEL_STAND_IN_MISSING");
  if (entry == module.entries.end() || !kernel || (missing && !strcmp(missing, name))) return NOT_FOUND;
  *function = new Function{name, entry->second, kernel};
  return SUCCESS;
}
API int cuFuncSetAttribute(void* handle, int which, int value) {
  constexpr int MAX_DYNAMIC_SHARED_SIZE_BYTES = 8;
  auto& function = *static_cast<Function*>(handle);
  if (which != MAX_DYNAMIC_SHARED_SIZE_BYTES) return SUCCESS;
  if (!current()) return INVALID_CONTEXT;
  if (value < 0 || value > most_dynamic_shared(devices()[size_t(current()->ordinal)])) return INVALID_VALUE;
  function.most_dynamic = value;
  return SUCCESS;
}
API int cuFuncGetAttribute(int* value, int which, void* handle) {
  const auto& function = *static_cast<Function*>(handle);
  switch (which) {
    case 0: *value = int(function.kernel->most_threads); break;  // MAX_THREADS_PER_BLOCK
    case 4: *value = 32; break;                                  // NUM_REGS
    case 5: *value = 78; break;                                  // PTX_VERSION
    case 6: *value = 90; break;                                  // BINARY_VERSION
    case 8: *value = function.most_dynamic; break;               // MAX_DYNAMIC_SHARED_SIZE_BYTES
    default: *value = 0;
  }
  return SUCCESS;
}
API int cuFuncSetCacheConfig(void*, int) { return SUCCESS; }
API int cuFuncGetName(const char** name, void* handle) {
  *name = static_cast<Function*>(handle)->name.c_str();
  return SUCCESS;
}
API int cuFuncGetParamInfo(void* handle, size_t index, size_t* offset, size_t* size) {
  const auto& params = static_cast<Function*>(handle)->entry.params;
  if (index >= params.size()) return INVALID_VALUE;
  *offset = 0;
  for (size_t i = 0; i < index; ++i) *offset += params[i];
  if (size) *size = params[index];
  return SUCCESS;
}
API int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void* handle, int threads, size_t dynamic) {
  (void)handle;
  const int by_threads = threads > 0 ? 2048 / threads : 0;
  const int by_shared = dynamic ? int((228u << 10) / (dynamic + 1024)) : 32;
  *blocks = by_threads < by_shared ? by_threads : by_shared;
  if (*blocks > 32) *blocks = 32;
  return SUCCESS;
}
API int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                       unsigned dynamic, void* stream, void** params, void** extra) {
  return run_kernel(static_cast<Function*>(function), dim3(gx, gy, gz), dim3(bx, by, bz), dynamic, stream, params, extra);
}

struct LaunchConfig {  // CUlaunchConfig
  unsigned gx, gy, gz, bx, by, bz, dynamic;
  void* stream;
  void* attributes;
  unsigned count;
};
API int cuLaunchKernelEx(const LaunchConfig* config, void* function, void** params, void** extra) {
  return run_kernel(static_cast<Function*>(function), dim3(config->gx, config->gy, config->gz),
                    dim3(config->bx, config->by, config->bz), config->dynamic, config->stream, params, extra);
}
