// Watching a descriptor on the event loop of the thread that asks (uv_poll_t), and taking what a netlink socket has
// queued without waiting: for rtnetlink notifications on the main thread. Workers wait in poll.cc instead.
//
// A watch keeps the loop alive until `descriptorUnwatch`, or its environment ends; its memory lives until the loop has
// closed it and JavaScript holds no handle any more.
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "napi-args.h"
#include "register.h"

// After socket.h: netlink.h relies on its types.
#include <linux/netlink.h>

namespace culvert {
namespace {

// Datagrams of other senders that one drain skips before it answers.
constexpr int kMaxForeign = 64;

struct Watch {
  static constexpr uint32_t TAG = 0x57415443;
  uint32_t tag = TAG;
  napi_env env = nullptr;
  napi_ref callback = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  uv_poll_t poll;
  /** The loop, and the handle in JavaScript. */
  int holders = 2;
};

void dropHolder(Watch* watch) {
  if (--watch->holders == 0) delete watch;
}

void onClosed(uv_handle_t* handle) {
  Watch* watch = static_cast<Watch*>(handle->data);
  napi_remove_async_cleanup_hook(watch->hook);
  watch->hook = nullptr;
  dropHolder(watch);
}

void closeWatch(Watch* watch) {
  uv_handle_t* handle = reinterpret_cast<uv_handle_t*>(&watch->poll);
  if (uv_is_closing(handle)) return;
  if (watch->callback != nullptr) napi_delete_reference(watch->env, watch->callback);
  watch->callback = nullptr;
  uv_close(handle, onClosed);
}

void onEnvironmentEnd(napi_async_cleanup_hook_handle, void* data) { closeWatch(static_cast<Watch*>(data)); }

void onFinalized(napi_env, void* data, void*) { dropHolder(static_cast<Watch*>(data)); }

// Errors of the descriptor are the callback's to find: it reads. libuv ends a watch at EPOLLERR (uv__poll_io), which an
// overrun netlink socket has until its error has been read: so it goes on.
void onReadable(uv_poll_t* poll, int status, int) {
  Watch* watch = static_cast<Watch*>(poll->data);
  if (status < 0) uv_poll_start(poll, UV_READABLE, onReadable);
  napi_env env = watch->env;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback = nullptr, receiver = nullptr, result = nullptr;
  napi_get_reference_value(env, watch->callback, &callback);
  napi_get_global(env, &receiver);
  if (napi_make_callback(env, nullptr, receiver, callback, 0, nullptr, &result) == napi_pending_exception) {
    napi_value error = nullptr;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
  }
  napi_close_handle_scope(env, scope);
}

// descriptorWatch(fd, callback): a handle; the callback runs whenever there is something to read. -errno
napi_value descriptorWatch(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int32_t fd = args.integer(0);
  napi_valuetype type = napi_undefined;
  uv_loop_t* loop = nullptr;
  if (!args.ok || napi_typeof(env, args.values[1], &type) != napi_ok || type != napi_function ||
      napi_get_uv_event_loop(env, &loop) != napi_ok) {
    return integerResult(env, -EINVAL);
  }
  Watch* watch = new Watch();
  watch->env = env;
  // libuv's errors are -errno on Linux.
  const int error = uv_poll_init(loop, &watch->poll, fd);
  if (error < 0) {
    delete watch;
    return integerResult(env, error);
  }
  watch->poll.data = watch;
  napi_create_reference(env, args.values[1], 1, &watch->callback);
  napi_add_async_cleanup_hook(env, onEnvironmentEnd, watch, &watch->hook);
  napi_value external = nullptr;
  napi_create_external(env, watch, onFinalized, nullptr, &external);
  const int started = uv_poll_start(&watch->poll, UV_READABLE, onReadable);
  if (started < 0) {
    closeWatch(watch);
    return integerResult(env, started);
  }
  return external;
}

// descriptorUnwatch(handle): 0; the callback runs no more, and the descriptor may be closed
napi_value descriptorUnwatch(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  Watch* watch = args.external<Watch>(0);
  if (!args.ok) return integerResult(env, -EINVAL);
  closeWatch(watch);
  return integerResult(env, 0);
}

// netlinkReserve(fd, bytes): size of the receive buffer, beyond net.core.rmem_max where that is allowed; 0 or -errno
napi_value netlinkReserve(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int32_t fd = args.integer(0), bytes = args.integer(1);
  if (!args.ok || bytes < 0) return integerResult(env, -EINVAL);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) == 0) return integerResult(env, 0);
  return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) < 0 ? errnoResult(env) : integerResult(env, 0);
}

// One datagram of the kernel, without waiting: its length or -errno; 0: somebody else sent it.
int64_t receiveOne(int fd, uint8_t* data, size_t room) {
  sockaddr_nl sender;
  memset(&sender, 0, sizeof sender);
  iovec part = {data, room};
  msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_name = &sender;
  message.msg_namelen = sizeof sender;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
  if (got < 0) return -errno;
  if ((message.msg_flags & MSG_TRUNC) != 0) return -EMSGSIZE;
  return sender.nl_pid == 0 ? got : 0;
}

// netlinkDrain(fd, bytes, room, end: Int32Array): takes queued datagrams one behind the other as long as `room` bytes,
// which is the longest there can be, are left. The bytes taken; end[0] is 0 when room ran out, else the errno that ended
// it: EAGAIN: there is no more, ENOBUFS: the kernel threw some away, EMSGSIZE: one was longer. Any other is -errno.
napi_value netlinkDrain(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  const int32_t fd = args.integer(0);
  size_t capacity = 0, words = 0;
  uint8_t* data = args.bytes(1, &capacity);
  const int32_t room = args.integer(2);
  int32_t* end = args.words(3, &words);
  if (!args.ok || words < 1 || room <= 0 || capacity > INT32_MAX) return integerResult(env, -EINVAL);
  size_t used = 0;
  int foreign = 0;
  end[0] = 0;
  while (capacity - used >= static_cast<size_t>(room) && foreign < kMaxForeign) {
    const int64_t got = receiveOne(fd, data + used, capacity - used);
    if (got == -EINTR) continue;
    if (got < 0) {
      if (got != -EAGAIN && got != -ENOBUFS && got != -EMSGSIZE) return integerResult(env, got);
      end[0] = static_cast<int32_t>(-got);
      break;
    }
    if (got == 0) foreign++;
    used += static_cast<size_t>(got);
  }
  return integerResult(env, static_cast<int64_t>(used));
}

}  // namespace

napi_status registerWatch(napi_env env, napi_value exports) {
  static const Export functions[] = {
      {"descriptorWatch", descriptorWatch},
      {"descriptorUnwatch", descriptorUnwatch},
      {"netlinkReserve", netlinkReserve},
      {"netlinkDrain", netlinkDrain},
  };
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
