// Opens the underlay's sockets: receiving UDP sockets (one per address and port, shared by all
// tunnels on it, one more per worker), those that send (send-pools.ts, or a receiving socket where
// the source port is fixed to its port), and raw IPIP sockets. Names the holder of a port that is
// taken.

import {
  native,
  SOCKET_ERRORS,
  SOCKET_GRO,
  SOCKET_HEADER_INCLUDED,
  SOCKET_REUSE_PORT,
  SOCKET_SEND_ONLY,
  SOCKET_ZERO_CHECKSUM_RX,
} from "#native";
import type { IpipMode } from "../config/effective.js";
import { carries } from "../config/ipip-modes.js";
import { CulvertError } from "../errors.js";
import type { NetlinkSocket } from "../netlink/netlink-socket.js";
import { describePortHolder } from "../netlink/port-holder.js";
import { EADDRINUSE } from "../packet/errno.js";
import { type IpAddress, isIpv4 } from "../wire/ip-address.js";
import { PROTOCOL_IPIP, PROTOCOL_IPV6, PROTOCOL_RAW } from "../wire/ip-protocol.js";
import { textOf } from "./addresses.js";
import type { Descriptors } from "./descriptors.js";
import { socketError } from "./errno-error.js";
import { type SendOptions, SendPools, sendFlags } from "./send-pools.js";

/**
 * Kernel buffers of each socket, bytes; asked for with SO_RCVBUFFORCE, so net.core.rmem_max does
 * not bind.
 */
export const BUFFER_BYTES = 8 * 1024 * 1024;

/** Where a socket is bound. */
export interface Endpoint {
  readonly local: IpAddress;
  /** Device to bind to, or "" for any. */
  readonly dev: string;
}

/** The receiving sockets of one address and port. */
interface Receivers {
  /** One per worker. */
  readonly sockets: number[];
  /** SOCKET_ZERO_CHECKSUM_RX or 0. */
  receiveFlags: number;
  /** How they send, once a tunnel sends through them. */
  sendFlags: number | undefined;
}

/** In place of a descriptor: what it were for never happens. */
const NO_SOCKET = -1;

const nameOf = ({ local, dev }: Endpoint, port: number): string =>
  `${textOf(local)}%${dev}:${port}`;
const family = (address: IpAddress): 4 | 6 => (isIpv4(address) ? 4 : 6);
const words = ({ w0, w1, w2, w3 }: IpAddress): Int32Array => Int32Array.of(w0, w1, w2, w3);

export class Sockets {
  readonly #descriptors: Descriptors;
  readonly #rtnl: NetlinkSocket;
  readonly #workers: number;
  readonly #udpGro: boolean;
  readonly #pools: SendPools;
  /** By "address%dev:port". */
  readonly #receivers = new Map<string, Receivers>();
  /** Devices of receiving sockets, "" among them. */
  readonly #devices = new Set<string>();
  /** By "address%dev:protocol worker". */
  readonly #rawSenders = new Map<string, number>();

