//! Orders of an operator: carried out, and answered with what came of them.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::daemon::failover_thread::Command;
use crate::engine::failover::{InstanceView, View};
use crate::kernel::clock;
use crate::vrrp::State;

use super::desk::{Ask, Desk, Stuck};
use super::model::{Done, Plan, Reload};

/// How long a reload may take to be answered.
const RELOAD_MAX: Duration = Duration::from_secs(60);
/// How long somebody else may take to become master.
const HAND_OVER_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why an order is not carried out.
pub(super) type Refused = (StatusCode, String);

impl From<Stuck> for Refused {
    fn from(stuck: Stuck) -> Refused {
        (StatusCode::SERVICE_UNAVAILABLE, stuck.to_string())
    }
}

/// Reads the configuration again and waits for what comes of it.
pub(super) async fn reload(desk: &Desk) -> Result<Reload, Refused> {
    let (reply, answer) = oneshot::channel();
    desk.ask(Ask::Reload(reply)).await?;
    match tokio::time::timeout(RELOAD_MAX, answer).await {
        Ok(Ok(reload)) => Ok(reload),
        Ok(Err(_)) | Err(_) => Err(Stuck("main").into()),
    }
}

/// Has the daemon end.
pub(super) async fn stop(desk: &Desk, keep: bool) -> Result<Done, Refused> {
    let (reply, answer) = oneshot::channel();
    desk.ask(Ask::Stop { keep, reply }).await?;
    // It may end before it has answered.
    if let Ok(Err(why)) = answer.await {
        let text = format!(
            "it goes on, because the next vipd could not start:\n{why}\nmend that first, or stop it without \
             --keep"
        );
        return Err((StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    let done = "it stops".to_owned();
    Ok(Done { done })
}

/// Says what a file would change.
pub(super) async fn plan(desk: &Desk, file: Option<PathBuf>) -> Result<Plan, Refused> {
    let (reply, answer) = oneshot::channel();
    desk.ask(Ask::Plan(file, reply)).await?;
    match tokio::time::timeout(RELOAD_MAX, answer).await {
        Ok(Ok(plan)) => Ok(plan),
        Ok(Err(_)) | Err(_) => Err(Stuck("main").into()),
    }
}

/// Hands an instance over, once, and waits until it is master no more.
pub(super) async fn hand_over(desk: &Desk, name: &str) -> Result<Done, Refused> {
    let view = desk.failover_now().await?;
    master(&view, name, "hand over")?;
    desk.command(Command::HandOver(name.to_owned()));
    let begun = clock::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let view = desk.failover_now().await?;
        let state = find(&view, name)?;
        if state.state != State::Master
            && let Some((heard, at)) = state.heard
            && at > begun
            && heard.priority > 0
        {
            let (who, took) = (heard.source, clock::now().since(begun).as_secs_f64());
            let done = format!("{name} was handed over: {who} is master after {took:.1} s");
            return Ok(Done { done });
        }
        if clock::now().since(begun) > HAND_OVER_MAX {
            let text = match state.state {
                State::Master => format!(
                    "hand over {name}: nobody else took over within {} s, and it is master again: is \
                     another router there, and in BACKUP?",
                    HAND_OVER_MAX.as_secs()
                ),
                state => format!(
                    "hand over {name}: it is {state} now, and no other master was heard within {} s",
                    HAND_OVER_MAX.as_secs()
                ),
            };
            return Err((StatusCode::GATEWAY_TIMEOUT, text));
        }
    }
}

/// Has the addresses of an instance announced again.
pub(super) async fn announce(desk: &Desk, name: &str) -> Result<Done, Refused> {
    let view = desk.failover_now().await?;
    let instance = master(&view, name, "announce")?;
    desk.command(Command::Announce(name.to_owned()));
    let (count, times) = (instance.held.len(), instance.config.garp.lower_prio_repeat);
    let done = format!("{name} announces its {count} addresses again, {times} times each");
    Ok(Done { done })
}

fn find<'a>(view: &'a View, name: &str) -> Result<&'a InstanceView, Refused> {
    let mut present = view.instances.iter().filter(|instance| !instance.departed);
    present
        .find(|instance| instance.config.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = view
                .instances
                .iter()
                .map(|i| i.config.name.as_str())
                .collect();
            let there = match names.is_empty() {
                true => "there is none".to_owned(),
                false => format!("there are: {}", names.join(", ")),
            };
            (
                StatusCode::NOT_FOUND,
                format!("no vrrp_instance is called {name}; {there}"),
            )
        })
}

fn master<'a>(view: &'a View, name: &str, doing: &str) -> Result<&'a InstanceView, Refused> {
    let instance = find(view, name)?;
    if instance.state == State::Master {
        return Ok(instance);
    }
    let state = instance.state;
    Err((
        StatusCode::CONFLICT,
        format!(
            "{doing} {name}: it is {state} here, only a master can; ask the node that is master"
        ),
    ))
}

