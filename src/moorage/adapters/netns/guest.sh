#!/bin/sh
# What a guest runs: $1 is its directory, $2 the number of its NICs. It is off when its page server ends.
# As few programs as can be: many guests that start at once share the processor with what boots them.
export GUEST="$1"
lease=${0%/*}/lease.sh
echo "moorage-guest: up"
number=0
while [ "$number" -lt "$2" ]; do
    while :; do
        busybox udhcpc -f -i "eth$number" -s "$lease" -t 10 -T 1 -A 1 -O mtu -O staticroutes
        sleep 1
    done &
    number=$((number + 1))
done
exec busybox httpd -f -p 80 -h "$GUEST/www"
