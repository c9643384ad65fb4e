// Flood lists of one VXLAN tunnel: the remotes of its all-zero entry (list 0, head-end
// replication) and of its multicast MACs (a list each; the FDB entry holds its number). What an
// entry is, and who may change it, is not known here.
//
// Theory of operation. Two copies of [start and count of every list, members of all lists side by
// side] and a version whose lowest bit says which copy is current. A writer, under the lock, fills
// the other copy and then raises the version: readers are never kept waiting, not even by a writer
// that died in the middle. A reader whose copy was overwritten sees another version and reads anew.
// Workers keep a FloodSnapshot of their own and take another only when `version()` differs.
// A list without members is free. Free numbers are given out in turn, so that a number which a
// reader took just before its list was freed most likely still means an empty list.
import { MAX_FLOOD_LISTS, MAX_FLOOD_MEMBERS, MAX_FLOOD_REMOTES } from "../shared-memory/limits.js";
import {
  TABLE_EXISTS,
  TABLE_FULL,
  TABLE_NOT_FOUND,
  TABLE_OK,
  type TableResult,
} from "../shared-memory/table-result.js";
import { LOCK_WORDS, WriterLock } from "../shared-memory/writer-lock.js";

/** The list of the all-zero MAC: broadcast, unknown unicast, multicast without an entry. */
export const DEFAULT_LIST = 0;

const VERSION = LOCK_WORDS;
const COPIES = LOCK_WORDS + 1;
/** Of a list: where its members begin, and how many they are. */
const LIST_WORDS = 2;
/** In front of each copy: lists up to the last one in use, members of all lists. */
const LISTS_USED = 0;
const MEMBERS_USED = 1;
const COPY_HEADER_WORDS = 2;
const MEMBERS = COPY_HEADER_WORDS + MAX_FLOOD_LISTS * LIST_WORDS;
const COPY_WORDS = MEMBERS + MAX_FLOOD_MEMBERS;
const WORDS = COPIES + 2 * COPY_WORDS;

export interface FloodListsState {
  readonly words: SharedArrayBuffer;
}

/** All lists as they were at one instant; one thread's own. Grows with them, never per packet. */
export class FloodSnapshot {
  #lists = new Int32Array(LIST_WORDS);
  #members = new Int32Array(0);
  #used = 0;
  #version = -1;

  /** Rows of the remote table; those of a list lie from `first` on, `count` of them. */
  get members(): Int32Array {
    return this.#members;
  }

  /** Takes over what has changed since the last time. Hot; almost always a single load. */
  refresh(lists: FloodLists): void {
    if (lists.version() !== this.#version) this.#version = lists.copyTo(this);
  }

  /** Hot. @returns where a list begins in `members` */
  first(list: number): number {
    return list < this.#used ? this.#lists[list * LIST_WORDS] : 0;
  }

  /** Hot. @returns members of a list; 0 for a list that is not in use */
  count(list: number): number {
    return list < this.#used ? this.#lists[list * LIST_WORDS + 1] : 0;
  }

  /** For FloodLists: makes room and copies. The words may be torn; then it is called again. */
  take(words: Int32Array, copy: number): void {
    const used = Math.min(words[copy + LISTS_USED], MAX_FLOOD_LISTS);
    const members = Math.min(words[copy + MEMBERS_USED], MAX_FLOOD_MEMBERS);
    this.#lists = grown(this.#lists, used * LIST_WORDS);
    this.#members = grown(this.#members, members);
    const lists = copy + COPY_HEADER_WORDS;
    for (let i = 0; i < used * LIST_WORDS; i++) this.#lists[i] = words[lists + i];
    for (let i = 0; i < members; i++) this.#members[i] = words[copy + MEMBERS + i];
    this.#used = used;
  }
}

/** An array for at least `length` words; the same one while they fit. */
function grown(array: Int32Array, length: number): Int32Array<ArrayBuffer> {
  if (length <= array.length) return array as Int32Array<ArrayBuffer>;
  return new Int32Array(Math.max(length, 2 * array.length));
}

export class FloodLists {
  readonly #words: Int32Array;
  readonly #lock: WriterLock;
  readonly #fence = new Int32Array(new SharedArrayBuffer(4));
  /** List after which the search for a free one goes on; the writer's own. */
  #lastAllocated = DEFAULT_LIST;

  private constructor(words: SharedArrayBuffer) {
    this.#words = new Int32Array(words);
    this.#lock = new WriterLock(this.#words);
  }

  static create(): FloodLists {
    return new FloodLists(new SharedArrayBuffer(WORDS * 4));
  }

  static attach(state: FloodListsState): FloodLists {
    return new FloodLists(state.words);
  }

