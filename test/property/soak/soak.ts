// A soak: whole data planes (the classes that workers run) on a device and a network that give
// random and damaged input and fail at random, with every option drawn anew now and then; VXLAN
// ones here and IPIP ones (soak-ipip.ts) in turn. Throws when something is not counted, or counted
// twice. The same seed does the same again.

import { FDB_PERMANENT, FDB_STATIC } from "../../../src/fdb/fdb.js";
import { DF_INHERIT, DF_SET, DF_UNSET } from "../../../src/forwarding/vxlan-tunnel.js";
import { NEIGH_PERMANENT, NEIGH_ROUTER } from "../../../src/neigh/neigh.js";
import { ip, MAC_A, MAC_B, mac } from "../../unit/forwarding/frames.js";
import {
  HOST_A,
  MemoryHost,
  NOW_S,
  PORT,
  type VxlanOptions,
} from "../../unit/forwarding/memory-host.js";
import type { Random as RandomNumbers } from "./random.js";
import { Random } from "./random.js";
import { SoakDevice, SoakError } from "./soak-device.js";
import { SoakIpipHost } from "./soak-ipip.js";
import { SoakNetwork } from "./soak-network.js";
import { dropsOf, equal, type SoakTotals } from "./soak-totals.js";

export type { SoakTotals } from "./soak-totals.js";

const PEERS = Array.from({ length: 24 }, (_, i) => `10.57.4.${21 + i}`);
/** Frames each way with one set of options. */
const PER_HOST = 3000;
const MAX_REMOTES = 64;
/** Members of the flood list: none, one, some that get copies at once, many that are queued. */
const MEMBERS = [0, 1, 4, 20];

export interface SoakOptions {
  readonly seed: number;
  /** Frames from the device, and as many datagrams from the underlay. */
  readonly frames: number;
  /** Called after each host. */
  readonly onProgress?: (totals: SoakTotals) => void;
}

function drawOptions(random: RandomNumbers): VxlanOptions {
  const flag = (): boolean => random.oneIn(2);
  return {
    learning: !random.oneIn(4),
    proxy: flag(),
    strictReserved: flag(),
    dropInnerVlan: random.oneIn(4),
    rsc: flag(),
    l2miss: flag(),
    l3miss: flag(),
    remcsumTx: flag(),
    remcsumRx: flag(),
    gbpId: random.oneIn(3) ? random.below(65_536) : -1,
    gbpAllow: random.oneIn(3) ? [0, 1, random.below(65_536)] : undefined,
    ttl: random.pick([0, -1, 64]),
    tos: random.pick([0, -1, 0xb8]),
    df: random.pick([DF_UNSET, DF_SET, DF_INHERIT]),
    bumLimit_pps: random.oneIn(3) ? 1 + random.below(1000) : 0,
    maxMacsPerRemote: random.oneIn(3) ? 1 + random.below(10) : 0,
    maxEntries: 16 + random.below(500),
    allow: random.oneIn(3) ? "any" : "known",
    sockets: random.pick([1, 4, 16]),
    udpSegment: flag(),
    mtu_bytes: random.pick([1450, 9000]),
    pathMtu_bytes: random.pick([1450, 1400]),
  };
}

/** One data plane with random options, tables and members of the flood list. */
class SoakHost {
  readonly device: SoakDevice;
  readonly network: SoakNetwork;
  readonly #host: MemoryHost;
  readonly #random: RandomNumbers;
  readonly #members: number;

