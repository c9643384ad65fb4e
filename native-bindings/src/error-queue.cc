// What the network said of packets that a socket sent (a raw socket: that had its protocol and address): the error queue
// of IP_RECVERR (ip(7), ipv6(7), raw(7)). It reads and decides nothing. Emptying the queue also clears the error that waits for the next send.
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "../include/abi.h"
#include "address.h"
#include "napi-args.h"
#include "register.h"

namespace culvert {

namespace {

constexpr uint32_t VXLAN_BYTES = 8;
constexpr uint8_t VXLAN_FLAG_VNI = 0x08;
constexpr size_t CONTROL_BYTES = 256;

// The error; whoever sent it in `offender`, AF_UNSPEC if that is not known.
const sock_extended_err* findError(const msghdr& header, sockaddr_in6& offender) {
  std::memset(&offender, 0, sizeof offender);
  for (cmsghdr* cmsg = CMSG_FIRSTHDR(&header); cmsg != nullptr;
       cmsg = CMSG_NXTHDR(const_cast<msghdr*>(&header), cmsg)) {
    const bool four = cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_RECVERR;
    const bool six = cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_RECVERR;
    if (!four && !six) continue;
    const auto* error = reinterpret_cast<const sock_extended_err*>(CMSG_DATA(cmsg));
    const size_t rest = cmsg->cmsg_len - CMSG_LEN(sizeof *error);
    std::memcpy(&offender, SO_EE_OFFENDER(error), rest < sizeof offender ? rest : sizeof offender);
    return error;
  }
  return nullptr;
}

void fillError(int32_t* row, const sock_extended_err& error, const sockaddr_in6& name, const sockaddr_in6& offender,
               const uint8_t* quote, size_t quoteBytes) {
  std::memset(row, 0, ERROR_WORDS * sizeof(int32_t));
  const bool icmp = error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6;
  row[ERROR_ERRNO] = static_cast<int32_t>(error.ee_errno);
  row[ERROR_TYPE] = icmp ? error.ee_type : -1;
  row[ERROR_CODE] = error.ee_code;
  row[ERROR_MTU] = error.ee_errno == EMSGSIZE ? static_cast<int32_t>(error.ee_info) : 0;
  row[ERROR_FAMILY] = readAddress(name, row + ERROR_ADDRESS);
  row[ERROR_PORT] = ntohs(name.sin6_port);  // same place as sin_port
  const bool vxlan = quoteBytes >= VXLAN_BYTES && (quote[0] & VXLAN_FLAG_VNI) != 0;
  row[ERROR_VNI] = vxlan ? static_cast<int32_t>(loadBig32(quote + 4) >> 8) : -1;
  row[ERROR_QUOTED] = static_cast<int32_t>(quoteBytes);
  if (offender.sin6_family != AF_UNSPEC) readAddress(offender, row + ERROR_OFFENDER);
}

// socketErrors(fd, errors: Int32Array, quotes: Uint8Array): takes errors from the queue, at most MAX_ERRORS rows of
// ERROR_WORDS: how many; 0 when there is none, or -errno. Row n's quote lies at n * QUOTE_BYTES.
napi_value socketErrors(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  const int32_t fd = args.integer(0);
  size_t words = 0, room = 0;
  int32_t* errors = args.words(1, &words);
  uint8_t* quotes = args.bytes(2, &room);
  if (!args.ok || words < static_cast<size_t>(MAX_ERRORS * ERROR_WORDS) ||
      room < static_cast<size_t>(MAX_ERRORS * QUOTE_BYTES)) {
    return integerResult(env, -EINVAL);
  }
  int32_t count = 0;
  while (count < MAX_ERRORS) {
    uint8_t* quote = quotes + QUOTE_BYTES * count;
    iovec vector{quote, QUOTE_BYTES};
    alignas(8) uint8_t control[CONTROL_BYTES];
    sockaddr_in6 name{}, offender{};
    msghdr header{};
    header.msg_name = &name;
    header.msg_namelen = sizeof name;
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t bytes = recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno != EAGAIN && count == 0) return errnoResult(env);
    if (bytes < 0) break;
    const sock_extended_err* error = findError(header, offender);
    if (error == nullptr) continue;
    fillError(errors + ERROR_WORDS * count++, *error, name, offender, quote, static_cast<size_t>(bytes));
  }
  return integerResult(env, count);
}

}  // namespace

napi_status registerErrorQueue(napi_env env, napi_value exports) {
  static const Export functions[] = {{"socketErrors", socketErrors}};
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