/// What is different between two configurations, a line each; nothing, when they are the same.
pub fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    let instances = |config: &Config| -> Vec<(String, String)> {
        let all = config.instances.iter();
        all.map(|i| (format!("vrrp_instance {}", i.name), format!("{i:?}")))
            .collect()
    };
    let groups = |config: &Config| -> Vec<(String, String)> {
        let all = config.sync_groups.iter();
        all.map(|g| (format!("vrrp_sync_group {}", g.name), format!("{g:?}")))
            .collect()
    };
    let scripts = |config: &Config| -> Vec<(String, String)> {
        let all = config.scripts.values();
        all.map(|s| (format!("vrrp_script {}", s.name), format!("{s:?}")))
            .collect()
    };
    let trackers = |config: &Config| -> Vec<(String, String)> {
        let files = config.track_files.iter();
        let files = files.map(|(name, t)| (format!("track_file {name}"), format!("{t:?}")));
        let processes = config.track_processes.iter();
        let processes =
            processes.map(|(name, t)| (format!("track_process {name}"), format!("{t:?}")));
        let sessions = config.bfd_instances.iter();
        let sessions = sessions.map(|(name, t)| (format!("bfd_instance {name}"), format!("{t:?}")));
        files.chain(processes).chain(sessions).collect()
    };
    for part in [instances, groups, scripts, trackers] {
        compare(&part(old), &part(new), &mut lines);
    }
    servers(old, new, &mut lines);
    if old.globals != new.globals {
        lines.push("global_defs changed".to_owned());
    }
    if old.statics != new.statics {
        lines.push("static addresses, routes or rules changed".to_owned());
    }
    if lines.is_empty() && old != new {
        lines.push("other settings changed".to_owned());
    }
    lines
}

fn compare(old: &[(String, String)], new: &[(String, String)], lines: &mut Vec<String>) {
    let old: std::collections::BTreeMap<_, _> = old.iter().map(|(n, v)| (n, v)).collect();
    let new: std::collections::BTreeMap<_, _> = new.iter().map(|(n, v)| (n, v)).collect();
    for (name, value) in &new {
        match old.get(name) {
            None => lines.push(format!("{name} is new")),
            Some(before) if before != value => lines.push(format!("{name} changed")),
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    lines.extend(gone.map(|name| format!("{name} is gone")));
}

/// Virtual servers, and of those that stay the servers that came or went.
fn servers(old: &Config, new: &Config, lines: &mut Vec<String>) {
    use std::collections::BTreeMap;
    let by_key = |config: &'_ Config| -> BTreeMap<String, usize> {
        let all = config.virtual_servers.iter().enumerate();
        all.map(|(at, vs)| (crate::lvs::service_key(&vs.address).to_string(), at))
            .collect()
    };
    let (before, after) = (by_key(old), by_key(new));
    for (name, at) in &after {
        let now = new.virtual_servers.get(*at);
        let was = before.get(name).and_then(|at| old.virtual_servers.get(*at));
        let (Some(now), Some(was)) = (now, was) else {
            lines.push(format!("virtual_server {name} is new"));
            continue;
        };
        if now == was {
            continue;
        }
        let endpoints = |vs: &crate::config::model::VirtualServer| -> Vec<(String, String)> {
            let all = vs.real_servers.iter();
            all.map(|rs| {
                (
                    format!("real_server {} of {name}", rs.endpoint),
                    format!("{rs:?}"),
                )
            })
            .collect()
        };
        let told = lines.len();
        compare(&endpoints(was), &endpoints(now), lines);
        if lines.len() == told {
            lines.push(format!("virtual_server {name} changed"));
        }
    }
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    lines.extend(gone.map(|name| format!("virtual_server {name} is gone")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Instance;
    use std::sync::Arc;

    fn config(instances: &[(&str, u8)]) -> Config {
        let instance = |(name, vrid): &(&str, u8)| {
            let vrid = crate::units::Vrid::new(*vrid).unwrap();
            Arc::new(Instance::new(name, "eth0".parse().unwrap(), vrid))
        };
        Config {
            instances: instances.iter().map(instance).collect(),
            ..Config::default()
        }
    }

    #[test]
    fn a_reload_says_what_it_changed() {
        let old = config(&[("A", 1), ("B", 2)]);
        let mut new = config(&[("B", 3), ("C", 4)]);
        new.globals.router_id = Some("x".into());
        assert_eq!(
            changes(&old, &new),
            [
                "vrrp_instance B changed",
                "vrrp_instance C is new",
                "vrrp_instance A is gone",
                "global_defs changed"
            ]
        );
        assert_eq!(changes(&old, &old.clone()), Vec::<String>::new());
    }
}
