// Segmentation as virtio and Linux define it (linux/virtio_net.h; net/ipv4/tcp_offload.c for which fields change).
#include "segment.h"

#include <cstring>

#include "../include/abi.h"
#include "checksum.h"
#include "inner.h"

namespace culvert {

namespace {
constexpr uint8_t TCP_FIN = 0x01;
constexpr uint8_t TCP_PSH = 0x08;
constexpr uint8_t TCP_CWR = 0x80;
}  // namespace

bool prepareSegments(Segmenter& s, const uint8_t* frame, uint32_t length, uint32_t l3, uint32_t l4, uint32_t payload,
                     uint32_t gsoType, uint32_t gsoSize) {
  const uint32_t type = gsoType & ~static_cast<uint32_t>(GSO_ECN);
  s.tcp = type == static_cast<uint32_t>(GSO_TCPV4) || type == static_cast<uint32_t>(GSO_TCPV6);
  if (!s.tcp && type != static_cast<uint32_t>(GSO_UDP_L4)) return false;
  if (gsoSize == 0 || gsoSize > 0xffff) return false;
  if (l3 >= l4 || l4 >= payload || payload >= length || l3 > 64 || payload > MAX_SEGMENT_HEADER_BYTES) return false;
  s.v6 = frame[l3] >> 4 == 6;
  if (l4 - l3 < (s.v6 ? 40u : 20u) || payload - l4 < (s.tcp ? 20u : 8u)) return false;
  s.frame = frame;
  s.length = length;
  s.l3 = l3;
  s.l4 = l4;
  s.payload = payload;
  s.segmentPayload = gsoSize;
  s.segments = (length - payload + gsoSize - 1) / gsoSize;

  const uint8_t* ip = frame + l3;
  const uint8_t* transport = frame + l4;
  if (!s.v6) {
    s.ipSum = sumBytes(ip, l4 - l3) + 3u * 0xffffu - load16(ip + 2) - load16(ip + 4) - load16(ip + 10);
  }
  const uint8_t protocol = s.tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
  s.l4Sum = sumPseudoHeader(ip, s.v6, protocol, 0);
  if (s.v6 && l4 - l3 > 40) {
    // With a routing header the pseudo header has other addresses than these [RFC 8200 § 8.1]; the sum that the sender
    // left in the checksum field knows them. Its length is taken out again.
    const uint16_t left = load16(transport + checksumOffset(protocol));
    s.l4Sum = left + (0xffffu - fold(__builtin_bswap32(length - l4)));
  }
  s.pseudoSum = s.l4Sum;
  s.partial = false;
  if (s.tcp) {
    // Without sequence number (4..8), offset and flags (12..14) and checksum (16..18).
    s.l4Sum += sumBytes(transport, 4) + sumBytes(transport + 8, 4) + load16(transport + 14) +
               sumBytes(transport + 18, payload - l4 - 18);
  } else {
    s.l4Sum += sumBytes(transport, 4);
  }
  return true;
}

void writeSegmentHeader(const Segmenter& s, uint32_t index, uint8_t* out) {
  const uint32_t bytes = segmentBytes(s, index);
  const bool last = index + 1 == s.segments;
  std::memcpy(out, s.frame, s.payload);
  uint8_t* ip = out + s.l3;
  uint8_t* l4 = out + s.l4;
  const uint32_t l4Bytes = s.payload - s.l4 + bytes;

  if (s.v6) {
    storeBig16(ip + 4, static_cast<uint16_t>(s.payload - s.l3 - 40 + bytes));
  } else {
    storeBig16(ip + 2, static_cast<uint16_t>(s.payload - s.l3 + bytes));
    storeBig16(ip + 4, static_cast<uint16_t>(loadBig16(ip + 4) + index));
    store16(ip + 10, static_cast<uint16_t>(~fold(s.ipSum + load16(ip + 2) + load16(ip + 4))));
  }

  // What CHECKSUM_PARTIAL holds: the pseudo header's sum, not complemented [linux/skbuff.h].
  const uint16_t pseudo = fold(s.pseudoSum + __builtin_bswap32(l4Bytes));
  uint64_t sum = 0;
  if (!s.partial) sum = s.l4Sum + __builtin_bswap32(l4Bytes) + sumBytes(s.frame + segmentStart(s, index), bytes);
  if (s.tcp) {
    storeBig32(l4 + 4, loadBig32(l4 + 4) + index * s.segmentPayload);
    uint8_t flags = l4[13];
    if (!last) flags &= static_cast<uint8_t>(~(TCP_FIN | TCP_PSH));
    if (index > 0) flags &= static_cast<uint8_t>(~TCP_CWR);  // [RFC 3168 § 6.1.2]: once
    l4[13] = flags;
    sum += static_cast<uint64_t>(load32(l4 + 4)) + load16(l4 + 12);
    store16(l4 + 16, s.partial ? pseudo : static_cast<uint16_t>(~fold(sum)));
  } else {
    storeBig16(l4 + 4, static_cast<uint16_t>(l4Bytes));
    if (s.partial) return store16(l4 + 6, pseudo);
    const uint16_t checksum = static_cast<uint16_t>(~fold(sum + load16(l4 + 4)));
    store16(l4 + 6, checksum == 0 ? 0xffff : checksum);  // zero would mean "not computed" [RFC 768]
  }
}

bool finishChecksum(uint8_t* frame, uint32_t length, uint32_t start, uint32_t offset) {
  if (start >= length || offset >= length - start || length - start - offset < 2) return false;
  uint16_t checksum = static_cast<uint16_t>(~fold(sumBytes(frame + start, length - start)));
  if (checksum == 0) checksum = 0xffff;  // equal in one's complement, and never "not computed" for UDP
  store16(frame + start + offset, checksum);
  return true;
}

}  // namespace culvert
