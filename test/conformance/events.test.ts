// What a VTEP tells those who listen: changes of the FDB as RTM_NEWNEIGH and RTM_DELNEIGH
// (bridge-monitor(8)), and what it does not know as l2miss and l3miss.

import type { Child } from "../../src/testbed/process.js";
import { R1, R2, R3, type Scene, useLab } from "./lab.js";
import { ownMac } from "./vtep.js";

const lab = useLab();
const patience_ms = 5_000;
const pause_ms = 50;

/**
 * Repeats `cause` until the listener has printed a line with all of `words`: it says nothing when
 * it begins to listen.
 */
async function heard(
  listener: Child,
  words: readonly string[],
  cause: () => Promise<unknown>,
): Promise<boolean> {
  const end_ms = performance.now() + patience_ms;
  try {
    for (;;) {
      await cause();
      const lines = listener.stdout.split("\n");
      if (lines.some((line) => words.every((word) => line.includes(word)))) return true;
      if (performance.now() >= end_ms || listener.result !== undefined) return false;
      await new Promise((resolve) => setTimeout(resolve, pause_ms));
    }
  } finally {
    await listener.stop();
  }
}

const fdbMonitor = (scene: Scene): Child => scene.host.spawn(["bridge", "monitor", "fdb"]);

lab.group("FDB notifications", {}, (rule) => {
  rule.same("bridge monitor fdb shows what was added by hand", true, async (scene) => {
    const mac = "02:00:00:00:0a:01";
    return heard(fdbMonitor(scene), [mac, "dev vxlan100", `dst ${R1}`, "self"], async () => {
      await scene.vtep.fdb(`add ${mac} dst ${R1}`);
      await scene.vtep.fdb(`del ${mac}`);
    });
  });

  rule.same("bridge monitor fdb shows what was deleted", true, async (scene) => {
    const mac = "02:00:00:00:0a:02";
    return heard(fdbMonitor(scene), ["Deleted", mac, "dev vxlan100"], async () => {
      await scene.vtep.fdb(`add ${mac} dst ${R1}`);
      await scene.vtep.fdb(`del ${mac}`);
    });
  });

  rule.same("bridge monitor fdb shows what was learned", true, async (scene) => {
    const mac = "02:00:00:00:0a:03";
    return heard(fdbMonitor(scene), [mac, "dev vxlan100", `dst ${R2}`], async () => {
      await scene.ingress(`vx(frame(src="${mac}"), src="${R2}")`);
      await scene.vtep.fdb(`del ${mac}`);
    });
  });

  rule.same("bridge monitor fdb shows a move", true, async (scene) => {
    const mac = "02:00:00:00:0a:04";
    let flip = false;
    return heard(fdbMonitor(scene), [mac, "dev vxlan100", `dst ${R3}`], async () => {
      flip = !flip;
      await scene.ingress(`vx(frame(src="${mac}"), src="${flip ? R2 : R3}")`);
    });
  });
});

lab.group("misses", { l2miss: true, l3miss: true, proxy: true, ipv6: true }, (rule) => {
  rule.same("l2miss: an unknown destination MAC is announced", true, async (scene) => {
    const mac = "02:00:00:00:0a:77";
    return heard(scene.vtep.missMonitor(), ["miss", mac], () =>
      scene.egress(`frame(dst="${mac}")`),
    );
  });

  rule.same("l3miss: an unknown IPv4 neighbour is announced", true, async (scene) => {
    const arp =
      `Ether(src="${ownMac}", dst="ff:ff:ff:ff:ff:ff")/` +
      `ARP(hwsrc="${ownMac}", psrc="192.168.10.10", pdst="192.168.11.99")`;
    return heard(scene.vtep.missMonitor(), ["miss", "192.168.11.99"], () => scene.egress(arp));
  });

  rule.same("l3miss: an unknown IPv6 neighbour is announced", true, async (scene) => {
    const solicitation =
      `Ether(src="${ownMac}", dst="33:33:ff:00:00:99")/IPv6(src="fd10::10", ` +
      `dst="ff02::1:ff00:99", hlim=255)/ICMPv6ND_NS(tgt="fd11::99")` +
      `/ICMPv6NDOptSrcLLAddr(lladdr="${ownMac}")`;
    return heard(scene.vtep.missMonitor(), ["miss", "fd11::99"], () => scene.egress(solicitation));
  });
});