  constructor(random: RandomNumbers) {
    this.#random = random;
    this.device = new SoakDevice(0, random);
    const sources = [...PEERS.slice(0, 6), "10.57.4.200", "192.0.2.1"].map(ip);
    this.network = new SoakNetwork(random, sources);
    this.#host = new MemoryHost(this.network, HOST_A, MAX_REMOTES);
    const { tunnel } = this.#host.vxlan({ ...drawOptions(random), device: this.device });
    this.#members = random.pick(MEMBERS);
    for (const peer of PEERS.slice(0, this.#members)) {
      const vni = random.oneIn(3) ? 101 : 100;
      tunnel.flood.append(this.#host.remote(0, peer, PORT, vni));
    }
    const { hi, lo } = mac(MAC_B);
    const flags = random.pick([FDB_PERMANENT, FDB_STATIC]);
    tunnel.fdb.add(hi, lo, this.#host.remote(0, random.pick(PEERS)), flags, 0);
    if (random.oneIn(3)) {
      const known = mac(MAC_A);
      tunnel.fdb.add(known.hi, known.lo, this.#host.remote(0, PEERS[0]), FDB_STATIC, 0);
    }
    for (const text of ["192.168.11.10", "fd00::b"]) {
      const { w0, w1, w2, w3 } = ip(text);
      const router = random.oneIn(2) ? NEIGH_ROUTER : 0;
      const neighbour = { hi, lo, flags: NEIGH_PERMANENT | router };
      tunnel.neigh.add({ address: [w0, w1, w2, w3], ...neighbour });
    }
  }

  run(frames: number): void {
    const random = this.#random;
    let left = frames;
    for (let now_s = NOW_S; left > 0; now_s += random.below(2)) {
      const some = Math.min(left, 1 + random.below(400));
      left -= some;
      this.device.pending = some;
      this.network.receiver.pending = some;
      this.#host.pump(now_s);
      this.device.settle();
    }
  }

  /** Adds what was counted to the totals; throws where the sums do not meet. */
  account(totals: SoakTotals): void {
    const { device, network } = this;
    const { fields } = this.#host.counters.tunnel(0);
    const egressDrops = dropsOf(this.#host.counters, "egress", totals);
    const ingressDrops = dropsOf(this.#host.counters, "ingress", totals);
    const answered = fields.arpReplies + fields.ndReplies;
    const gone = network.receiver.segmentsGiven;
    // What the device refuses of our own answers is counted as device-error, an ingress drop.
    const questions = answered + device.refusedNeighbourAnswers;
    const refused = device.refusedNeighbourAnswers + device.refusedErrors;
    equal("egress packets", fields.egressPackets, network.packetsSent);
    this.#accountEgress(fields.egressPackets + questions + egressDrops);
    equal("ingress packets", fields.ingressPackets, device.segmentsWritten);
    const arrived = fields.ingressPackets + ingressDrops - refused;
    equal("segments in = written + dropped", gone, arrived);
    equal("answers and ICMP errors", device.answersWritten, answered + fields.icmpErrors);
    totals.frames += device.framesRead;
    totals.datagrams += device.framesRead;
    totals.egressPackets += device.packetsRead;
    totals.ingressPackets += gone;
    totals.sent += network.packetsSent;
    totals.written += device.segmentsWritten;
    totals.answered += answered;
    totals.hosts++;
  }

  /**
   * Frames in = sent + answered + dropped, each once; of a frame that was flooded there are as many
   * copies as the list has members.
   */
  #accountEgress(outcomes: number): void {
    const copies = outcomes - this.device.packetsRead;
    const each = this.#members - 1;
    const meets = each > 0 ? copies >= 0 && copies % each === 0 : copies === 0;
    if (meets) return;
    const sums = `${outcomes} outcomes of ${this.device.packetsRead} packets`;
    throw new SoakError(`frames in = sent + answered + dropped: ${sums}, ${this.#members} members`);
  }
}

/** Runs it to the end. Throws SoakError, or what forwarding threw, with the seed in the message. */
export function soak({ seed, frames, onProgress }: SoakOptions): SoakTotals {
  const totals: SoakTotals = {
    ...{ frames: 0, datagrams: 0, egressPackets: 0, ingressPackets: 0 },
    ...{ sent: 0, written: 0, answered: 0, icmpErrors: 0, drops: {}, hosts: 0 },
  };
  const random = new Random(seed);
  try {
    while (totals.frames < frames) {
      const host = totals.hosts % 2 === 0 ? new SoakHost(random) : new SoakIpipHost(random);
      host.run(Math.min(PER_HOST, frames - totals.frames));
      host.account(totals);
      onProgress?.(totals);
    }
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`seed ${seed}, host ${totals.hosts}: ${message}`, { cause });
  }
  return totals;
}
