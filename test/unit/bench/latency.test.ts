// Round-trip times: sockperf's output as captured (3.7 of Debian 12, over the loopback),
// percentiles, and the loss that is too much.

import { describe, expect, it } from "vitest";
import {
  latencyWorkload,
  parseSockperf,
  pingPongResult,
} from "../../../src/bench/workloads/latency.js";
import { percentile } from "../../../src/bench/workloads/percentile.js";

const colour = "\x1b[2;35m";
const plain = "\x1b[0m";
const captured = `sockperf: ${colour}== version #3.7-no.git == ${plain}
sockperf[CLIENT] send on:sockperf: using recvfrom() to block on socket(s)

[ 0] IP = 127.0.0.1       PORT =  5398 # UDP
sockperf: Warmup stage (sending a few dummy messages)...
sockperf: Starting test...
sockperf: Test end (interrupted by timer)
sockperf: Test ended
sockperf: [Total Run] RunTime=1.001 sec; Warm up time=400 msec; SentMessages=21231; ReceivedMessages=21230
sockperf: ========= Printing statistics for Server No: 0
sockperf: [Valid Duration] RunTime=0.550 sec; SentMessages=8996; ReceivedMessages=8996
sockperf: ${colour}====> avg-latency=30.581 (std-dev=13.861)${plain}
sockperf: # dropped messages = 0; # duplicated messages = 0; # out-of-order messages = 0
sockperf: Summary: Latency is 30.581 usec
sockperf: ${colour}Total 8996 observations${plain}; each percentile contains 89.96 observations
sockperf: ---> <MAX> observation = 1266.293
sockperf: ---> percentile 99.999 = 1266.293
sockperf: ---> percentile 99.990 =  211.671
sockperf: ---> percentile 99.900 =   72.046
sockperf: ---> percentile 99.000 =   43.589
sockperf: ---> percentile 90.000 =   33.770
sockperf: ---> percentile 75.000 =   32.317
sockperf: ---> percentile 50.000 =   30.820
sockperf: ---> percentile 25.000 =   27.981
sockperf: ---> <MIN> observation =    8.707
`;

describe("sockperf", () => {
  it("reports half of a round trip, which is doubled", () => {
    expect(parseSockperf(captured).values).toEqual({
      rtt_p50_us: 61.64,
      rtt_p99_us: 87.178,
      rtt_p999_us: 144.092,
    });
  });

  it("fails with its last words when it measured nothing", () => {
    const silence = "sockperf: Test ended\nsockperf: No messages were received from the server.\n";
    expect(() => parseSockperf(silence)).toThrow("No messages were received");
    expect(() => parseSockperf("")).toThrow("measured nothing");
    expect(() => parseSockperf(captured.replace("percentile 99.900", "x"))).toThrow("nothing");
  });

  it("fails when more than one in a hundred was lost", () => {
    const lost = (count: number): string =>
      captured.replace(
        "SentMessages=8996; ReceivedMessages=8996",
        `SentMessages=8996; ReceivedMessages=${8996 - count}`,
      );
    expect(() => parseSockperf(lost(89))).not.toThrow();
    expect(() => parseSockperf(lost(90))).toThrow("90 of 8996 pings were lost");
  });
});

describe("the addon's ping-pong", () => {
  const times = { p50_us: 10, p99_us: 20, p999_us: 30 };

  it("gives what its process printed", () => {
    expect(pingPongResult({ received: 990, lost: 10, ...times }).values).toEqual({
      rtt_p50_us: 10,
      rtt_p99_us: 20,
      rtt_p999_us: 30,
    });
  });

  it("fails when too much or everything was lost", () => {
    expect(() => pingPongResult({ received: 989, lost: 11, ...times })).toThrow("11 of 1000");
    const none = { p50_us: null, p99_us: null, p999_us: null };
    expect(() => pingPongResult({ received: 0, lost: 5, ...none })).toThrow("5 of 5");
    expect(() => pingPongResult({ received: 0, lost: 0, ...none })).toThrow("no ping was answered");
  });

  it("needs nothing that is not there", () => {
    expect(latencyWorkload("culvert").unsupported()).toBeUndefined();
  });
});

describe("percentile", () => {
  it("is the smallest value that the share does not exceed", () => {
    const values = Array.from({ length: 1000 }, (_, index) => index + 1);
    expect([0.5, 0.99, 0.999, 1].map((share) => percentile(values, share))).toEqual([
      500, 990, 999, 1000,
    ]);
    expect([0, 0.5, 0.501].map((share) => percentile([1, 2], share))).toEqual([1, 1, 2]);
    expect(percentile([7], 0.999)).toBe(7);
  });
});
