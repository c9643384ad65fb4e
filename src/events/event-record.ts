// What a worker tells the main thread of, and how it lies in a record of a ring. Numbers only: what
// becomes of an event (log, notification, monitor) is the daemon's.

/** A MAC is new in an FDB. Record: MAC, remote. */
export const EVENT_LEARNED = 0;
/** A learned MAC sits behind another remote now. Record: MAC, remote, old remote. */
export const EVENT_MOVED = 1;
/** No FDB entry and no flood list for a destination MAC (kernel: `l2miss`). Record: MAC. */
export const EVENT_L2MISS = 2;
/** The ARP/ND proxy knows no neighbour of this address (kernel: `l3miss`). Record: address. */
export const EVENT_L3MISS = 3;
/**
 * Something from the underlay was refused. Record: drop reason, count, and who it came from:
 * address, or remote and inner source MAC.
 */
export const EVENT_REFUSED = 4;
export const EVENT_KINDS = 5;

/** Bit of a kind in a mask of wanted kinds. */
export const eventBit = (kind: number): number => 1 << kind;

/** Int32 words of a record: one cache line. */
export const EVENT_WORDS = 16;
export const EVENT_KIND = 0;
export const EVENT_TUNNEL = 1;
export const EVENT_MAC_HI = 2;
/** Signed bits. */
export const EVENT_MAC_LO = 3;
/** Row of the remote table; -1: the address words say who. */
export const EVENT_REMOTE = 4;
export const EVENT_OLD_REMOTE = 5;
/** First of four address words, most significant first, signed bits; IPv4 as IPv4-mapped. */
export const EVENT_ADDRESS = 6;
/** `id` of a DropReason. */
export const EVENT_REASON = 10;
/** Packets that this record stands for. */
export const EVENT_COUNT = 11;
/** Packets of the same kind and reason that went unreported since the last record of it. */
export const EVENT_UNREPORTED = 12;
