// Addresses as they cross the boundary (a family, four words in host order, IPv4 in the last) and as sockets have them.
// A sockaddr_in6 has room for both.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "checksum.h"

namespace culvert {

inline void storeIpv6(in6_addr& out, const int32_t* words) {
  for (int i = 0; i < 4; i++) storeBig32(out.s6_addr + 4 * i, static_cast<uint32_t>(words[i]));
}

// Fills in an address; returns how long it is.
inline socklen_t makeAddress(sockaddr_in6& out, int family, const int32_t* words, int port) {
  std::memset(&out, 0, sizeof out);
  out.sin6_port = htons(static_cast<uint16_t>(port));  // same place as sin_port
  if (family == 6) {
    out.sin6_family = AF_INET6;
    storeIpv6(out.sin6_addr, words);
    return sizeof out;
  }
  sockaddr_in* four = reinterpret_cast<sockaddr_in*>(&out);
  four->sin_family = AF_INET;
  four->sin_addr.s_addr = htonl(static_cast<uint32_t>(words[3]));
  return sizeof *four;
}

// The four words of an address, IPv4 as IPv4-mapped; returns its family, 4 or 6.
inline int32_t readAddress(const sockaddr_in6& name, int32_t* words) {
  if (name.sin6_family == AF_INET6) {
    for (int i = 0; i < 4; i++) words[i] = static_cast<int32_t>(loadBig32(name.sin6_addr.s6_addr + 4 * i));
    return 6;
  }
  words[0] = words[1] = 0;
  words[2] = 0xffff;
  words[3] = static_cast<int32_t>(ntohl(reinterpret_cast<const sockaddr_in&>(name).sin_addr.s_addr));
  return 4;
}

}  // namespace culvert
