// The addon's entry: registers what each file exports. Node-API only, so one build serves every Node.js from 20 up;
// no state of its own, so it may be loaded in any number of worker threads.
#include <node_api.h>

#include "checksum.h"
#include "napi-args.h"
#include "netlink.h"
#include "register.h"

namespace culvert {

namespace {

// checksumBytes(bytes: Uint8Array, laneBits): folded one's complement sum of all bytes, in native byte order, by the
// version for vectors of that width (0: the one in use); -ENOTSUP where this machine lacks it
napi_value checksumBytes(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  size_t length = 0;
  const uint8_t* data = args.bytes(0, &length);
  const int32_t laneBits = args.integer(1);
  if (!args.ok || laneBits < 0) return integerResult(env, -EINVAL);
  const int64_t sum = foldedSum(static_cast<uint32_t>(laneBits), data, length);
  return integerResult(env, sum < 0 ? -ENOTSUP : sum);
}

}  // namespace

napi_status registerChecksum(napi_env env, napi_value exports) {
  static const Export functions[] = {{"checksumBytes", checksumBytes}};
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert

static napi_value initialise(napi_env env, napi_value exports) {
  napi_status (*const parts[])(napi_env, napi_value) = {
      culvert::registerEgress,    culvert::registerIngress, culvert::registerCoalesce, culvert::registerTuntap,
      culvert::registerInterface, culvert::registerSocket,  culvert::registerPoll,     culvert::registerChecksum,
      culvert::registerNetlink,   culvert::registerThread,  culvert::registerPingPong, culvert::registerErrorQueue,
      culvert::registerMulticast, culvert::registerMemory,  culvert::registerDatagram,
      culvert::registerWatch,
  };
  for (const auto part : parts) {
    if (part(env, exports) != napi_ok) {
      napi_throw_error(env, "CULVERT_NATIVE_LOAD", "the native addon could not register its functions");
      return nullptr;
    }
  }
  return exports;
}

NAPI_MODULE(NODE_GYP_MODULE_NAME, initialise)
