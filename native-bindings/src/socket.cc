// Sockets of the underlay: UDP (udp(7)) and raw IPIP (raw(7)). Opening and options only; batches move in egress.cc and
// ingress.cc. Addresses cross as four words in host order, IPv4 in the last.
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "../include/abi.h"
#include "address.h"
#include "napi-args.h"
#include "register.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef UDP_NO_CHECK6_TX
#define UDP_NO_CHECK6_TX 101
#define UDP_NO_CHECK6_RX 102
#endif
#ifndef IPV6_FLOWINFO_SEND
#define IPV6_FLOWINFO_SEND 33
#endif
#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36
#endif
#ifndef IPV6_AUTOFLOWLABEL
#define IPV6_AUTOFLOWLABEL 70
#endif

namespace culvert {

namespace {

int setInteger(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}

// Buffers beyond net.core.[rw]mem_max need CAP_NET_ADMIN; without it the kernel gives what its limit allows.
void setBuffers(int fd, int32_t bytes) {
  if (setInteger(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes) < 0) setInteger(fd, SOL_SOCKET, SO_RCVBUF, bytes);
  if (setInteger(fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes) < 0) setInteger(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

// "return 0": the socket only sends; whatever arrives is discarded before it is queued.
int discardInput(int fd) {
  sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, 0}};
  sock_fprog program{1, code};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

int closeWith(int fd, int error) {
  close(fd);
  return -error;
}

// Options of a UDP socket that a tunnel chooses; on a socket that is open already they may be set again.
int setOptions(int fd, bool v6, int32_t flags) {
  const int level = v6 ? static_cast<int>(IPPROTO_IPV6) : static_cast<int>(IPPROTO_IP);
  const int noChecksum = (flags & SOCKET_NO_CHECKSUM) != 0 ? 1 : 0;
  const int zeroReceived = (flags & SOCKET_ZERO_CHECKSUM_RX) != 0 ? 1 : 0;
  const int autoLabel = (flags & SOCKET_NO_FLOW_LABEL) != 0 ? 0 : 1;
  if (v6 && setInteger(fd, IPPROTO_UDP, UDP_NO_CHECK6_TX, noChecksum) < 0) return -1;
  if (v6 && setInteger(fd, IPPROTO_UDP, UDP_NO_CHECK6_RX, zeroReceived) < 0) return -1;
  if (!v6 && setInteger(fd, SOL_SOCKET, SO_NO_CHECK, noChecksum) < 0) return -1;
  // A label in a message's address counts, 0 there stands for the socket's way.
  if (v6 && setInteger(fd, level, IPV6_FLOWINFO_SEND, 1) < 0) return -1;
  if (v6 && setInteger(fd, level, IPV6_AUTOFLOWLABEL, autoLabel) < 0) return -1;
  if ((flags & SOCKET_ERRORS) != 0 && setInteger(fd, level, v6 ? IPV6_RECVERR : IP_RECVERR, 1) < 0) return -1;
  // DONT: a datagram beyond the path MTU is fragmented here, and by routers. DO: neither. In both modes the kernel
  // refuses it with UDP_SEGMENT (EMSGSIZE, before 2025 EINVAL; net/ipv4/udp.c, udp_send_skb).
  const bool df = (flags & SOCKET_DONT_FRAGMENT) != 0;
  const int discover6 = df ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_DONT, discover4 = df ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;
  return v6 ? setInteger(fd, level, IPV6_MTU_DISCOVER, discover6) : setInteger(fd, level, IP_MTU_DISCOVER, discover4);
}

// What UDP and raw sockets have in common, before bind(2).
int configure(int fd, bool v6, const char* device, int32_t flags, int32_t bufferBytes) {
  const int level = v6 ? static_cast<int>(IPPROTO_IPV6) : static_cast<int>(IPPROTO_IP);
  if (device[0] != 0 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, std::strlen(device) + 1) < 0) return -1;
  if ((flags & SOCKET_REUSE_PORT) != 0 && setInteger(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0) return -1;
  if ((flags & SOCKET_SEND_ONLY) != 0 && discardInput(fd) < 0) return -1;
  if (setInteger(fd, level, v6 ? IPV6_RECVTCLASS : IP_RECVTOS, 1) < 0) return -1;
  // What is sent to a group does not come back to whoever joined it here (kernel: setup_udp_tunnel_sock).
  if (setInteger(fd, level, v6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, 0) < 0) return -1;
  setBuffers(fd, bufferBytes);
  return 0;
}

// udpOpen(family, address: Int32Array(4), port, device, flags, bufferBytes): descriptor or -errno.
// Port 0 lets the kernel choose; EADDRINUSE names a taken port.
napi_value udpOpen(napi_env env, napi_callback_info info) {
  Arguments<6> args(env, info);
  const int32_t family = args.integer(0);
  size_t words = 0;
  const int32_t* address = args.words(1, &words);
  const int32_t port = args.integer(2);
  char device[IFNAMSIZ] = {0};
  args.text(3, device, sizeof device);
  const int32_t flags = args.integer(4), bufferBytes = args.integer(5);
  if (!args.ok || words != 4 || (family != 4 && family != 6) || port < 0 || port > 0xffff) {
    return integerResult(env, -EINVAL);
  }
  const int fd = socket(family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errnoResult(env);
  // Not for raw sockets, which have one family and refuse the option.
  if (family == 6 && setInteger(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) < 0) return integerResult(env, closeWith(fd, errno));
  if (configure(fd, family == 6, device, flags, bufferBytes) < 0 || setOptions(fd, family == 6, flags) < 0) {
    return integerResult(env, closeWith(fd, errno));
  }
  if ((flags & SOCKET_GRO) != 0 && setInteger(fd, IPPROTO_UDP, UDP_GRO, 1) < 0) {
    return integerResult(env, closeWith(fd, errno));
  }
  sockaddr_in6 name;
  const socklen_t length = makeAddress(name, family, address, port);
  if (bind(fd, reinterpret_cast<sockaddr*>(&name), length) < 0) return integerResult(env, closeWith(fd, errno));
  return integerResult(env, fd);
}

// A socket of a tunnel's protocol that only sends would be handed a copy of each packet that arrives, for its filter to
// discard. So it takes an address that nobody sends to from elsewhere: sends name their source (send-raw.cc). It must not
// be connected: a connected socket numbers its packets for itself, and fragments of two workers' packets, or of one that
// brought its header, could bear the same identification [RFC 6864 § 4.2] (__ip_select_ident). The address need not be
// there: VRFs have no loopback one.
int bindAway(int fd) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (setInteger(fd, IPPROTO_IP, IP_FREEBIND, 1) < 0) return -1;
  return bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name);
}

// The same for IPv6, whose identifications are random: connected to its own address, which nobody else sends from. Where
// that fails the filter discards what arrives. Sends name their destination.
void turnAway(int fd, const sockaddr_in6& name) {
  if (!IN6_IS_ADDR_UNSPECIFIED(&name.sin6_addr) &&
      connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) < 0) {
    return;
  }
}

// rawOpen(family, protocol, address: Int32Array(4), device, flags, bufferBytes): descriptor or -errno. `protocol` is the
// number in the outer header: 4 IPv4, 41 IPv6. flags: SOCKET_SEND_ONLY, SOCKET_HEADER_INCLUDED, SOCKET_ERRORS. An address
// of zero receives for every local address. Without SOCKET_HEADER_INCLUDED the kernel writes the outer header, and
// fragments what is longer than the path MTU; IPv4 sockets that only send leave their source to each send.
napi_value rawOpen(napi_env env, napi_callback_info info) {
  Arguments<6> args(env, info);
  const int32_t family = args.integer(0), protocol = args.integer(1);
  size_t words = 0;
  const int32_t* address = args.words(2, &words);
  char device[IFNAMSIZ] = {0};
  args.text(3, device, sizeof device);
  const int32_t flags = args.integer(4), bufferBytes = args.integer(5);
  if (!args.ok || words != 4 || (family != 4 && family != 6) || protocol < 0 || protocol > 0xff) {
    return integerResult(env, -EINVAL);
  }
  const bool v6 = family == 6, included = (flags & SOCKET_HEADER_INCLUDED) != 0;
  const int level = v6 ? static_cast<int>(IPPROTO_IPV6) : static_cast<int>(IPPROTO_IP);
  const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (fd < 0) return errnoResult(env);
  if (configure(fd, v6, device, flags, bufferBytes) < 0) return integerResult(env, closeWith(fd, errno));
  const int discover = v6 ? IPV6_PMTUDISC_DONT : IP_PMTUDISC_DONT;
  if ((included && setInteger(fd, level, v6 ? IPV6_HDRINCL : IP_HDRINCL, 1) < 0) ||
      ((flags & SOCKET_ERRORS) != 0 && setInteger(fd, level, v6 ? IPV6_RECVERR : IP_RECVERR, 1) < 0) ||
      (v6 && setInteger(fd, level, IPV6_FLOWINFO_SEND, 1) < 0) ||  // as for UDP
      setInteger(fd, level, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, discover) < 0) {
    return integerResult(env, closeWith(fd, errno));
  }
  sockaddr_in6 name;
  const socklen_t length = makeAddress(name, family, address, 0);
  const bool sends = (flags & SOCKET_SEND_ONLY) != 0 && !included;
  const int bound = sends && !v6 ? bindAway(fd) : bind(fd, reinterpret_cast<sockaddr*>(&name), length);
  if (bound < 0) return integerResult(env, closeWith(fd, errno));
  if (sends && v6) turnAway(fd, name);
  return integerResult(env, fd);
}

// socketConfigure(fd, family, flags): what a UDP socket that is open shall do from now on: SOCKET_NO_CHECKSUM,
// SOCKET_DONT_FRAGMENT, SOCKET_NO_FLOW_LABEL, SOCKET_ZERO_CHECKSUM_RX on or off, SOCKET_ERRORS on; 0 or -errno
napi_value socketConfigure(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  const int32_t fd = args.integer(0), family = args.integer(1), flags = args.integer(2);
  if (!args.ok || (family != 4 && family != 6)) return integerResult(env, -EINVAL);
  return setOptions(fd, family == 6, flags) < 0 ? errnoResult(env) : integerResult(env, 0);
}

// pathMtu(family, address: Int32Array(4), device): what the kernel holds for the path MTU towards an address, learned
// ones and those of routes included, bytes; or -errno
napi_value pathMtu(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  const int32_t family = args.integer(0);
  size_t words = 0;
  const int32_t* address = args.words(1, &words);
  char device[IFNAMSIZ] = {0};
  args.text(2, device, sizeof device);
  if (!args.ok || words != 4 || (family != 4 && family != 6)) return integerResult(env, -EINVAL);
  const bool v6 = family == 6;
  const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errnoResult(env);
  sockaddr_in6 name;
  const socklen_t length = makeAddress(name, family, address, 9);  // discard [RFC 863]: nothing is sent
  int mtu = 0;
  socklen_t mtuBytes = sizeof mtu;
  const bool ok =
      (device[0] == 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, std::strlen(device) + 1) == 0) &&
      connect(fd, reinterpret_cast<sockaddr*>(&name), length) == 0 &&
      getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU : IP_MTU, &mtu, &mtuBytes) == 0;
  const int error = errno;
  close(fd);
  return integerResult(env, ok ? mtu : -error);
}

