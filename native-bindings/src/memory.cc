// How the process gets large blocks of memory from the kernel.
#include <stdlib.h>  // defines __GLIBC__ where that is the C library

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "napi-args.h"
#include "register.h"

namespace culvert {

namespace {

// memoryMapFrom(bytes): blocks of that size and more become mappings of their own from now on, whose pages cost nothing
// until they are touched; 0, or -ENOTSUP where the C library has no such setting. By itself glibc raises its threshold
// whenever a large block is freed (mallopt(3), M_MMAP_THRESHOLD), and then clears up to 128 KiB of each table.
napi_value memoryMapFrom(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int32_t bytes = args.integer(0);
  if (!args.ok || bytes <= 0) return integerResult(env, -EINVAL);
#ifdef __GLIBC__
  return integerResult(env, mallopt(M_MMAP_THRESHOLD, bytes) == 1 ? 0 : -EINVAL);
#else
  return integerResult(env, -ENOTSUP);
#endif
}

}  // namespace

napi_status registerMemory(napi_env env, napi_value exports) {
  static const Export functions[] = {{"memoryMapFrom", memoryMapFrom}};
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
