//! `keepalived.json`: an array of instances (version 1), or an object with it (version 2).

use serde::Serialize;
use serde_json::Number;

use crate::config::Config;
use crate::config::model::{Auth, Preempt};
use crate::engine::failover::{InstanceView, View};
use crate::fact::{FactKind, FactValue};
use crate::units::Version;
use crate::vrrp::State;

/// keepalived's names, in its order. Flags are numbers or booleans as they are there.
#[derive(Serialize)]
struct Data {
    iname: String,
    dont_track_primary: u8,
    skip_check_adv_addr: u8,
    strict_mode: u8,
    vmac_ifname: String,
    ifp_ifname: String,
    master_priority: u8,
    last_transition: f64,
    garp_delay: Number,
    garp_refresh: u64,
    garp_rep: u32,
    garp_refresh_rep: u32,
    garp_lower_prio_delay: u64,
    garp_lower_prio_rep: u32,
    lower_prio_no_advert: u8,
    higher_prio_send_advert: u8,
    vrid: u8,
    base_priority: u8,
    effective_priority: u8,
    vipset: bool,
    promote_secondaries: bool,
    adver_int: Number,
    master_adver_int: Number,
    accept: u8,
    nopreempt: bool,
    preempt_delay: Number,
    state: u8,
    wantstate: u8,
    version: u8,
    smtp_alert: bool,
    notify_deleted: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evips: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vroutes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vrules: Vec<String>,
    auth_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_data: Option<String>,
}

#[derive(Serialize)]
struct Stats {
    advert_rcvd: u64,
    advert_sent: u64,
    become_master: u64,
    release_master: u64,
    packet_len_err: u64,
    advert_interval_err: u64,
    ip_ttl_err: u64,
    invalid_type_rcvd: u64,
    addr_list_err: u64,
    invalid_authtype: u64,
    authtype_mismatch: u64,
    auth_failure: u64,
    pri_zero_rcvd: u64,
    pri_zero_sent: u64,
}

#[derive(Serialize)]
struct Instance {
    data: Data,
    stats: Stats,
}

#[derive(Serialize)]
struct Process {
    name: String,
    have_quorum: bool,
}

#[derive(Serialize)]
struct Second {
    vrrp: Vec<Instance>,
    track_process: Vec<Process>,
}

pub(super) fn text(config: &Config, view: &View) -> String {
    let vrrp: Vec<Instance> = super::instances(view)
        .map(|instance| Instance {
            data: data(config, instance),
            stats: stats(instance),
        })
        .collect();
    let text = match config.globals.outputs.json_version {
        Some(2) => {
            let facts = view
                .facts
                .iter()
                .filter(|(name, _)| name.kind == FactKind::Process);
            let track_process = facts.map(|(name, fact)| Process {
                name: name.name.clone(),
                have_quorum: fact.value == FactValue::Up,
            });
            serde_json::to_string(&Second {
                vrrp,
                track_process: track_process.collect(),
            })
        }
        _ => serde_json::to_string(&vrrp),
    };
    text.unwrap_or_default()
}

/// Seconds; a whole number without a point, for programs that expect one.
fn seconds(time: std::time::Duration) -> Number {
    match time.subsec_nanos() {
        0 => Number::from(time.as_secs()),
        _ => Number::from_f64(time.as_secs_f64()).unwrap_or_else(|| Number::from(0)),
    }
}

