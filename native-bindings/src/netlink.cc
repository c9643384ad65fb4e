// rtnetlink sockets for the control plane. Every function takes and returns integers and typed arrays and answers
// >= 0 or -errno; a wrong argument is -EINVAL. No policy, no allocation: the caller owns every buffer.
// Calls block for at most kReceiveTimeout: the kernel answers rtnetlink requests at once.

#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "napi-args.h"

namespace culvert {
namespace {

constexpr timeval kReceiveTimeout = {2, 0};
// Signals that may interrupt one call, and datagrams of other senders that one receive skips, before it gives up.
constexpr int kMaxRetries = 16;

int openRoute(uint32_t groups) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return -errno;
  // Kernels before 4.12 know no extended acknowledgements, before 4.20 no strict checks: the answers are then less
  // precise (no text, unfiltered dumps) and the caller copes with both.
  const int on = 1;
  (void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  (void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  sockaddr_nl address;
  memset(&address, 0, sizeof address);
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kReceiveTimeout, sizeof kReceiveTimeout) < 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    const int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

// To the kernel, and to the listeners of `groups`. What has no NLM_F_REQUEST the kernel itself does not look at.
int64_t sendToKernel(int fd, const uint8_t* data, size_t length, uint32_t groups) {
  sockaddr_nl kernel;
  memset(&kernel, 0, sizeof kernel);
  kernel.nl_family = AF_NETLINK;
  kernel.nl_groups = groups;
  for (int tries = 0; tries < kMaxRetries; tries++) {
    const ssize_t sent =
        sendto(fd, data, length, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
  return -EINTR;
}

int64_t receiveFromKernel(int fd, uint8_t* data, size_t capacity) {
  int last = -EAGAIN;
  for (int tries = 0; tries < kMaxRetries; tries++) {
    sockaddr_nl sender;
    memset(&sender, 0, sizeof sender);
    iovec part = {data, capacity};
    msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t got = recvmsg(fd, &message, 0);
    if (got < 0) {
      if (errno != EINTR) return -errno;
      last = -EINTR;
      continue;
    }
    // netlink(7): only port 0 is the kernel; a privileged process could send here too.
    if (sender.nl_pid != 0) continue;
    if ((message.msg_flags & MSG_TRUNC) != 0) return -EMSGSIZE;
    return got;
  }
  return last;
}

// netlinkOpen(groups): fd
napi_value netlinkOpen(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int32_t groups = args.integer(0);
  return integerResult(env, args.ok ? openRoute(static_cast<uint32_t>(groups)) : -EINVAL);
}

// netlinkSend(fd, bytes, length, groups): bytes sent
napi_value netlinkSend(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  const int32_t fd = args.integer(0);
  size_t capacity = 0;
  const uint8_t* data = args.bytes(1, &capacity);
  const int32_t length = args.integer(2);
  const int32_t groups = args.integer(3);
  if (!args.ok || length < 0 || static_cast<size_t>(length) > capacity) return integerResult(env, -EINVAL);
  return integerResult(env, sendToKernel(fd, data, static_cast<size_t>(length), static_cast<uint32_t>(groups)));
}

// netlinkReceive(fd, bytes): length of one datagram; -EMSGSIZE if it did not fit, -EAGAIN after the timeout
napi_value netlinkReceive(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int32_t fd = args.integer(0);
  size_t capacity = 0;
  uint8_t* data = args.bytes(1, &capacity);
  return integerResult(env, args.ok ? receiveFromKernel(fd, data, capacity) : -EINVAL);
}

// netlinkClose(fd): 0
napi_value netlinkClose(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int32_t fd = args.integer(0);
  if (!args.ok) return integerResult(env, -EINVAL);
  return close(fd) < 0 ? errnoResult(env) : integerResult(env, 0);
}

}  // namespace

napi_status registerNetlink(napi_env env, napi_value exports) {
  static const Export functions[] = {
      {"netlinkOpen", netlinkOpen},
      {"netlinkSend", netlinkSend},
      {"netlinkReceive", netlinkReceive},
      {"netlinkClose", netlinkClose},
  };
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
