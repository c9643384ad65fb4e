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

namespace culvert {
namespace {

constexpr timeval kReceiveTimeout = {2, 0};
// Signals that may interrupt one call, and datagrams of other senders that one receive skips, before it gives up.
constexpr int kMaxRetries = 16;

napi_value integer(napi_env env, int64_t value) {
  napi_value result = nullptr;
  napi_create_int64(env, value, &result);
  return result;
}

// The Uint8Array (or Buffer) `value` as pointer and length; false if it is something else.
bool bytesOf(napi_env env, napi_value value, uint8_t** data, size_t* length) {
  bool isTyped = false;
  if (napi_is_typedarray(env, value, &isTyped) != napi_ok || !isTyped) return false;
  napi_typedarray_type type;
  void* start = nullptr;
  if (napi_get_typedarray_info(env, value, &type, length, &start, nullptr, nullptr) != napi_ok) {
    return false;
  }
  *data = static_cast<uint8_t*>(start);
  return type == napi_uint8_array;
}

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

int64_t sendToKernel(int fd, const uint8_t* data, size_t length) {
  sockaddr_nl kernel;
  memset(&kernel, 0, sizeof kernel);
  kernel.nl_family = AF_NETLINK;
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
  size_t count = 1;
  napi_value args[1];
  uint32_t groups = 0;
  if (napi_get_cb_info(env, info, &count, args, nullptr, nullptr) != napi_ok || count < 1 ||
      napi_get_value_uint32(env, args[0], &groups) != napi_ok) {
    return integer(env, -EINVAL);
  }
  return integer(env, openRoute(groups));
}

// netlinkSend(fd, bytes, length): bytes sent
napi_value netlinkSend(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value args[3];
  int32_t fd = -1;
  uint8_t* data = nullptr;
  size_t capacity = 0;
  uint32_t length = 0;
  if (napi_get_cb_info(env, info, &count, args, nullptr, nullptr) != napi_ok || count < 3 ||
      napi_get_value_int32(env, args[0], &fd) != napi_ok ||
      !bytesOf(env, args[1], &data, &capacity) ||
      napi_get_value_uint32(env, args[2], &length) != napi_ok || length > capacity) {
    return integer(env, -EINVAL);
  }
  return integer(env, sendToKernel(fd, data, length));
}

// netlinkReceive(fd, bytes): length of one datagram; -EMSGSIZE if it did not fit, -EAGAIN after the timeout
napi_value netlinkReceive(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value args[2];
  int32_t fd = -1;
  uint8_t* data = nullptr;
  size_t capacity = 0;
  if (napi_get_cb_info(env, info, &count, args, nullptr, nullptr) != napi_ok || count < 2 ||
      napi_get_value_int32(env, args[0], &fd) != napi_ok ||
      !bytesOf(env, args[1], &data, &capacity)) {
    return integer(env, -EINVAL);
  }
  return integer(env, receiveFromKernel(fd, data, capacity));
}

// netlinkClose(fd): 0
napi_value netlinkClose(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value args[1];
  int32_t fd = -1;
  if (napi_get_cb_info(env, info, &count, args, nullptr, nullptr) != napi_ok || count < 1 ||
      napi_get_value_int32(env, args[0], &fd) != napi_ok) {
    return integer(env, -EINVAL);
  }
  return integer(env, close(fd) < 0 ? -errno : 0);
}

napi_property_descriptor method(const char* name, napi_callback callback) {
  return {name, nullptr, callback, nullptr, nullptr, nullptr, napi_enumerable, nullptr};
}

}  // namespace

napi_status registerNetlink(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      method("netlinkOpen", netlinkOpen),
      method("netlinkSend", netlinkSend),
      method("netlinkReceive", netlinkReceive),
      method("netlinkClose", netlinkClose),
  };
  return napi_define_properties(env, exports, sizeof methods / sizeof methods[0], methods);
}

}  // namespace culvert
