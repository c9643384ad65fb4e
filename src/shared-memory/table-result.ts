// Results of control operations on tables: numbers, because operating a full table is not
// exceptional. The control resources turn them into errors for people.

/** Done. */
export const TABLE_OK = 0;
/** The key is there already (EEXIST of `bridge fdb add`). */
export const TABLE_EXISTS = 1;
/** No such key (ENOENT of `bridge fdb del`). */
export const TABLE_NOT_FOUND = 2;
/** The table's limit is reached (ENOSPC of `maxaddress`). */
export const TABLE_FULL = 3;
/** The key itself is impossible, such as a prefix with host bits set (EINVAL of `ip route add`). */
export const TABLE_INVALID = 4;

export type TableResult =
  | typeof TABLE_OK
  | typeof TABLE_EXISTS
  | typeof TABLE_NOT_FOUND
  | typeof TABLE_FULL
  | typeof TABLE_INVALID;
