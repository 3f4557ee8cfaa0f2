//! Groups that are one service each, found by marks of the packet filter (`nftables_ipvs`).

use std::time::Duration;

use super::daemon::only_vipd;
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Daemon;
use crate::lab::net::{Host, Net};
use crate::lab::traffic::{Conversation, Server};
use crate::lab::{Case, Lab};

/// The guest's kernel has no nf_tables for IPv4, so that iptables makes the rules.
pub(crate) const CASES: &[Case] = &[Case {
    name: "marks.group",
    proves: "with nftables_ipvs a group is one service by a mark, from nftables_ipvs_start_fwmark on, which \
             leads each of its addresses and ports to its servers and no other; a reload that puts a group \
             before it keeps mark and connections, a kill leaves the marks, the stop takes them away",
    limit: Duration::from_secs(90),
    run: group,
}];

const LIMIT: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(3);
const SERVER: &str = "198.51.100.10";

fn conf(groups: &[(&str, &str)]) -> String {
    let mut text = String::from(
        "global_defs {\n nftables_ipvs marks\n nftables_ipvs_priority -151\n nftables_ipvs_start_fwmark 2000\n}\n",
    );
    for (name, addresses) in groups {
        text.push_str(&format!(
            "virtual_server_group {name} {{\n {addresses}\n}}\nvirtual_server group {name} {{\n lb_algo rr\n \
             lb_kind NAT\n protocol TCP\n persistence_timeout 60\n real_server {SERVER} 80 {{\n weight 1\n }}\n}}\n"
        ));
    }
    text
}

fn opens(client: &Host, to: &str) -> Outcome<Conversation> {
    Conversation::open(client, to, PATIENCE)
}

fn rules(host: &Host) -> Outcome<usize> {
    let text = host.sh("iptables-legacy-save -t mangle")?;
    Ok(text.lines().filter(|line| line.contains("MARK")).count())
}

fn services(host: &Host) -> Outcome<Vec<String>> {
    let table = host.ipvs()?;
    let services = table.into_iter().filter(|line| line.starts_with("-A "));
    Ok(services.collect())
}

fn group(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let net = Net::new(lab)?;
    let (front, behind) = (net.segment("front")?, net.segment("back")?);
    let (client, back) = (net.host("client")?, net.host("servers")?);
    let director = net.router("director")?;
    net.plug(&client, "eth0", &front, &["192.0.2.10/24"])?;
    net.plug(
        &director,
        "eth0",
        &front,
        &["192.0.2.1/24", "192.0.2.2/24", "192.0.2.3/24"],
    )?;
    net.plug(&director, "eth1", &behind, &["198.51.100.1/24"])?;
    net.plug(&back, "eth0", &behind, &[&format!("{SERVER}/24")])?;
    back.ip("route add default via 198.51.100.1\n")?;
    let _servers = [
        Server::tcp(&back, &format!("{SERVER}:80"), "web")?,
        Server::tcp(&back, &format!("{SERVER}:8080"), "other")?,
    ];

    let web = ("web", "192.0.2.1-2 80\n 192.0.2.3");
    let mut daemon = Daemon::start(lab.subject(), &director, &conf(&[web]))?;
    wait_until("the group is there", LIMIT, || {
        Ok(director.ipvs()?.len() == 2)
    })?;
    let text = services(&director)?;
    ensure!(
        text.len() == 1 && text[0].contains("-f 2000 "),
        "services: {text:?}"
    );
    ensure_eq!(rules(&director)?, 3, "rules that mark");
    // By a mark and with persistence a packet keeps its port.
    for (to, who) in [
        ("192.0.2.1:80", "web"),
        ("192.0.2.2:80", "web"),
        ("192.0.2.3:80", "web"),
        ("192.0.2.3:8080", "other"),
    ] {
        ensure_eq!(opens(&client, to)?.server, who, "{to}");
    }
    // The director's own programs, too.
    ensure_eq!(
        opens(&director, "192.0.2.2:80")?.server,
        "web",
        "from the director"
    );
    ensure!(
        opens(&client, "192.0.2.1:8080").is_err(),
        "a port of nobody answers"
    );

    let mut talk = opens(&client, "192.0.2.1:80")?;
    let first = ("first", "192.0.2.1 8080");
    daemon.reload(&conf(&[first, web]))?;
    wait_until("the new group has the next mark", LIMIT, || {
        let text = services(&director)?;
        Ok(text.len() == 2 && text[0].contains("-f 2000 ") && text[1].contains("-f 2001 "))
    })?;
    ensure_eq!(
        opens(&client, "192.0.2.1:8080")?.server,
        "other",
        "the new address"
    );
    ensure_eq!(talk.say("go on")?, "web: go on", "the open connection");

    daemon.kill()?;
    ensure_eq!(rules(&director)?, 4, "rules after the kill");
    daemon.rewrite(&conf(&[web]))?;
    daemon.start_again()?;
    wait_until("the group that left is gone", LIMIT, || {
        Ok(services(&director)?.len() == 1 && rules(&director)? == 3)
    })?;
    ensure_eq!(talk.say("go on")?, "web: go on", "the open connection");
    ensure!(daemon.stop()?.success(), "it did not stop cleanly");
    ensure_eq!(rules(&director)?, 0, "rules after the stop");
    let left = director.sh("iptables-legacy-save -t mangle")?;
    ensure!(!left.contains("vipd"), "chains after the stop:\n{left}");
    ensure_eq!(director.ipvs()?.len(), 0, "the table after the stop");
    Ok(())
}
