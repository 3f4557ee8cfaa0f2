ln -sf vipd /usr/sbin/keepalived
# As other packages of that system: it is enabled and started by whoever wants it.
[ ! -d /run/systemd/system ] || systemctl daemon-reload || :
