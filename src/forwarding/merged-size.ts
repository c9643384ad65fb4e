// The size of the segments that a merged TCP packet is to be cut into.
//
// The kernel's GRO joins TCP segments of a flow before a raw socket sees them, and a peer on the
// same machine sends superpackets that nothing ever cut. Both come as one packet of up to 64 KiB
// whose checksum is only the pseudo-header sum, and the size of the segments is not told. Cut
// longer than the sender made them they may be too big for a link behind us, and nothing would
// help: a router's "too big" goes to a sender whose segments fit already, and it sends them again,
// to be merged again. So each flow is watched:
//
// - A segment that arrives alone, its checksum complete, is as its sender made it. Without PSH it
//   is one of many, so it is full-sized: *proof*. The largest proof of the last two seconds that
//   had any is the size: it can grow at once, and shrinks (the sender learned of a smaller path
//   MTU) within two seconds. With PSH it may be the rest of a message and can only raise the size.
// - Where every checksum is left to an offload (the peer on the same machine), one packet may be a
//   segment or two merged ones: a *hint*. It counts while there is no proof, and of hints the
//   smallest is taken.
// - Nothing is forgotten by time alone: a flow that comes merged for minutes has sent nothing to
//   learn from. If the size is too large all the same, what is lost is repeated by the sender one
//   segment at a time, and that is a proof.
// - Without either the tunnel's MTU decides, and it is always the upper bound.
//
// Direct-mapped by flow hash, one per worker: flows that meet in a slot take it from each other
// and are then cut by the MTU. Hot: no allocation.

/** Flows that are remembered at once. */
export const MERGED_FLOWS = 4096;
/** No sender's full segment is smaller; what is, would cost more packets than it could save. */
export const MIN_SEGMENT_BYTES = 256;

/** Words of a slot. */
const SLOT_WORDS = 4;
const FLOW = 0;
/** Second of the current generation; negative (~second): of hints. */
const SECOND = 1;
const CURRENT = 2;
const PREVIOUS = 3;

export class MergedSizes {
  readonly #slots = new Int32Array(MERGED_FLOWS * SLOT_WORDS);

  /**
   * A segment arrived alone, its checksum complete.
   * @param flow hash of the inner flow, 31 bits
   * @param pushed it has PSH: maybe the end of a message
   */
  proof(flow: number, payload_bytes: number, pushed: boolean, now_s: number): void {
    if (payload_bytes < MIN_SEGMENT_BYTES) return;
    const slots = this.#slots;
    const at = slotOf(flow);
    if (pushed) {
      const known = slots[at + FLOW] === flow && slots[at + SECOND] >= 0;
      if (known && slots[at + CURRENT] > 0 && payload_bytes > this.size(flow)) {
        slots[at + CURRENT] = payload_bytes;
      }
      return;
    }
    if (slots[at + FLOW] !== flow || slots[at + SECOND] < 0) {
      return this.#begin(at, flow, now_s, payload_bytes);
    }
    this.#turn(at, slots[at + SECOND], now_s, now_s);
    if (payload_bytes > slots[at + CURRENT]) slots[at + CURRENT] = payload_bytes;
  }

  /** A packet without PSH fits the tunnel and has a checksum that an offload was to complete. */
  hint(flow: number, payload_bytes: number, now_s: number): void {
    if (payload_bytes < MIN_SEGMENT_BYTES) return;
    const slots = this.#slots;
    const at = slotOf(flow);
    if (slots[at + FLOW] !== flow || slots[at + CURRENT] === 0) {
      return this.#begin(at, flow, ~now_s, payload_bytes);
    }
    if (slots[at + SECOND] >= 0) return;
    this.#turn(at, ~slots[at + SECOND], now_s, ~now_s);
    const current = slots[at + CURRENT];
    if (current === 0 || payload_bytes < current) slots[at + CURRENT] = payload_bytes;
  }

  /** @returns payload bytes of the flow's segments, 0: not known */
  size(flow: number): number {
    const slots = this.#slots;
    const at = slotOf(flow);
    if (slots[at + FLOW] !== flow) return 0;
    const current = slots[at + CURRENT];
    const previous = slots[at + PREVIOUS];
    if (previous === 0) return current;
    return slots[at + SECOND] >= 0 ? Math.max(current, previous) : Math.min(current, previous);
  }

  #begin(at: number, flow: number, second: number, payload_bytes: number): void {
    const slots = this.#slots;
    slots[at + FLOW] = flow;
    slots[at + SECOND] = second;
    slots[at + CURRENT] = payload_bytes;
    slots[at + PREVIOUS] = 0;
  }

  /** Begins a generation when the second is over; `stored` is how the new one is written down. */
  #turn(at: number, second: number, now_s: number, stored: number): void {
    if (second === now_s) return;
    const slots = this.#slots;
    slots[at + PREVIOUS] = now_s - second === 1 ? slots[at + CURRENT] : 0;
    slots[at + CURRENT] = 0;
    slots[at + SECOND] = stored;
  }
}

function slotOf(flow: number): number {
  return (flow & (MERGED_FLOWS - 1)) * SLOT_WORDS;
}
