// Waiting for descriptors: epoll(7), and an eventfd(2) with which another thread wakes a worker. A worker waits in
// `pollWait` outside the event loop; nothing here touches libuv.
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "../include/abi.h"
#include "napi-args.h"
#include "register.h"

namespace culvert {

namespace {

static_assert(POLL_IN == EPOLLIN && POLL_ERROR == EPOLLERR);

// pollCreate(): descriptor or -errno
napi_value pollCreate(napi_env env, napi_callback_info) {
  const int fd = epoll_create1(EPOLL_CLOEXEC);
  return fd < 0 ? errnoResult(env) : integerResult(env, fd);
}

// pollAdd(poll, fd, token): watches for input, level-triggered; 0 or -errno
napi_value pollAdd(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  const int32_t poll = args.integer(0), fd = args.integer(1), token = args.integer(2);
  if (!args.ok) return integerResult(env, -EINVAL);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = static_cast<uint32_t>(token);
  return epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0 ? errnoResult(env) : integerResult(env, 0);
}

// pollRemove(poll, fd): 0 or -errno
napi_value pollRemove(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int32_t poll = args.integer(0), fd = args.integer(1);
  if (!args.ok) return integerResult(env, -EINVAL);
  return epoll_ctl(poll, EPOLL_CTL_DEL, fd, nullptr) < 0 ? errnoResult(env) : integerResult(env, 0);
}

int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1000000000} + now.tv_nsec;
}

// Asks again and again until `end_ns`, and lets others run in between. Whoever finds something this way was not asleep,
// so nobody had to wake it.
int pollBusy(int poll, epoll_event* events, int limit, int64_t end_ns) {
  int count = epoll_wait(poll, events, limit, 0);
  while (count == 0 && now_ns() < end_ns) {
    sched_yield();
    count = epoll_wait(poll, events, limit, 0);
  }
  return count;
}

// pollWait(poll, ready: Int32Array, timeout_ms, busy_us): number of (token, events) pairs written to `ready`, or
// -errno. Asks for `busy_us` without sleeping, then sleeps up to timeout_ms (-1: for ever); an interrupted wait gives 0.
// `ready` holds READY_WORDS; how long the call took stands in READY_WAITED_US.
napi_value pollWait(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  const int32_t poll = args.integer(0);
  size_t words = 0;
  int32_t* ready = args.words(1, &words);
  const int32_t timeout_ms = args.integer(2), busy_us = args.integer(3);
  if (!args.ok || words < READY_WORDS || busy_us < 0) return integerResult(env, -EINVAL);
  epoll_event events[MAX_READY];
  const int64_t start_ns = now_ns();
  int count = busy_us == 0 ? 0 : pollBusy(poll, events, MAX_READY, start_ns + busy_us * int64_t{1000});
  if (count == 0) count = epoll_wait(poll, events, MAX_READY, timeout_ms);
  if (count < 0) return integerResult(env, errno == EINTR ? 0 : -errno);
  const int64_t waited_us = (now_ns() - start_ns) / 1000;
  ready[READY_WAITED_US] = static_cast<int32_t>(waited_us < INT32_MAX ? waited_us : INT32_MAX);
  for (int i = 0; i < count; i++) {
    ready[2 * i] = static_cast<int32_t>(events[i].data.u32);
    ready[2 * i + 1] = static_cast<int32_t>(events[i].events);
  }
  return integerResult(env, count);
}

// wakeCreate(): an eventfd, or -errno
napi_value wakeCreate(napi_env env, napi_callback_info) {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd < 0 ? errnoResult(env) : integerResult(env, fd);
}

// wakeSignal(fd): wakes whoever polls it; 0 or -errno
napi_value wakeSignal(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int32_t fd = args.integer(0);
  const uint64_t one = 1;
  if (!args.ok) return integerResult(env, -EINVAL);
  return write(fd, &one, sizeof one) < 0 ? errnoResult(env) : integerResult(env, 0);
}

// wakeDrain(fd): takes back all wake-ups; 0 or -errno
napi_value wakeDrain(napi_env env, napi_callback_info info) {
  Arguments<1> args(env, info);
  const int32_t fd = args.integer(0);
  uint64_t count = 0;
  if (!args.ok) return integerResult(env, -EINVAL);
  if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN) return errnoResult(env);
  return integerResult(env, 0);
}

}  // namespace

napi_status registerPoll(napi_env env, napi_value exports) {
  static const Export functions[] = {
      {"pollCreate", pollCreate}, {"pollAdd", pollAdd},       {"pollRemove", pollRemove}, {"pollWait", pollWait},
      {"wakeCreate", wakeCreate}, {"wakeSignal", wakeSignal}, {"wakeDrain", wakeDrain},
  };
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
