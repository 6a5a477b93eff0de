// Convolutions in tf32.
#include "conv_tf32.cu"

#include "conv_cases.h"

namespace drive {

CASE(conv_tf32) {
  conv_cases("tf32", F32, {{128, 64, 5}, {64, 64, 6}}, {{128, 64, 5}, {64, 64, 6}});
}

}  // namespace drive
