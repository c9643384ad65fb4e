// State shared by receiving (ingress.cc) and writing (coalesce.cc).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "../include/abi.h"
#include "arrays.h"
#include "inner.h"

namespace culvert {

constexpr uint32_t MAX_ITEMS = 64;      // superpackets under construction in one write
constexpr uint32_t MAX_NODES = 4096;    // segments gathered in them
constexpr uint32_t FLOW_BUCKETS = 256;
constexpr uint32_t MAX_ITEM_SEGMENTS = 128;
constexpr uint32_t RECEIVE_CONTROL_BYTES = 128;

// A payload slice of a superpacket under construction.
struct Node {
  const uint8_t* data;
  uint32_t bytes;
  int32_t next;
};

// A frame to write: its first segment's headers, and the payload of those that were joined to it.
struct Item {
  uint8_t* frame;        // first segment, headers and payload
  Inner inner;
  uint32_t frameBytes;   // of the first segment
  uint32_t segmentBytes; // payload of each segment but the last
  uint32_t payloadBytes; // of all segments
  uint32_t segments;
  uint32_t nextSequence; // TCP: what the next segment must begin with
  uint32_t gsoSize;      // of a frame that arrived merged; 0 = an ordinary segment
  int32_t firstNode, lastNode;
  int32_t row;           // run it is accounted to
  bool open;             // more may be joined
  bool partial;          // the transport checksum is still to be made
  bool push;             // the last segment had PSH
};

struct Ingress {
  static constexpr uint32_t TAG = 0x696e6772;
  uint32_t tag = TAG;
  PinnedArray pins[2];
  uint8_t* arena;
  size_t arenaBytes;
  int32_t* runs;

  mmsghdr headers[RECEIVE_SLOTS];
  iovec slots[RECEIVE_SLOTS];
  sockaddr_in6 names[RECEIVE_SLOTS];
  alignas(8) uint8_t control[RECEIVE_SLOTS][RECEIVE_CONTROL_BYTES];

  Item items[MAX_ITEMS];
  Node nodes[MAX_NODES];
  int32_t buckets[FLOW_BUCKETS];  // item that last saw a flow, or -1
  iovec vectors[MAX_ITEM_SEGMENTS + 2];
  uint32_t itemCount, nodeCount;

  int32_t* run(int32_t row) { return runs + row * RUN_WORDS; }
};

}  // namespace culvert
