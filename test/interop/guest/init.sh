#!/bin/busybox sh
# First process of the emulated guest: drivers, one network device, and a shell for whoever connects
# to TCP port 9. Takes its address from the kernel's command line: guest.address=ADDRESS/LENGTH and
# perhaps guest.gateway=ADDRESS.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do
  insmod "/modules/$module.ko" || echo "guest: insmod $module failed"
done < /modules/order
address=$(sed -n 's/.*guest\.address=\([^ ]*\).*/\1/p' /proc/cmdline)
ip link set lo up
ip addr add "$address" dev eth0
ip link set eth0 up
gateway=$(sed -n 's/.*guest\.gateway=\([^ ]*\).*/\1/p' /proc/cmdline)
[ -z "$gateway" ] || ip route add default via "$gateway"
echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter
echo "guest: ready"
exec nc -ll -p 9 -e /bin/sh
