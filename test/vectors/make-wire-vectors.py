#!/usr/bin/python3
"""Makes wire.json: frames built by scapy, decoded by tshark; run again only to add a frame.

Needs scapy and tshark. Every frame is an Ethernet frame; `tshark` holds the first occurrence of
each field, as tshark prints it, checksum statuses included (1 = good), so that the tests compare
culvert's reading with a decoder that shares no code with it or with scapy. No timestamps or
random values: the output is reproducible (format it with
`npx biome check --write test/vectors`).
"""
import json
import os
import subprocess
import sys
import tempfile

from scapy.all import (
    ARP, Dot1AD, Dot1Q, Dot3, Ether, ICMP, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, IP, IPOption_Router_Alert,
    IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, LLC, PadN, Padding, Raw,
    SCTP, STP, TCP, UDP, wrpcap,
)
from scapy.layers.ipsec import AH
from scapy.layers.vxlan import VXLAN

A_MAC, B_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
A4, B4 = "192.168.10.1", "192.168.11.1"
A6, B6 = "fd00:10::1", "fd00:11::b"
ETH = Ether(dst=B_MAC, src=A_MAC)
PAYLOAD = bytes(range(1, 24))  # odd length: the checksum's last byte stands alone


def ip4(**more):
    return IP(src=A4, dst=B4, id=0x1234, ttl=61, **more)


def ip6(**more):
    return IPv6(src=A6, dst=B6, tc=0x2e, fl=0xbeef5, hlim=61, **more)


def udp():
    return UDP(sport=40000, dport=5201) / PAYLOAD


def tcp():
    options = [("MSS", 1410), ("SAckOK", b""), ("Timestamp", (0x11223344, 0)),
               ("NOP", None), ("WScale", 7)]
    return TCP(sport=40001, dport=5201, seq=0xfedcba98, flags="S", window=64240, options=options)


def big4():
    payload = bytes(i & 0xff for i in range(1472))
    return bytes(ip4(flags="DF") / UDP(sport=40000, dport=5201) / payload)


def big6():
    payload = bytes(i & 0xff for i in range(1452))
    return bytes(ip6() / UDP(sport=40000, dport=5201) / payload)


SOLICITED = "ff02::1:ff00:b"
FRAMES = {
    "arp-request": Ether(dst="ff:ff:ff:ff:ff:ff", src=A_MAC)
    / ARP(op=1, hwsrc=A_MAC, psrc=A4, hwdst="00:00:00:00:00:00", pdst=B4) / Raw(bytes(18)),
    "arp-reply": Ether(dst=A_MAC, src=B_MAC)
    / ARP(op=2, hwsrc=B_MAC, psrc=B4, hwdst=A_MAC, pdst=A4),
    "stp-802.3": Dot3(dst="01:80:c2:00:00:00", src=A_MAC)
    / LLC(dsap=0x42, ssap=0x42, ctrl=3) / STP(),
    "ipv4-udp": ETH / ip4(tos=0x2e) / udp(),
    "ipv4-udp-padded": ETH / ip4() / UDP(sport=1, dport=2) / b"x" / Padding(bytes(17)),
    "ipv4-tcp-syn": ETH / ip4(flags="DF") / tcp(),
    "ipv4-sctp": ETH / ip4() / SCTP(sport=40002, dport=36412, tag=7) / bytes(8),
    "ipv4-options-udp": ETH / ip4(options=[IPOption_Router_Alert()]) / udp(),
    "ipv4-fragment-first": ETH / ip4(flags="MF", proto=17)
    / bytes(UDP(sport=40000, dport=5201, len=72, chksum=1)) / bytes(32),
    "ipv4-fragment-later": ETH / ip4(frag=5, proto=17) / bytes(32),
    "ipv4-protocol-4": ETH / ip4() / IP(src="10.0.0.1", dst="10.0.0.2") / udp(),
    "ipv4-echo-request": ETH / ip4() / ICMP(type=8, id=0xabcd, seq=7) / PAYLOAD,
    "ipv4-udp-1500-df": ETH / Raw(big4()),
    "ipv4-fragmentation-needed": Ether(dst=A_MAC, src=B_MAC, type=0x0800)
    / IP(src="192.168.10.254", dst=A4, tos=0xc0, ttl=64, id=0, flags="DF")
    / ICMP(type=3, code=4, nexthopmtu=1450) / Raw(big4()[:548]),
    "vlan-ipv4-udp": ETH / Dot1Q(vlan=100, prio=5, id=1) / ip4() / udp(),
    "qinq-ipv6-udp": ETH / Dot1AD(vlan=200, prio=3) / Dot1Q(vlan=100) / ip6() / udp(),
    "vlan-three-tags": ETH / Dot1AD(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / ip4() / udp(),
    "ipv6-udp": ETH / ip6() / udp(),
    "ipv6-tcp-syn": ETH / ip6() / tcp(),
    "ipv6-extensions-udp": ETH / ip6() / IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))])
    / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))]) / udp(),
    "ipv6-ah-udp": ETH / ip6() / AH(nh=17, payloadlen=4, spi=1, seq=1, icv=bytes(12)) / udp(),
    "ipv6-fragment-first": ETH / ip6() / IPv6ExtHdrFragment(nh=17, m=1, id=9)
    / bytes(UDP(sport=40000, dport=5201, len=72, chksum=1)) / bytes(32),
    "ipv6-fragment-later": ETH / ip6() / IPv6ExtHdrFragment(nh=17, offset=5, id=9) / bytes(32),
    "ipv6-echo-request": ETH / ip6() / ICMPv6EchoRequest(id=0xabcd, seq=7, data=PAYLOAD),
    "ipv6-udp-1500": ETH / Raw(big6()),
    "ipv6-packet-too-big": Ether(dst=A_MAC, src=B_MAC, type=0x86dd)
    / IPv6(src="fd00:10::ff", dst=A6, hlim=64)
    / ICMPv6PacketTooBig(mtu=1430) / Raw(big6()[:1232]),
    "nd-solicitation": Ether(dst="33:33:ff:00:00:0b", src=A_MAC)
    / IPv6(src=A6, dst=SOLICITED, hlim=255)
    / ICMPv6ND_NS(tgt=B6) / ICMPv6NDOptSrcLLAddr(lladdr=A_MAC),
    "nd-solicitation-dad": Ether(dst="33:33:ff:00:00:0b", src=B_MAC)
    / IPv6(src="::", dst=SOLICITED, hlim=255)
    / ICMPv6ND_NS(tgt=B6),
    "nd-advertisement": Ether(dst=A_MAC, src=B_MAC) / IPv6(src=B6, dst=A6, hlim=255)
    / ICMPv6ND_NA(tgt=B6, R=1, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=B_MAC),
    "vxlan-ipv4-tcp": Ether(dst=B_MAC, src=A_MAC)
    / IP(src="10.57.4.20", dst="10.57.4.21", id=0, flags="DF")
    / UDP(sport=55555, dport=4789) / VXLAN(vni=100, flags=8) / ETH / ip4() / tcp(),
}
for raw, kind in (("ipv4-udp-1500-df", 0x0800), ("ipv6-udp-1500", 0x86dd)):
    FRAMES[raw].type = kind

