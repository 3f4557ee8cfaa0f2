//! A configuration as text for goldens. Every field is taken apart by name, so that a new one has to be
//! thought of here.

use std::fmt::Write as _;

use vipd::config::Config;
use vipd::config::model::{
    AddressOptions, AdvertOptions, Checker, CheckerKind, ConnectOptions, Globals, Instance,
    InstanceMore, LinkSettings, PoolSettings, RealServer, Script, ServerSettings, Statics, Tunnel,
    VirtualAddress, VirtualServer,
};

pub(crate) fn summary(config: &Config) -> String {
    let Config {
        globals,
        scripts,
        track_files,
        track_processes,
        bfd_instances,
        instances,
        sync_groups,
        statics,
        own_links,
        links,
        ssl,
        virtual_servers,
    } = config;
    let mut out = String::new();
    global(&mut out, globals);
    scripts.values().for_each(|s| script(&mut out, s));
    lines(&mut out, "", track_files.values());
    lines(&mut out, "", track_processes.values());
    lines(&mut out, "", bfd_instances.values());
    lines(&mut out, "", sync_groups);
    if *statics != Statics::default() {
        lines(&mut out, "statics: ", [statics]);
    }
    lines(&mut out, "own link: ", own_links);
    if *links != LinkSettings::default() {
        lines(&mut out, "links: ", [links]);
    }
    lines(&mut out, "TLS: ", ssl);
    instances.iter().for_each(|i| instance(&mut out, i));
    virtual_servers
        .iter()
        .for_each(|v| virtual_server(&mut out, v));
    out
}

/// Each thing on a line of its own, as Rust shows it.
fn lines<T: std::fmt::Debug>(out: &mut String, what: &str, things: impl IntoIterator<Item = T>) {
    for thing in things {
        let _ = writeln!(out, "{what}{thing:?}");
    }
}

/// The same for a part that most objects do not have.
fn part<T: std::fmt::Debug + Default + PartialEq>(out: &mut String, what: &str, thing: &T) {
    if *thing != T::default() {
        lines(out, what, [thing]);
    }
}

fn global(out: &mut String, globals: &Globals) {
    if *globals == Globals::default() {
        return;
    }
    let Globals {
        router_id,
        notification_email,
        notification_email_from,
        smtp_server,
        smtp_connect_timeout,
        script_user,
        script_caps,
        enable_script_security,
        node,
        mail,
        scheduling,
        scripts,
        vrrp,
        filters,
        lvs_sync_daemon,
        lvs_timeouts,
        lvs,
        outputs,
        control,
    } = globals;
    let _ = writeln!(
        out,
        "globals: router_id {router_id:?}, mail {notification_email:?} from \
         {notification_email_from:?} by {smtp_server:?} within {smtp_connect_timeout:?}, \
         script_user {script_user:?}, security {enable_script_security}"
    );
    part(out, "  ", script_caps);
    part(out, "  ", node);
    part(out, "  ", mail);
    part(out, "  ", scheduling);
    part(out, "  ", scripts);
    part(out, "  ", vrrp);
    part(out, "  ", filters);
    part(out, "  ", lvs_sync_daemon);
    part(out, "  ", lvs_timeouts);
    part(out, "  ", lvs);
    part(out, "  ", outputs);
    part(out, "  ", control);
}

fn script(out: &mut String, script: &Script) {
    let Script {
        name,
        argv,
        interval,
        timeout,
        linger,
        rise,
        fall,
        user,
        init_fail,
    } = script;
    let _ = writeln!(
        out,
        "script {name}: {argv:?} every {interval:?} within {timeout:?} (and {linger:?}), rise {rise}, fall {fall}, \
         user {user:?}, init_fail {init_fail}"
    );
}

