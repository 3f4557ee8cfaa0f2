if [ "$1" = 0 ]; then
    if [ -d /run/systemd/system ]; then
        systemctl disable --now keepalived.service || :
    else
        /etc/init.d/keepalived stop || :
    fi
    rm -f /usr/sbin/keepalived
fi
