// Builds and sends messages; see messages.h.
#include "messages.h"

#include <poll.h>

#include "checksum.h"
#include "pending-error.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace culvert {

namespace {

constexpr int SEND_WAIT_MS = 10;  // for a full socket buffer, before a message is given up

void settle(Egress& e, const Message& message, int error) {
  for (uint32_t i = 0; i < message.parts; i++) {
    const Part& part = e.parts[message.firstPart + i];
    int32_t* send = e.send(part.row);
    if (error != 0) {
      if (send[SEND_RESULT] > 0) send[SEND_PARTLY] = send[SEND_RESULT];
      send[SEND_RESULT] = -error;
    } else {
      send[send[SEND_RESULT] < 0 ? SEND_PARTLY : SEND_RESULT] += part.segments;
      send[SEND_BYTES] += part.bytes;
    }
  }
}

}  // namespace

void flush(Egress& e, int fd) {
  uint32_t done = 0;
  int tries = 0;
  bool waited = false;
  while (done < e.messageCount) {
    const int sent = sendmmsg(fd, e.headers + done, e.messageCount - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      for (int i = 0; i < sent; i++) settle(e, e.messages[done + i], 0);
      done += sent;
      tries = 0;
      continue;
    }
    if (errno == EINTR) continue;
    if (isIcmpError(errno) && ++tries < SEND_TRIES) continue;
    if (errno == EAGAIN && !waited) {
      pollfd writable{fd, POLLOUT, 0};
      waited = true;  // once per flush: a worker never hangs on one socket
      if (poll(&writable, 1, SEND_WAIT_MS) > 0) continue;
      errno = EAGAIN;
    }
    settle(e, e.messages[done], errno);
    done++;
    tries = 0;
  }
  e.messageCount = e.vectorCount = e.partCount = e.headerBytes = 0;
}

bool check(Egress& e, int32_t row, Checked& out) {
  const int32_t* send = e.send(row);
  if (send[SEND_FRAME] < 0 || send[SEND_FRAME] >= MAX_FRAMES) return false;
  const int32_t* frame = e.frame(send[SEND_FRAME]);
  const int64_t offset = frame[FRAME_OFFSET], length = frame[FRAME_LENGTH];
  const int64_t header = send[SEND_HEADER], headerBytes = send[SEND_HEADER_BYTES];
  if (offset < 0 || length <= 0 || offset + length > static_cast<int64_t>(e.arenaBytes)) return false;
  if (header < 0 || headerBytes < 0 || headerBytes > HEADROOM_BYTES ||
      header + headerBytes > static_cast<int64_t>(e.arenaBytes)) {
    return false;
  }
  out = Checked{e.arena + offset, static_cast<uint32_t>(length), e.arena + header, static_cast<uint32_t>(headerBytes)};
  return true;
}

int prepare(int32_t* frame, const Checked& c, Segmenter& s, bool partial) {
  const uint32_t type = static_cast<uint32_t>(frame[FRAME_GSO_TYPE]);
  if (type != GSO_NONE) {
    const bool ok = prepareSegments(s, c.frame, c.length, frame[FRAME_L3], frame[FRAME_L4], frame[FRAME_PAYLOAD], type,
                                    frame[FRAME_GSO_SIZE]);
    s.partial = partial;
    return ok ? 1 : -EINVAL;
  }
  if (!partial && (frame[FRAME_FLAGS] & FRAME_NEEDS_CHECKSUM) != 0) {
    if (!finishChecksum(c.frame, c.length, frame[FRAME_CSUM_START], frame[FRAME_CSUM_OFFSET])) return -EINVAL;
    frame[FRAME_FLAGS] &= ~FRAME_NEEDS_CHECKSUM;  // the same frame may be sent to several remotes
  }
  return 0;
}

Message* openMessage(Egress& e, int fd) {
  if (e.messageCount == MAX_MESSAGES || full(e)) flush(e, fd);
  const uint32_t index = e.messageCount++;
  msghdr& header = e.headers[index].msg_hdr;
  std::memset(&header, 0, sizeof header);
  header.msg_iov = e.vectors + e.vectorCount;
  Message& message = e.messages[index];
  message = Message{e.partCount, 0, 0, 0, 0, 0, 0, false, false, 0};
  return &message;
}

void finishMessage(Egress& e) {
  if (e.messageCount == 0) return;
  const uint32_t index = e.messageCount - 1;
  const Message& message = e.messages[index];
  msghdr& header = e.headers[index].msg_hdr;
  uint8_t* control = e.control[index];
  uint32_t length = 0;
  const auto add = [&](int level, int type, const void* value, uint32_t bytes) {
    cmsghdr* cmsg = reinterpret_cast<cmsghdr*>(control + length);
    cmsg->cmsg_level = level;
    cmsg->cmsg_type = type;
    cmsg->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(cmsg), value, bytes);
    length += CMSG_SPACE(bytes);
  };
  if (message.segments > 1) {
    const uint16_t segment = static_cast<uint16_t>(message.segmentBytes);
    add(IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
  }
  if (message.tos != 0) {
    add(message.v6 ? IPPROTO_IPV6 : IPPROTO_IP, message.v6 ? IPV6_TCLASS : IP_TOS, &message.tos, sizeof(int));
  }
  if (message.ttl != 0) {
    add(message.v6 ? IPPROTO_IPV6 : IPPROTO_IP, message.v6 ? IPV6_HOPLIMIT : IP_TTL, &message.ttl, sizeof(int));
  }
  if (message.source != 0) {
    in_pktinfo info{};
    info.ipi_spec_dst.s_addr = message.source;
    add(IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  }
  header.msg_control = length > 0 ? control : nullptr;
  header.msg_controllen = length;
}

}  // namespace culvert