  sharedState(): FloodListsState {
    return { words: this.#words.buffer as SharedArrayBuffer };
  }

  /** Differs after every change. Hot. */
  version(): number {
    return Atomics.load(this.#words, VERSION);
  }

  /** Copies every list as it was at one instant. @returns the version of that instant */
  copyTo(snapshot: FloodSnapshot): number {
    const words = this.#words;
    // Not bounded by a constant: each further turn means that a writer completed a change of the
    // lists meanwhile.
    for (;;) {
      const version = Atomics.load(words, VERSION);
      snapshot.take(words, copyAt(version));
      Atomics.add(this.#fence, 0, 0);
      if (words[VERSION] === version) return version;
    }
  }

  /**
   * A number for a new list, which is in use from its first `append` on. For one control thread.
   * @returns -1 if all are in use
   */
  allocate(): number {
    for (let step = 1; step < MAX_FLOOD_LISTS; step++) {
      const list = 1 + ((this.#lastAllocated - 1 + step) % (MAX_FLOOD_LISTS - 1));
      if (this.#countOf(list) > 0) continue;
      this.#lastAllocated = list;
      return list;
    }
    return -1;
  }

  /** Adds a remote at the end of a list. */
  append(remote: number, list = DEFAULT_LIST): TableResult {
    this.#lock.lock();
    try {
      const remotes = this.list(list);
      if (remotes.includes(remote)) return TABLE_EXISTS;
      const all = this.#words[this.#current() + MEMBERS_USED];
      if (remotes.length >= MAX_FLOOD_REMOTES || all >= MAX_FLOOD_MEMBERS) return TABLE_FULL;
      this.#publish(list, [...remotes, remote]);
      return TABLE_OK;
    } finally {
      this.#lock.unlock();
    }
  }

  /** Takes a remote out of a list; with the last one the list is free. */
  remove(remote: number, list = DEFAULT_LIST): TableResult {
    this.#lock.lock();
    try {
      const remotes = this.list(list);
      if (!remotes.includes(remote)) return TABLE_NOT_FOUND;
      this.#publish(
        list,
        remotes.filter((other) => other !== remote),
      );
      return TABLE_OK;
    } finally {
      this.#lock.unlock();
    }
  }

  /** Takes every remote out of a list. */
  clear(list: number): void {
    this.#lock.lock();
    try {
      if (this.#countOf(list) > 0) this.#publish(list, []);
    } finally {
      this.#lock.unlock();
    }
  }

  /** The remotes of a list, in the order in which they were appended; the writer's thread only. */
  list(list = DEFAULT_LIST): number[] {
    const copy = this.#current();
    const count = this.#countOf(list);
    if (count === 0) return [];
    const from = copy + MEMBERS + this.#words[copy + COPY_HEADER_WORDS + list * LIST_WORDS];
    return Array.from(this.#words.subarray(from, from + count));
  }

  #current(): number {
    return copyAt(Atomics.load(this.#words, VERSION));
  }

  #countOf(list: number): number {
    const copy = this.#current();
    if (list >= this.#words[copy + LISTS_USED]) return 0;
    return this.#words[copy + COPY_HEADER_WORDS + list * LIST_WORDS + 1];
  }

  /** Fills the other copy with all lists, `list` having `remotes`, and makes it the current one. */
  #publish(list: number, remotes: readonly number[]): void {
    const words = this.#words;
    const version = words[VERSION];
    const from = copyAt(version);
    const to = copyAt(version + 1);
    // The stores below are plain; none of them may come before the last change of the version.
    Atomics.add(this.#fence, 0, 0);
    let used = 0;
    let members = 0;
    for (let i = 0; i < Math.max(words[from + LISTS_USED], list + 1); i++) {
      const old = from + COPY_HEADER_WORDS + i * LIST_WORDS;
      const changed = i === list;
      const count = changed ? remotes.length : i < words[from + LISTS_USED] ? words[old + 1] : 0;
      const at = to + MEMBERS + members;
      if (changed) words.set(remotes, at);
      else words.copyWithin(at, from + MEMBERS + words[old], from + MEMBERS + words[old] + count);
      words[to + COPY_HEADER_WORDS + i * LIST_WORDS] = members;
      words[to + COPY_HEADER_WORDS + i * LIST_WORDS + 1] = count;
      members += count;
      if (count > 0) used = i + 1;
    }
    words[to + LISTS_USED] = used;
    words[to + MEMBERS_USED] = members;
    Atomics.store(words, VERSION, (version + 1) | 0);
  }
}

function copyAt(version: number): number {
  return COPIES + (version & 1) * COPY_WORDS;
}
