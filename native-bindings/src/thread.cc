// What a thread asks of the scheduler (sched_setattr(2)). The C library has no wrapper for it, hence the system calls.
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "napi-args.h"
#include "register.h"

namespace culvert {

namespace {

// struct sched_attr of linux/sched/types.h, its first version.
struct Attributes {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime_ns, deadline_ns, period_ns;
};
static_assert(sizeof(Attributes) == 48);

// threadSetSlice(slice_us): the time slice of the calling thread under the normal policy, everything else left as it
// is; 0 or -errno. Kernels before 6.12 accept it and go on as before; the kernel bounds it to 0.1 ... 100 ms.
napi_value threadSetSlice(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int32_t slice_us = args.integer(0);
  if (!args.ok || slice_us <= 0) return integerResult(env, -EINVAL);
  Attributes attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0) return errnoResult(env);
  if (attributes.policy != SCHED_OTHER) return integerResult(env, 0);  // somebody chose another policy: it stays
  attributes.runtime_ns = static_cast<uint64_t>(slice_us) * 1000;
  return syscall(SYS_sched_setattr, 0, &attributes, 0) < 0 ? errnoResult(env) : integerResult(env, 0);
}

}  // namespace

napi_status registerThread(napi_env env, napi_value exports) {
  static const Export functions[] = {{"threadSetSlice", threadSetSlice}};
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
