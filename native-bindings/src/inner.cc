// Locating and verifying inner headers. Linux hands checksums that "hardware" was to finish straight to a socket when
// sender and receiver share a machine (skb->ip_summed == CHECKSUM_PARTIAL across veth), hence ChecksumState::partial.
#include "inner.h"

#include "checksum.h"

namespace culvert {

namespace {

constexpr uint16_t ETHERTYPE_IPV4 = 0x0800;
constexpr uint16_t ETHERTYPE_IPV6 = 0x86dd;
constexpr uint16_t ETHERTYPE_VLAN = 0x8100;
constexpr uint16_t ETHERTYPE_QINQ = 0x88a8;
constexpr int MAX_VLAN_TAGS = 2;
constexpr int MAX_EXTENSION_HEADERS = 8;

Inner nothing(InnerKind kind) { return Inner{kind, false, false, 0, 0, 0, 0, 0}; }

// Fills in the transport part; `l4`, `end`, `protocol` are set.
Inner locateTransport(const uint8_t* frame, Inner inner) {
  const uint32_t bytes = inner.end - inner.l4;
  const uint8_t* l4 = frame + inner.l4;
  inner.kind = InnerKind::malformed;
  if (inner.protocol == PROTOCOL_TCP) {
    if (bytes < 20) return inner;
    const uint32_t header = (l4[12] >> 4) * 4u;
    if (header < 20 || header > bytes) return inner;
    inner.payload = inner.l4 + header;
  } else if (inner.protocol == PROTOCOL_UDP) {
    if (bytes < 8 || loadBig16(l4 + 4) < 8 || loadBig16(l4 + 4) > bytes) return inner;
    inner.payload = inner.l4 + 8;
    // An IP packet may go on behind its datagram [RFC 9868 § 3]; a superpacket would lose that.
    if (loadBig16(l4 + 4) != bytes) inner.plain = false;
    inner.end = inner.l4 + loadBig16(l4 + 4);
  } else if (inner.protocol == (inner.v6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP)) {
    if (bytes < 4) return inner;
    inner.payload = inner.end;
  } else {
    inner.kind = InnerKind::other;
    return inner;
  }
  inner.kind = InnerKind::transport;
  return inner;
}

Inner locateIpv4(const uint8_t* frame, uint32_t length, uint32_t l3) {
  Inner inner = nothing(InnerKind::malformed);
  inner.l3 = l3;
  if (length < l3 + 20) return inner;
  const uint8_t* ip = frame + l3;
  const uint32_t header = (ip[0] & 15) * 4u;
  const uint32_t total = loadBig16(ip + 2);
  if (ip[0] >> 4 != 4 || header < 20 || total < header || l3 + total > length) return inner;
  inner.protocol = ip[9];
  inner.l4 = l3 + header;
  inner.end = l3 + total;
  if ((loadBig16(ip + 6) & 0x3fff) != 0) {  // more fragments, or an offset
    inner.kind = InnerKind::other;
    return inner;
  }
  inner.plain = header == 20;
  return locateTransport(frame, inner);
}

Inner locateIpv6(const uint8_t* frame, uint32_t length, uint32_t l3) {
  Inner inner = nothing(InnerKind::malformed);
  inner.v6 = true;
  inner.l3 = l3;
  if (length < l3 + 40) return inner;
  const uint8_t* ip = frame + l3;
  if (ip[0] >> 4 != 6) return inner;
  inner.end = l3 + 40 + loadBig16(ip + 4);
  if (inner.end > length) return inner;
  uint8_t next = ip[6];
  uint32_t at = l3 + 40;
  bool rerouted = false;
  inner.plain = true;
  for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
    // Hop-by-hop, routing and destination options [RFC 8200 § 4]; a fragment header ends the walk.
    if (next != 0 && next != 43 && next != 60) break;
    inner.plain = false;
    // With a routing header, or a home address among the options, the pseudo header has other addresses than these
    // [RFC 8200 § 8.1, RFC 6275 § 6.3]: such a packet passes unchecked.
    rerouted = rerouted || next == 43 || next == 60;
    if (at + 8 > inner.end) return inner;
    next = frame[at];
    at += 8 + frame[at + 1] * 8u;
    if (at > inner.end) return inner;
  }
  inner.protocol = next;
  inner.l4 = at;
  if (rerouted) {
    inner.kind = InnerKind::other;
    return inner;
  }
  return locateTransport(frame, inner);
}

}  // namespace

Inner locateInner(const uint8_t* frame, uint32_t length, bool ethernet) {
  if (!ethernet) {
    if (length < 1) return nothing(InnerKind::malformed);
    if (frame[0] >> 4 == 4) return locateIpv4(frame, length, 0);
    if (frame[0] >> 4 == 6) return locateIpv6(frame, length, 0);
    return nothing(InnerKind::malformed);
  }
  if (length < 14) return nothing(InnerKind::malformed);
  uint32_t at = 12;
  uint16_t type = loadBig16(frame + at);
  for (int i = 0; i < MAX_VLAN_TAGS && (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ); i++) {
    if (length < at + 6) return nothing(InnerKind::malformed);
    at += 4;
    type = loadBig16(frame + at);
  }
  if (type == ETHERTYPE_IPV4) return locateIpv4(frame, length, at + 2);
  if (type == ETHERTYPE_IPV6) return locateIpv6(frame, length, at + 2);
  return nothing(InnerKind::other);
}

ChecksumState verifyChecksums(const uint8_t* frame, const Inner& inner) {
  const uint8_t* l3 = frame + inner.l3;
  if (inner.l4 == 0) return ChecksumState::good;  // not IP
  if (!inner.v6 && fold(sumBytes(l3, inner.l4 - inner.l3)) != 0xffff) return ChecksumState::bad;
  if (inner.kind != InnerKind::transport) return ChecksumState::good;

  const uint8_t* l4 = frame + inner.l4;
  const uint32_t bytes = inner.end - inner.l4;
  if (inner.protocol == PROTOCOL_ICMP) {
    return fold(sumBytes(l4, bytes)) == 0xffff ? ChecksumState::good : ChecksumState::bad;
  }
  const uint32_t field = checksumOffset(inner.protocol);
  if (inner.protocol == PROTOCOL_UDP && load16(l4 + field) == 0) {
    return ChecksumState::good;  // "not computed": over IPv4 [RFC 768], and by tunnels over IPv6 [RFC 6935]
  }
  const uint64_t pseudo = sumPseudoHeader(l3, inner.v6, inner.protocol, bytes);
  if (fold(pseudo + sumBytes(l4, bytes)) == 0xffff) return ChecksumState::good;
  return load16(l4 + field) == fold(pseudo) ? ChecksumState::partial : ChecksumState::bad;
}

}  // namespace culvert
