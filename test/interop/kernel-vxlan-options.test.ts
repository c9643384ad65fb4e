// Options of the outer packet that a kernel vxlan device has to agree to: remote checksum offload
// and IPv6 datagrams without UDP checksum. The kernel is the judge: it drops what it did not ask
// for, and it finishes the inner checksums, which the pods behind it verify.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cleanup } from "../../src/testbed/cleanup.js";
import { ping, pingUntilAnswered } from "../../src/testbed/ping.js";
import { type TwoHosts, underlayDevice } from "../../src/testbed/two-hosts.js";
import {
  addKernelVxlan,
  createDualStackHosts,
  type Family,
  left6,
  right6,
  startCulvertVxlan,
} from "./kernel-vxlan-peer.js";
import {
  Capture,
  dissect,
  type Path,
  transferDatagrams,
  transferTcp,
  unmetNeeds,
} from "./support.js";

const unmet = unmetNeeds({
  commands: [
    ["tshark", "--version"],
    ["ethtool", "--version"],
  ],
});
const transfer_bytes = 3_000_000;
/** The R flag of the draft in what tshark shows of the flags: the first 16 bits. */
const RCO_FLAG = 0x20;

let cleanup = new Cleanup();
beforeEach((context) => {
  cleanup = new Cleanup();
  if (unmet !== undefined) context.skip(unmet);
});
afterEach(() => cleanup.run());

/** culvert with `lines` on the left, the kernel's device with `options` on the right. */
async function join(
  offloads: "default" | "off",
  family: Family,
  options: readonly string[],
  lines: readonly string[],
): Promise<TwoHosts> {
  const hosts = createDualStackHosts(cleanup, offloads);
  addKernelVxlan(hosts, family, options);
  await startCulvertVxlan(hosts, cleanup, family, "", lines);
  return hosts;
}

const path4 = ({ left, right }: TwoHosts): Path => ({
  from: left.pod,
  to: right.pod,
  address: right.podIp,
});

const path6 = ({ left, right }: TwoHosts): Path => ({
  from: left.pod,
  to: right.pod,
  address: right6.podIp,
});

async function expectUnchanged(path: Path): Promise<void> {
  const { sent, received } = await transferTcp(path, transfer_bytes);
  expect(received).toEqual(sent);
  for (const plan of [
    { size_bytes: 1000, batch: 40, count: 400 },
    { size_bytes: 701, batch: 1, count: 100 },
  ]) {
    const datagrams = await transferDatagrams(path, plan);
    expect(datagrams.received).toEqual({ ...datagrams.sent, wrongSize: 0, damaged: 0 });
  }
}

describe("remcsum_tx towards a kernel device with remcsumrx", () => {
  it.each(["default", "off"] as const)("delivers every byte, %s offloads", async (offloads) => {
    const hosts = await join(offloads, 4, ["remcsumrx"], ["remcsum_tx: true"]);
    expect(await pingUntilAnswered(hosts.left.pod, hosts.right.podIp)).toBe(true);
    await expectUnchanged(path4(hosts));
    await expectUnchanged(path6(hosts));
  });

  it("leaves to the peer what has a partial checksum, and nothing else", async () => {
    const hosts = await join("off", 4, ["remcsumrx"], ["remcsum_tx: true"]);
    expect(await pingUntilAnswered(hosts.left.pod, hosts.right.podIp)).toBe(true);
    const filter = `udp dst port 4789 and src host ${hosts.left.underlayIp}`;
    const capture = await Capture.start(cleanup, hosts.right.host, underlayDevice, filter);
    await transferTcp(path4(hosts), 200_000);
    await ping({ from: hosts.left.pod, to: hosts.right.podIp, count: 3 });
    await capture.stop();
    const fields = ["vxlan.flags", "vxlan.reserved8"];
    const packets = dissect(capture.file, "vxlan and tcp.len > 0", fields);
    expect(packets.length).toBeGreaterThan(100);
    for (const packet of packets) {
      expect(Number(packet["vxlan.flags"]![0]) & RCO_FLAG).not.toBe(0);
      // TCP starts behind 14 bytes of Ethernet and 20 of IPv4; half of that, and no UDP bit.
      expect(Number(packet["vxlan.reserved8"]![0])).toBe(34 / 2);
    }
    const echoes = dissect(capture.file, "vxlan and icmp", ["vxlan.flags"]);
    expect(echoes.length).toBeGreaterThan(0);
    for (const packet of echoes) expect(Number(packet["vxlan.flags"]![0]) & RCO_FLAG).toBe(0);
  });

  it("is nothing for a kernel device that did not ask for it", async () => {
    const hosts = await join("off", 4, [], ["remcsum_tx: true"]);
    expect(await pingUntilAnswered(hosts.left.pod, hosts.right.podIp)).toBe(true); // no checksum left
    await expect(transferTcp(path4(hosts), 10_000, 3_000)).rejects.toThrow();
  });
});

describe("IPv6 without UDP checksum", () => {
  it("goes to a kernel device with udp6zerocsumrx and comes from one with udp6zerocsumtx", async () => {
    const words = ["udp6zerocsumrx", "udp6zerocsumtx"];
    const lines = ["udp6_zero_csum_tx: true", "udp6_zero_csum_rx: true"];
    const hosts = await join("off", 6, words, lines);
    expect(await pingUntilAnswered(hosts.left.pod, hosts.right.podIp)).toBe(true);
    const filter = "udp dst port 4789";
    const capture = await Capture.start(cleanup, hosts.right.host, underlayDevice, filter);
    await transferTcp(path4(hosts), 200_000);
    await capture.stop();
    const packets = dissect(capture.file, "vxlan", ["udp.checksum", "ipv6.src"]);
    const seen = packets.map((row) => `${row["ipv6.src"]![0]} ${Number(row["udp.checksum"]![0])}`);
    expect(new Set(seen)).toEqual(new Set([`${left6.underlayIp} 0`, `${right6.underlayIp} 0`]));
    await expectUnchanged(path4(hosts));
  });

  it("is dropped unless udp6_zero_csum_rx asks for it", async () => {
    const hosts = await join("off", 6, ["udp6zerocsumtx"], []);
    expect((await ping({ from: hosts.left.pod, to: hosts.right.podIp, count: 3 })).received).toBe(
      0,
    );
  });
});
