// Egress, second half: the send list -> messages.
//
// How a UDP batch leaves: sends are chained by (socket, remote), in order: a flow has one socket, so nothing of it is
// overtaken. Along each chain neighbours of equal size, TOS and TTL (segments of superpackets, plain frames alike) are put
// behind each other into one message with UDP_SEGMENT; a shorter one ends it. One sendmmsg per socket carries all.
// Payload is never copied here: iovecs point at arena slices, headers of segments at a scratch area.
#include <poll.h>

#include "address.h"
#include "checksum.h"
#include "egress.h"
#include "pending-error.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace culvert {

namespace {

constexpr int SEND_WAIT_MS = 10;  // for a full socket buffer, before a message is given up
constexpr uint32_t IPV4_HEADER = 20, IPV6_HEADER = 40;

// A send whose offsets were checked against the arena.
struct Checked {
  uint8_t* frame;
  uint32_t length;
  const uint8_t* header;
  uint32_t headerBytes;
};

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

void fail(Egress& e, int32_t row, int error) { e.send(row)[SEND_RESULT] = -error; }

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

// Sends what has gathered through one socket. A message that fails is settled with its error, the others still go.
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

bool full(const Egress& e) {
  return e.vectorCount + 2 > MAX_IOVECS || e.partCount + 1 > MAX_PARTS || e.headerBytes + HEADER_BYTES > HEADER_AREA;
}

Message* openMessage(Egress& e, int fd) {
  if (e.messageCount == MAX_MESSAGES || full(e)) flush(e, fd);
  const uint32_t index = e.messageCount++;
  msghdr& header = e.headers[index].msg_hdr;
  std::memset(&header, 0, sizeof header);
  header.msg_iov = e.vectors + e.vectorCount;
  Message& message = e.messages[index];
  message = Message{e.partCount, 0, 0, 0, 0, 0, 0, false, false};
  return &message;
}

void addPart(Egress& e, Message& message, int32_t row, uint32_t bytes) {
  if (message.parts > 0) {
    Part& last = e.parts[message.firstPart + message.parts - 1];
    if (last.row == row) {
      last.segments++;
      last.bytes += bytes;
      return;
    }
  }
  e.parts[e.partCount++] = Part{row, 1, static_cast<int32_t>(bytes)};
  message.parts++;
}

void addVector(Egress& e, const void* data, size_t bytes) {
  e.vectors[e.vectorCount++] = iovec{const_cast<void*>(data), bytes};
  e.headers[e.messageCount - 1].msg_hdr.msg_iovlen++;
}

void setName(Egress& e, int32_t remote) {
  const uint32_t index = e.messageCount - 1;
  const int32_t* row = e.remotes + remote * REMOTE_WORDS;
  sockaddr_in6& name = e.names[index];
  msghdr& header = e.headers[index].msg_hdr;
  header.msg_name = &name;
  header.msg_namelen = makeAddress(name, row[REMOTE_FAMILY], row + REMOTE_ADDRESS, row[REMOTE_PORT]);
  if (row[REMOTE_FAMILY] == 6) name.sin6_flowinfo = htonl(e.flowLabel);
}

// Control messages are written when a message is complete: only then is it known whether it is segmented.
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
  header.msg_control = length > 0 ? control : nullptr;
  header.msg_controllen = length;
}

// State while one key's chain is walked.
struct Walk {
  int fd;
  int32_t remote;
  bool v6;
  Message* message;  // open message of this key, or null
};

// Opens room for a datagram of `bytes` in the walk's message or a new one.
void place(Egress& e, Walk& walk, int32_t row, uint32_t bytes, bool alone) {
  Message* open = walk.message;
  const int32_t tos = e.send(row)[SEND_TOS], ttl = e.send(row)[SEND_TTL];
  const bool fits = open != nullptr && !alone && !open->closed && bytes <= open->segmentBytes && tos == open->tos &&
                    ttl == open->ttl && !full(e) && open->segments < MAX_UDP_SEGMENTS && open->bytes + bytes <= MAX_UDP_PAYLOAD;
  if (!fits) {
    if (open != nullptr) finishMessage(e);
    open = walk.message = openMessage(e, walk.fd);
    open->segmentBytes = bytes;
    open->tos = tos;
    open->ttl = ttl;
    open->v6 = walk.v6;
    open->closed = alone;
    setName(e, walk.remote);
  }
  if (bytes < open->segmentBytes) open->closed = true;
  open->segments++;
  open->bytes += bytes;
  addPart(e, *open, row, bytes);
}

// One segment in the open message: its headers, written into the header area, and its slice of the payload.
void addSegment(Egress& e, const Checked& c, const Segmenter& s, uint32_t index) {
  const uint32_t headers = c.headerBytes + s.payload;
  uint8_t* out = e.headerArea + e.headerBytes;
  e.headerBytes += (headers + 15) & ~15u;
  std::memcpy(out, c.header, c.headerBytes);
  writeSegmentHeader(s, index, out + c.headerBytes);
  addVector(e, out, headers);
  addVector(e, c.frame + segmentStart(s, index), segmentBytes(s, index));
}

