// Ping-pong of datagrams and short TCP connections for benchmarks: what measures round trips must add little to them,
// so these are blocking calls in a loop. For a process of their own (src/bench/workloads/peer.ts), never for the daemon
// or its workers: every loop blocks its thread for as long as it was told to, and no longer.
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "napi-args.h"
#include "register.h"

namespace culvert {

namespace {

constexpr size_t PING_BYTES = 64;
constexpr size_t ECHO_BYTES = 2048;
constexpr int WARM_UP_ROUND_TRIPS = 100;
constexpr int64_t WARM_UP_LIMIT_NS = 1'000'000'000;
// A reply that takes longer counts as lost.
constexpr int REPLY_TIMEOUT_MS = 200;
// How often a server looks at the clock, and how long it waits for a client that says nothing.
constexpr int SERVER_TICK_MS = 100;
constexpr int CONNECTION_TIMEOUT_MS = 1000;
constexpr int BACKLOG = 64;
constexpr size_t ADDRESS_CHARS = 80;  // INET6_ADDRSTRLEN and a zone

int64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

int64_t after_ns(int32_t duration_ms) { return now_ns() + int64_t{duration_ms} * 1'000'000; }

int setTimeout(int fd, int option, int ms) {
  const timeval time{ms / 1000, (ms % 1000) * 1000};
  return setsockopt(fd, SOL_SOCKET, option, &time, sizeof time);
}

int closeWith(int fd, int error) {
  close(fd);
  return -error;
}

// A socket of both families on `port`, or of IPv4 alone where the kernel has no IPv6; descriptor or -errno.
int openServer(int type, int port) {
  int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
  const bool v6 = fd >= 0;
  if (!v6) fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const int on = 1, off = 0;
  sockaddr_storage name{};
  if (v6) {
    auto* six = reinterpret_cast<sockaddr_in6*>(&name);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(static_cast<uint16_t>(port));
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0) return closeWith(fd, errno);
  } else {
    auto* four = reinterpret_cast<sockaddr_in*>(&name);
    four->sin_family = AF_INET;
    four->sin_port = htons(static_cast<uint16_t>(port));
  }
  // Connections of the run before may still be going down.
  if (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) return closeWith(fd, errno);
  const socklen_t length = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (bind(fd, reinterpret_cast<sockaddr*>(&name), length) < 0) return closeWith(fd, errno);
  if (type == SOCK_STREAM && listen(fd, BACKLOG) < 0) return closeWith(fd, errno);
  return fd;
}

// The numeric address `text` and `port`; 0 or -errno.
int parseAddress(const char* text, int port, sockaddr_storage& out, socklen_t& length) {
  char service[8];
  std::snprintf(service, sizeof service, "%d", port & 0xffff);
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  if (getaddrinfo(text, service, &hints, &found) != 0 || found == nullptr) return -EINVAL;
  length = found->ai_addrlen;
  std::memcpy(&out, found->ai_addr, length);
  freeaddrinfo(found);
  return 0;
}

// A socket connected to the server, which gives up after `timeout_ms`; descriptor or -errno.
int openClient(int type, const sockaddr_storage& address, socklen_t length, int timeout_ms) {
  const int fd = socket(address.ss_family, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (setTimeout(fd, SO_RCVTIMEO, timeout_ms) < 0 || setTimeout(fd, SO_SNDTIMEO, timeout_ms) < 0 ||
      connect(fd, reinterpret_cast<const sockaddr*>(&address), length) < 0) {
    // connect(2) reports its timeout as "in progress" (socket(7), SO_SNDTIMEO).
    return closeWith(fd, errno == EINPROGRESS ? ETIMEDOUT : errno);
  }
  return fd;
}

// Sends every datagram back where it came from; how many there were.
int32_t echoDatagrams(int fd, int64_t end_ns) {
  uint8_t data[ECHO_BYTES];
  int32_t count = 0;
  while (now_ns() < end_ns) {
    sockaddr_storage from;
    socklen_t length = sizeof from;
    const ssize_t size = recvfrom(fd, data, sizeof data, 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 0) {
      if (errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED) continue;
      return -errno;
    }
    if (sendto(fd, data, static_cast<size_t>(size), 0, reinterpret_cast<sockaddr*>(&from), length) >= 0) count++;
  }
  return count;
}

// Accepts connections one after the other, returns their byte, waits for the client to close; how many there were.
int32_t echoConnections(int fd, int64_t end_ns) {
  int32_t count = 0;
  while (now_ns() < end_ns) {
    pollfd waiting{fd, POLLIN, 0};
    if (poll(&waiting, 1, SERVER_TICK_MS) <= 0) continue;
    const int client = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    uint8_t byte;
    setTimeout(client, SO_RCVTIMEO, CONNECTION_TIMEOUT_MS);
    if (recv(client, &byte, 1, 0) == 1 && send(client, &byte, 1, MSG_NOSIGNAL) == 1) {
      count++;
      // The client goes first, so that nothing of the connection stays here.
      recv(client, &byte, 1, 0);
    }
    close(client);
  }
  return count;
}

// One round trip with number `number`: its time, or -errno (-EAGAIN: no reply). Replies to earlier pings are skipped.
int64_t roundTrip_ns(int fd, uint32_t number) {
  uint8_t data[PING_BYTES] = {};
  std::memcpy(data, &number, sizeof number);
  const int64_t sent_ns = now_ns();
  if (send(fd, data, sizeof data, MSG_NOSIGNAL) < 0) return -errno;
  for (;;) {
    uint32_t answered;
    const ssize_t size = recv(fd, data, sizeof data, 0);
    if (size < 0) return -errno;
    const int64_t taken_ns = now_ns() - sent_ns;
    std::memcpy(&answered, data, sizeof answered);
    if (size == PING_BYTES && answered == number) return taken_ns < INT32_MAX ? taken_ns : INT32_MAX;
    if (taken_ns > int64_t{REPLY_TIMEOUT_MS} * 1'000'000) return -EAGAIN;
  }
}

bool noReply(int64_t result) { return result == -EAGAIN || result == -EINTR || result == -ENOBUFS; }

// One connection: a byte each way, then a reset: neither end keeps a port in TIME-WAIT, of which a client has some
// 28,000 [RFC 9293 § 3.6.1; tcp(7), SO_LINGER in socket(7)]. 0 or -errno.
int oneConnection(const sockaddr_storage& address, socklen_t length) {
  const int fd = openClient(SOCK_STREAM, address, length, CONNECTION_TIMEOUT_MS);
  if (fd < 0) return fd;
  uint8_t byte = 1;
  if (send(fd, &byte, 1, MSG_NOSIGNAL) < 0) return closeWith(fd, errno);
  const ssize_t size = recv(fd, &byte, 1, 0);
  if (size < 0) return closeWith(fd, errno);
  if (size == 0) return closeWith(fd, ECONNRESET);
  const linger reset{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(fd);
  return 0;
}

// echoOpen(stream, port): a socket that waits for clients: TCP with `stream` 1, UDP with 0; descriptor or -errno
napi_value echoOpen(napi_env env, napi_callback_info info) {
  Arguments<2> args(env, info);
  const int32_t stream = args.integer(0), port = args.integer(1);
  if (!args.ok || port < 0 || port > 0xffff) return integerResult(env, -EINVAL);
  return integerResult(env, openServer(stream != 0 ? SOCK_STREAM : SOCK_DGRAM, port));
}

// echoServe(fd, stream, duration_ms): blocks for that long; datagrams or connections served, or -errno
napi_value echoServe(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  const int32_t fd = args.integer(0), stream = args.integer(1), duration_ms = args.integer(2);
  if (!args.ok) return integerResult(env, -EINVAL);
  if (setTimeout(fd, SO_RCVTIMEO, SERVER_TICK_MS) < 0) return errnoResult(env);
  const int64_t end_ns = after_ns(duration_ms);
  return integerResult(env, stream != 0 ? echoConnections(fd, end_ns) : echoDatagrams(fd, end_ns));
}

// pingPong(address, port, duration_ms, times_ns: Int32Array, lost: Int32Array(1)): blocks for that long, or until
// `times_ns` is full; round trips measured, or -errno. The first 100, for at most a second, are not counted.
napi_value pingPong(napi_env env, napi_callback_info info) {
  Arguments<5> args(env, info);
  char text[ADDRESS_CHARS];
  args.text(0, text, sizeof text);
  const int32_t port = args.integer(1), duration_ms = args.integer(2);
  size_t capacity = 0, words = 0;
  int32_t* times_ns = args.words(3, &capacity);
  int32_t* lost = args.words(4, &words);
  if (!args.ok || words < 1) return integerResult(env, -EINVAL);
  sockaddr_storage address;
  socklen_t length;
  if (parseAddress(text, port, address, length) < 0) return integerResult(env, -EINVAL);
  const int fd = openClient(SOCK_DGRAM, address, length, REPLY_TIMEOUT_MS);
  if (fd < 0) return integerResult(env, fd);

  uint32_t number = 0;
  const int64_t warm_ns = now_ns() + WARM_UP_LIMIT_NS;
  for (int i = 0; i < WARM_UP_ROUND_TRIPS && now_ns() < warm_ns; i++) {
    const int64_t taken_ns = roundTrip_ns(fd, number++);
    if (taken_ns < 0 && !noReply(taken_ns)) return integerResult(env, closeWith(fd, static_cast<int>(-taken_ns)));
  }
  size_t count = 0;
  lost[0] = 0;
  const int64_t end_ns = after_ns(duration_ms);
  while (count < capacity && now_ns() < end_ns) {
    const int64_t taken_ns = roundTrip_ns(fd, number++);
    if (taken_ns >= 0) {
      times_ns[count++] = static_cast<int32_t>(taken_ns);
    } else if (noReply(taken_ns)) {
      lost[0]++;
    } else {
      return integerResult(env, closeWith(fd, static_cast<int>(-taken_ns)));
    }
  }
  close(fd);
  return integerResult(env, static_cast<int64_t>(count));
}

// shortConnections(address, port, duration_ms): blocks for that long; connections made and closed, or -errno
napi_value shortConnections(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  char text[ADDRESS_CHARS];
  args.text(0, text, sizeof text);
  const int32_t port = args.integer(1), duration_ms = args.integer(2);
  if (!args.ok) return integerResult(env, -EINVAL);
  sockaddr_storage address;
  socklen_t length;
  if (parseAddress(text, port, address, length) < 0) return integerResult(env, -EINVAL);
  int32_t count = 0;
  for (const int64_t end_ns = after_ns(duration_ms); now_ns() < end_ns; count++) {
    const int result = oneConnection(address, length);
    if (result < 0) return integerResult(env, result);
  }
  return integerResult(env, count);
}

}  // namespace

napi_status registerPingPong(napi_env env, napi_value exports) {
  static const Export functions[] = {
      {"echoOpen", echoOpen},
      {"echoServe", echoServe},
      {"pingPong", pingPong},
      {"shortConnections", shortConnections},
  };
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
