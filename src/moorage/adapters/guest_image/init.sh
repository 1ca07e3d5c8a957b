#!/bin/sh
# The first process of moorage-guest: an address on every NIC, a page on port 80, a shell on the serial console.
export PATH=/bin HOME=/ TERM=linux
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do insmod "/modules/$module"; done < /modules/order

# The power button is an input device of its own, so whatever can be read from it is a press (evdev gives 24 bytes each).
for path in /sys/class/input/event*; do
    if [ "$(cat "$path/device/name" 2> /dev/null)" = "Power Button" ]; then
        exec 3< "/dev/input/${path##*/}" # open from now on: a press before would be lost
        {
            dd bs=24 count=1 <&3 > /dev/null 2>&1
            echo "moorage-guest: powering off"
            poweroff -f
        } &
    fi
done

ip link set lo up
hostname moorage-guest
for path in /sys/class/net/eth*; do
    [ -e "$path" ] || continue
    nic=${path##*/}
    ip link set "$nic" up
    # Ask at once, then each second for ever: the port may be wired, and the DHCP server told, long after we run.
    udhcpc -f -i "$nic" -s /etc/udhcpc.sh -t 10 -T 1 -A 1 -O staticroutes -O mtu > /dev/null 2>&1 &
done
echo "moorage-guest: init is up"
echo "hello from $(hostname)" > /www/index.html
httpd -h /www -p 80

while read -r enter; do setsid cttyhack sh; done < /dev/console # a shell for whoever presses Enter
