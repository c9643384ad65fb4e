// Egress: device -> underlay. `deviceReadBatch` fills the arena with frames; TypeScript decides and writes the send
// list; `encapSendUdp` and `encapSendRaw` hand it to send.cc and send-raw.cc, which
// turn sends into messages.
#include "egress.h"

#include <unistd.h>

#include <cstdlib>

#include "checksum.h"
#include "napi-args.h"
#include "register.h"

namespace culvert {

namespace {

constexpr int32_t MAX_FLOW_LABEL = 0xfffff;  // 20 bits [RFC 8200 § 3]

// Reads one frame behind its headroom; the virtio header lies in the headroom's end until its fields are columns.
ssize_t readFrame(Egress& e, int fd, size_t cursor, int32_t* row) {
  uint8_t* frame = e.arena + cursor + HEADROOM_BYTES;
  uint8_t* vnet = frame - VNET_HEADER_BYTES;
  const ssize_t bytes = read(fd, vnet, VNET_HEADER_BYTES + MAX_FRAME_BYTES);
  if (bytes < 0) return -errno;
  row[FRAME_OFFSET] = static_cast<int32_t>(cursor + HEADROOM_BYTES);
  row[FRAME_LENGTH] = static_cast<int32_t>(bytes < VNET_HEADER_BYTES ? 0 : bytes - VNET_HEADER_BYTES);
  row[FRAME_FLAGS] = vnet[0];
  row[FRAME_GSO_TYPE] = vnet[1];
  row[FRAME_GSO_SIZE] = load16(vnet + 4);  // virtio header of a TUN: native byte order
  row[FRAME_CSUM_START] = load16(vnet + 6);
  row[FRAME_CSUM_OFFSET] = load16(vnet + 8);
  row[FRAME_L3] = row[FRAME_L4] = row[FRAME_PAYLOAD] = 0;
  return bytes;
}

// deviceReadBatch(egress, fd, maxFrames): frames read, or -errno when none was
napi_value deviceReadBatch(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  Egress* e = args.external<Egress>(0);
  const int32_t fd = args.integer(1), limit = args.integer(2);
  if (!args.ok || limit < 1 || limit > MAX_FRAMES) return integerResult(env, -EINVAL);
  size_t cursor = SCRATCH_BYTES;
  int32_t count = 0;
  while (count < limit && cursor + HEADROOM_BYTES + MAX_FRAME_BYTES <= e->arenaBytes) {
    int32_t* row = e->frame(count);
    const ssize_t bytes = readFrame(*e, fd, cursor, row);
    if (bytes == -EINTR) continue;
    if (bytes < 0) {
      if (count == 0) return integerResult(env, bytes);
      break;
    }
    count++;
    cursor += (HEADROOM_BYTES + row[FRAME_LENGTH] + 63) & ~static_cast<size_t>(63);
  }
  return integerResult(env, count);
}

int32_t countFailed(Egress& e, int32_t count) {
  int32_t failed = 0;
  for (int32_t row = 0; row < count; row++) failed += e.send(row)[SEND_RESULT] < 0 ? 1 : 0;
  return failed;
}

// encapSendUdp(egress, sockets: Int32Array, count, flowLabel): number of sends that failed
napi_value encapSendUdp(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  Egress* e = args.external<Egress>(0);
  size_t sockets = 0;
  const int32_t* fds = args.words(1, &sockets);
  const int32_t count = args.integer(2), flowLabel = args.integer(3);
  if (!args.ok || count < 0 || count > MAX_SENDS || sockets == 0 || sockets > MAX_SOCKETS || flowLabel < 0 ||
      flowLabel > MAX_FLOW_LABEL) {
    return integerResult(env, -EINVAL);
  }
  sendUdp(*e, fds, sockets, count, static_cast<uint32_t>(flowLabel));
  return integerResult(env, countFailed(*e, count));
}

// encapSendRaw(egress, sockets: Int32Array(RAW_SOCKETS), count): number of sends that failed
napi_value encapSendRaw(napi_env env, napi_callback_info info) {
  Arguments<3> args(env, info);
  Egress* e = args.external<Egress>(0);
  size_t sockets = 0;
  const int32_t* fds = args.words(1, &sockets);
  const int32_t count = args.integer(2);
  if (!args.ok || count < 0 || count > MAX_SENDS || sockets != static_cast<size_t>(RAW_SOCKETS)) {
    return integerResult(env, -EINVAL);
  }
  sendRaw(*e, fds, count);
  return integerResult(env, countFailed(*e, count));
}

void destroyEgress(napi_env env, void* data, void*) {
  Egress* e = static_cast<Egress*>(data);
  for (PinnedArray& pin : e->pins) unpin(env, pin);
  e->tag = 0;
  std::free(e);
}

// egressCreate(arena: Uint8Array, frames, sends, remotes: Int32Array): external, or -errno
napi_value egressCreate(napi_env env, napi_callback_info info) {
  Arguments<4> args(env, info);
  Egress* e = static_cast<Egress*>(std::calloc(1, sizeof(Egress)));
  if (e == nullptr) return integerResult(env, -ENOMEM);
  e->tag = Egress::TAG;
  bool ok = args.ok && pin(args, 0, napi_uint8_array, e->pins[0]);
  for (size_t i = 1; i < 4; i++) ok = ok && pin(args, i, napi_int32_array, e->pins[i]);
  ok = ok && e->pins[0].length >= static_cast<size_t>(EGRESS_ARENA_BYTES) &&
       e->pins[1].length >= static_cast<size_t>(MAX_FRAMES * FRAME_WORDS) &&
       e->pins[2].length >= static_cast<size_t>(MAX_SENDS * SEND_WORDS);
  if (!ok) {
    destroyEgress(env, e, nullptr);
    return integerResult(env, -EINVAL);
  }
  e->arena = static_cast<uint8_t*>(e->pins[0].data);
  e->arenaBytes = e->pins[0].length;
  e->frames = static_cast<int32_t*>(e->pins[1].data);
  e->sends = static_cast<int32_t*>(e->pins[2].data);
  e->remotes = static_cast<const int32_t*>(e->pins[3].data);
  e->remoteRows = e->pins[3].length / REMOTE_WORDS;
  napi_value external = nullptr;
  napi_create_external(env, e, destroyEgress, nullptr, &external);
  return external;
}

}  // namespace

napi_status registerEgress(napi_env env, napi_value exports) {
  static const Export functions[] = {
      {"egressCreate", egressCreate},
      {"deviceReadBatch", deviceReadBatch},
      {"encapSendUdp", encapSendUdp},
      {"encapSendRaw", encapSendRaw},
  };
  return registerFunctions(env, exports, functions);
}

}  // namespace culvert
