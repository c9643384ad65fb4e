// TUN and TAP devices: open a queue, set offloads. Linux's Documentation/networking/tuntap.rst; if_tun.h.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>

#include "../include/abi.h"
#include "napi-args.h"
#include "register.h"

namespace culvert {

namespace {

int openQueue(const char (&name)[IFNAMSIZ], int kind, bool multiQueue, bool mustBeNew) {
  const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -errno;
  ifreq request{};
  std::memcpy(request.ifr_name, name, IFNAMSIZ);
  int flags = (kind == DEVICE_TAP ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_VNET_HDR;
  if (multiQueue) flags |= IFF_MULTI_QUEUE;
  if (mustBeNew) flags |= IFF_TUN_EXCL;
  request.ifr_flags = static_cast<short>(flags);
  int headerBytes = VNET_HEADER_BYTES;
  if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &headerBytes) < 0) {
    const int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

// tuntapOpen(name, kind, multiQueue, mustBeNew): descriptor of one queue, or -errno (EBUSY: the name is taken)
napi_value tuntapOpen(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  char name[IFNAMSIZ] = {0};
  args.text(0, name, sizeof name);
  const int32_t kind = args.integer(1), multiQueue = args.integer(2), mustBeNew = args.integer(3);
  if (!args.ok || (kind != DEVICE_TAP && kind != DEVICE_TUN)) return integerResult(env, -EINVAL);
  return integerResult(env, openQueue(name, kind, multiQueue != 0, mustBeNew != 0));
}

// tuntapSetOffload(fd, OFFLOAD_* mask): 0, or -errno (EINVAL: the kernel does not know one of them)
napi_value tuntapSetOffload(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int32_t fd = args.integer(0), mask = args.integer(1);
  if (!args.ok) return integerResult(env, -EINVAL);
  if (ioctl(fd, TUNSETOFFLOAD, static_cast<unsigned long>(mask)) < 0) return errnoResult(env);
  return integerResult(env, 0);
}

// descriptorClose(fd): 0 or -errno; for every descriptor that this module handed out
napi_value descriptorClose(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int32_t fd = args.integer(0);
  if (!args.ok) return integerResult(env, -EINVAL);
  return close(fd) < 0 ? errnoResult(env) : integerResult(env, 0);
}

}  // namespace

napi_status registerTuntap(napi_env env, napi_value exports) {
  static const Export functions[] = {
      {"tuntapOpen", tuntapOpen},
      {"tuntapSetOffload", tuntapSetOffload},
      {"descriptorClose", descriptorClose},
  };
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
