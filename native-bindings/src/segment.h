// Segmentation: what a NIC does for TSO and USO. A superpacket becomes headers, one per segment, patched copies of the
// first; payload bytes stay where they are. Returns sizes; sends nothing.
#pragma once

#include <cstdint>

namespace culvert {

// The longest headers, Ethernet to transport, that a superpacket may have.
constexpr uint32_t MAX_SEGMENT_HEADER_BYTES = 256;

struct Segmenter {
  const uint8_t* frame;
  uint32_t length;
  uint32_t l3, l4, payload;  // offsets in the frame
  uint32_t segmentPayload;   // payload bytes of each segment but the last
  uint32_t segments;
  bool v6, tcp;
  bool partial;              // set by the caller: segments keep the pseudo header's sum, somebody else adds the rest
  uint64_t ipSum;            // of the IPv4 header less length, identification and checksum
  uint64_t pseudoSum;        // of the pseudo header less the length
  uint64_t l4Sum;            // of pseudo header and transport header less what changes per segment
};

/** Prepares segmentation; false when the offsets contradict the frame (nothing is read outside it). */
bool prepareSegments(Segmenter& s, const uint8_t* frame, uint32_t length, uint32_t l3, uint32_t l4, uint32_t payload,
                     uint32_t gsoType, uint32_t gsoSize);

/** Where segment `index` takes its payload from, bytes into the frame, and how much. */
inline uint32_t segmentStart(const Segmenter& s, uint32_t index) { return s.payload + index * s.segmentPayload; }
inline uint32_t segmentBytes(const Segmenter& s, uint32_t index) {
  const uint32_t left = s.length - segmentStart(s, index);
  return left < s.segmentPayload ? left : s.segmentPayload;
}

/** Writes the inner headers (`s.payload` bytes) of segment `index`, lengths, sequence, flags and checksums right. */
void writeSegmentHeader(const Segmenter& s, uint32_t index, uint8_t* out);

/** Finishes the checksum that a frame left to the device; false when the fields contradict its length. */
bool finishChecksum(uint8_t* frame, uint32_t length, uint32_t start, uint32_t offset);

}  // namespace culvert
