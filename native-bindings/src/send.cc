// Egress, second half: the send list -> UDP messages.
//
// How a UDP batch leaves: sends are chained by (socket, remote), in order: a flow has one socket, so nothing of it is
// overtaken. Along each chain neighbours of equal size, TOS and TTL (segments of superpackets, plain frames alike) are put
// behind each other into one message with UDP_SEGMENT; a shorter one ends it. One sendmmsg per socket carries all.
#include "address.h"
#include "messages.h"

namespace culvert {

namespace {

void setName(Egress& e, int32_t remote) {
  const uint32_t index = e.messageCount - 1;
  const int32_t* row = e.remotes + remote * REMOTE_WORDS;
  sockaddr_in6& name = e.names[index];
  msghdr& header = e.headers[index].msg_hdr;
  header.msg_name = &name;
  header.msg_namelen = makeAddress(name, row[REMOTE_FAMILY], row + REMOTE_ADDRESS, row[REMOTE_PORT]);
  if (row[REMOTE_FAMILY] == 6) name.sin6_flowinfo = htonl(e.flowLabel);
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

void addSegments(Egress& e, Walk& walk, int32_t row, const Checked& c, const Segmenter& s, bool alone) {
  for (uint32_t i = 0; i < s.segments; i++) {
    place(e, walk, row, c.headerBytes + s.payload + segmentBytes(s, i), alone);
    addSegment(e, c, s, i);
  }
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

}  // namespace culvert
