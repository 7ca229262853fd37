#!/system/bin/sh
# The first program of the Android-shaped machine: mounts what Android mounts, then serves adb. Nothing else runs here.
set -e # the kernel panics where its first program ends, and the machine with it
export PATH=/system/bin
rmdir /root # of the kernel's own
chmod 755 /
mount -t proc -o hidepid=2 proc /proc
mount -t sysfs sysfs /sys
for module in $(cat /system/lib/modules/order); do insmod /system/lib/modules/$module.ko; done
mount -t devtmpfs dev /dev
chmod 666 /dev/null /dev/zero /dev/random /dev/urandom
mount -t tmpfs -o size="${data_mb}m",mode=0771,uid=2000,gid=2000 data /data/local/tmp
ifconfig lo 127.0.0.1
# the kernel hands this one on from its command line: a phone that refuses and one that is silent are for tests
for daemon in 1 ${moods:+"2 unauthorized" "3 offline"}; do
  until [ -c /dev/vport0p${daemon%% *} ]; do sleep 0.1; done
  adbd /dev/vport0p$daemon &
done
echo "adb is served"
while :; do wait; sleep 1; done
