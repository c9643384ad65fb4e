// What the bulk workloads make of iperf3's JSON: the ends of reports of iperf3 3.12, as captured
// over the loopback, per-stream details taken out.

import { describe, expect, it } from "vitest";
import { tcpResult, udpResult } from "../../../src/bench/workloads/bulk.js";

const bothDirections = {
  end: {
    sum_sent: {
      start: 0,
      end: 1.000036,
      seconds: 1.000036,
      bytes: 1537474560,
      bits_per_second: 12299353703.266684,
      retransmits: 13,
      sender: true,
    },
    sum_received: {
      start: 0,
      end: 1.000645,
      seconds: 1.000645,
      bytes: 1532100502,
      bits_per_second: 12248903473.259747,
      sender: true,
    },
    sum_sent_bidir_reverse: {
      start: 0,
      end: 1.000036,
      seconds: 1.000036,
      bytes: 3014656000,
      bits_per_second: 24116379810.32683,
      retransmits: 44,
      sender: false,
    },
    sum_received_bidir_reverse: {
      start: 0,
      end: 1.000645,
      seconds: 1.000645,
      bytes: 3013935051,
      bits_per_second: 24095938527.649666,
      sender: false,
    },
    cpu_utilization_percent: {
      host_total: 59.2756239154221,
      host_user: 1.487819374904796,
      host_system: 57.78740630192658,
      remote_total: 83.70442026494408,
      remote_user: 1.2315822293996785,
      remote_system: 82.4725382346122,
    },
    sender_tcp_congestion: "bbr",
    receiver_tcp_congestion: "bbr",
  },
};

const fourStreams = {
  end: {
    sum_sent: {
      start: 0,
      end: 1.000092,
      seconds: 1.000092,
      bytes: 3533701120,
      bits_per_second: 28267008395.22764,
      retransmits: 0,
      sender: true,
    },
    sum_received: {
      start: 0,
      end: 1.000288,
      seconds: 1.000288,
      bytes: 3511156736,
      bits_per_second: 28081166512.04453,
      sender: true,
    },
    cpu_utilization_percent: {
      host_total: 26.69575727572967,
      host_user: 0.504627582648237,
      host_system: 26.190830270069576,
      remote_total: 98.7927561369396,
      remote_user: 0.9824101889942467,
      remote_system: 97.81054588896275,
    },
    sender_tcp_congestion: "bbr",
    receiver_tcp_congestion: "bbr",
  },
};

const datagrams = {
  end: {
    sum: {
      start: 0,
      end: 1.000107,
      seconds: 1.000107,
      bytes: 21600640,
      bits_per_second: 172801836.76510146,
      jitter_ms: 0.004346053129663615,
      lost_packets: 3562,
      packets: 337510,
      lost_percent: 1.055376137003348,
      sender: true,
    },
    sum_sent: {
      start: 0,
      end: 1.000019,
      seconds: 1.000019,
      bytes: 21600640,
      bits_per_second: 172801836.76510146,
      jitter_ms: 0,
      lost_packets: 0,
      packets: 337510,
      lost_percent: 0,
      sender: true,
    },
    sum_received: {
      start: 0,
      end: 1.000107,
      seconds: 1.000107,
      bytes: 21372672,
      bits_per_second: 170963082.95012432,
      jitter_ms: 0.004346053129663615,
      lost_packets: 3562,
      packets: 337510,
      lost_percent: 1.055376137003348,
      sender: false,
    },
    cpu_utilization_percent: {
      host_total: 99.626074623151,
      host_user: 2.3982800032384874,
      host_system: 97.2278945732343,
      remote_total: 74.7604277903763,
      remote_user: 7.0066872242819835,
      remote_system: 67.75374056609434,
    },
  },
};

const gib = 2 ** 30;

describe("TCP", () => {
  it("sums what arrived of several streams", () => {
    const result = tcpResult(JSON.stringify(fourStreams));
    expect(result.values.throughput_bits_per_s).toBe(28081166512.04453);
    expect(result.values.retransmits_per_gib).toBe(0);
    expect(result.payload_bytes).toBe(3511156736);
    expect(result.datagram_bytes).toBeUndefined();
  });

  it("sums both directions", () => {
    const { values, payload_bytes } = tcpResult(JSON.stringify(bothDirections));
    const bytes = 1532100502 + 3013935051;
    expect(payload_bytes).toBe(bytes);
    expect(values.throughput_bits_per_s).toBeCloseTo(12248903473.259747 + 24095938527.649666, 3);
    expect(values.retransmits_per_gib).toBeCloseTo((13 + 44) / (bytes / gib), 9);
  });

  it("takes iperf3's own CPU time at each end", () => {
    const { generatorCpu_s } = tcpResult(JSON.stringify(bothDirections));
    expect(generatorCpu_s?.client).toBeCloseTo(0.592756 * 1.000036, 5);
    expect(generatorCpu_s?.server).toBeCloseTo(0.837044 * 1.000036, 5);
  });
});

describe("UDP", () => {
  it("counts what arrived", () => {
    const result = udpResult(JSON.stringify(datagrams), 64);
    expect(result.values.delivered_per_s).toBeCloseTo(333_948 / 1.000107, 3);
    expect(result.values.sent_per_s).toBeCloseTo(337_510 / 1.000019, 3);
    expect(result.values.loss_ratio).toBeCloseTo(3562 / 337_510, 9);
    expect(result.values.throughput_bits_per_s).toBe(170963082.95012432);
    expect(result).toMatchObject({ payload_bytes: 21372672, datagram_bytes: 64 });
  });
});

describe("nothing that arrived", () => {
  it("is an error, not a throughput of zero", () => {
    const silent = structuredClone(datagrams);
    silent.end.sum_received.bytes = 0;
    expect(() => udpResult(JSON.stringify(silent), 64)).toThrow("nothing arrived");
    expect(() => tcpResult(JSON.stringify(silent))).toThrow("nothing arrived");
  });

  it("keeps iperf3's reason", () => {
    expect(() => tcpResult('{"end":{},"error":"unable to connect"}')).toThrow("unable to connect");
    expect(() => tcpResult("setpriv: failed to execute iperf3")).toThrow("failed to execute");
  });
});
