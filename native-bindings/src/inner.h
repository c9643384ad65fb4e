// Where the headers of an inner frame lie, for the code that touches bytes per segment. It looks, it decides nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace culvert {

constexpr uint8_t PROTOCOL_ICMP = 1;
constexpr uint8_t PROTOCOL_TCP = 6;
constexpr uint8_t PROTOCOL_UDP = 17;
constexpr uint8_t PROTOCOL_ICMPV6 = 58;

/** Where the checksum stands in the header of TCP, UDP, ICMP or ICMPv6. */
inline uint16_t checksumOffset(uint8_t protocol) {
  return protocol == PROTOCOL_TCP ? 16 : protocol == PROTOCOL_UDP ? 6 : 2;
}

enum class InnerKind : uint8_t {
  other,      // not IP, or IP whose transport is not looked at: passes unchecked
  malformed,  // an IP header that contradicts the frame's length
  transport,  // TCP, UDP or ICMP, whole, lengths consistent
};

struct Inner {
  InnerKind kind;
  bool v6;
  bool plain;          // no IP options, extension headers, fragment, nothing behind UDP: may be coalesced
  uint8_t protocol;
  uint32_t l3;         // offsets from the start of the frame, bytes
  uint32_t l4;
  uint32_t payload;    // TCP and UDP only
  uint32_t end;        // where the IP packet ends, of UDP the datagram; the frame may go on
};

/** Locates the headers of an Ethernet frame (`ethernet`) or a bare IP packet. Reads only inside `length` bytes. */
Inner locateInner(const uint8_t* frame, uint32_t length, bool ethernet);

enum class ChecksumState : uint8_t {
  good,     // every checksum verified (or none to verify)
  partial,  // the transport checksum is the pseudo-header sum alone: left to an offload that never ran
  bad,
};

/** Verifies the IPv4 header checksum and, for `transport`, the TCP, UDP, ICMP or ICMPv6 checksum. */
ChecksumState verifyChecksums(const uint8_t* frame, const Inner& inner);

}  // namespace culvert
