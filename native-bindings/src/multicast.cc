// Multicast groups of the underlay: membership (IGMP, MLD) of a receiving socket, and how a sending socket reaches a
// group (ip(7), ipv6(7)). Sockets are opened in socket.cc. Addresses cross as four words in host order, IPv4 in the
// last.
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "address.h"
#include "napi-args.h"
#include "register.h"

namespace culvert {

namespace {

template <typename T>
int setOption(int fd, int level, int option, const T& value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}

// groupJoin(fd, family, group: Int32Array(4), ifindex): 0 or -errno. The membership ends with the socket.
napi_value groupJoin(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  const int32_t fd = args.integer(0), family = args.integer(1);
  size_t words = 0;
  const int32_t* group = args.words(2, &words);
  const int32_t ifindex = args.integer(3);
  if (!args.ok || words != 4 || (family != 4 && family != 6) || ifindex <= 0) return integerResult(env, -EINVAL);
  int result = 0;
  if (family == 6) {
    ipv6_mreq request{};
    storeIpv6(request.ipv6mr_multiaddr, group);
    request.ipv6mr_interface = static_cast<unsigned>(ifindex);
    result = setOption(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, request);
  } else {
    ip_mreqn request{};
    request.imr_multiaddr.s_addr = htonl(static_cast<uint32_t>(group[3]));
    request.imr_ifindex = ifindex;
    result = setOption(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, request);
  }
  return result < 0 ? errnoResult(env) : integerResult(env, 0);
}

// groupSend(fd, family, ifindex, ttl): what the socket sends to groups leaves through that device with that TTL or hop
// limit; 0 or -errno. That it does not come back to this host holds for every socket (socket.cc).
napi_value groupSend(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  const int32_t fd = args.integer(0), family = args.integer(1), ifindex = args.integer(2), ttl = args.integer(3);
  if (!args.ok || (family != 4 && family != 6) || ifindex <= 0 || ttl < 0 || ttl > 255) {
    return integerResult(env, -EINVAL);
  }
  bool ok = false;
  if (family == 6) {
    ok = setOption(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, ifindex) == 0 &&
         setOption(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, ttl) == 0;
  } else {
    ip_mreqn device{};
    device.imr_ifindex = ifindex;
    ok = setOption(fd, IPPROTO_IP, IP_MULTICAST_IF, device) == 0 &&
         setOption(fd, IPPROTO_IP, IP_MULTICAST_TTL, ttl) == 0;
  }
  return ok ? integerResult(env, 0) : errnoResult(env);
}

}  // namespace

napi_status registerMulticast(napi_env env, napi_value exports) {
  static const Export functions[] = {{"groupJoin", groupJoin}, {"groupSend", groupSend}};
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
