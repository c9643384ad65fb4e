// One IPIP data plane of a soak, in a random mode with random options and routes; and what must be
// true of its counts.

import type { IpipErrors } from "../../../src/forwarding/ipip-errors.js";
import { isIpv4 } from "../../../src/wire/ip-address.js";
import { ip } from "../../unit/forwarding/frames.js";
import {
  type IpipOptions,
  type IpipSide,
  MemoryHost,
  NOW_S,
} from "../../unit/forwarding/memory-host.js";
import type { Random } from "./random.js";
import { SoakDevice } from "./soak-device.js";
import { type SoakEnds, SoakErrors, SoakRawNetwork } from "./soak-raw-network.js";
import { dropsOf, equal, type SoakTotals } from "./soak-totals.js";

const MAX_REMOTES = 64;
const ENDS: readonly SoakEnds[] = [
  { family: 4, local: "10.57.4.20", peers: ["10.57.4.21", "10.57.4.22", "198.51.100.7"] },
  { family: 6, local: "fd57::20", peers: ["fd57::21", "fd57::22", "2001:db8::7"] },
];
const CARRIED = [
  { carries4: true, carries6: false },
  { carries4: false, carries6: true },
  { carries4: true, carries6: true },
];

function drawOptions(random: Random, { family, local, peers }: SoakEnds): IpipOptions {
  return {
    ...{ family, ...random.pick(CARRIED) },
    local: family === 4 && random.oneIn(3) ? "0.0.0.0" : local,
    ...(random.oneIn(3) ? { remote: peers[0]! } : {}),
    ttl: random.pick([0, 64]),
    tos: random.pick([-1, 0, 0xb8]),
    pmtudisc: random.oneIn(2),
    allow: random.oneIn(3) ? "any" : "known",
    mtu_bytes: random.pick([1480, 9000]),
    underlayMtu_bytes: random.pick([1500, 1400, 9000]),
  };
}

export class SoakIpipHost {
  readonly #device: SoakDevice;
  readonly #network: SoakRawNetwork;
  readonly #host: MemoryHost;
  readonly #random: Random;
  readonly #errors: { reader: IpipErrors; queue: SoakErrors }[];

  constructor(random: Random) {
    const ends = random.pick(ENDS);
    const addresses = [...ends.peers, ends.local, "192.0.2.1", "ff02::1"].map(ip);
    this.#random = random;
    this.#device = new SoakDevice(0, random, "tun");
    this.#network = new SoakRawNetwork(random, ends, addresses);
    this.#host = new MemoryHost(this.#network, ends.local, MAX_REMOTES);
    const side = this.#host.ipip({ ...drawOptions(random, ends), device: this.#device });
    this.#addRoutes(side, ends);
    const { carries4, carries6 } = side.tunnel;
    const protocols = [...(carries4 ? [4] : []), ...(carries6 ? [41] : [])];
    this.#errors = protocols.map((protocol) => ({
      reader: this.#host.ipipErrors(side, protocol),
      queue: new SoakErrors(random, ends, protocol, addresses),
    }));
  }

  #addRoutes(side: IpipSide, { peers }: SoakEnds): void {
    const hops = peers.map((peer) => ({ remote: this.#host.remote(0, peer, 0, 0), weight: 1 }));
    const draw = () => this.#random.pick([hops, hops.slice(0, 1), [], undefined]);
    const prefixes = [
      "0.0.0.0/0",
      "192.168.11.0/24",
      "10.57.4.0/24",
      "::/0",
      "fd00::/64",
      "2002::/16",
    ];
    for (const text of prefixes) {
      if (this.#random.oneIn(3)) continue;
      const [address, length] = text.split("/") as [string, string];
      const prefix = ip(address);
      const family = isIpv4(prefix) ? 4 : 6;
      side.routes.set({ prefix: { ip: prefix, family, length: Number(length) }, hops: draw() });
    }
  }

  run(frames: number): void {
    const random = this.#random;
    let left = frames;
    for (let now_s = NOW_S; left > 0; now_s += random.below(2)) {
      const some = Math.min(left, 1 + random.below(400));
      left -= some;
      this.#device.pending = some;
      for (const receiver of this.#network.receivers) receiver.pending = some;
      for (const { reader, queue } of this.#errors) {
        queue.pending = random.below(20);
        reader.drain(queue, now_s);
      }
      this.#host.pump(now_s);
      this.#device.settle();
    }
  }

  /** Adds what was counted to the totals; throws where the sums do not meet. */
  account(totals: SoakTotals): void {
    const device = this.#device;
    const network = this.#network;
    const { counters } = this.#host;
    const { fields } = counters.tunnel(0);
    const egressDrops = dropsOf(counters, "egress", totals);
    const ingressDrops = dropsOf(counters, "ingress", totals);
    const given = network.receivers.reduce((sum, receiver) => sum + receiver.given, 0);
    equal("egress packets", fields.egressPackets, network.packetsSent);
    const left = fields.egressPackets - network.sentTwice;
    equal("packets in = sent + dropped", device.packetsRead, left + egressDrops);
    equal("ingress packets", fields.ingressPackets, device.segmentsWritten);
    // What the device refuses of our own answers is counted as device-error, an ingress drop.
    const arrived = fields.ingressPackets + ingressDrops - device.refusedErrors;
    equal("packets from the underlay = written + dropped", given, arrived);
    equal("ICMP errors", device.answersWritten, fields.icmpErrors);
    totals.frames += device.framesRead;
    totals.datagrams += given;
    totals.egressPackets += device.packetsRead;
    totals.ingressPackets += given;
    totals.sent += network.packetsSent;
    totals.written += device.segmentsWritten;
    totals.icmpErrors += fields.icmpErrors;
    totals.hosts++;
  }
}
