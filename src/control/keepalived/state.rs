//! `keepalived.data`: what is known of instances, groups and scripts. Of keepalived's own structures, which
//! its file shows too, vipd has none.

use std::fmt::Write as _;

use crate::config::model::{Preempt, Transport};
use crate::engine::failover::{InstanceView, View};
use crate::fact::{FactKind, FactValue};
use crate::units::Version;

pub(super) fn text(view: &View) -> String {
    let mut out = String::from("------< VRRP Topology >------\n");
    for instance in super::instances(view) {
        write_instance(&mut out, view, instance);
    }
    if !view.groups.is_empty() {
        out.push_str("------< VRRP Sync groups >------\n");
    }
    for group in &view.groups {
        let _ = writeln!(out, " VRRP Sync Group = {}, {}", group.name, group.state);
        let _ = writeln!(out, "   VRRP member instances :");
        for member in &group.members {
            let _ = writeln!(out, "     {member}");
        }
    }
    let scripts = || {
        view.facts
            .iter()
            .filter(|(name, _)| name.kind == FactKind::Script)
    };
    if scripts().next().is_some() {
        out.push_str("------< VRRP Scripts >------\n");
    }
    for (name, fact) in scripts() {
        let status = match fact.value {
            FactValue::Up => "GOOD",
            FactValue::Down => "BAD",
            FactValue::Unknown | FactValue::Number(_) => "INIT",
        };
        let _ = writeln!(out, " VRRP Script = {}", name.name);
        let _ = writeln!(out, "   Status = {status}");
        let _ = writeln!(out, "   State = idle");
    }
    out
}

fn write_instance(out: &mut String, view: &View, instance: &InstanceView) {
    let config = &instance.config;
    let _ = writeln!(out, " VRRP Instance = {}", config.name);
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(out, "   {name} = {value}");
    };
    let version = match config.version {
        Version::V2 => 2,
        Version::V3 => 3,
    };
    let on = |on: bool| if on { "enabled" } else { "disabled" };
    let garp = &config.garp;
    line("VRRP Version", &version);
    if let Some(group) = instance.group.and_then(|group| view.groups.get(group)) {
        line("Sync group", &group.name);
    }
    line("State", &instance.state);
    line("Wantstate", &instance.state);
    line(
        "Last transition",
        &format!("{:.6}", super::last_transition(instance)),
    );
    line(
        "Master down timer",
        &format!("{} usecs", instance.master_down.as_micros()),
    );
    if let Some(interface) = &config.interface {
        line("Interface", interface);
    }
    if let Some(source) = instance.source {
        line("Using src_ip", &source);
    }
    line("Gratuitous ARP delay", &garp.master_delay.as_secs());
    line("Gratuitous ARP repeat", &garp.master_repeat);
    line("Gratuitous ARP refresh", &garp.master_refresh.as_secs());
    line("Gratuitous ARP refresh repeat", &garp.master_refresh_repeat);
    line(
        "Gratuitous ARP lower priority delay",
        &garp.lower_prio_delay.as_secs(),
    );
    line(
        "Gratuitous ARP lower priority repeat",
        &garp.lower_prio_repeat,
    );
    line("Down timer adverts", &config.down_timer_adverts);
    line(
        "Send advert after receive lower priority advert",
        &!config.lower_prio_no_advert,
    );
    line(
        "Send advert after receive higher priority advert",
        &config.higher_prio_send_advert,
    );
    line("Virtual Router ID", &config.vrid);
    line("Priority", &config.priority);
    line("Effective priority", &instance.priority);
    line("Total priority", &instance.priority);
    let interval = config.advert_int.get();
    match config.version {
        Version::V2 => line("Advert interval", &format!("{} sec", interval.as_secs())),
        Version::V3 => line(
            "Advert interval",
            &format!("{} milli-sec", interval.as_millis()),
        ),
    }
    line("Accept", &on(config.accept));
    line("Preempt", &on(config.preempt != Preempt::Never));
    let (vips, others) = super::addresses(instance);
    let _ = writeln!(out, "   Virtual IP ({}):", vips.len());
    for vip in vips {
        let _ = writeln!(out, "     {vip}");
    }
    if !others.is_empty() {
        let _ = writeln!(out, "   Virtual IP Excluded :");
    }
    for vip in others {
        let _ = writeln!(out, "     {vip}");
    }
    if let Transport::Unicast(peers) = &config.transport {
        let _ = writeln!(out, "   Unicast Peer :");
        for peer in peers {
            let _ = writeln!(out, "     {peer}");
        }
    }
}
