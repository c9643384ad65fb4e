// Ingress, second half: runs -> device. `decapWriteBatch` writes the frames of the runs that TypeScript gave to a
// device. Consecutive TCP segments (and equal-sized UDP datagrams) of one flow become one superpacket with a virtio
// header: one write and one walk through the host's stack for up to 64 KiB. It is what GRO does, with its rules
// (net/ipv4/tcp_offload.c): equal headers, consecutive sequence, no flags but ACK and PSH.
//
// Checksums are verified before anything is joined; frames whose checksums are wrong are dropped and counted, since a
// superpacket's checksum is made anew and would hide the damage. A checksum that is only the pseudo-header sum comes
// from a sender on this machine whose offload never ran; it is handed on as such (VIRTIO_NET_HDR_F_NEEDS_CSUM).
#include <unistd.h>

#include "checksum.h"
#include "ingress.h"
#include "register.h"
#include "segment.h"

namespace culvert {

namespace {

constexpr uint8_t TCP_PSH = 0x08;
constexpr uint8_t TCP_ACK = 0x10;
constexpr uint8_t TCP_CWR = 0x80;
constexpr uint32_t MAX_IP_BYTES = 65535;

// virtio_net_hdr (linux/virtio_net.h); native byte order on a TUN device.
struct VnetHeader {
  uint8_t flags, gsoType;
  uint16_t headerBytes, gsoSize, csumStart, csumOffset;
};
static_assert(sizeof(VnetHeader) == VNET_HEADER_BYTES);

struct Writer {
  Ingress& in;
  int fd;
  bool ethernet;
  int32_t offloads;
};

bool isTcp(const Inner& inner) { return inner.protocol == PROTOCOL_TCP; }

uint32_t bucketOf(const uint8_t* frame, const Inner& inner) {
  const uint8_t* l3 = frame + inner.l3;
  uint32_t hash = load32(frame + inner.l4);
  hash ^= inner.v6 ? load32(l3 + 20) * 31u + load32(l3 + 36) : load32(l3 + 12) * 31u + load32(l3 + 16);
  hash *= 0x9e3779b1u;
  return hash >> 24;
}
static_assert(FLOW_BUCKETS == 256);

// Same flow and same headers, as far as a superpacket keeps only one of each.
bool sameHeaders(const Item& item, const uint8_t* frame, const Inner& inner) {
  const Inner& mine = item.inner;
  if (inner.l3 != mine.l3 || inner.l4 != mine.l4 || inner.payload != mine.payload || inner.v6 != mine.v6 ||
      inner.protocol != mine.protocol) {
    return false;
  }
  const uint8_t* a = item.frame + mine.l3;
  const uint8_t* b = frame + inner.l3;
  if (std::memcmp(item.frame, frame, mine.l3) != 0) return false;
  if (mine.v6) {
    // Class and flow label, hop limit, addresses.
    if (load32(a) != load32(b) || a[7] != b[7] || std::memcmp(a + 8, b + 8, 32) != 0) return false;
  } else {
    // TOS, flags and offset, TTL, addresses.
    if (a[1] != b[1] || load16(a + 6) != load16(b + 6) || a[8] != b[8] || std::memcmp(a + 12, b + 12, 8) != 0) {
      return false;
    }
  }
  const uint8_t* c = item.frame + mine.l4;
  const uint8_t* d = frame + inner.l4;
  if (load32(c) != load32(d)) return false;  // ports
  if (!isTcp(mine)) return true;
  // Acknowledgement; offset, flags less PSH, window; urgent pointer and options.
  return load32(c + 8) == load32(d + 8) && c[12] == d[12] && ((c[13] ^ d[13]) & ~TCP_PSH) == 0 &&
         load16(c + 14) == load16(d + 14) && std::memcmp(c + 18, d + 18, mine.payload - mine.l4 - 18) == 0;
}

bool mayJoin(const Writer& w, const Item& item, const uint8_t* frame, const Inner& inner, uint32_t payload) {
  if (w.in.nodeCount == MAX_NODES || !item.open || item.segments >= MAX_ITEM_SEGMENTS) return false;
  if (!inner.plain || payload == 0 || payload > item.segmentBytes) return false;
  if (item.inner.payload - item.inner.l3 + item.payloadBytes + payload > MAX_IP_BYTES) return false;
  if (isTcp(inner)) {
    if (loadBig32(frame + inner.l4 + 4) != item.nextSequence) return false;
  } else if (item.segments >= static_cast<uint32_t>(MAX_UDP_SEGMENTS)) {
    return false;
  }
  return sameHeaders(item, frame, inner);
}

bool deviceCuts(const Writer& w, const Inner& inner) {
  const int32_t tso = inner.v6 ? OFFLOAD_TSO6 : OFFLOAD_TSO4, uso = inner.v6 ? OFFLOAD_USO6 : OFFLOAD_USO4;
  return (w.offloads & (isTcp(inner) ? tso : uso)) != 0;
}

// Can this frame begin a superpacket at all?
bool mayOpen(const Writer& w, const uint8_t* frame, const Inner& inner, uint32_t payload) {
  if (inner.kind != InnerKind::transport || !inner.plain || payload == 0 || !deviceCuts(w, inner)) return false;
  if (isTcp(inner)) return frame[inner.l4 + 13] == TCP_ACK;
  return inner.protocol == PROTOCOL_UDP && load16(frame + inner.l4 + 6) != 0;
}

uint8_t gsoTypeOf(const Item& item) {
  if (!isTcp(item.inner)) return GSO_UDP_L4;
  const uint8_t type = item.inner.v6 ? GSO_TCPV6 : GSO_TCPV4;
  // The kernel's GRO merges what follows a segment with CWR [tcp_gro_receive]; of the pieces only the first may have it.
  const bool reduced = (item.frame[item.inner.l4 + 13] & TCP_CWR) != 0;
  return static_cast<uint8_t>(reduced ? type | GSO_ECN : type);
}

// Gives the first segment's headers the length and checksum of the whole, the checksum as far as an offload expects it.
void patchHeaders(const Item& item) {
  const Inner& inner = item.inner;
  uint8_t* l3 = item.frame + inner.l3;
  uint8_t* l4 = item.frame + inner.l4;
  const uint32_t l4Bytes = inner.payload - inner.l4 + item.payloadBytes;
  if (item.segments > 1) {
    const uint32_t ipBytes = inner.l4 - inner.l3 + l4Bytes;
    if (inner.v6) {
      storeBig16(l3 + 4, static_cast<uint16_t>(ipBytes - 40));
    } else {
      storeBig16(l3 + 2, static_cast<uint16_t>(ipBytes));
      store16(l3 + 10, 0);
      store16(l3 + 10, static_cast<uint16_t>(~fold(sumBytes(l3, 20))));
    }
    if (!isTcp(inner)) storeBig16(l4 + 4, static_cast<uint16_t>(l4Bytes));
    if (isTcp(inner) && item.push) l4[13] |= TCP_PSH;
  }
  const uint16_t pseudo = fold(sumPseudoHeader(l3, inner.v6, inner.protocol, l4Bytes));
  store16(l4 + checksumOffset(inner.protocol), pseudo);
}

VnetHeader describe(const Item& item) {
  VnetHeader vnet{};
  const Inner& inner = item.inner;
  const bool merged = item.segments > 1 || item.gsoSize > 0;
  if (!merged && !item.partial) return vnet;
  vnet.flags = FRAME_NEEDS_CHECKSUM;
  vnet.csumStart = static_cast<uint16_t>(inner.l4);
  vnet.csumOffset = checksumOffset(inner.protocol);
  if (merged) {
    vnet.gsoType = gsoTypeOf(item);
    vnet.gsoSize = static_cast<uint16_t>(item.segments > 1 ? item.segmentBytes : item.gsoSize);
    vnet.headerBytes = static_cast<uint16_t>(inner.payload);
  }
  return vnet;
}

// A sender's offload that never ran, with no offload on this device to hand it to: run it here.
void finishPartial(Item& item) {
  finishChecksum(item.frame, item.inner.end, item.inner.l4, checksumOffset(item.inner.protocol));
  item.partial = false;
}

ssize_t writeVectors(Writer& w, uint32_t count) {
  ssize_t written;
  do {
    written = writev(w.fd, w.in.vectors, static_cast<int>(count));
  } while (written < 0 && errno == EINTR);
  return written;
}

// A merged frame, and a device that cannot cut it: its segments, each with checksums of its own. Counts as the one
// frame it arrived as.
void writeSegments(Writer& w, const Item& item) {
  const Inner& inner = item.inner;
  int32_t* run = w.in.run(item.row);
  Segmenter s;
  if (!prepareSegments(s, item.frame, inner.end, inner.l3, inner.l4, inner.payload, gsoTypeOf(item), item.gsoSize)) {
    run[RUN_MALFORMED]++;
    return;
  }
  VnetHeader vnet{};
  uint8_t headers[MAX_SEGMENT_HEADER_BYTES];
  int error = 0;
  for (uint32_t i = 0; i < s.segments; i++) {
    writeSegmentHeader(s, i, headers);
    w.in.vectors[0] = iovec{&vnet, sizeof vnet};
    w.in.vectors[1] = iovec{headers, inner.payload};
    w.in.vectors[2] = iovec{item.frame + segmentStart(s, i), segmentBytes(s, i)};
    if (writeVectors(w, 3) < 0) error = errno;
    run[RUN_WRITES]++;
  }
  if (error != 0) {
    run[RUN_DEVICE_ERRORS]++;
    run[RUN_DEVICE_ERRNO] = error;
    return;
  }
  run[RUN_WRITTEN]++;
  run[RUN_BYTES] += item.frameBytes;
}

void writeItem(Writer& w, Item& item) {
  if (item.gsoSize > 0 && !deviceCuts(w, item.inner)) return writeSegments(w, item);
  if (item.partial && item.segments == 1 && item.gsoSize == 0 && (w.offloads & OFFLOAD_CHECKSUM) == 0) {
    finishPartial(item);
  }
  if (item.segments > 1) patchHeaders(item);
  VnetHeader vnet = describe(item);
  uint32_t vectors = 0, bytes = item.frameBytes;
  w.in.vectors[vectors++] = iovec{&vnet, sizeof vnet};
  w.in.vectors[vectors++] = iovec{item.frame, item.frameBytes};
  for (int32_t node = item.firstNode; node >= 0; node = w.in.nodes[node].next) {
    const Node& n = w.in.nodes[node];
    w.in.vectors[vectors++] = iovec{const_cast<uint8_t*>(n.data), n.bytes};
    bytes += item.inner.payload + n.bytes;  // as it was on the wire, with its own headers
  }
  const ssize_t written = writeVectors(w, vectors);
  int32_t* run = w.in.run(item.row);
  if (written < 0) {
    run[RUN_DEVICE_ERRORS] += item.segments;
    run[RUN_DEVICE_ERRNO] = errno;
  } else {
    run[RUN_WRITTEN] += item.segments;
    run[RUN_BYTES] += bytes;
    run[RUN_WRITES]++;
  }
}

void flushItems(Writer& w) {
  for (uint32_t i = 0; i < w.in.itemCount; i++) writeItem(w, w.in.items[i]);
  w.in.itemCount = w.in.nodeCount = 0;
  for (int32_t& bucket : w.in.buckets) bucket = -1;
}

void join(Writer& w, Item& item, const uint8_t* frame, const Inner& inner, uint32_t payload) {
  const int32_t node = static_cast<int32_t>(w.in.nodeCount++);
  w.in.nodes[node] = Node{frame + inner.payload, payload, -1};
  if (item.lastNode < 0) {
    item.firstNode = node;
  } else {
    w.in.nodes[item.lastNode].next = node;
  }
  item.lastNode = node;
  item.segments++;
  item.payloadBytes += payload;
  item.nextSequence += payload;
  if (payload < item.segmentBytes) item.open = false;
  if (isTcp(inner) && (frame[inner.l4 + 13] & TCP_PSH) != 0) {
    item.push = true;
    item.open = false;
  }
}

// The size to cut a merged frame into: what the kernel told, else what the device's MTU allows; 0: it is not merged.
uint32_t mergedSize(const int32_t* run, const Inner& inner, uint32_t payload) {
  const uint32_t hint = static_cast<uint32_t>(run[RUN_GSO_SIZE]);
  return payload > hint && (isTcp(inner) || inner.protocol == PROTOCOL_UDP) ? hint : 0;
}

void addFrame(Writer& w, int32_t row, uint8_t* frame, uint32_t length) {
  int32_t* run = w.in.run(row);
  const Inner inner = locateInner(frame, length, w.ethernet);
  if (inner.kind == InnerKind::malformed) {
    run[RUN_MALFORMED]++;
    return;
  }
  const ChecksumState checksums = verifyChecksums(frame, inner);
  if (checksums == ChecksumState::bad) {
    run[RUN_BAD_CHECKSUM]++;
    return;
  }
  const bool transport = inner.kind == InnerKind::transport;
  const uint32_t payload = transport ? inner.end - inner.payload : 0;
  const uint32_t bucket = transport ? bucketOf(frame, inner) : 0;
  const int32_t seen = transport ? w.in.buckets[bucket] : -1;
  const bool psh = transport && isTcp(inner) && (frame[inner.l4 + 13] & TCP_PSH) != 0;

  if (seen >= 0 && mayJoin(w, w.in.items[seen], frame, inner, payload)) {
    return join(w, w.in.items[seen], frame, inner, payload);
  }
  if (w.in.itemCount == MAX_ITEMS || w.in.nodeCount == MAX_NODES) flushItems(w);
  const uint32_t index = w.in.itemCount++;
  Item& item = w.in.items[index];
  item = Item{frame, inner, length, payload, payload, 1, 0, 0, -1, -1, row, false, false, psh};
  item.partial = checksums == ChecksumState::partial;
  item.gsoSize = item.partial ? mergedSize(run, inner, payload) : 0;
  if (item.gsoSize == 0 && mayOpen(w, frame, inner, payload)) {
    item.open = true;
    item.frameBytes = inner.end;  // padding must not lie between headers and the next segment's payload
    if (isTcp(inner)) item.nextSequence = loadBig32(frame + inner.l4 + 4) + payload;
  }
  // Whatever opened or could not join becomes the flow's last item, so that nothing of a flow overtakes it.
  if (transport) w.in.buckets[bucket] = static_cast<int32_t>(index);
}

// Marks Congestion Experienced in the inner header [RFC 6040 § 4.2]; frames that are not IP stay as they are.
void setCongestion(uint8_t* frame, uint32_t length, bool ethernet) {
  const Inner inner = locateInner(frame, length, ethernet);
  if (inner.l4 == 0) return;
  uint8_t* l3 = frame + inner.l3;
  if (inner.v6) {
    l3[1] |= 0x30;
    return;
  }
  const uint16_t before = load16(l3);
  l3[1] |= 3;
  const uint64_t sum = static_cast<uint16_t>(~load16(l3 + 10)) + static_cast<uint64_t>(0xffff - before) + load16(l3);
  store16(l3 + 10, static_cast<uint16_t>(~fold(sum)));
}

void addRunSegments(Writer& w, int32_t row) {
  int32_t* run = w.in.run(row);
  const int64_t offset = run[RUN_OFFSET], length = run[RUN_LENGTH];
  const int64_t segment = run[RUN_SEGMENT_BYTES], strip = run[RUN_STRIP];
  const int64_t arena = static_cast<int64_t>(w.in.arenaBytes);
  if (offset < 0 || length < 0 || segment <= 0 || strip < 0 || offset + length > arena) {
    run[RUN_MALFORMED] += run[RUN_SEGMENTS];
    return;
  }
  for (int64_t at = 0; at < length; at += segment) {
    const int64_t bytes = length - at < segment ? length - at : segment;
    if (bytes <= strip) {
      run[RUN_MALFORMED]++;
      continue;
    }
    uint8_t* frame = w.in.arena + offset + at + strip;
    const uint32_t frameBytes = static_cast<uint32_t>(bytes - strip);
    if ((run[RUN_FLAGS] & RUN_SET_CE) != 0) setCongestion(frame, frameBytes, w.ethernet);
    addFrame(w, row, frame, frameBytes);
  }
}

// decapWriteBatch(ingress, fd, device, kind, offloads, first, count): runs written to that device
napi_value decapWriteBatch(napi_env env, napi_callback_info info) {
  Arguments<7> args(env, info);
  Ingress* in = args.external<Ingress>(0);
  const int32_t fd = args.integer(1), device = args.integer(2), kind = args.integer(3);
  const int32_t offloads = args.integer(4), first = args.integer(5), count = args.integer(6);
  if (!args.ok || first < 0 || count < 0 || first > MAX_RUNS || count > MAX_RUNS - first) {
    return integerResult(env, -EINVAL);
  }
  Writer w{*in, fd, kind == DEVICE_TAP, offloads};
  in->itemCount = in->nodeCount = 0;
  for (int32_t& bucket : in->buckets) bucket = -1;
  int32_t rows = 0;
  for (int32_t row = first; row < first + count; row++) {
    if (in->run(row)[RUN_DEVICE] != device) continue;
    addRunSegments(w, row);
    rows++;
  }
  flushItems(w);
  return integerResult(env, rows);
}

// deviceWrite(fd, bytes: Uint8Array, offset, length): writes one frame made by TypeScript; 0 or -errno
napi_value deviceWrite(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  const int32_t fd = args.integer(0);
  size_t capacity = 0;
  uint8_t* data = args.bytes(1, &capacity);
  const int32_t offset = args.integer(2), length = args.integer(3);
  if (!args.ok || offset < 0 || length <= 0 || static_cast<size_t>(offset) + length > capacity) {
    return integerResult(env, -EINVAL);
  }
  VnetHeader vnet{};
  iovec vectors[2] = {{&vnet, sizeof vnet}, {data + offset, static_cast<size_t>(length)}};
  ssize_t written;
  do {
    written = writev(fd, vectors, 2);
  } while (written < 0 && errno == EINTR);
  return integerResult(env, written < 0 ? -errno : 0);
}

}  // namespace

napi_status registerCoalesce(napi_env env, napi_value exports) {
  static const Export functions[] = {{"decapWriteBatch", decapWriteBatch}, {"deviceWrite", deviceWrite}};
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
