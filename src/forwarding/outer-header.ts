// What the outer headers of a frame shall say: traffic class, TTL, DF, which sending socket (that
// is, which source port), who finishes the inner checksum. Decided once per frame, the same for
// every remote it goes to. The rules are those of ip-link(8) for `type vxlan`.

import type { EgressBatch } from "../packet/egress-batch.js";
import { flowHash } from "../wire/flow-hash.js";
import { ipv4DontFragment, ipv4Tos, ipv4Ttl } from "../wire/ipv4.js";
import { ipv6HopLimit, ipv6TrafficClass } from "../wire/ipv6.js";
import { LOCATE_L3, LOCATE_VERSION } from "../wire/locate.js";
import { ECN_MASK } from "./ecn.js";
import { NO_REMOTE_CHECKSUM, remoteChecksum } from "./vxlan-header.js";
import { DF_INHERIT, DF_SET, type VxlanSettings } from "./vxlan-tunnel.js";

const INHERIT = -1;

export class OuterHeader {
  /** TOS or traffic class. */
  tos = 0;
  /** TTL or hop limit; 0: the route's. */
  ttl = 0;
  /** Will whoever meets a smaller MTU drop it instead of fragmenting it? */
  dontFragment = false;
  /** Index into the sending sockets. */
  socket = 0;
  /** What the VXLAN header says of a checksum that the peer finishes, or NO_REMOTE_CHECKSUM. */
  rco = NO_REMOTE_CHECKSUM;
  /** The longest frame on the wire that the frame stands for. */
  frame_bytes = 0;
  readonly #tos: number;
  readonly #ttl: number;
  readonly #df: number;
  readonly #remoteChecksum: boolean;
  readonly #socketCount: number;

  /** @param socketCount sockets to choose from by flow hash, a power of two */
  constructor({ tos, ttl, df, remcsumTx }: VxlanSettings, socketCount: number) {
    this.#tos = tos;
    this.#ttl = ttl;
    this.#df = df;
    this.#remoteChecksum = remcsumTx;
    this.#socketCount = socketCount;
  }

  /** Fills the fields in for the frame at `at`, whose headers were located. Hot. */
  decide(batch: EgressBatch, frame: number, at: number, located: Int32Array): void {
    const { arena, frames } = batch;
    const l3 = located[LOCATE_L3];
    let innerTos = 0;
    let innerTtl = 0; // what is not IP has none: the route's
    let innerDf = false;
    switch (located[LOCATE_VERSION]) {
      case 4:
        innerTos = ipv4Tos(arena, l3);
        innerTtl = ipv4Ttl(arena, l3);
        innerDf = ipv4DontFragment(arena, l3);
        break;
      case 6:
        innerTos = ipv6TrafficClass(arena, l3);
        innerTtl = ipv6HopLimit(arena, l3);
        innerDf = true; // no router fragments it [RFC 8200 § 5]
    }
    // ECN is copied, whatever becomes of DSCP [RFC 6040 § 4.1].
    this.tos = this.#tos === INHERIT ? innerTos : this.#tos | (innerTos & ECN_MASK);
    this.ttl = this.#ttl === INHERIT ? innerTtl : this.#ttl;
    this.dontFragment = this.#df === DF_SET || (this.#df === DF_INHERIT && innerDf);
    this.socket = flowHash(arena, at, located) & (this.#socketCount - 1);
    if (this.#df === DF_INHERIT && innerDf) this.socket += this.#socketCount;
    this.rco = this.#remoteChecksum ? remoteChecksum(frames, frame) : NO_REMOTE_CHECKSUM;
    this.frame_bytes = batch.longestFrame_bytes(frame);
  }
}