// udpProbe(option): 0 when the kernel knows it, else -errno. option: 0 UDP_SEGMENT, 1 UDP_GRO
napi_value udpProbe(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int32_t option = args.integer(0);
  if (!args.ok) return integerResult(env, -EINVAL);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errnoResult(env);
  const int result = setInteger(fd, IPPROTO_UDP, option == 0 ? UDP_SEGMENT : UDP_GRO, option == 0 ? 0 : 1);
  const int error = errno;
  close(fd);
  return integerResult(env, result < 0 ? -error : 0);
}

// socketShare(fd): lets further sockets bind to the same port (SO_REUSEPORT), after this one proved it was free
napi_value socketShare(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int32_t fd = args.integer(0);
  if (!args.ok) return integerResult(env, -EINVAL);
  return setInteger(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0 ? errnoResult(env) : integerResult(env, 0);
}

// socketPort(fd): the local port, or -errno
napi_value socketPort(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int32_t fd = args.integer(0);
  if (!args.ok) return integerResult(env, -EINVAL);
  sockaddr_in6 name{};
  socklen_t length = sizeof name;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) < 0) return errnoResult(env);
  return integerResult(env, ntohs(name.sin6_port));  // same place as sin_port
}

}  // namespace

napi_status registerSocket(napi_env env, napi_value exports) {
  static const Export functions[] = {
      {"udpOpen", udpOpen},         {"rawOpen", rawOpen},       {"udpProbe", udpProbe},
      {"socketShare", socketShare}, {"socketPort", socketPort}, {"socketConfigure", socketConfigure},
      {"pathMtu", pathMtu},
  };
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
