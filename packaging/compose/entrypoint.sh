#!/bin/sh
# Both end with the container: nginx is told first, and vipd hands the address over meanwhile.
/usr/sbin/keepalived -n -l -G -D &
vipd=$!
nginx -g 'daemon off;' &
nginx=$!
trap 'kill -TERM "$vipd" "$nginx"' TERM INT
wait "$vipd" "$nginx"
# A signal ends the first wait alone.
wait "$vipd" "$nginx"
