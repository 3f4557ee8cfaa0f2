command -v systemd-sysusers >/dev/null && systemd-sysusers vipd.conf || :
command -v systemd-tmpfiles >/dev/null && systemd-tmpfiles --create vipd.conf || :
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    # An upgrade. The unit's restart leaves addresses and connections where they are.
    if [ "$1" -gt 1 ]; then
        systemctl try-restart vipd.service || :
        [ "$(readlink -f /usr/sbin/keepalived)" != /usr/sbin/vipd ] || systemctl try-restart keepalived.service || :
    fi
fi
