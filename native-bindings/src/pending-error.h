// Errors that wait in a socket for the next send. A socket with IP_RECVERR reports an ICMP error about an earlier
// datagram, to whomever that went, in place of sending (sock_error in net/core/sock.c): that send has not happened, and
// is to be tried again.
#pragma once

#include <cerrno>

namespace culvert {

constexpr int SEND_TRIES = 3;  // of one message

// May this be an ICMP error that waited? (icmp_err_convert, net/ipv4/icmp.c; icmpv6_err_convert)
inline bool isIcmpError(int error) {
  switch (error) {
    case EMSGSIZE:
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPROTO:
    case EACCES:
      return true;
    default:
      return false;
  }
}

}  // namespace culvert
