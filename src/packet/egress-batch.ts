// One batch on its way from a device to the underlay: the arena that holds the frames, one row per
// frame, and the send list (which frame goes where, behind which header). Rows and columns are
// those of native-bindings/include/abi.h. Made once per worker and used again for every batch;
// nothing here allocates after construction or does I/O.

import {
  EGRESS_ARENA_BYTES,
  FRAME_GSO_SIZE,
  FRAME_LENGTH,
  FRAME_PAYLOAD,
  FRAME_WORDS,
  MAX_FRAMES,
  MAX_SENDS,
  SCRATCH_BYTES,
  SEND_BYTES,
  SEND_FLAGS,
  SEND_FRAME,
  SEND_HEADER,
  SEND_HEADER_BYTES,
  SEND_PARTLY,
  SEND_REMOTE,
  SEND_RESULT,
  SEND_SOCKET,
  SEND_TOS,
  SEND_TTL,
  SEND_WORDS,
} from "#abi";

export class EgressBatch {
  readonly arena = new Uint8Array(EGRESS_ARENA_BYTES);
  readonly frames = new Int32Array(MAX_FRAMES * FRAME_WORDS);
  readonly sends = new Int32Array(MAX_SENDS * SEND_WORDS);
  /** Frames of the current batch. */
  frameCount = 0;
  /** Rows of the send list that are in use. */
  sendCount = 0;
  #scratch = 0;

  /** Forgets sends and scratch of the previous batch. */
  beginSends(): void {
    this.sendCount = 0;
    this.#scratch = 0;
  }

  /**
   * Arena offset of `bytes` free bytes that stay as written until `beginSends`, or -1 when there
   * are none left.
   */
  allocateScratch(bytes: number): number {
    const at = this.#scratch;
    if (at + bytes > SCRATCH_BYTES) return -1;
    this.#scratch = at + bytes;
    return at;
  }

  /** Gives back what `allocateScratch` returned as `at`, and everything allocated after it. */
  releaseScratch(at: number): void {
    this.#scratch = at;
  }

  /**
   * Adds a send. The header lies at arena offset `header`; native code sends it and the frame
   * behind it.
   * @param tos outer TOS or traffic class
   * @param flags SEND_NO_GSO, SEND_PARTIAL_CHECKSUM
   * @param ttl outer TTL or hop limit; 0: the route's
   * @returns false when the list is full
   */
  addSend(
    frame: number,
    remote: number,
    socket: number,
    header: number,
    headerBytes: number,
    tos: number,
    flags: number,
    ttl = 0,
  ): boolean {
    if (this.sendCount === MAX_SENDS) return false;
    const at = this.sendCount * SEND_WORDS;
    const sends = this.sends;
    sends[at + SEND_FRAME] = frame;
    sends[at + SEND_REMOTE] = remote;
    sends[at + SEND_SOCKET] = socket;
    sends[at + SEND_HEADER] = header;
    sends[at + SEND_HEADER_BYTES] = headerBytes;
    sends[at + SEND_TOS] = tos;
    sends[at + SEND_FLAGS] = flags;
    sends[at + SEND_TTL] = ttl;
    sends[at + SEND_RESULT] = 0;
    sends[at + SEND_BYTES] = 0;
    sends[at + SEND_PARTLY] = 0;
    this.sendCount++;
    return true;
  }

  /**
   * Packets that a frame becomes on the wire: the segments of a superpacket whose headers were
   * located, else 1.
   */
  wirePackets(frame: number): number {
    const row = frame * FRAME_WORDS;
    const segment_bytes = this.frames[row + FRAME_GSO_SIZE];
    const payload = this.frames[row + FRAME_PAYLOAD];
    if (segment_bytes === 0 || payload === 0) return 1;
    return Math.max(1, Math.ceil((this.frames[row + FRAME_LENGTH] - payload) / segment_bytes));
  }

  /** Bytes of the longest frame on the wire that a frame stands for. */
  longestFrame_bytes(frame: number): number {
    const row = frame * FRAME_WORDS;
    const length = this.frames[row + FRAME_LENGTH];
    const segment_bytes = this.frames[row + FRAME_GSO_SIZE];
    const payload = this.frames[row + FRAME_PAYLOAD];
    return segment_bytes === 0 || payload === 0
      ? length
      : Math.min(length, payload + segment_bytes);
  }

  /**
   * Moves a row of the send list towards its start, for a second try with only those that failed.
   */
  moveSend(from: number, to: number): void {
    this.sends.copyWithin(to * SEND_WORDS, from * SEND_WORDS, (from + 1) * SEND_WORDS);
  }
}
