// The one place that loads the native addon, and its types. Every function takes integers and typed
// arrays and returns an integer: >= 0, or -errno. Nothing here throws on the data path; policy
// lives in src/.

import { createRequire } from "node:module";

declare const egressBrand: unique symbol;
declare const ingressBrand: unique symbol;
declare const watchBrand: unique symbol;
/** Native state of one egress batch: pointers into its arrays, message headers, scratch. */
export type EgressHandle = { readonly [egressBrand]: true };
/** Native state of one ingress batch. */
export type IngressHandle = { readonly [ingressBrand]: true };
/** A descriptor that the event loop watches. */
export type WatchHandle = { readonly [watchBrand]: true };

/** The addon's functions; the rows and columns they work on are those of ./abi.ts. */
export interface Native {
  /** Pins arena and rows for use by native code; -EINVAL when one is too small. */
  egressCreate(
    arena: Uint8Array,
    frames: Int32Array,
    sends: Int32Array,
    remotes: Int32Array,
  ): EgressHandle | number;
  /** Drains a device queue into the arena: frames read, or -errno when there was none (-EAGAIN). */
  deviceReadBatch(egress: EgressHandle, fd: number, maxFrames: number): number;
  /**
   * Segments, finishes checksums, groups by destination, sends by UDP: how many sends failed.
   * `flowLabel`: of IPv6 datagrams; 0: as the socket chooses.
   */
  encapSendUdp(egress: EgressHandle, sockets: Int32Array, count: number, flowLabel: number): number;
  /**
   * Segments, finishes checksums, sends packets with their outer header through the sockets of
   * RAW_*: how many sends failed.
   */
  encapSendRaw(egress: EgressHandle, sockets: Int32Array, count: number): number;

  ingressCreate(arena: Uint8Array, runs: Int32Array): IngressHandle | number;
  /** Receives what is there and splits it into runs: their number, or -errno (-EAGAIN). */
  receiveBatch(ingress: IngressHandle, fd: number, maxMessages: number, raw: number): number;
  /** Coalesces and writes the runs whose RUN_DEVICE is `device`: how many there were. */
  decapWriteBatch(
    ingress: IngressHandle,
    fd: number,
    device: number,
    kind: number,
    offloads: number,
    first: number,
    count: number,
  ): number;
  /** Writes one frame that was made here, all checksums finished. */
  deviceWrite(fd: number, bytes: Uint8Array, offset: number, length: number): number;

  tuntapOpen(name: string, kind: number, multiQueue: number, mustBeNew: number): number;
  tuntapSetOffload(fd: number, mask: number): number;
  descriptorClose(fd: number): number;

  interfaceGet(name: string, what: number): number;
  interfaceSetMtu(name: string, mtu_bytes: number): number;
  interfaceSetUp(name: string, up: number): number;
  interfaceMac(name: string, mac: Uint8Array, set: number): number;
  interfaceAddress(name: string, address: Uint8Array, prefix: number): number;
  /** 1: the offload of that name (`ethtool -k`) is on, 0: off; -ENOENT: unknown to the kernel. */
  interfaceFeature(name: string, feature: string): number;

  udpOpen(
    family: number,
    address: Int32Array,
    port: number,
    device: string,
    flags: number,
    bufferBytes: number,
  ): number;
  /** A raw socket for packets of an outer `protocol`: 4 carries IPv4, 41 IPv6. */
  rawOpen(
    family: number,
    protocol: number,
    address: Int32Array,
    device: string,
    flags: number,
    bufferBytes: number,
  ): number;
  udpProbe(option: number): number;
  socketShare(fd: number): number;
  socketPort(fd: number): number;
  pathMtu(family: number, address: Int32Array, device: string): number;
  /** Sets options of an open UDP socket: SOCKET_*, those that concern sending and checksums. */
  socketConfigure(fd: number, family: number, flags: number): number;
  /** Takes errors and quotes from a socket's error queue: how many of the rows (ERROR_*) were filled. */
  socketErrors(fd: number, errors: Int32Array, quotes: Uint8Array): number;

