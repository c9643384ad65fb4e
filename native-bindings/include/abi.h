// The boundary between TypeScript and native code: rows of 32-bit words in typed arrays, their columns, flags and
// limits. The one source of truth: scripts/generate-abi.mjs turns every `constexpr int32_t` below into
// native-bindings/abi.ts, and a test fails when the two differ. Values are literals.
#pragma once

#include <cstdint>

namespace culvert {

// ---- Memory -----------------------------------------------------------------------------------------------------
// Egress arena: one slab, filled front to back by a batch, so that small packets stay dense in cache and a batch
// ends when the slab is full. In front of each frame lies headroom for the encapsulation header.
constexpr int32_t HEADROOM_BYTES = 64;
// Largest frame a device gives: 64 KiB of IP packet, Ethernet and two VLAN tags.
constexpr int32_t MAX_FRAME_BYTES = 65600;
constexpr int32_t EGRESS_ARENA_BYTES = 1048576;
// Start of the egress arena that no frame uses: headers for flood members whose VNI differs, replies made here.
constexpr int32_t SCRATCH_BYTES = 16384;
// Ingress arena: one slot per message of a receive. 64 KiB each, because receive offload merges; the stride is no
// power of two, so that slots do not share cache sets.
constexpr int32_t RECEIVE_SLOTS = 32;
constexpr int32_t RECEIVE_SLOT_BYTES = 65600;
constexpr int32_t RECEIVE_SLOT_STRIDE = 70080;
constexpr int32_t INGRESS_ARENA_BYTES = 2242560;

// ---- Egress: frames read from a device, then the list of what to send where ---------------------------------------
constexpr int32_t FRAME_WORDS = 16;
constexpr int32_t MAX_FRAMES = 256;
constexpr int32_t FRAME_OFFSET = 0;       // of the frame in the arena, bytes
constexpr int32_t FRAME_LENGTH = 1;       // bytes
constexpr int32_t FRAME_FLAGS = 2;        // FRAME_NEEDS_CHECKSUM
constexpr int32_t FRAME_GSO_TYPE = 3;     // GSO_*
constexpr int32_t FRAME_GSO_SIZE = 4;     // payload bytes per segment
constexpr int32_t FRAME_CSUM_START = 5;   // from the start of the frame
constexpr int32_t FRAME_CSUM_OFFSET = 6;  // from FRAME_CSUM_START
constexpr int32_t FRAME_L3 = 7;           // set by TypeScript for superpackets: start of the IP header in the frame
constexpr int32_t FRAME_L4 = 8;           // start of the TCP or UDP header
constexpr int32_t FRAME_PAYLOAD = 9;      // start of the payload

constexpr int32_t FRAME_NEEDS_CHECKSUM = 1;

// virtio_net_hdr gso_type (linux/virtio_net.h)
constexpr int32_t GSO_NONE = 0;
constexpr int32_t GSO_TCPV4 = 1;
constexpr int32_t GSO_TCPV6 = 4;
constexpr int32_t GSO_UDP_L4 = 5;
constexpr int32_t GSO_ECN = 128;
constexpr int32_t VNET_HEADER_BYTES = 10;

constexpr int32_t SEND_WORDS = 12;
constexpr int32_t MAX_SENDS = 2048;
constexpr int32_t SEND_FRAME = 0;         // row of the frame
constexpr int32_t SEND_REMOTE = 1;        // row of the remote (UDP); unused by raw IPIP: the header names it
constexpr int32_t SEND_SOCKET = 2;        // index into the pool of sending sockets; raw IPIP: RAW_*
constexpr int32_t SEND_HEADER = 3;        // arena offset of the encapsulation header
constexpr int32_t SEND_HEADER_BYTES = 4;
constexpr int32_t SEND_TOS = 5;           // outer TOS or traffic class (UDP)
constexpr int32_t SEND_FLAGS = 6;         // SEND_NO_GSO, SEND_PARTIAL_CHECKSUM, SEND_FRAGMENTS
constexpr int32_t SEND_RESULT = 7;        // out: segments sent, or -errno
constexpr int32_t SEND_BYTES = 8;         // out: bytes sent, encapsulation header included

constexpr int32_t SEND_TTL = 9;           // outer TTL or hop limit (UDP); 0 = the socket's
constexpr int32_t SEND_PARTLY = 10;       // out: of a send that failed, segments that left all the same; SEND_BYTES are theirs

constexpr int32_t SEND_NO_GSO = 1;        // one datagram per message, no UDP_SEGMENT
// The inner checksum stays the sum of the pseudo header, in every segment: the peer finishes it (remote checksum
// offload, which the header must say).
constexpr int32_t SEND_PARTIAL_CHECKSUM = 2;
constexpr int32_t SEND_FRAGMENTS = 4;     // exceeds its path: TypeScript's own mark, for counting

// ---- Remotes: rows that native code reads to address a datagram (src/remotes keeps them) ---------------------------
constexpr int32_t REMOTE_WORDS = 16;
constexpr int32_t REMOTE_FAMILY = 2;      // 4 or 6
constexpr int32_t REMOTE_ADDRESS = 3;     // four words in host order, IPv4 in the last
constexpr int32_t REMOTE_PORT = 7;

// ---- Ingress: runs, stretches of segments of one received message that share header, MACs and flow -----------------
constexpr int32_t RUN_WORDS = 24;
constexpr int32_t MAX_RUNS = 4096;         // RECEIVE_SLOTS messages of at most 128 segments (UDP_MAX_SEGMENTS)
constexpr int32_t RUN_OFFSET = 0;         // of the first segment in the arena: encapsulation header first
constexpr int32_t RUN_LENGTH = 1;         // of the whole run, bytes
constexpr int32_t RUN_SEGMENT_BYTES = 2;  // of each segment; the last may be shorter
constexpr int32_t RUN_SEGMENTS = 3;
constexpr int32_t RUN_FAMILY = 4;         // 4 or 6
constexpr int32_t RUN_ADDRESS = 5;        // outer source: four words in host order, IPv4-mapped
constexpr int32_t RUN_PORT = 9;           // outer source port
constexpr int32_t RUN_TOS = 10;           // outer TOS or traffic class
constexpr int32_t RUN_FLAGS = 11;         // RUN_*
constexpr int32_t RUN_GSO_SIZE = 12;      // of a merged frame: from the kernel, or set by TypeScript; 0 = none known
constexpr int32_t RUN_DEVICE = 13;        // set by TypeScript: device to write to, or -1 = dropped
constexpr int32_t RUN_STRIP = 14;         // set by TypeScript: encapsulation bytes in front of each frame
constexpr int32_t RUN_WRITTEN = 15;       // out: segments that entered the device
constexpr int32_t RUN_BAD_CHECKSUM = 16;  // out: segments dropped
constexpr int32_t RUN_MALFORMED = 17;     // out: segments dropped
constexpr int32_t RUN_DEVICE_ERRORS = 18; // out: segments the device refused
constexpr int32_t RUN_DEVICE_ERRNO = 19;  // out: the last reason it gave
constexpr int32_t RUN_BYTES = 20;         // out: frame bytes that entered the device, as they were on the wire
constexpr int32_t RUN_WRITES = 21;        // out: writes it took, superpackets counted once

constexpr int32_t RUN_TRUNCATED = 1;      // the message was longer than a slot
constexpr int32_t RUN_SET_CE = 2;         // set by TypeScript: mark the inner header Congestion Experienced (RFC 6040)

// ---- Devices ------------------------------------------------------------------------------------------------------
constexpr int32_t DEVICE_TUN = 1;         // IFF_TUN
constexpr int32_t DEVICE_TAP = 2;         // IFF_TAP
constexpr int32_t OFFLOAD_CHECKSUM = 1;   // TUN_F_* (linux/if_tun.h)
constexpr int32_t OFFLOAD_TSO4 = 2;
constexpr int32_t OFFLOAD_TSO6 = 4;
constexpr int32_t OFFLOAD_TSO_ECN = 8;
constexpr int32_t OFFLOAD_USO4 = 32;
constexpr int32_t OFFLOAD_USO6 = 64;

// ---- Sockets ------------------------------------------------------------------------------------------------------
constexpr int32_t SOCKET_REUSE_PORT = 1;
constexpr int32_t SOCKET_GRO = 2;         // UDP_GRO
constexpr int32_t SOCKET_SEND_ONLY = 4;   // a filter discards whatever arrives
constexpr int32_t SOCKET_NO_CHECKSUM = 8; // outer UDP checksum zero (SO_NO_CHECK, UDP_NO_CHECK6_TX); rules out UDP_SEGMENT
constexpr int32_t SOCKET_DONT_FRAGMENT = 16;  // IP_MTU_DISCOVER DO: the DF bit; IPv6: this host does not fragment
constexpr int32_t SOCKET_ERRORS = 32;     // IP_RECVERR: ICMP errors wait in a queue (socketErrors)
constexpr int32_t SOCKET_NO_FLOW_LABEL = 64;  // IPv6: label 0 where none is given, instead of one by flow
constexpr int32_t SOCKET_ZERO_CHECKSUM_RX = 128;  // UDP_NO_CHECK6_RX: IPv6 datagrams without checksum are taken
// Raw, IP_HDRINCL: packets that are sent carry their outer header, and what ICMP errors quote begins with it.
constexpr int32_t SOCKET_HEADER_INCLUDED = 256;
constexpr int32_t MAX_SOCKETS = 64;       // in one pool of sending sockets
// The pool of a raw IPIP tunnel. A packet that brings its own header is never fragmented by this host; what must be
// leaves through a socket of its protocol, whose header the kernel writes from the fields of the one given.
constexpr int32_t RAW_HEADER_INCLUDED = 0;
constexpr int32_t RAW_FRAGMENTS_IPV4 = 1;  // protocol 4
constexpr int32_t RAW_FRAGMENTS_IPV6 = 2;  // protocol 41
constexpr int32_t RAW_SOCKETS = 3;
// UDP_MAX_SEGMENTS was 64 before Linux 6.9 (linux/udp.h).
constexpr int32_t MAX_UDP_SEGMENTS = 64;
constexpr int32_t MAX_UDP_PAYLOAD = 65487; // 65,535 less IPv6 and UDP headers

// ---- Devices (interfaceFeature) -------------------------------------------------------------------------------------
constexpr int32_t MAX_FEATURES = 1024;  // offload features of a device; Linux has some 60

// ---- Errors: what the network said of datagrams that a socket sent (socketErrors) -----------------------------------
constexpr int32_t ERROR_WORDS = 16;
constexpr int32_t MAX_ERRORS = 32;        // taken in one call; the rest waits
constexpr int32_t QUOTE_BYTES = 576;  // kept of what an error quotes: no router quotes more of IPv4
constexpr int32_t ERROR_ERRNO = 0;        // EMSGSIZE, ECONNREFUSED, EHOSTUNREACH ...
constexpr int32_t ERROR_TYPE = 1;         // of the ICMP message; -1: this host said it
constexpr int32_t ERROR_CODE = 2;
constexpr int32_t ERROR_MTU = 3;          // EMSGSIZE: what would fit, bytes
constexpr int32_t ERROR_FAMILY = 4;       // 4 or 6
constexpr int32_t ERROR_ADDRESS = 5;      // the datagram's destination: four words in host order, IPv4-mapped
constexpr int32_t ERROR_PORT = 9;
constexpr int32_t ERROR_VNI = 10;         // of the VXLAN header that was quoted; -1: none was
// Bytes of the quote: of a raw socket with SOCKET_HEADER_INCLUDED it begins with the outer header, else behind it.
constexpr int32_t ERROR_QUOTED = 11;
constexpr int32_t ERROR_OFFENDER = 12;    // whose message it is, as ERROR_ADDRESS; all zero: not known

// ---- Poll ---------------------------------------------------------------------------------------------------------
constexpr int32_t MAX_READY = 64;
// What pollWait fills in: (token, events) of each, then how long it waited.
constexpr int32_t READY_WAITED_US = 128;
constexpr int32_t READY_WORDS = 129;
constexpr int32_t POLL_IN = 1;            // EPOLLIN
constexpr int32_t POLL_ERROR = 8;         // EPOLLERR

}  // namespace culvert
