#!/system/bin/sh
# getprop [NAME]: the properties of /system/build.prop, as Android prints them.
[ $# -gt 0 ] || exec sed -n 's/^\([^#=]*\)=\(.*\)$/[\1]: [\2]/p' /system/build.prop
sed -n "s/^$1=//p" /system/build.prop | grep . || echo "$2"
