// Every size limit of the shared tables. A limit here bounds memory that is reserved at start or on
// tunnel creation; pages that are never touched cost address space only.

/** Tunnels of one daemon; a tunnel index is 0..MAX_TUNNELS-1. */
export const MAX_TUNNELS = 4096;
/** Rows of the remote table, for all tunnels together. */
export const MAX_REMOTES = 16_384;
/** Remotes that one BUM frame is replicated to. */
export const MAX_FLOOD_REMOTES = 1024;
/** Flood lists of a tunnel: the all-zero MAC's, and one for each multicast MAC with an entry. */
export const MAX_FLOOD_LISTS = 1024;
/** Members of all flood lists of a tunnel together. */
export const MAX_FLOOD_MEMBERS = 16_384;
/** Upper bound of `max_entries` of any one hash table (FDB, neigh, routes). */
export const MAX_TABLE_ENTRIES = 1 << 21;
