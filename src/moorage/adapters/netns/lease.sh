#!/bin/sh
# What udhcpc has learnt becomes so. It calls us with an event's name, and the options of the lease in the environment.
# Files of the machine (resolv.conf, the host's name) are not the guest's: it has a network namespace and nothing else.
case "$1" in
    deconfig)
        busybox ifconfig "$interface" 0.0.0.0 up
        ;;
    bound | renew)
        if [ "$1" = bound ]; then
            busybox ifconfig "$interface" "$ip" netmask "$subnet" ${mtu:+mtu "$mtu"} up
        elif [ -n "$mtu" ]; then
            busybox ip link set "$interface" mtu "$mtu"
        fi
        # Who reads option 121 ignores option 3, since it repeats the default route (RFC 3442).
        if [ -n "$staticroutes" ]; then
            event=$1
            set -- $staticroutes
            while [ $# -ge 2 ]; do
                if [ "$2" = 0.0.0.0 ]; then
                    busybox ip route replace "$1" dev "$interface"
                else
                    busybox ip route replace "$1" via "$2" dev "$interface"
                fi
                shift 2
            done
            set -- "$event"
        else
            for gateway in $router; do
                busybox ip route replace default via "$gateway" dev "$interface"
                break
            done
        fi
        for server in $dns; do echo "nameserver $server"; done > "$GUEST/resolv.conf"
        [ "$1" = renew ] || echo "moorage-guest: address $ip"
        ;;
esac