  /** Sends one datagram; the address stands in four words from `at` on. 0 or -errno. */
  datagramSend(
    fd: number,
    family: number,
    words: Int32Array,
    at: number,
    port: number,
    bytes: Uint8Array,
    ttl: number,
  ): number;
  /** Joins a multicast group on a device until the socket is closed: 0 or -errno. */
  groupJoin(fd: number, family: number, group: Int32Array, ifindex: number): number;
  /** Device and TTL of what the socket sends to groups: 0 or -errno. */
  groupSend(fd: number, family: number, ifindex: number, ttl: number): number;

  pollCreate(): number;
  pollAdd(poll: number, fd: number, token: number): number;
  pollRemove(poll: number, fd: number): number;
  /** Asks for `busy_us` without sleeping, then sleeps; `ready` holds READY_WORDS. */
  pollWait(poll: number, ready: Int32Array, timeout_ms: number, busy_us: number): number;
  wakeCreate(): number;
  wakeSignal(fd: number): number;
  wakeDrain(fd: number): number;

  /** Blocks of memory of that size and more cost nothing until they are touched: 0 or -errno. */
  memoryMapFrom(bytes: number): number;

  /** Time slice of the calling thread, microseconds; 0 or -errno. */
  threadSetSlice(slice_us: number): number;

  netlinkOpen(groups: number): number;
  /** @param groups of listeners that get it too; 0: the kernel alone */
  netlinkSend(fd: number, bytes: Uint8Array, length: number, groups: number): number;
  netlinkReceive(fd: number, bytes: Uint8Array): number;
  netlinkClose(fd: number): number;
  /** Size of the receive buffer, bytes: 0 or -errno. */
  netlinkReserve(fd: number, bytes: number): number;
  /**
   * Takes queued datagrams, one behind the other, as long as there is `room_bytes` for another: the
   * bytes taken, or -errno. `end[0]`: 0, there was no more room, or the errno that ended it
   * (EAGAIN, ENOBUFS, EMSGSIZE).
   */
  netlinkDrain(fd: number, bytes: Uint8Array, room_bytes: number, end: Int32Array): number;
  /**
   * Calls back on this thread's event loop whenever the descriptor can be read; keeps the process
   * alive.
   */
  descriptorWatch(fd: number, callback: () => void): WatchHandle | number;
  /** Ends that, before the descriptor is closed. */
  descriptorUnwatch(watch: WatchHandle): number;

  /** Folded sum by vectors of `laneBits` (0: as wide as they come), or -ENOTSUP. */
  checksumBytes(bytes: Uint8Array, laneBits: number): number;

  /** For benchmarks: a socket that waits for clients, TCP with `stream` 1, UDP with 0. */
  echoOpen(stream: number, port: number): number;
  /** Blocks for `duration_ms`: how many datagrams or connections were served. */
  echoServe(fd: number, stream: number, duration_ms: number): number;
  /** Blocks for `duration_ms` at most: how many of `times_ns` were filled; `lost[0]` had no reply. */
  pingPong(
    address: string,
    port: number,
    duration_ms: number,
    times_ns: Int32Array,
    lost: Int32Array,
  ): number;
  /** Blocks for `duration_ms`: how many connections were made, one after the other. */
  shortConnections(address: string, port: number, duration_ms: number): number;
}

const require = createRequire(import.meta.url);

function load(): Native {
  // Tests load a build with AddressSanitizer in place of the ordinary one.
  const path = process.env.CULVERT_NATIVE ?? "../build/Release/culvert.node";
  try {
    return require(path) as Native;
  } catch (cause) {
    throw new Error(`cannot load the native addon (${path}); run \`npm run build\``, { cause });
  }
}

export const native: Native = load();
