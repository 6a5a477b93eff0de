// Convolutions in f32.
#include "conv_f32.cu"

#include "conv_cases.h"

namespace drive {

CASE(conv_f32) {
  conv_cases("f32", F32, {{64, 64, 4}}, {{64, 64, 4}});
}

}  // namespace drive
