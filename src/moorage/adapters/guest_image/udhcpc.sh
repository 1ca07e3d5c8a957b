#!/bin/sh
# What udhcpc has learnt becomes so. It calls us with an event's name, and the options of the lease in the environment.
case "$1" in
    deconfig)
        ip -4 address flush dev "$interface"
        ip link set "$interface" up
        ;;
    bound | renew)
        ip address replace "$ip/$mask" dev "$interface"
        [ -z "$mtu" ] || ip link set "$interface" mtu "$mtu"
        # Who reads option 121 ignores option 3, since it repeats the default route (RFC 3442).
        if [ -n "$staticroutes" ]; then
            set -- "$1" $staticroutes
            event=$1
            shift
            while [ $# -ge 2 ]; do
                if [ "$2" = 0.0.0.0 ]; then
                    ip route replace "$1" dev "$interface"
                else
                    ip route replace "$1" via "$2" dev "$interface"
                fi
                shift 2
            done
            set -- "$event"
        else
            for gateway in $router; do
                ip route replace default via "$gateway" dev "$interface"
                break
            done
        fi
        for server in $dns; do echo "nameserver $server"; done > /etc/resolv.conf
        [ -z "$hostname" ] || hostname "$hostname"
        echo "hello from $(hostname)" > /www/index.html
        [ "$1" = renew ] || echo "moorage-guest: address $ip" > /dev/console
        ;;
esac