// A whole frame in the open message, behind its encapsulation header.
void addFrame(Egress& e, const Checked& c) {
  if (c.header + c.headerBytes == c.frame) return addVector(e, c.header, c.headerBytes + c.length);
  addVector(e, c.header, c.headerBytes);
  addVector(e, c.frame, c.length);
}

void addSegments(Egress& e, Walk& walk, int32_t row, const Checked& c, const Segmenter& s, bool alone) {
  for (uint32_t i = 0; i < s.segments; i++) {
    place(e, walk, row, c.headerBytes + s.payload + segmentBytes(s, i), alone);
    addSegment(e, c, s, i);
  }
}

// Finishes or prepares checksums of a send's frame. 0 = whole frame, 1 = superpacket, else -errno.
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

void walkKey(Egress& e, int fd, const Key& key) {
  Walk walk{fd, key.remote, e.remotes[key.remote * REMOTE_WORDS + REMOTE_FAMILY] == 6, nullptr};
  for (int32_t row = key.first; row >= 0; row = e.nextRow[row]) {
    Checked c;
    Segmenter s;
    if (!check(e, row, c)) {
      fail(e, row, EINVAL);
      continue;
    }
    const int32_t flags = e.send(row)[SEND_FLAGS];
    const int kind = prepare(e.frame(e.send(row)[SEND_FRAME]), c, s, (flags & SEND_PARTIAL_CHECKSUM) != 0);
    const bool alone = (flags & SEND_NO_GSO) != 0;
    if (kind < 0) {
      fail(e, row, -kind);
    } else if (kind == 1) {
      addSegments(e, walk, row, c, s, alone);
    } else {
      place(e, walk, row, c.headerBytes + c.length, alone);
      addFrame(e, c);
    }
  }
  if (walk.message != nullptr) finishMessage(e);
}

// The key of (socket, remote), or -1; then `bucket` is where it belongs, KEY_BUCKETS when all of them are taken.
int32_t findKey(const Egress& e, int32_t socket, int32_t remote, uint32_t& bucket) {
  bucket = (static_cast<uint32_t>(remote) * 31u + static_cast<uint32_t>(socket) * 7u) % KEY_BUCKETS;
  for (uint32_t probes = 0; probes < KEY_BUCKETS; probes++, bucket = (bucket + 1) % KEY_BUCKETS) {
    const int32_t key = e.buckets[bucket];
    if (key < 0 || (e.keys[key].socket == socket && e.keys[key].remote == remote)) return key;
  }
  bucket = KEY_BUCKETS;
  return -1;
}

// A row that begins a key of its own. Without a bucket it stays alone; keys of one socket leave in order all the same.
void addKey(Egress& e, int32_t key, int32_t row, int32_t socket, int32_t remote, uint32_t bucket) {
  if (bucket < KEY_BUCKETS) e.buckets[bucket] = key;
  e.keys[key] = Key{socket, remote, row, row, -1};
  if (e.lastKey[socket] < 0) {
    e.firstKey[socket] = key;
  } else {
    e.keys[e.lastKey[socket]].nextOfSocket = key;
  }
  e.lastKey[socket] = key;
}

// Chains the rows by key and the keys by socket; rows with impossible fields are failed. Returns the number of keys.
int32_t chain(Egress& e, int32_t count, size_t sockets) {
  int32_t keys = 0;
  for (int32_t& bucket : e.buckets) bucket = -1;
  for (size_t i = 0; i < sockets; i++) e.firstKey[i] = e.lastKey[i] = -1;
  for (int32_t row = 0; row < count; row++) {
    int32_t* send = e.send(row);
    const int32_t socket = send[SEND_SOCKET], remote = send[SEND_REMOTE];
    send[SEND_RESULT] = send[SEND_BYTES] = send[SEND_PARTLY] = 0;
    e.nextRow[row] = -1;
    if (socket < 0 || static_cast<size_t>(socket) >= sockets || remote < 0 ||
        static_cast<size_t>(remote) >= e.remoteRows) {
      fail(e, row, EINVAL);
      continue;
    }
    uint32_t bucket;
    const int32_t key = findKey(e, socket, remote, bucket);
    if (key < 0) {
      addKey(e, keys++, row, socket, remote, bucket);
    } else {
      e.nextRow[e.keys[key].last] = row;
      e.keys[key].last = row;
    }
  }
  return keys;
}

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

void sendUdp(Egress& e, const int32_t* fds, size_t sockets, int32_t count, uint32_t flowLabel) {
  e.flowLabel = flowLabel;
  if (chain(e, count, sockets) == 0) return;
  for (size_t socket = 0; socket < sockets; socket++) {
    for (int32_t key = e.firstKey[socket]; key >= 0; key = e.keys[key].nextOfSocket) {
      walkKey(e, fds[socket], e.keys[key]);
    }
    flush(e, fds[socket]);
  }
}

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
