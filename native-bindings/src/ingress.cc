// Ingress, first half: underlay -> runs. `receiveBatch` takes what a socket has, and splits each message into runs:
// stretches of segments that native code proved identical in encapsulation header, inner MACs and inner flow, so that
// TypeScript may decide once for all of them. What is not provably the same starts a run of its own.
//
// Two traps (both seen with a kernel vxlan peer on the same machine): one message of up to 64 KiB may be ONE inner
// superpacket that no offload ever segmented, with or without a UDP_GRO size; the inner IP length tells.
#include "ingress.h"

#include <unistd.h>

#include <cstdlib>

#include "address.h"
#include "checksum.h"
#include "register.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace culvert {

namespace {

constexpr uint32_t VXLAN_BYTES = 8;

struct Received {
  uint32_t offset, length, gsoSize;
  int32_t tos;
  bool truncated;
  int32_t family, address[4];
  uint16_t port;
};

void readControl(const msghdr& header, Received& r) {
  for (cmsghdr* cmsg = CMSG_FIRSTHDR(&header); cmsg != nullptr;
       cmsg = CMSG_NXTHDR(const_cast<msghdr*>(&header), cmsg)) {
    int value = 0;
    if (cmsg->cmsg_level == IPPROTO_UDP && cmsg->cmsg_type == UDP_GRO) {
      std::memcpy(&value, CMSG_DATA(cmsg), sizeof value);
      r.gsoSize = value > 0 ? static_cast<uint32_t>(value) : 0;
    } else if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_TOS) {
      r.tos = *CMSG_DATA(cmsg);
    } else if (cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_TCLASS) {
      std::memcpy(&value, CMSG_DATA(cmsg), sizeof value);
      r.tos = value;
    }
  }
}

void readSource(const sockaddr_in6& name, Received& r) {
  r.family = readAddress(name, r.address);
  r.port = ntohs(name.sin6_port);  // same place as sin_port
}

void addRun(Ingress& in, int32_t row, const Received& r, uint32_t at, uint32_t length, uint32_t segment,
            uint32_t count, uint32_t gsoSize) {
  int32_t* run = in.run(row);
  std::memset(run, 0, RUN_WORDS * sizeof(int32_t));
  run[RUN_OFFSET] = static_cast<int32_t>(r.offset + at);
  run[RUN_LENGTH] = static_cast<int32_t>(length);
  run[RUN_SEGMENT_BYTES] = static_cast<int32_t>(segment);
  run[RUN_SEGMENTS] = static_cast<int32_t>(count);
  run[RUN_FAMILY] = r.family;
  for (int i = 0; i < 4; i++) run[RUN_ADDRESS + i] = r.address[i];
  run[RUN_PORT] = r.port;
  run[RUN_TOS] = r.tos;
  run[RUN_FLAGS] = r.truncated ? RUN_TRUNCATED : 0;
  run[RUN_GSO_SIZE] = static_cast<int32_t>(gsoSize);
  run[RUN_DEVICE] = -1;
}

// What two segments must share to be of one run: encapsulation header, MACs, tags, IP addresses, protocol, traffic
// class and ports. Lengths, identification, TTL and TCP state may differ.
bool sameRun(const uint8_t* a, const uint8_t* b, uint32_t bBytes, const Inner& inner) {
  const uint32_t l3 = VXLAN_BYTES + inner.l3, l4 = VXLAN_BYTES + inner.l4;
  if (bBytes < l4 + 8) return false;
  if (std::memcmp(a, b, l3) != 0) return false;
  if (inner.v6) {
    // Version, class and flow label; next header; addresses and extension headers.
    if (load32(a + l3) != load32(b + l3) || a[l3 + 6] != b[l3 + 6]) return false;
    if (std::memcmp(a + l3 + 8, b + l3 + 8, l4 - l3 - 8) != 0) return false;
  } else {
    // Version, header length and TOS; flags and offset; protocol; addresses and options.
    if (load16(a + l3) != load16(b + l3) || load16(a + l3 + 6) != load16(b + l3 + 6) || a[l3 + 9] != b[l3 + 9]) {
      return false;
    }
    if (std::memcmp(a + l3 + 12, b + l3 + 12, l4 - l3 - 12) != 0) return false;
  }
  return inner.protocol == PROTOCOL_ICMP || inner.protocol == PROTOCOL_ICMPV6 || load32(a + l4) == load32(b + l4);
}