fn instance(out: &mut String, instance: &Instance) {
    let Instance {
        name,
        version,
        family,
        state,
        interface,
        vrid,
        priority,
        advert_int,
        down_timer_adverts,
        preempt,
        transport,
        src_ip,
        adverts,
        auth,
        vips,
        vips_excluded,
        garp,
        lower_prio_no_advert,
        higher_prio_send_advert,
        timer_expired_backup,
        owner_ignore_adverts,
        dont_track_primary,
        accept,
        strict,
        more,
    } = instance;
    let lvs_sync_daemon_interface = &more.lvs_sync_daemon_interface;
    let interface = interface.as_ref().map_or("no link", |name| name.as_str());
    let _ = writeln!(
        out,
        "instance {name}: {version:?} {family:?} {state:?} on {interface}, vrid {vrid}, \
         priority {priority}, adverts every {advert_int} s, down after {down_timer_adverts}\n  \
         preempt {preempt:?}, to {transport:?} from {src_ip:?}, auth {auth:?}\n  {garp:?}\n  \
         lower_prio_no_advert {lower_prio_no_advert}, \
         higher_prio_send_advert {higher_prio_send_advert}, \
         dont_track_primary {dont_track_primary}, sync {lvs_sync_daemon_interface:?}, \
         accept {accept}, strict {strict}"
    );
    if timer_expired_backup.is_some() || *owner_ignore_adverts {
        let _ = writeln!(
            out,
            "  timer_expired_backup {timer_expired_backup:?}, owner_ignore_adverts {owner_ignore_adverts}"
        );
    }
    for tracked in &more.track_scripts {
        let _ = writeln!(
            out,
            "  tracks script {} {:?}",
            tracked.script, tracked.weight
        );
    }
    for tracked in &more.track_interfaces {
        let _ = writeln!(out, "  tracks {} {:?}", tracked.interface, tracked.weight);
    }
    let InstanceMore {
        vrf: _,
        lvs_sync_daemon_interface: _,
        track_scripts: _,
        track_interfaces: _,
        settings,
        vmac,
        ipvlan,
        auth_hmac,
        routes,
        rules,
        track_files,
        track_processes,
        track_bfds,
    } = &**more;
    part(out, "  ", settings);
    lines(out, "  ", vmac);
    lines(out, "  ", ipvlan);
    lines(out, "  ", auth_hmac);
    lines(out, "  vrf ", &more.vrf);
    if **adverts != AdvertOptions::new(adverts.group) {
        lines(out, "  ", [&**adverts]);
    }
    lines(out, "  ", routes);
    lines(out, "  ", rules);
    lines(out, "  ", track_files);
    lines(out, "  ", track_processes);
    lines(out, "  ", track_bfds);
    vips.iter().for_each(|v| vip(out, "vip", v));
    vips_excluded
        .iter()
        .for_each(|v| vip(out, "excluded vip", v));
}

fn vip(out: &mut String, what: &str, vip: &VirtualAddress) {
    let VirtualAddress {
        cidr,
        dev,
        broadcast,
        scope,
        label,
        no_track,
        vmac,
        more,
    } = vip;
    let _ = write!(out, "  {what} {cidr} scope {scope}");
    if let Some(dev) = dev {
        let _ = write!(out, " dev {dev}");
    }
    if let Some(vmac) = vmac {
        let _ = write!(out, " on {vmac}");
    }
    if let Some(broadcast) = broadcast {
        let _ = write!(out, " brd {broadcast:?}");
    }
    if let Some(label) = label {
        let _ = write!(out, " label {label}");
    }
    let _ = writeln!(out, "{}", if *no_track { " no_track" } else { "" });
    part::<AddressOptions>(out, "    ", more);
}

fn virtual_server(out: &mut String, server: &VirtualServer) {
    let VirtualServer {
        address,
        scheduler,
        persistence,
        one_packet,
        real_servers,
        group,
        sorry_server,
        writers,
        pool,
    } = server;
    let _ = writeln!(
        out,
        "virtual server {address:?}\n  {} {:?}, {persistence:?}, one_packet {one_packet}",
        scheduler.name, scheduler.flags
    );
    lines(out, "  ", group);
    lines(out, "  ", sorry_server);
    lines(out, "  ", writers);
    part::<PoolSettings>(out, "  ", pool);
    for server in real_servers {
        let RealServer {
            endpoint,
            weight,
            forwarding,
            tunnel,
            inhibit_on_failure,
            upper_threshold,
            lower_threshold,
            alpha,
            checkers,
            connections,
            more,
        } = server;
        let _ = writeln!(
            out,
            "  real server {endpoint} weight {weight} {forwarding:?}, thresholds \
             {lower_threshold} {upper_threshold}, inhibit {inhibit_on_failure}, alpha {alpha}"
        );
        part::<Tunnel>(out, "    ", tunnel);
        lines(out, "    ", connections);
        part::<ServerSettings>(out, "    ", more);
        checkers.iter().for_each(|c| checker(out, c));
    }
}

fn checker(out: &mut String, checker: &Checker) {
    let Checker {
        kind,
        delay_loop,
        retry,
        delay_before_retry,
        warmup,
        alpha,
        log_all_failures,
    } = checker;
    let times = format!(
        "every {delay_loop:?} after up to {warmup:?}, retry {retry} after {delay_before_retry:?}, \
         alpha {alpha}, log all {log_all_failures}"
    );
    let CheckerKind::Tcp(connect) = kind else {
        let _ = writeln!(out, "    {kind:?}\n      {times}");
        return;
    };
    let ConnectOptions {
        destination,
        bind_to,
        bind_port,
        bind_if,
        mark,
        connect_timeout,
    } = connect;
    let _ = writeln!(
        out,
        "    TCP_CHECK {destination} within {connect_timeout:?} from {bind_to:?} port {bind_port} \
         if {bind_if:?} mark {mark:?}\n      {times}"
    );
}
