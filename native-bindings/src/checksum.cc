// The summing loop. The compiler vectorises it; which variant runs is chosen when the library is loaded, so one
// build serves every x86-64. AddressSanitizer cannot run inside the resolver that makes that choice.
#include "checksum.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define CULVERT_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CULVERT_CLONES
#endif

namespace culvert {

CULVERT_CLONES uint64_t sumBytes(const uint8_t* data, size_t length) {
  uint64_t lanes[16] = {0};
  while (length >= 64) {
    uint32_t words[16];
    std::memcpy(words, data, 64);
    for (int i = 0; i < 16; i++) lanes[i] += words[i];
    data += 64;
    length -= 64;
  }
  uint64_t sum = 0;
  for (uint64_t lane : lanes) sum += lane;
  while (length >= 4) {
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

}  // namespace culvert
