// Egress, second half, for raw IPIP sockets: one packet per message, there is no GSO. The outer header in front of a
// frame goes out as it is, or tells the kernel what to write where it shall fragment (RAW_*).
#include "checksum.h"
#include "messages.h"

namespace culvert {

namespace {

constexpr uint32_t IPV4_HEADER = 20, IPV6_HEADER = 40;

// Is there a whole outer header, without options, in front of a raw send?
bool hasOuterHeader(const Checked& c) {
  if (c.headerBytes < IPV4_HEADER) return false;
  return c.headerBytes == (c.header[0] >> 4 == 6 ? IPV6_HEADER : IPV4_HEADER);
}

// The address in an outer header [RFC 791 § 3.1], [RFC 8200 § 3], with the flow label: the kernel takes it from here
// where it writes the header.
socklen_t nameOfOuter(const uint8_t* header, sockaddr_in6& name) {
  std::memset(&name, 0, sizeof name);
  if (header[0] >> 4 == 6) {
    name.sin6_family = AF_INET6;
    name.sin6_flowinfo = htonl(loadBig32(header) & 0xfffff);
    std::memcpy(&name.sin6_addr, header + 24, 16);
    return sizeof name;
  }
  sockaddr_in* four = reinterpret_cast<sockaddr_in*>(&name);
  four->sin_family = AF_INET;
  std::memcpy(&four->sin_addr, header + 16, 4);
  return sizeof *four;
}

// A raw socket takes one packet per message: no GSO. `bytes`: outer header included, whoever writes it.
void openRaw(Egress& e, int fd, int32_t row, const Checked& c, uint32_t bytes, bool included) {
  Message* message = openMessage(e, fd);
  const uint32_t index = e.messageCount - 1;
  msghdr& header = e.headers[index].msg_hdr;
  header.msg_name = &e.names[index];
  header.msg_namelen = nameOfOuter(c.header, e.names[index]);
  message->segments = 1;
  addPart(e, *message, row, bytes);
  if (included) return;
  message->v6 = c.header[0] >> 4 == 6;
  message->tos = message->v6 ? loadBig32(c.header) >> 20 & 0xff : c.header[1];
  message->ttl = c.header[message->v6 ? 7 : 8];
  if (!message->v6) std::memcpy(&message->source, c.header + 12, 4);  // the socket has another one (rawOpen)
  finishMessage(e);
}

// One segment behind its outer header. IPv4's length is the kernel's business [raw(7)], IPv6's is not.
void addRawSegment(Egress& e, const Checked& c, const Segmenter& s, uint32_t index) {
  uint8_t* outer = e.headerArea + e.headerBytes;
  addSegment(e, c, s, index);
  if (c.headerBytes == IPV6_HEADER) storeBig16(outer + 4, static_cast<uint16_t>(s.payload + segmentBytes(s, index)));
}

void addRaw(Egress& e, int fd, int32_t row, bool included) {
  Checked c;
  Segmenter s;
  if (!check(e, row, c) || !hasOuterHeader(c)) return fail(e, row, EINVAL);
  const int kind = prepare(e.frame(e.send(row)[SEND_FRAME]), c, s, false);
  if (kind < 0) return fail(e, row, -kind);
  const Checked sent = included ? c : Checked{c.frame, c.length, c.frame, 0};
  if (kind == 0) {
    openRaw(e, fd, row, c, c.headerBytes + c.length, included);
    return addFrame(e, sent);
  }
  for (uint32_t i = 0; i < s.segments; i++) {
    openRaw(e, fd, row, c, c.headerBytes + s.payload + segmentBytes(s, i), included);
    addRawSegment(e, sent, s, i);
  }
}

}  // namespace

void sendRaw(Egress& e, const int32_t* fds, int32_t count) {
  int32_t open = RAW_HEADER_INCLUDED;
  for (int32_t row = 0; row < count; row++) {
    int32_t* send = e.send(row);
    const int32_t socket = send[SEND_SOCKET];
    send[SEND_RESULT] = send[SEND_BYTES] = send[SEND_PARTLY] = 0;
    const bool known = socket >= 0 && socket < RAW_SOCKETS;
    if (known && socket != open) flush(e, fds[open]);  // first what came first: a flow stays in order
    if (known) open = socket;
    if (known) addRaw(e, fds[socket], row, socket == RAW_HEADER_INCLUDED);
    else fail(e, row, EINVAL);
  }
  flush(e, fds[open]);
}

}  // namespace culvert
