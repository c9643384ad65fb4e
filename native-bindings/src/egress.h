// State shared by reading frames (egress.cc) and sending them (send.cc): a batch's arrays, and the messages under
// construction. Limits: MAX_MESSAGES, MAX_IOVECS, MAX_PARTS and HEADER_AREA bound one flush; a batch that needs more
// flushes earlier.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "../include/abi.h"
#include "arrays.h"
#include "segment.h"

namespace culvert {

constexpr uint32_t MAX_MESSAGES = 256;
constexpr uint32_t MAX_IOVECS = 4096;
constexpr uint32_t MAX_PARTS = 4096;
constexpr uint32_t HEADER_BYTES = HEADROOM_BYTES + MAX_SEGMENT_HEADER_BYTES;  // of one segment
constexpr uint32_t HEADER_AREA = 1024 * HEADER_BYTES;
constexpr uint32_t KEY_BUCKETS = 512;
constexpr uint32_t CONTROL_BYTES =
    CMSG_SPACE(sizeof(uint16_t)) + 2 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(in_pktinfo));

// One key: sends that leave in their order, as a chain of rows. Neighbours in it may share a message.
struct Key {
  int32_t socket, remote;
  int32_t first, last;   // rows
  int32_t nextOfSocket;  // key
};

// What one send contributed to one message.
struct Part {
  int32_t row;
  int32_t segments;
  int32_t bytes;
};

struct Message {
  uint32_t firstPart, parts;
  uint32_t segmentBytes, segments, bytes;
  int32_t tos, ttl;
  bool v6;
  bool closed;
  /** IPv4, network order; 0: the socket's, or the route's. */
  uint32_t source;
};

struct Egress {
  static constexpr uint32_t TAG = 0x65677265;
  uint32_t tag = TAG;
  PinnedArray pins[4];
  uint8_t* arena;
  size_t arenaBytes;
  int32_t* frames;
  int32_t* sends;
  const int32_t* remotes;
  size_t remoteRows;

  mmsghdr headers[MAX_MESSAGES];
  Message messages[MAX_MESSAGES];
  sockaddr_in6 names[MAX_MESSAGES];
  alignas(8) uint8_t control[MAX_MESSAGES][CONTROL_BYTES];
  iovec vectors[MAX_IOVECS];
  Part parts[MAX_PARTS];
  uint8_t headerArea[HEADER_AREA];
  uint32_t flowLabel;  // of the batch, IPv6 only; 0 = the socket's way
  uint32_t messageCount, vectorCount, partCount, headerBytes;

  Key keys[MAX_SENDS];
  int32_t nextRow[MAX_SENDS];
  int32_t buckets[KEY_BUCKETS];  // key, or -1
  int32_t firstKey[MAX_SOCKETS], lastKey[MAX_SOCKETS];

  int32_t* send(int32_t row) { return sends + row * SEND_WORDS; }
  int32_t* frame(int32_t row) { return frames + row * FRAME_WORDS; }
};

/**
 * Sends rows 0..count by UDP through `sockets` descriptors; per-row results stand in the send list. `flowLabel`: of
 * IPv6 datagrams, 0 = as the socket chooses.
 */
void sendUdp(Egress& e, const int32_t* fds, size_t sockets, int32_t count, uint32_t flowLabel);

/**
 * Sends rows 0..count through the raw sockets `fds` (RAW_*), one packet per message; per-row results stand in the send
 * list.
 */
void sendRaw(Egress& e, const int32_t* fds, int32_t count);

}  // namespace culvert
