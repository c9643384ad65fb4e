// One datagram at a time, for what is no traffic: keepalives. Batches of frames leave by send.cc.
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "../include/abi.h"
#include "address.h"
#include "napi-args.h"
#include "pending-error.h"
#include "register.h"

namespace culvert {

namespace {

// datagramSend(fd, family, words: Int32Array, at, port, bytes: Uint8Array, ttl): 0 or -errno. The address stands in four
// words from `at` on, in host order, as in rows of remotes and runs. TTL 0: the route's.
napi_value datagramSend(napi_env env, napi_callback_info info) {
  Arguments<7> args(env, info);
  const int32_t fd = args.integer(0), family = args.integer(1);
  size_t words = 0, length = 0;
  const int32_t* address = args.words(2, &words);
  const int32_t at = args.integer(3), port = args.integer(4);
  uint8_t* bytes = args.bytes(5, &length);
  const int32_t ttl = args.integer(6);
  if (!args.ok || (family != 4 && family != 6) || at < 0 || static_cast<size_t>(at) + 4 > words || port < 1 ||
      port > 65535 || ttl < 0 || ttl > 255 || length > static_cast<size_t>(MAX_UDP_PAYLOAD)) {
    return integerResult(env, -EINVAL);
  }
  sockaddr_in6 name;
  const bool v6 = family == 6;
  iovec vector{bytes, length};
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = makeAddress(name, family, address + at, port);
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))] = {0};
  if (ttl > 0) {
    cmsghdr* header = reinterpret_cast<cmsghdr*>(control);
    header->cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    header->cmsg_type = v6 ? IPV6_HOPLIMIT : IP_TTL;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &ttl, sizeof ttl);
    message.msg_control = control;
    message.msg_controllen = sizeof control;
  }
  ssize_t sent;
  int tries = 0;
  do {
    sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && (errno == EINTR || (isIcmpError(errno) && ++tries < SEND_TRIES)));
  return sent < 0 ? errnoResult(env) : integerResult(env, 0);
}

}  // namespace

napi_status registerDatagram(napi_env env, napi_value exports) {
  static const Export functions[] = {{"datagramSend", datagramSend}};
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