FIELDS = """
eth.dst eth.src eth.type eth.len vlan.id vlan.priority vlan.dei vlan.etype ieee8021ad.id
arp.opcode arp.src.hw_mac arp.src.proto_ipv4 arp.dst.hw_mac arp.dst.proto_ipv4 ip.hdr_len
ip.dsfield ip.len ip.id ip.flags.df ip.flags.mf ip.frag_offset ip.ttl ip.proto ip.src ip.dst
ip.checksum ip.checksum.status ipv6.tclass ipv6.flow ipv6.plen ipv6.nxt ipv6.hlim ipv6.src
ipv6.dst tcp.srcport tcp.dstport tcp.seq_raw tcp.ack_raw tcp.hdr_len tcp.flags
tcp.window_size_value tcp.checksum tcp.checksum.status udp.srcport udp.dstport udp.length
udp.checksum udp.checksum.status sctp.srcport sctp.dstport icmp.type icmp.code icmp.checksum
icmp.checksum.status icmp.mtu icmpv6.type icmpv6.code icmpv6.checksum.status icmpv6.mtu
icmpv6.nd.ns.target_address icmpv6.nd.na.target_address icmpv6.nd.na.flag.r icmpv6.nd.na.flag.s
icmpv6.nd.na.flag.o icmpv6.opt.linkaddr vxlan.vni vxlan.flags
""".split()


def output_of(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


here = os.path.dirname(os.path.abspath(__file__))
with tempfile.NamedTemporaryFile(suffix=".pcap") as pcap:
    wrpcap(pcap.name, [bytes(frame) for frame in FRAMES.values()], linktype=1)
    command = ["tshark", "-n", "-r", pcap.name, "-T", "fields"]
    command += ["-E", "separator=|", "-E", "occurrence=f"]
    for option in ("tcp.relative_sequence_numbers", "ip.defragment", "ipv6.defragment"):
        command += ["-o", f"{option}:FALSE"]
    for layer in ("ip", "tcp", "udp"):
        command += ["-o", f"{layer}.check_checksum:TRUE"]
    for field in FIELDS:
        command += ["-e", field]
    lines = output_of(command).splitlines()
version = output_of(["tshark", "--version"]).split(" (Git")[0]
result = {"tools": ["scapy", version], "frames": {}}
for (name, frame), line in zip(FRAMES.items(), lines, strict=True):
    fields = zip(FIELDS, line.split("|"), strict=True)
    decoded = {field: text for field, text in fields if text != ""}
    result["frames"][name] = {"hex": bytes(frame).hex(), "tshark": decoded}
with open(os.path.join(here, "wire.json"), "w") as out:
    json.dump(result, out, indent=2)
    out.write("\n")
print(f"{len(lines)} frames", file=sys.stderr)
