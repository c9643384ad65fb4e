// Internet checksum [RFC 1071] over bytes in native byte order: the one's complement sum does not depend on byte
// order, so fields are loaded and stored as they lie in memory. No policy, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace culvert {

inline uint16_t load16(const uint8_t* at) {
  uint16_t value;
  std::memcpy(&value, at, 2);
  return value;
}
inline void store16(uint8_t* at, uint16_t value) { std::memcpy(at, &value, 2); }
inline uint32_t load32(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, 4);
  return value;
}
inline void store32(uint8_t* at, uint32_t value) { std::memcpy(at, &value, 4); }
inline uint16_t loadBig16(const uint8_t* at) { return __builtin_bswap16(load16(at)); }
inline uint32_t loadBig32(const uint8_t* at) { return __builtin_bswap32(load32(at)); }
inline void storeBig16(uint8_t* at, uint16_t value) { store16(at, __builtin_bswap16(value)); }
inline void storeBig32(uint8_t* at, uint32_t value) { store32(at, __builtin_bswap32(value)); }

/** Unfolded sum of `length` bytes (an odd last byte is padded with zero). */
uint64_t sumBytes(const uint8_t* data, size_t length);

/** The same, folded, by the version for vectors of `laneBits` (0: the one in use); -1 where this machine has none. */
int64_t foldedSum(uint32_t laneBits, const uint8_t* data, size_t length);

/** Folds a sum to 16 bits, not complemented. */
inline uint16_t fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

/** Sum of the pseudo header [RFC 9293 § 3.1, RFC 8200 § 8.1]; `l3` points at an IPv4 or IPv6 header. */
inline uint64_t sumPseudoHeader(const uint8_t* l3, bool v6, uint8_t protocol, uint32_t l4Bytes) {
  const uint64_t addresses = v6 ? sumBytes(l3 + 8, 32) : sumBytes(l3 + 12, 8);
  return addresses + __builtin_bswap16(protocol) + __builtin_bswap32(l4Bytes);
}

}  // namespace culvert