  constructor(descriptors: Descriptors, rtnl: NetlinkSocket, workers: number, udpGro: boolean) {
    this.#descriptors = descriptors;
    this.#rtnl = rtnl;
    this.#workers = workers;
    this.#udpGro = udpGro;
    this.#pools = new SendPools({
      descriptors,
      nameOf,
      open: (endpoint, port, flags) => this.#openUdp(endpoint, port, flags),
      error: (endpoint, options, result) => this.#senderError(endpoint, options, result),
    });
  }

  /**
   * Receiving sockets for an address and port, one per worker; the same ones for the same endpoint.
   * @param zeroChecksum take IPv6 datagrams without checksum; one tunnel that asks for it gets it
   * for all that share the sockets
   */
  receivers(endpoint: Endpoint, port: number, zeroChecksum = false): readonly number[] {
    const name = nameOf(endpoint, port);
    let group = this.#receivers.get(name);
    if (group === undefined) {
      group = {
        sockets: this.#openReceivers(endpoint, port),
        receiveFlags: 0,
        sendFlags: undefined,
      };
      this.#receivers.set(name, group);
      this.#devices.add(endpoint.dev);
    }
    if (zeroChecksum && group.receiveFlags === 0) {
      group.receiveFlags = SOCKET_ZERO_CHECKSUM_RX;
      this.#configure(endpoint, group);
    }
    return group.sockets;
  }

  /**
   * One worker's sending sockets, a power of two of them, each with a source port of its own. To be
   * asked for after all receiving sockets: a source port must not take a tunnel's port. A range of
   * one port that is a tunnel's port is sent from by its receiving socket: then both directions
   * have the same ports, as stateful firewalls want it.
   */
  senders(endpoint: Endpoint, options: SendOptions, worker: number): readonly number[] {
    const { min, max } = options.ports;
    const own = min === max ? this.#receivers.get(nameOf(endpoint, min)) : undefined;
    if (own === undefined) return this.#pools.pool(endpoint, options, worker);
    const flags = sendFlags(options);
    if (own.sendFlags !== undefined && own.sendFlags !== flags) {
      throw new CulvertError(
        "CULVERT_SOURCE_PORT",
        `source port ${min} is the port that tunnels receive on at ${textOf(endpoint.local)}: ` +
          "their one socket cannot send with and without DF, UDP checksum or flow label",
        {
          hint:
            "give tunnels with this `srcport` the same `df` (not inherit), `udp_csum`, " +
            "`udp6_zero_csum_tx` and `flowlabel`, or give one of them a range of other ports",
        },
      );
    }
    if (own.sendFlags === undefined) {
      own.sendFlags = flags;
      this.#configure(endpoint, own);
    }
    return [own.sockets[worker]];
  }

  /**
   * A raw socket that receives packets to `local`, and errors about those from there.
   * @param protocol 4 (IPv4) or 41 (IPv6): what they carry
   */
  raw(endpoint: Endpoint, protocol: number): number {
    // What ICMP errors quote shall begin with the outer header: it says whether it is ours.
    return this.#openRaw(endpoint, protocol, SOCKET_ERRORS | SOCKET_HEADER_INCLUDED);
  }

  /**
   * What one worker sends IPIP packets through, by RAW_*: the same sockets for the same endpoint.
   * @param mode what is carried decides which fragments there can be
   */
  rawSenders(endpoint: Endpoint, mode: IpipMode, worker: number): readonly number[] {
    const included = SOCKET_SEND_ONLY | SOCKET_HEADER_INCLUDED;
    const shared = (protocol: number, flags: number): number => {
      const key = `${nameOf(endpoint, protocol)} ${worker}`;
      const fd = this.#rawSenders.get(key) ?? this.#openRaw(endpoint, protocol, flags);
      this.#rawSenders.set(key, fd);
      return fd;
    };
    return [
      // Protocol 255 only sends, so it never takes a copy of what arrives [raw(7)].
      shared(PROTOCOL_RAW, included),
      carries(mode, 4) ? shared(PROTOCOL_IPIP, SOCKET_SEND_ONLY) : NO_SOCKET,
      carries(mode, 6) ? shared(PROTOCOL_IPV6, SOCKET_SEND_ONLY) : NO_SOCKET,
    ];
  }

  #openRaw({ local, dev }: Endpoint, protocol: number, flags: number): number {
    const fd = native.rawOpen(family(local), protocol, words(local), dev, flags, BUFFER_BYTES);
    if (fd < 0) throw socketError(`raw IPIP socket on ${textOf(local)}`, fd, undefined);
    return this.#descriptors.own(fd);
  }

  #openReceivers(endpoint: Endpoint, port: number): number[] {
    const gro = this.#udpGro ? SOCKET_GRO : 0;
    // The first one binds alone: SO_REUSEPORT from the start would silently share a port with
    // another daemon.
    const first = this.#openUdp(endpoint, port, gro);
    if (first < 0) throw this.#portError(endpoint, port, first);
    const sockets = [this.#descriptors.own(first)];
    if (this.#workers > 1) native.socketShare(first);
    while (sockets.length < this.#workers) {
      const next = this.#openUdp(endpoint, port, gro | SOCKET_REUSE_PORT);
      if (next < 0) throw this.#portError(endpoint, port, next);
      sockets.push(this.#descriptors.own(next));
    }
    return sockets;
  }

  #configure({ local }: Endpoint, { sockets, receiveFlags, sendFlags: flags = 0 }: Receivers) {
    for (const fd of sockets) {
      const result = native.socketConfigure(fd, family(local), receiveFlags | flags);
      if (result < 0) throw socketError(`socket on ${textOf(local)}`, result, undefined);
    }
  }

  #openUdp({ local, dev }: Endpoint, port: number, flags: number): number {
    return native.udpOpen(family(local), words(local), port, dev, flags, BUFFER_BYTES);
  }

  #senderError(endpoint: Endpoint, { ports }: SendOptions, result: number): Error {
    const { min, max } = ports;
    const address = textOf(endpoint.local);
    if (result !== -EADDRINUSE)
      return socketError(`sending socket on ${address}`, result, undefined);
    if (min === max) return this.#portError(endpoint, min, result);
    return new CulvertError(
      "CULVERT_SOURCE_PORT",
      `no source port of ${min}-${max} is free at ${address}`,
      { hint: "see `ss -uanp`; give `srcport` a range with free ports" },
    );
  }

  /** Do tunnels receive there whose socket is bound to a device, or is bound to none? */
  #isOurs({ local, dev }: Endpoint, port: number): boolean {
    const others = [...this.#devices].filter((other) => other !== dev);
    return others.some((other) => this.#receivers.has(nameOf({ local, dev: other }, port)));
  }

  #portError(endpoint: Endpoint, port: number, result: number): Error {
    const address = textOf(endpoint.local);
    if (result === -EADDRINUSE && this.#isOurs(endpoint, port)) {
      return new CulvertError(
        "CULVERT_PORT_IN_USE",
        `tunnels on ${address} port ${port} with and without \`dev\`: their sockets cannot share it`,
        { hint: "give all of them the same `dev`, or none; or give one of them another `port`" },
      );
    }
    const holder = describePortHolder(this.#rtnl, {
      port,
      address,
      family: family(endpoint.local),
    });
    return socketError(`UDP socket ${address} port ${port}`, result, holder);
  }
}
