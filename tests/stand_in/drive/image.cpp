// From one type of numbers to another.
#include "image.cu"

#include "drive.h"

namespace drive {

CASE(image) {
  for (const Type from : {U8, F32})
    for (const Type to : {F32, BF16})
      for (const uint32_t len : {4099u, 3u})
        for (const uint32_t wide : {0u, 1u}) {
          const Array x = random(from, len, 1), y(to, len);
          run("convert", dim3(2), 256, 0, ConvertParams{x, y, 0.25f, -1.0f, wide, 0});
          expect("convert", y, [&](uint32_t i) { return 0.25 * x[i] - 1.0; }, to == BF16 ? ROUNDED : EXACT);
        }

  // Segments: at a multiple of four and not, short and of several pieces.
  for (const Type to : {F32, BF16}) {
    const std::shared_ptr<void> memory(malloc(3 * sizeof(uint4)), free);
    auto* table = static_cast<uint4*>(memory.get());
    table[0] = uint4{0, 8, 5, 0};
    table[1] = uint4{5, 16, 4103, 0};
    table[2] = uint4{4108, 4120, 300, 0};
    const Array x = random(F32, 4408, 1), y(to, 4420);
    for (uint32_t i = 0; i < y.len; ++i) y.set(i, 0.0f);
    run("cast", dim3(2, 3), 256, 0, CastParams{x, y, reinterpret_cast<uint64_t>(table)});
    expect("cast", y, [&](uint32_t i) {
      for (int s = 0; s < 3; ++s)
        if (i >= table[s].y && i - table[s].y < table[s].z) return double(x[table[s].x + i - table[s].y]);
      return 0.0;
    }, 0.0);
  }
}

}  // namespace drive
