// Messages under construction, for send.cc (UDP) and send-raw.cc: sends become parts of messages, whose iovecs point at
// arena slices and at headers of segments in a scratch area; payload is never copied. What is sent where is the caller's
// decision.
#pragma once

#include <cerrno>
#include <cstring>

#include "egress.h"

namespace culvert {

// A send whose offsets were checked against the arena.
struct Checked {
  uint8_t* frame;
  uint32_t length;
  const uint8_t* header;
  uint32_t headerBytes;
};

/** Checks a row's offsets against the arena. */
bool check(Egress& e, int32_t row, Checked& out);

/**
 * Finishes or prepares checksums of a send's frame: 0 = whole frame, 1 = superpacket, else -errno. `partial`: the peer
 * finishes them.
 */
int prepare(int32_t* frame, const Checked& c, Segmenter& s, bool partial);

/** Sends what has gathered through one socket; a message that fails is settled with its error, the others still go. */
void flush(Egress& e, int fd);

/** Opens a message; flushes through `fd` first when there is no room. */
Message* openMessage(Egress& e, int fd);

/** Writes the control messages of the last message, when it is complete: only then is it known whether it is segmented. */
void finishMessage(Egress& e);

inline void fail(Egress& e, int32_t row, int error) { e.send(row)[SEND_RESULT] = -error; }

inline bool full(const Egress& e) {
  return e.vectorCount + 2 > MAX_IOVECS || e.partCount + 1 > MAX_PARTS || e.headerBytes + HEADER_BYTES > HEADER_AREA;
}

inline void addPart(Egress& e, Message& message, int32_t row, uint32_t bytes) {
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

inline void addVector(Egress& e, const void* data, size_t bytes) {
  e.vectors[e.vectorCount++] = iovec{const_cast<void*>(data), bytes};
  e.headers[e.messageCount - 1].msg_hdr.msg_iovlen++;
}

// One segment in the open message: its headers, written into the header area, and its slice of the payload.
inline void addSegment(Egress& e, const Checked& c, const Segmenter& s, uint32_t index) {
  const uint32_t headers = c.headerBytes + s.payload;
  uint8_t* out = e.headerArea + e.headerBytes;
  e.headerBytes += (headers + 15) & ~15u;
  std::memcpy(out, c.header, c.headerBytes);
  writeSegmentHeader(s, index, out + c.headerBytes);
  addVector(e, out, headers);
  addVector(e, c.frame + segmentStart(s, index), segmentBytes(s, index));
}

// A whole frame in the open message, behind its encapsulation header.
inline void addFrame(Egress& e, const Checked& c) {
  if (c.header + c.headerBytes == c.frame) return addVector(e, c.header, c.headerBytes + c.length);
  addVector(e, c.header, c.headerBytes);
  addVector(e, c.frame, c.length);
}

}  // namespace culvert
