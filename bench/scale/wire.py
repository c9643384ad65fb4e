#!/usr/bin/python3
"""Frames for the measurement `wire`: wire.py SEED COUNT HOST_MAC PEER_MAC UNDERLAY.pcap DEVICE.pcap

Right frames of many kinds, most of them damaged: bytes flipped, cut, lengthened, or all at random. What stands
in UNDERLAY.pcap are UDP datagrams whose outer headers and checksums are right, so that a socket gets them.
"""
import random
import sys

from scapy.all import ARP, ICMP, IP, TCP, UDP, Dot1Q, Ether, ICMPv6ND_NS, IPv6, Raw, RawPcapWriter
from scapy.layers.vxlan import VXLAN

LONGEST = 1400


def inner(r):
    """One right Ethernet frame, as bytes."""
    source = "02:00:00:00:%02x:%02x" % (r.randrange(256), r.randrange(256))
    destination = r.choice(["02:00:00:00:00:0b", "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01", source])
    ether = Ether(src=source, dst=destination)
    if r.random() < 0.1:
        ether /= Dot1Q(vlan=r.randrange(4096))
    load = Raw(r.randbytes(r.randrange(LONGEST)))
    v4 = IP(src="10.99.0.7", dst="10.99.0.8", tos=r.randrange(256), ttl=r.randrange(256), flags=r.choice(["DF", 0]))
    v6 = IPv6(src="fd99::7", dst="fd99::8", tc=r.randrange(256))
    kinds = [
        lambda: v4 / TCP(sport=r.randrange(65536), dport=80) / load,
        lambda: v4 / UDP(sport=r.randrange(65536), dport=53) / load,
        lambda: v4 / ICMP() / load,
        lambda: v6 / TCP(sport=r.randrange(65536), dport=80) / load,
        lambda: v6 / UDP(sport=r.randrange(65536), dport=53) / load,
        lambda: v6 / ICMPv6ND_NS(tgt="fd99::9"),
        lambda: ARP(pdst="10.99.0.9", psrc="10.99.0.7"),
        lambda: load,
    ]
    return bytes(ether / r.choice(kinds)())


def damaged(r, data, least):
    how = r.random()
    data = bytearray(data)
    if how < 0.4:
        for _ in range(1 + r.randrange(4)):
            data[r.randrange(min(len(data), 80))] = r.randrange(256)
    elif how < 0.6:
        del data[r.randrange(least, len(data) + 1):]
    elif how < 0.7:
        data += r.randbytes(r.randrange(60))
    elif how < 0.75:
        data = bytearray(r.randbytes(r.randrange(least, 200)))
    return bytes(data)


def main():
    seed, count, host, peer, underlay, device = sys.argv[1:]
    r = random.Random(int(seed))
    outer, frames = [], []
    for _ in range(int(count)):
        vni = r.choice([100, 100, 100, 101, r.randrange(1 << 24)])
        payload = damaged(r, bytes(VXLAN(vni=vni, flags="Instance")) + inner(r), 0)
        ip = IP(src="10.57.4.%d" % r.choice([21, 21, 21, 22]), dst="10.57.4.20", tos=r.randrange(256))
        udp = UDP(sport=r.randrange(49152, 65536), dport=4789)
        outer.append(bytes(Ether(src=peer, dst=host) / ip / udp / Raw(payload)))
        frames.append(damaged(r, inner(r), 14)[: LONGEST + 60])
    for file, packets in ((underlay, outer), (device, frames)):
        with RawPcapWriter(file, linktype=1) as writer:
            for packet in packets:
                writer.write(packet)


main()
