// What each file adds to the module's exports.
#pragma once

#include <node_api.h>

namespace culvert {

napi_status registerEgress(napi_env env, napi_value exports);
napi_status registerIngress(napi_env env, napi_value exports);
napi_status registerCoalesce(napi_env env, napi_value exports);
napi_status registerTuntap(napi_env env, napi_value exports);
napi_status registerInterface(napi_env env, napi_value exports);
napi_status registerSocket(napi_env env, napi_value exports);
napi_status registerMulticast(napi_env env, napi_value exports);
napi_status registerMemory(napi_env env, napi_value exports);
napi_status registerPoll(napi_env env, napi_value exports);
napi_status registerChecksum(napi_env env, napi_value exports);
napi_status registerThread(napi_env env, napi_value exports);
napi_status registerDatagram(napi_env env, napi_value exports);
napi_status registerPingPong(napi_env env, napi_value exports);
napi_status registerErrorQueue(napi_env env, napi_value exports);
napi_status registerWatch(napi_env env, napi_value exports);

}  // namespace culvert
