// Generated from include/abi.h by scripts/generate-abi.mjs; do not edit. Columns, flags and limits
// of the native boundary.

export const HEADROOM_BYTES = 64;
export const MAX_FRAME_BYTES = 65600;
export const EGRESS_ARENA_BYTES = 1048576;
export const SCRATCH_BYTES = 16384;
export const RECEIVE_SLOTS = 32;
export const RECEIVE_SLOT_BYTES = 65600;
export const RECEIVE_SLOT_STRIDE = 70080;
export const INGRESS_ARENA_BYTES = 2242560;
export const FRAME_WORDS = 16;
export const MAX_FRAMES = 256;
/** of the frame in the arena, bytes */
export const FRAME_OFFSET = 0;
/** bytes */
export const FRAME_LENGTH = 1;
/** FRAME_NEEDS_CHECKSUM */
export const FRAME_FLAGS = 2;
/** GSO_* */
export const FRAME_GSO_TYPE = 3;
/** payload bytes per segment */
export const FRAME_GSO_SIZE = 4;
/** from the start of the frame */
export const FRAME_CSUM_START = 5;
/** from FRAME_CSUM_START */
export const FRAME_CSUM_OFFSET = 6;
/** set by TypeScript for superpackets: start of the IP header in the frame */
export const FRAME_L3 = 7;
/** start of the TCP or UDP header */
export const FRAME_L4 = 8;
/** start of the payload */
export const FRAME_PAYLOAD = 9;
export const FRAME_NEEDS_CHECKSUM = 1;
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_TCPV6 = 4;
export const GSO_UDP_L4 = 5;
export const GSO_ECN = 128;
export const VNET_HEADER_BYTES = 10;
export const SEND_WORDS = 12;
export const MAX_SENDS = 2048;
/** row of the frame */
export const SEND_FRAME = 0;
/** row of the remote (UDP); unused by raw IPIP: the header names it */
export const SEND_REMOTE = 1;
/** index into the pool of sending sockets; raw IPIP: RAW_* */
export const SEND_SOCKET = 2;
/** arena offset of the encapsulation header */
export const SEND_HEADER = 3;
export const SEND_HEADER_BYTES = 4;
/** outer TOS or traffic class (UDP) */
export const SEND_TOS = 5;
/** SEND_NO_GSO, SEND_PARTIAL_CHECKSUM, SEND_FRAGMENTS */
export const SEND_FLAGS = 6;
/** out: segments sent, or -errno */
export const SEND_RESULT = 7;
/** out: bytes sent, encapsulation header included */
export const SEND_BYTES = 8;
/** outer TTL or hop limit (UDP); 0 = the socket's */
export const SEND_TTL = 9;
/** out: of a send that failed, segments that left all the same; SEND_BYTES are theirs */
export const SEND_PARTLY = 10;
/** one datagram per message, no UDP_SEGMENT */
export const SEND_NO_GSO = 1;
export const SEND_PARTIAL_CHECKSUM = 2;
/** exceeds its path: TypeScript's own mark, for counting */
export const SEND_FRAGMENTS = 4;
export const REMOTE_WORDS = 16;
/** 4 or 6 */
export const REMOTE_FAMILY = 2;
/** four words in host order, IPv4 in the last */
export const REMOTE_ADDRESS = 3;
export const REMOTE_PORT = 7;
export const RUN_WORDS = 24;
/** RECEIVE_SLOTS messages of at most 128 segments (UDP_MAX_SEGMENTS) */
export const MAX_RUNS = 4096;
/** of the first segment in the arena: encapsulation header first */
export const RUN_OFFSET = 0;
/** of the whole run, bytes */
export const RUN_LENGTH = 1;
/** of each segment; the last may be shorter */
export const RUN_SEGMENT_BYTES = 2;
export const RUN_SEGMENTS = 3;
/** 4 or 6 */
export const RUN_FAMILY = 4;
/** outer source: four words in host order, IPv4-mapped */
export const RUN_ADDRESS = 5;
/** outer source port */
export const RUN_PORT = 9;
/** outer TOS or traffic class */
export const RUN_TOS = 10;
/** RUN_* */
export const RUN_FLAGS = 11;
/** of a merged frame: from the kernel, or set by TypeScript; 0 = none known */
export const RUN_GSO_SIZE = 12;
/** set by TypeScript: device to write to, or -1 = dropped */
export const RUN_DEVICE = 13;
/** set by TypeScript: encapsulation bytes in front of each frame */
export const RUN_STRIP = 14;
/** out: segments that entered the device */
export const RUN_WRITTEN = 15;
/** out: segments dropped */
export const RUN_BAD_CHECKSUM = 16;
/** out: segments dropped */
export const RUN_MALFORMED = 17;
/** out: segments the device refused */
export const RUN_DEVICE_ERRORS = 18;
/** out: the last reason it gave */
export const RUN_DEVICE_ERRNO = 19;
/** out: frame bytes that entered the device, as they were on the wire */
export const RUN_BYTES = 20;
/** out: writes it took, superpackets counted once */
export const RUN_WRITES = 21;
/** the message was longer than a slot */
export const RUN_TRUNCATED = 1;
/** set by TypeScript: mark the inner header Congestion Experienced (RFC 6040) */
export const RUN_SET_CE = 2;
/** IFF_TUN */
export const DEVICE_TUN = 1;
/** IFF_TAP */
export const DEVICE_TAP = 2;
/** TUN_F_* (linux/if_tun.h) */
export const OFFLOAD_CHECKSUM = 1;
export const OFFLOAD_TSO4 = 2;
export const OFFLOAD_TSO6 = 4;
export const OFFLOAD_TSO_ECN = 8;
export const OFFLOAD_USO4 = 32;
export const OFFLOAD_USO6 = 64;
export const SOCKET_REUSE_PORT = 1;
/** UDP_GRO */
export const SOCKET_GRO = 2;
/** a filter discards whatever arrives */
export const SOCKET_SEND_ONLY = 4;
/** outer UDP checksum zero (SO_NO_CHECK, UDP_NO_CHECK6_TX); rules out UDP_SEGMENT */
export const SOCKET_NO_CHECKSUM = 8;
/** IP_MTU_DISCOVER DO: the DF bit; IPv6: this host does not fragment */
export const SOCKET_DONT_FRAGMENT = 16;
/** IP_RECVERR: ICMP errors wait in a queue (socketErrors) */
export const SOCKET_ERRORS = 32;
/** IPv6: label 0 where none is given, instead of one by flow */
export const SOCKET_NO_FLOW_LABEL = 64;
/** UDP_NO_CHECK6_RX: IPv6 datagrams without checksum are taken */
export const SOCKET_ZERO_CHECKSUM_RX = 128;
export const SOCKET_HEADER_INCLUDED = 256;
/** in one pool of sending sockets */
export const MAX_SOCKETS = 64;
export const RAW_HEADER_INCLUDED = 0;
/** protocol 4 */
export const RAW_FRAGMENTS_IPV4 = 1;
/** protocol 41 */
export const RAW_FRAGMENTS_IPV6 = 2;
export const RAW_SOCKETS = 3;
export const MAX_UDP_SEGMENTS = 64;
/** 65,535 less IPv6 and UDP headers */
export const MAX_UDP_PAYLOAD = 65487;
/** offload features of a device; Linux has some 60 */
export const MAX_FEATURES = 1024;
export const ERROR_WORDS = 16;
/** taken in one call; the rest waits */
export const MAX_ERRORS = 32;
/** kept of what an error quotes: no router quotes more of IPv4 */
export const QUOTE_BYTES = 576;
/** EMSGSIZE, ECONNREFUSED, EHOSTUNREACH ... */
export const ERROR_ERRNO = 0;
/** of the ICMP message; -1: this host said it */
export const ERROR_TYPE = 1;
export const ERROR_CODE = 2;
/** EMSGSIZE: what would fit, bytes */
export const ERROR_MTU = 3;
/** 4 or 6 */
export const ERROR_FAMILY = 4;
/** the datagram's destination: four words in host order, IPv4-mapped */
export const ERROR_ADDRESS = 5;
export const ERROR_PORT = 9;
/** of the VXLAN header that was quoted; -1: none was */
export const ERROR_VNI = 10;
export const ERROR_QUOTED = 11;
/** whose message it is, as ERROR_ADDRESS; all zero: not known */
export const ERROR_OFFENDER = 12;
export const MAX_READY = 64;
export const READY_WAITED_US = 128;
export const READY_WORDS = 129;
/** EPOLLIN */
export const POLL_IN = 1;
/** EPOLLERR */
export const POLL_ERROR = 8;
