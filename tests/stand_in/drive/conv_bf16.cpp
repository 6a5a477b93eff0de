// Convolutions in bf16.
#include "conv_bf16.cu"

#include "conv_cases.h"

namespace drive {

CASE(conv_bf16) {
  conv_cases("bf16", BF16, {{128, 128, 4}, {128, 64, 5}, {64, 64, 6}}, {{128, 128, 4}, {128, 64, 5}, {64, 64, 6}});
}

}  // namespace drive
