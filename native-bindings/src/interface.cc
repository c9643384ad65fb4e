// A network interface's MTU, MAC, addresses, flags and offloads by ioctl (netdevice(7), linux/ethtool.h): the little
// that the Tun and Tap classes need without rtnetlink, and what rtnetlink does not tell. MACs and addresses cross as bytes in network order, in both directions.
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/ipv6.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "napi-args.h"
#include "register.h"

namespace culvert {

namespace {

// A socket for one ioctl.
struct ControlSocket {
  int fd;
  explicit ControlSocket(int family) : fd(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}
  ~ControlSocket() {
    if (fd >= 0) close(fd);
  }
  int call(unsigned long request, void* argument) {
    if (fd < 0) return -errno;
    return ioctl(fd, request, argument) < 0 ? -errno : 0;
  }
};

int call(unsigned long request, ifreq& argument) { return ControlSocket(AF_INET).call(request, &argument); }

// interfaceGet(name, what): mtu, flags or index; -errno. what: 0 MTU (bytes), 1 flags (IFF_*), 2 index
napi_value interfaceGet(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  ifreq request{};
  args.text(0, request.ifr_name, sizeof request.ifr_name);
  const int32_t what = args.integer(1);
  if (!args.ok) return integerResult(env, -EINVAL);
  const unsigned long calls[] = {SIOCGIFMTU, SIOCGIFFLAGS, SIOCGIFINDEX};
  if (what < 0 || what > 2) return integerResult(env, -EINVAL);
  const int error = call(calls[what], request);
  if (error < 0) return integerResult(env, error);
  return integerResult(env, what == 0   ? request.ifr_mtu
                            : what == 1 ? static_cast<uint16_t>(request.ifr_flags)
                                        : request.ifr_ifindex);
}

// interfaceSetMtu(name, mtu): 0 or -errno
napi_value interfaceSetMtu(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  ifreq request{};
  args.text(0, request.ifr_name, sizeof request.ifr_name);
  request.ifr_mtu = args.integer(1);
  return integerResult(env, args.ok ? call(SIOCSIFMTU, request) : -EINVAL);
}

// interfaceSetUp(name, up): 0 or -errno
napi_value interfaceSetUp(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  ifreq request{};
  args.text(0, request.ifr_name, sizeof request.ifr_name);
  const int32_t up = args.integer(1);
  if (!args.ok) return integerResult(env, -EINVAL);
  const int error = call(SIOCGIFFLAGS, request);
  if (error < 0) return integerResult(env, error);
  request.ifr_flags = static_cast<short>(up != 0 ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
  return integerResult(env, call(SIOCSIFFLAGS, request));
}

// interfaceMac(name, mac: Uint8Array(6), set): reads into or sets from `mac`; 0 or -errno
napi_value interfaceMac(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  ifreq request{};
  args.text(0, request.ifr_name, sizeof request.ifr_name);
  size_t length = 0;
  uint8_t* mac = args.bytes(1, &length);
  const int32_t set = args.integer(2);
  if (!args.ok || length != 6) return integerResult(env, -EINVAL);
  if (set != 0) {
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, mac, 6);
    return integerResult(env, call(SIOCSIFHWADDR, request));
  }
  const int error = call(SIOCGIFHWADDR, request);
  if (error == 0) std::memcpy(mac, request.ifr_hwaddr.sa_data, 6);
  return integerResult(env, error);
}

int setIpv4(ifreq& request, const uint8_t* address, int32_t prefix) {
  sockaddr_in* in = reinterpret_cast<sockaddr_in*>(&request.ifr_addr);
  in->sin_family = AF_INET;
  std::memcpy(&in->sin_addr, address, 4);
  const int error = call(SIOCSIFADDR, request);
  if (error < 0) return error;
  in->sin_addr.s_addr = htonl(prefix == 0 ? 0 : 0xffffffffu << (32 - prefix));
  return call(SIOCSIFNETMASK, request);
}

int getIpv4(ifreq& request, uint8_t* address) {
  int error = call(SIOCGIFADDR, request);
  if (error < 0) return error;
  std::memcpy(address, &reinterpret_cast<sockaddr_in*>(&request.ifr_addr)->sin_addr, 4);
  error = call(SIOCGIFNETMASK, request);
  if (error < 0) return error;
  return __builtin_popcount(reinterpret_cast<sockaddr_in*>(&request.ifr_addr)->sin_addr.s_addr);
}

int setIpv6(ifreq& request, const uint8_t* address, int32_t prefix) {
  const int error = call(SIOCGIFINDEX, request);
  if (error < 0) return error;
  in6_ifreq six{};
  std::memcpy(&six.ifr6_addr, address, 16);
  six.ifr6_prefixlen = static_cast<uint32_t>(prefix);
  six.ifr6_ifindex = request.ifr_ifindex;
  return ControlSocket(AF_INET6).call(SIOCSIFADDR, &six);
}

// interfaceAddress(name, address: Uint8Array(4 or 16), prefix): sets it; with prefix -1 reads the IPv4 address into
// `address` and returns its prefix length; -errno
napi_value interfaceAddress(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  ifreq request{};
  args.text(0, request.ifr_name, sizeof request.ifr_name);
  size_t length = 0;
  uint8_t* address = args.bytes(1, &length);
  const int32_t prefix = args.integer(2);
  const int32_t bits = static_cast<int32_t>(length) * 8;
  if (!args.ok || (length != 4 && length != 16) || prefix < -1 || prefix > bits || (prefix < 0 && length != 4)) {
    return integerResult(env, -EINVAL);
  }
  if (prefix < 0) return integerResult(env, getIpv4(request, address));
  return integerResult(env, length == 4 ? setIpv4(request, address, prefix) : setIpv6(request, address, prefix));
}

// Offload features are numbered as the kernel likes; their names (ethtool -k) are what stays.
constexpr uint32_t FEATURE_LIMIT = 1024;
constexpr uint32_t FEATURE_BLOCK_BITS = 32;
constexpr uint32_t FEATURE_BLOCKS = FEATURE_LIMIT / FEATURE_BLOCK_BITS;

// A command of ethtool with the array behind it.
template <typename Command, size_t ROOM_BYTES>
struct EthtoolRequest {
  alignas(Command) uint8_t bytes[sizeof(Command) + ROOM_BYTES] = {};
  Command& command() { return *reinterpret_cast<Command*>(bytes); }
  const uint8_t* array() const { return bytes + sizeof(Command); }
  int call(ControlSocket& control, ifreq& request) {
    request.ifr_data = reinterpret_cast<char*>(bytes);
    return control.call(SIOCETHTOOL, &request);
  }
};

int featureCount(ControlSocket& control, ifreq& request) {
  EthtoolRequest<ethtool_sset_info, sizeof(uint32_t)> sets;
  sets.command().cmd = ETHTOOL_GSSET_INFO;
  sets.command().sset_mask = 1ull << ETH_SS_FEATURES;
  const int error = sets.call(control, request);
  if (error < 0) return error;
  uint32_t count = 0;
  std::memcpy(&count, sets.array(), sizeof count);
  return sets.command().sset_mask == 0 || count > FEATURE_LIMIT ? -ENOTSUP : static_cast<int>(count);
}

int featureIndex(ControlSocket& control, ifreq& request, uint32_t count, const char* feature) {
  EthtoolRequest<ethtool_gstrings, FEATURE_LIMIT * ETH_GSTRING_LEN> strings;
  strings.command().cmd = ETHTOOL_GSTRINGS;
  strings.command().string_set = ETH_SS_FEATURES;
  strings.command().len = count;
  const int error = strings.call(control, request);
  if (error < 0) return error;
  const char* names = reinterpret_cast<const char*>(strings.array());
  for (uint32_t index = 0; index < count; index++) {
    if (std::strncmp(names + size_t{index} * ETH_GSTRING_LEN, feature, ETH_GSTRING_LEN) == 0) {
      return static_cast<int>(index);
    }
  }
  return -ENOENT;
}

int featureState(ControlSocket& control, ifreq& request, uint32_t index) {
  EthtoolRequest<ethtool_gfeatures, FEATURE_BLOCKS * sizeof(ethtool_get_features_block)> features;
  features.command().cmd = ETHTOOL_GFEATURES;
  features.command().size = FEATURE_BLOCKS;
  const int error = features.call(control, request);
  if (error < 0) return error;
  ethtool_get_features_block block{};
  std::memcpy(&block, features.array() + index / FEATURE_BLOCK_BITS * sizeof block, sizeof block);
  return (block.active >> (index % FEATURE_BLOCK_BITS)) & 1;
}

// interfaceFeature(name, feature): 1 when the offload of that name (`ethtool -k`) is on, 0 when off; -ENOENT when the
// kernel has no such feature, -errno
napi_value interfaceFeature(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  ifreq request{};
  char feature[ETH_GSTRING_LEN + 1] = {};
  args.text(0, request.ifr_name, sizeof request.ifr_name);
  args.text(1, feature, sizeof feature);
  if (!args.ok) return integerResult(env, -EINVAL);
  ControlSocket control(AF_INET);
  int result = featureCount(control, request);
  if (result >= 0) result = featureIndex(control, request, static_cast<uint32_t>(result), feature);
  if (result >= 0) result = featureState(control, request, static_cast<uint32_t>(result));
  return integerResult(env, result);
}

}  // namespace

napi_status registerInterface(napi_env env, napi_value exports) {
  static const Export functions[] = {
      {"interfaceGet", interfaceGet}, {"interfaceSetMtu", interfaceSetMtu},   {"interfaceSetUp", interfaceSetUp},
      {"interfaceMac", interfaceMac}, {"interfaceAddress", interfaceAddress}, {"interfaceFeature", interfaceFeature},
  };
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
