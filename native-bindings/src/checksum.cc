// The summing loop, the only code that reads every payload byte: twice per packet, at egress and at ingress. Vectors are
// written out, one width per instruction set, because the compiler's own vectorising of a plain loop was 13 times slower
// with AVX2 (docs/performance.md). Which version runs is chosen when the addon is loaded, so one build serves every
// x86-64; other machines get the narrow one.
#include "checksum.h"

#include <initializer_list>

namespace culvert {

namespace {

typedef uint64_t Lanes128 __attribute__((vector_size(16)));
typedef uint64_t Lanes256 __attribute__((vector_size(32)));
typedef uint64_t Lanes512 __attribute__((vector_size(64)));

inline uint64_t sumTail(const uint8_t* data, size_t length) {
  uint64_t sum = 0;
  while (length >= 8) {
    uint64_t word;
    std::memcpy(&word, data, sizeof word);
    sum += (word & 0xffffffffu) + (word >> 32);
    data += 8;
    length -= 8;
  }
  if (length >= 4) {
    sum += load32(data);
    data += 4;
    length -= 4;
  }
  if (length >= 2) {
    sum += load16(data);
    data += 2;
    length -= 2;
  }
  if (length > 0) sum += *data;  // little-endian: the missing low-order byte of network order is the high one here
  return sum;
}

// 64-bit lanes, the low and the high halves of the words summed apart: no carry is lost within 2^32 words.
template <class Lanes>
__attribute__((always_inline)) inline uint64_t sumLanes(const uint8_t* data, size_t length) {
  constexpr size_t BYTES = sizeof(Lanes);
  const Lanes halves = Lanes{} + 0xffffffffu;
  Lanes low0{}, high0{}, low1{}, high1{};
  while (length >= 2 * BYTES) {
    Lanes a, b;
    std::memcpy(&a, data, BYTES);
    std::memcpy(&b, data + BYTES, BYTES);
    low0 += a & halves;
    high0 += a >> 32;
    low1 += b & halves;
    high1 += b >> 32;
    data += 2 * BYTES;
    length -= 2 * BYTES;
  }
  low0 += low1 + high0 + high1;
  uint64_t sum = 0;
  for (size_t i = 0; i < BYTES / sizeof(uint64_t); i++) sum += low0[i];
  return sum + sumTail(data, length);
}

using Sum = uint64_t (*)(const uint8_t*, size_t);

uint64_t sum128(const uint8_t* data, size_t length) { return sumLanes<Lanes128>(data, length); }

#if defined(__x86_64__)
__attribute__((target("avx2"))) uint64_t sum256(const uint8_t* data, size_t length) {
  return sumLanes<Lanes256>(data, length);
}
__attribute__((target("avx512f"))) uint64_t sum512(const uint8_t* data, size_t length) {
  return sumLanes<Lanes512>(data, length);
}

#endif

// The version with lanes of that many bits together, or null where this machine has no such instructions.
Sum sumOf(uint32_t laneBits) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (laneBits == 512 && __builtin_cpu_supports("avx512f")) return sum512;
  if (laneBits == 256 && __builtin_cpu_supports("avx2")) return sum256;
#endif
  return laneBits == 128 ? sum128 : nullptr;
}

Sum widestSum() {
  for (const uint32_t laneBits : {512u, 256u}) {
    if (const Sum sum = sumOf(laneBits)) return sum;
  }
  return sum128;
}

const Sum chosen = widestSum();

}  // namespace

int64_t foldedSum(uint32_t laneBits, const uint8_t* data, size_t length) {
  const Sum sum = laneBits == 0 ? chosen : sumOf(laneBits);
  return sum == nullptr ? -1 : fold(sum(data, length));
}

uint64_t sumBytes(const uint8_t* data, size_t length) { return chosen(data, length); }

}  // namespace culvert
