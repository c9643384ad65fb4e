// Traffic between a namespace and the emulated guest whose content is verified: TCP each way and
// datagrams that the guest echoes. The guest has busybox's nc and sha256sum,
// and Python.

import type { Namespace } from "../../../src/testbed/namespace.js";
import { type Digest, fixtureResult, startFixture, waitForOutput } from "../support.js";
import type { Guest } from "./guest.js";

const tcpPort = "5301";
const udpPort = "5302";
const transfer_bytes = 10_000_000;
const transferTimeout_ms = 40_000;

interface Transfer {
  sent: string;
  received: string;
}

/** Digests of random bytes that `from` sent over TCP to an address of the guest. */
export async function tcpToGuest(
  guest: Guest,
  from: Namespace,
  address: string,
  bytes = transfer_bytes,
): Promise<Transfer> {
  const listen = `nc -l -p ${tcpPort} < /dev/null | sha256sum`;
  const receiver = guest.shell(listen, transferTimeout_ms);
  // The guest's listener cannot say when it is there: ask its kernel.
  const listening = `while ! netstat -ltn | grep -q ':${tcpPort} '; do sleep 0.1; done`;
  await guest.shell(`${listening}; echo listening`);
  const sender = startFixture(from, "tcp-transfer.py", "send", address, tcpPort, String(bytes));
  const sent = await fixtureResult<Digest>(sender, transferTimeout_ms);
  return { sent: sent.sha256, received: (await receiver).split(" ")[0]! };
}

/** Digests of random bytes that the guest sent over TCP to `address` of the namespace `to`. */
export async function tcpFromGuest(
  guest: Guest,
  to: Namespace,
  address: string,
  bytes = transfer_bytes,
): Promise<Transfer> {
  const receiver = startFixture(to, "tcp-transfer.py", "receive", address, tcpPort);
  await waitForOutput(receiver, "ready");
  const script = `head -c ${bytes} /dev/urandom > /tmp/data; sha256sum < /tmp/data
nc ${address} ${tcpPort} < /tmp/data; rm /tmp/data`;
  const [sent] = (await guest.shell(script, transferTimeout_ms)).split(" ");
  const { sha256 } = await fixtureResult<Digest>(receiver, transferTimeout_ms);
  return { sent: sent!, received: sha256 };
}

export interface Echoes {
  /** Payload sizes of datagrams that came back unchanged. */
  echoed: number[];
  damaged: number[];
}

/** An echo server; the guest's Python has no library but its built-in modules. */
const echoServer = (family: "AF_INET" | "AF_INET6"): string => `import _socket
server = _socket.socket(_socket.${family}, _socket.SOCK_DGRAM)
server.bind(("${family === "AF_INET" ? "0.0.0.0" : "::"}", ${udpPort}))
while True:
    data, client = server.recvfrom(1 << 16)
    server.sendto(data, client)
`;

/** Sends datagrams of these payload sizes to the guest, which echoes them. */
export async function udpEchoes(
  guest: Guest,
  from: Namespace,
  address: string,
  sizes_bytes: readonly number[],
): Promise<Echoes> {
  const script = echoServer(address.includes(":") ? "AF_INET6" : "AF_INET");
  const start = `/programs/python3 -I -S -c '${script}' < /dev/null > /dev/console 2>&1 &
echo $!; while ! netstat -uln | grep -q ':${udpPort} '; do sleep 0.1; done`;
  const pid = (await guest.shell(start)).trim();
  try {
    const args = [address, udpPort, ...sizes_bytes.map(String)];
    return await fixtureResult<Echoes>(startFixture(from, "udp-echo.py", ...args), 60_000);
  } finally {
    await guest.shell(`kill ${pid}`);
  }
}
