// ECN at decapsulation: the whole table of RFC 6040 § 4.2, figure 4, for inner IPv4 and IPv6.

import { S1, useLab } from "./lab.js";

const lab = useLab();

const names = ["Not-ECT", "ECT(1)", "ECT(0)", "CE"] as const;
const drop = undefined;
/** What leaves: by inner, then by outer codepoint, both in the order of their numbers. */
const table: readonly (readonly (number | undefined)[])[] = [
  [0, 0, 0, drop],
  [1, 1, 1, 3],
  [2, 1, 2, 3],
  [3, 3, 3, 3],
];

for (const family of [4, 6] as const) {
  const source = family === 4 ? "" : `, src="${S1}"`;
  lab.group(`ECN, IPv${family} underlay`, { family }, (rule) => {
    for (const [inner, row] of table.entries()) {
      for (const [outer, expected] of row.entries()) {
        const what = expected === drop ? "is dropped" : `leaves as ${names[expected]}`;
        const name = `RFC 6040 4.2: inner ${names[inner]} in outer ${names[outer]} ${what}`;
        rule.same(name, expected, async (scene) => {
          const [frame] = await scene.ingress(`vx(frame(tos=${inner}), tos=${outer}${source})`);
          return frame?.ip?.tos;
        });
      }
    }

    rule.same("RFC 6040 4.2: inner IPv6 ECT(0) in outer CE leaves as CE", 3, async (scene) => {
      const [frame] = await scene.ingress(`vx(frame(v=6, tos=2), tos=3${source})`);
      return frame?.ip?.tos;
    });

    rule.same("RFC 6040 4.2: inner IPv6 Not-ECT in outer CE is dropped", [], async (scene) => {
      return scene.ingress(`vx(frame(v=6), tos=3${source})`);
    });

    rule.same("the inner DSCP stays as it was", 0xbb, async (scene) => {
      const [frame] = await scene.ingress(`vx(frame(tos=0xba), tos=3${source})`);
      return frame?.ip?.tos;
    });

    rule.same("the outer DSCP does not reach the inner header", 2, async (scene) => {
      const [frame] = await scene.ingress(`vx(frame(tos=2), tos=0xb8${source})`);
      return frame?.ip?.tos;
    });

    rule.same(
      "RFC 6040: a frame that is not IP passes, whatever the outer ECN",
      1,
      async (scene) => {
        const arp = 'Ether(src="02:00:00:00:00:aa", dst="ff:ff:ff:ff:ff:ff")/ARP(op=1)';
        return (await scene.ingress(`vx(${arp}, tos=3${source})`)).length;
      },
    );
  });
}