fn data(all: &Config, instance: &InstanceView) -> Data {
    let config = &instance.config;
    let garp = &config.garp;
    let settings = &config.more.settings;
    let mail = &all.globals.mail;
    let smtp_alert = settings
        .smtp_alert
        .or(mail.smtp_alert_vrrp)
        .or(mail.smtp_alert);
    let follows = instance.state == State::Backup;
    let heard = instance.heard.filter(|_| follows).map(|(heard, _)| heard);
    let interval = config.advert_int.get();
    let (vips, evips) = super::addresses(instance);
    let (auth_type, auth) = match &config.auth {
        None => (0, None),
        Some(Auth::Pass(key)) => (1, Some(key)),
        Some(Auth::Ah(key)) => (2, Some(key)),
    };
    let state = match instance.state {
        State::Init => 0,
        State::Backup => 1,
        State::Master => 2,
        State::Fault => 3,
    };
    Data {
        iname: config.name.clone(),
        dont_track_primary: u8::from(config.dont_track_primary),
        // vipd compares them at no cost, whatever is asked for.
        skip_check_adv_addr: 0,
        strict_mode: u8::from(config.strict),
        vmac_ifname: config
            .own_link()
            .map(ToString::to_string)
            .unwrap_or_default(),
        ifp_ifname: config
            .interface
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        master_priority: heard.map_or(0, |heard| heard.priority),
        last_transition: super::last_transition(instance),
        garp_delay: seconds(garp.master_delay),
        garp_refresh: garp.master_refresh.as_secs(),
        garp_rep: garp.master_repeat,
        garp_refresh_rep: garp.master_refresh_repeat,
        garp_lower_prio_delay: garp.lower_prio_delay.as_secs(),
        garp_lower_prio_rep: garp.lower_prio_repeat,
        lower_prio_no_advert: u8::from(config.lower_prio_no_advert),
        higher_prio_send_advert: u8::from(config.higher_prio_send_advert),
        vrid: config.vrid.get(),
        base_priority: config.priority.get(),
        effective_priority: instance.priority.get(),
        vipset: instance.held.iter().any(|held| *held),
        promote_secondaries: settings.promote_secondaries,
        adver_int: seconds(interval),
        master_adver_int: seconds(heard.map_or(interval, |heard| heard.interval)),
        accept: u8::from(config.accept),
        nopreempt: config.preempt == Preempt::Never,
        preempt_delay: match config.preempt {
            Preempt::After(delay) => seconds(delay),
            Preempt::Never => Number::from(0),
        },
        state,
        // A fault wants to be over.
        wantstate: state.clamp(1, 2).min(if state == 3 { 1 } else { 2 }),
        version: match config.version {
            Version::V2 => 2,
            Version::V3 => 3,
        },
        smtp_alert: smtp_alert == Some(true),
        notify_deleted: settings.notify_deleted.is_some(),
        vips,
        evips,
        vroutes: config.more.routes.iter().map(route).collect(),
        vrules: config
            .more
            .rules
            .iter()
            .map(|rule| rule.rule.to_string())
            .collect(),
        auth_type,
        auth_data: auth.map(|key| {
            let text = String::from_utf8_lossy(key);
            text.trim_end_matches('\0').to_owned()
        }),
    }
}

/// As ip-route(8) writes it.
fn route(route: &crate::config::model::Route) -> String {
    let mut text = route.destination.to_string();
    for hop in &route.hops {
        if let Some(via) = hop.via {
            text += &format!(" via {via}");
        }
        if let Some(dev) = &hop.dev {
            text += &format!(" dev {dev}");
        }
    }
    if let Some(source) = route.source_address {
        text += &format!(" src {source}");
    }
    if route.metric != 0 {
        text += &format!(" metric {}", route.metric);
    }
    text
}

fn stats(instance: &InstanceView) -> Stats {
    let c = &instance.counters;
    Stats {
        advert_rcvd: c.advert_rcvd,
        advert_sent: c.advert_sent,
        become_master: c.become_master,
        release_master: c.release_master,
        packet_len_err: c.packet_len_err,
        advert_interval_err: c.advert_interval_err,
        ip_ttl_err: c.ip_ttl_err,
        invalid_type_rcvd: c.invalid_type_rcvd,
        addr_list_err: c.addr_list_err,
        invalid_authtype: c.invalid_authtype,
        authtype_mismatch: c.authtype_mismatch,
        auth_failure: c.auth_failure,
        pri_zero_rcvd: c.pri_zero_rcvd,
        pri_zero_sent: c.pri_zero_sent,
    }
}
