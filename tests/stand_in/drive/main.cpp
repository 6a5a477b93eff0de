// Runs all cases, or those that are named. Without names, a kernel that no case runs is an error.
#include <set>

#include "drive.h"

// Memory that lives as long as the process is not worth a word here. Frames of fibres stay on their stacks.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() { return "detect_leaks=0:detect_stack_use_after_return=0"; }

namespace drive {

static Case*& cases() {
  static Case* first = nullptr;
  return first;
}

static std::set<std::string>& driven() {
  static std::set<std::string> names;
  return names;
}

static int failures = 0;

Case::Case(const char* name, void (*body)()) : name(name), body(body), next(cases()) { cases() = this; }

void run(const char* name, dim3 grid, uint32_t threads, uint32_t shared, const void* params, size_t bytes) {
  const stand_in::Kernel* kernel = stand_in::kernel(name);
  if (!kernel || kernel->param_bytes != bytes) {
    fprintf(stderr, "error: %s: %s\n", name, kernel ? "its parameters have another size" : "no such kernel");
    exit(1);
  }
  driven().insert(name);
  if (const char* refused = stand_in::launch(*kernel, grid, dim3(threads), shared, params)) {
    fprintf(stderr, "error: %s: %s\n", name, refused);
    exit(1);
  }
}

void expect(const std::string& what, const Array& found, const std::function<double(uint32_t)>& wanted, double tolerance) {
  double largest = 1e-30, apart = 0.0;
  uint32_t at = 0;
  for (uint32_t i = 0; i < found.len; ++i) {
    const double want = wanted(i), difference = std::fabs(want - found[i]);
    largest = std::fmax(largest, std::fabs(want));
    if (!(difference <= apart)) {  // NaN as well
      apart = difference == difference ? difference : INFINITY;
      at = i;
    }
    if (apart == INFINITY) break;
  }
  if (apart <= tolerance * largest) return;
  fprintf(stderr, "error: %s: element %u is %g and not %g\n", what.c_str(), at, double(found[at]), wanted(at));
  ++failures;
}

}  // namespace drive

int main(int count, char** names) {
  using namespace drive;
  int ran = 0;
  for (Case* each = cases(); each; each = each->next) {
    bool asked = count == 1;
    for (int i = 1; i < count; ++i) asked |= !strcmp(names[i], each->name);
    if (!asked) continue;
    each->body();
    ++ran;
  }
  if (count > 1 && ran != count - 1) {
    fprintf(stderr, "error: %d cases were asked for, and %d are here\n", count - 1, ran);
    return 1;
  }
  int kernels = 0;
  for (const stand_in::Kernel* kernel = stand_in::kernels(); kernel; kernel = kernel->next, ++kernels)
    if (count == 1 && !driven().count(kernel->name)) {
      fprintf(stderr, "error: no case in tests/stand_in/drive runs the kernel %s\n", kernel->name);
      ++failures;
    }
  if (failures) return 1;
  printf("%d cases ran %zu of %d kernels\n", ran, driven().size(), kernels);
  return 0;
}