// Splits one VXLAN message; returns the next free row.
int32_t splitVxlan(Ingress& in, int32_t row, const Received& r) {
  const uint8_t* data = in.arena + r.offset;
  const uint32_t segment = r.gsoSize;
  if (segment == 0 || r.length <= segment || r.truncated) {
    addRun(in, row, r, 0, r.length, r.length, 1, 0);
    return row + 1;
  }
  if (segment > VXLAN_BYTES && r.length > VXLAN_BYTES) {
    const Inner whole = locateInner(data + VXLAN_BYTES, r.length - VXLAN_BYTES, true);
    if (whole.kind == InnerKind::transport && VXLAN_BYTES + whole.end == r.length) {
      addRun(in, row, r, 0, r.length, r.length, 1, segment);  // one inner superpacket, see above
      return row + 1;
    }
  }
  uint32_t at = 0;
  while (at < r.length && row < MAX_RUNS) {
    const uint8_t* first = data + at;
    const uint32_t bytes = r.length - at < segment ? r.length - at : segment;
    const Inner inner = bytes > VXLAN_BYTES ? locateInner(first + VXLAN_BYTES, bytes - VXLAN_BYTES, true)
                                            : Inner{InnerKind::malformed, false, false, 0, 0, 0, 0, 0};
    uint32_t end = at + bytes, count = 1;
    while (inner.kind == InnerKind::transport && end < r.length) {
      const uint32_t next = r.length - end < segment ? r.length - end : segment;
      if (!sameRun(first, data + end, next, inner)) break;
      end += next;
      count++;
    }
    addRun(in, row++, r, at, end - at, bytes, count, 0);
    at = end;
  }
  return row;
}

int receive(Ingress& in, int fd, int limit) {
  for (int i = 0; i < limit; i++) {
    msghdr& header = in.headers[i].msg_hdr;
    header.msg_name = &in.names[i];
    header.msg_namelen = sizeof in.names[i];
    header.msg_iov = &in.slots[i];
    header.msg_iovlen = 1;
    header.msg_control = in.control[i];
    header.msg_controllen = RECEIVE_CONTROL_BYTES;
    header.msg_flags = 0;
  }
  int received;
  do {
    received = recvmmsg(fd, in.headers, limit, MSG_DONTWAIT, nullptr);
  } while (received < 0 && errno == EINTR);
  return received;
}

// receiveBatch(ingress, fd, maxMessages, raw): runs, or -errno when nothing was received
napi_value receiveBatch(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  Ingress* in = args.external<Ingress>(0);
  const int32_t fd = args.integer(1), limit = args.integer(2), raw = args.integer(3);
  if (!args.ok || limit < 1 || limit > RECEIVE_SLOTS) return integerResult(env, -EINVAL);
  const int received = receive(*in, fd, limit);
  if (received < 0) return errnoResult(env);
  int32_t row = 0;
  // Rows cannot run out: the kernel passes at most 128 segments in one message (linux/udp.h, UDP_MAX_SEGMENTS).
  for (int i = 0; i < received && row < MAX_RUNS; i++) {
    const msghdr& header = in->headers[i].msg_hdr;
    Received r{};
    r.offset = static_cast<uint32_t>(static_cast<uint8_t*>(in->slots[i].iov_base) - in->arena);
    r.length = in->headers[i].msg_len;
    r.truncated = (header.msg_flags & MSG_TRUNC) != 0;
    readControl(header, r);
    readSource(in->names[i], r);
    if (raw != 0) {
      // IPv4: the outer header is there, whatever control messages say. IPv6: it is not [raw(7), ipv6(7)].
      if (r.family == 4 && r.length > 1) r.tos = in->arena[r.offset + 1];
      addRun(*in, row++, r, 0, r.length, r.length, 1, 0);
    } else {
      row = splitVxlan(*in, row, r);
    }
  }
  return integerResult(env, row);
}

void destroyIngress(napi_env env, void* data, void*) {
  Ingress* in = static_cast<Ingress*>(data);
  for (PinnedArray& pin : in->pins) unpin(env, pin);
  in->tag = 0;
  std::free(in);
}

// ingressCreate(arena: Uint8Array, runs: Int32Array): external, or -errno
napi_value ingressCreate(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  Ingress* in = static_cast<Ingress*>(std::calloc(1, sizeof(Ingress)));
  if (in == nullptr) return integerResult(env, -ENOMEM);
  in->tag = Ingress::TAG;
  const bool ok = args.ok && pin(args, 0, napi_uint8_array, in->pins[0]) &&
                  pin(args, 1, napi_int32_array, in->pins[1]) &&
                  in->pins[0].length >= static_cast<size_t>(INGRESS_ARENA_BYTES) &&
                  in->pins[1].length >= static_cast<size_t>(MAX_RUNS * RUN_WORDS);
  if (!ok) {
    destroyIngress(env, in, nullptr);
    return integerResult(env, -EINVAL);
  }
  in->arena = static_cast<uint8_t*>(in->pins[0].data);
  in->arenaBytes = in->pins[0].length;
  in->runs = static_cast<int32_t*>(in->pins[1].data);
  for (int i = 0; i < RECEIVE_SLOTS; i++) {
    in->slots[i] = iovec{in->arena + static_cast<size_t>(i) * RECEIVE_SLOT_STRIDE, RECEIVE_SLOT_BYTES};
  }
  napi_value external = nullptr;
  napi_create_external(env, in, destroyIngress, nullptr, &external);
  return external;
}

}  // namespace

napi_status registerIngress(napi_env env, napi_value exports) {
  static const Export functions[] = {{"ingressCreate", ingressCreate}, {"receiveBatch", receiveBatch}};
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
