// rtnetlink sockets for the control plane: open, send, receive, close. Messages are built and parsed in
// TypeScript (src/netlink/); this file moves bytes only.
#ifndef CULVERT_NETLINK_H
#define CULVERT_NETLINK_H

#include <node_api.h>

namespace culvert {

// Adds netlinkOpen, netlinkSend, netlinkReceive and netlinkClose to `exports`.
napi_status registerNetlink(napi_env env, napi_value exports);

}  // namespace culvert

#endif
