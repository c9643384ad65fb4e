{
  "targets": [
    {
      "target_name": "culvert",
      "sources": [
        "src/module.cc",
        "src/checksum.cc",
        "src/inner.cc",
        "src/segment.cc",
        "src/egress.cc",
        "src/messages.cc",
        "src/send.cc",
        "src/send-raw.cc",
        "src/ingress.cc",
        "src/coalesce.cc",
        "src/tuntap.cc",
        "src/interface.cc",
        "src/socket.cc",
        "src/datagram.cc",
        "src/error-queue.cc",
        "src/multicast.cc",
        "src/memory.cc",
        "src/poll.cc",
        "src/thread.cc",
        "src/netlink.cc",
        "src/watch.cc",
        "src/ping-pong.cc"
      ],
      "include_dirs": ["include"],
      "defines": ["NAPI_VERSION=8"],
      "cflags!": ["-O2"],
      "cflags": ["-O3", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-O2"],
      "cflags_cc": ["-std=c++17", "-O3", "-fno-exceptions", "-fno-rtti"]
    }
  ]
}
