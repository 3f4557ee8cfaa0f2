use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::keywords::{self, Arguments, Body, Keyword, Support, Type};
use crate::config::model::{ParamMatch, Weight};
use crate::config::tree::Block;
use crate::config::{Files, Loaded, load, model};

mod backend;
mod services;

/// One file, `k.conf`.
struct One(String);

impl Files for One {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }

    fn exists(&self, _: &Path) -> bool {
        false
    }

    fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

fn read(text: &str) -> Loaded {
    load(
        Path::new("k.conf"),
        &One(text.to_owned()),
        &Options::default(),
    )
}

/// Asks an area for every row that acts; what it does with the values does not matter.
struct Probe<'p> {
    inner: &'p mut dyn Draft<'static>,
    handled: BTreeSet<&'static str>,
}

impl Draft<'static> for Probe<'_> {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'static>, value: Value) -> Handled {
        let handled = self.inner.apply(ctx, line, value);
        if handled == Handled::Yes {
            self.handled.insert(line.row.name);
        }
        handled
    }

    fn take_stray_block(&mut self, _: &mut Context<'_>, _: &'static Block) -> Handled {
        Handled::No
    }
}

/// A line that a row must take.
fn example(row: &Keyword) -> String {
    let value = match row.arguments {
        Arguments::None | Arguments::Bool | Arguments::Optional(_) => "",
        Arguments::One(Type::Integer(min, _)) => return format!("{} {}\n", row.name, min.max(1)),
        Arguments::One(Type::Seconds(..)) => "1",
        Arguments::One(Type::Millis(..)) => "1000",
        Arguments::One(Type::Choice(words)) => words[0],
        Arguments::One(Type::Address) if row.name == "vrrp_mcast_group6" => "ff02::9",
        Arguments::One(Type::Address) => "224.0.0.9",
        Arguments::One(Type::Interface) => "eth0",
        Arguments::One(Type::Text) => match row.name {
            "persistence_granularity" => "24",
            "payload" | "digest" => "00112233445566778899aabbccddeeff",
            _ => "rr",
        },
        Arguments::Command => "/bin/true",
        Arguments::Words(..) => match row.name {
            "lvs_method" | "sorry_server_lvs_method" => "DR",
            "key" => "1 secret",
            "regex_stack" => "1 2",
            "weight" => "5",
            _ => "10.0.0.1",
        },
    };
    let body = if row.body == Body::None { "" } else { "{\n}" };
    format!("{} {value} {body}\n", row.name)
}

fn unhandled(kind: BlockKind, draft: &mut dyn Draft<'static>) -> Vec<&'static str> {
    // What is not acted on reaches the configuration all the same; only what has no effect is dropped.
    // vipd's own stand on lines of their own kind, and have tests of their own.
    let dropped = |row: &Keyword| matches!(row.support, Support::NoEffect(_) | Support::VipdOwn);
    let acts = |row: &&'static Keyword| !dropped(row);
    let text: String = keywords::rows(kind).filter(acts).map(example).collect();
    let mut sources = SourceMap::default();
    let file = sources.add("k.conf".into(), text.into_bytes()).unwrap();
    let mut diagnostics = Diagnostics::default();
    let options = Options::default();
    let text = sources.file(file).unwrap().text();
    let tokens = crate::config::lexer::lex(text, file, &options, &mut diagnostics);
    let tree: &'static Tree = Box::leak(Box::new(Tree::parse(
        file,
        tokens,
        &sources,
        keywords::ROOT_BLOCKS,
        &mut diagnostics,
    )));
    let files = One(String::new());
    let mut ctx = Context::new(&sources, &options, &files, &mut diagnostics);
    let mut probe = Probe {
        inner: draft,
        handled: BTreeSet::new(),
    };
    ctx.read_items(kind, &tree.items, &mut probe);
    keywords::rows(kind)
        .filter(acts)
        .map(|row| row.name)
        .filter(|name| !probe.handled.contains(name))
        .collect()
}

#[test]
fn every_keyword_reaches_the_configuration() {
    let none: Vec<&str> = Vec::new();
    let mut defaults = globals::Defaults::default();
    assert_eq!(unhandled(BlockKind::GlobalDefs, &mut defaults), none);
    let mut script = script::ScriptDraft::default();
    assert_eq!(unhandled(BlockKind::VrrpScript, &mut script), none);
    let file = SourceMap::default().add("k".into(), Vec::new()).unwrap();
    let span = Span {
        file,
        start: 0,
        end: 0,
    };
    let scripts = script::Scripts::new();
    let (files, processes, sessions) = Default::default();
    let known = Trackable {
        scripts: &scripts,
        files: &files,
        processes: &processes,
        sessions: &sessions,
    };
    let mut instance = instance::InstanceDraft::new("VI", span, known);
    assert_eq!(unhandled(BlockKind::VrrpInstance, &mut instance), none);
    let mut auth = auth::AuthDraft::default();
    assert_eq!(unhandled(BlockKind::Authentication, &mut auth), none);
    let mut service = virtual_server::VirtualServerDraft::default();
    assert_eq!(unhandled(BlockKind::VirtualServer, &mut service), none);
    let mut server = real_server::RealServerDraft::new([10, 0, 0, 1].into(), None, span);
    assert_eq!(unhandled(BlockKind::RealServer, &mut server), none);
    for kind in BlockKind::ALL {
        if let Some(mut checker) = check::CheckerDraft::new(kind, span) {
            assert_eq!(unhandled(kind, &mut checker), none, "{kind:?}");
        }
    }
    assert_eq!(
        unhandled(BlockKind::Url, &mut check::UrlDraft::default()),
        none
    );
    let mut host = check::HostDraft::default();
    assert_eq!(unhandled(BlockKind::SmtpHost, &mut host), none);
    assert_eq!(unhandled(BlockKind::Root, &mut Root::default()), none);
    let mut group = sync_group::GroupDraft::new("G", known);
    assert_eq!(unhandled(BlockKind::SyncGroup, &mut group), none);
    let mut group = links::NamesDraft::default();
    assert_eq!(unhandled(BlockKind::TrackGroup, &mut group), none);
    let mut group = links::GarpDraft::default();
    assert_eq!(unhandled(BlockKind::GarpGroup, &mut group), none);
    assert_eq!(
        unhandled(BlockKind::Ssl, &mut links::SslDraft::default()),
        none
    );
    let mut hmac = auth_hmac::HmacDraft::default();
    assert_eq!(unhandled(BlockKind::AuthHmac, &mut hmac), none);
    let mut file = track::FileDraft::default();
    assert_eq!(unhandled(BlockKind::TrackFile, &mut file), none);
    let mut process = track::ProcessDraft::default();
    assert_eq!(unhandled(BlockKind::TrackProcess, &mut process), none);
    let mut session = track::BfdDraft::default();
    assert_eq!(unhandled(BlockKind::BfdInstance, &mut session), none);
}

#[test]
fn times_are_read_as_decimal_seconds() {
    let loaded = read(
        "vrrp_script s {\n script x\n interval 0.25\n}\n\
         vrrp_instance V {\n interface e\n virtual_router_id 1\n\
         virtual_ipaddress {\n 10.0.0.1\n }\n track_script {\n s\n }\n}\n",
    );
    let config = loaded.config.unwrap();
    let interval = config.scripts["s"].interval;
    assert_eq!(interval, std::time::Duration::from_millis(250));
    assert_eq!(config.scripts["s"].timeout, interval);
}

#[test]
fn nothing_is_made_of_a_file_with_an_error() {
    let loaded = read("vrrp_instance V {\n interface e\n virtual_router_id 300\n}\n");
    assert!(loaded.has_errors());
    assert!(loaded.config.is_none());
    assert_eq!(loaded.diagnostics.errors(), 1);
}

#[test]
fn checks_inherit_from_the_server_and_the_service() {
    let loaded = read(
        "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n\
         delay_loop 7\n retry 4\n connect_timeout 9\n\
         real_server 10.0.0.2 80 {\n retry 3\n TCP_CHECK {\n connect_timeout 2\n }\n }\n}\n",
    );
    let config = loaded.config.unwrap();
    let checker = &config.virtual_servers[0].real_servers[0].checkers[0];
    assert_eq!(checker.delay_loop.as_secs(), 7);
    assert_eq!(checker.warmup.as_secs(), 7);
    assert_eq!(checker.retry, 3);
    let model::CheckerKind::Tcp(options) = &checker.kind else {
        panic!("{:?}", checker.kind);
    };
    assert_eq!(options.connect_timeout.as_secs(), 2);
    assert_eq!(options.destination.to_string(), "10.0.0.2:80");
}

#[test]
fn sync_daemons_and_timeouts_are_words_with_values() {
    let globals = |line: &str| {
        let instance = "vrrp_instance V { interface eth0\n virtual_router_id 51\n virtual_ipaddress { 10.0.0.9 }\n }";
        let text = format!("global_defs {{\n {line}\n}}\n{instance}\n");
        let loaded = read(&text);
        (loaded.config.map(|c| c.globals), loaded.diagnostics)
    };
    let (read, said) =
        globals("lvs_sync_daemon eth1 inst V id 7 maxlen 1000 port 9 ttl 3 group 239.0.0.1");
    let sync = read.unwrap().lvs_sync_daemon.unwrap();
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(
        (sync.interface.as_str(), sync.instance.as_deref()),
        ("eth1", Some("V"))
    );
    assert_eq!(
        (sync.id, sync.max_len, sync.port, sync.ttl),
        (Some(7), Some(1000), Some(9), Some(3))
    );
    assert_eq!(sync.group, Some([239, 0, 0, 1].into()));

    let (read, _) = globals("lvs_sync_daemon eth1 V 12");
    let sync = read.unwrap().lvs_sync_daemon.unwrap();
    assert_eq!((sync.instance.as_deref(), sync.id), (Some("V"), Some(12)));

    let (read, said) = globals("lvs_sync_daemon eth1 W");
    assert_eq!(read.unwrap().lvs_sync_daemon, None);
    assert!(
        said.iter()
            .next()
            .unwrap()
            .message
            .contains("`W`, which is not defined"),
        "{said:?}"
    );

    for wrong in [
        "lvs_sync_daemon eth1 id",
        "lvs_sync_daemon eth1 id 1 prot 2",
        "lvs_sync_daemon eth1 group 10.0.0.1",
    ] {
        assert!(globals(wrong).0.is_none(), "{wrong}");
    }

    let (read, _) = globals("lvs_timeouts tcp 28800 udp 0");
    let timeouts = read.unwrap().lvs_timeouts;
    let hours = Some(std::time::Duration::from_secs(28_800));
    assert_eq!(
        (timeouts.tcp, timeouts.tcpfin, timeouts.udp),
        (hours, None, None)
    );
    let (read, said) = globals("lvs_timeouts tpc 5");
    assert!(read.is_none());
    assert_eq!(
        said.iter().next().unwrap().hint.as_deref(),
        Some("did you mean `tcp`?")
    );
}

/// What one instance with these lines tracks, and what was said.
fn tracked(before: &str, lines: &str) -> (Config, Vec<String>) {
    let text = format!(
        "{before}\nvrrp_instance V {{\n interface eth0\n virtual_router_id 51\n {lines}\n \
         virtual_ipaddress {{\n 10.0.0.9\n }}\n}}\n"
    );
    let loaded = read(&text);
    let said = loaded.diagnostics.iter().map(|d| d.message.clone());
    (loaded.config.clone().unwrap(), said.collect())
}

#[test]
fn reverse_turns_the_sign_of_a_weight_and_the_meaning_of_none() {
    let names = ["a", "b", "c", "d", "e"];
    let scripts = names.map(|name| format!("vrrp_script {name} {{\n script /bin/true\n }}\n"));
    let lines = "track_script {\n a weight 5 reverse\n b weight -5 reverse\n c weight 0 reverse\n \
                 d weight 0\n e weight -5 noreverse\n }";
    let (config, said) = tracked(&scripts.concat(), lines);
    assert!(said.is_empty(), "{said:?}");
    let weights: Vec<Weight> = config.instances[0]
        .more
        .track_scripts
        .iter()
        .map(|tracked| tracked.weight)
        .collect();
    let priority = |delta, when_up| Weight::Priority { delta, when_up };
    assert_eq!(
        weights,
        [
            priority(-5, true),
            priority(5, false),
            Weight::FaultWhenUp,
            Weight::Fault,
            priority(-5, false),
        ]
    );
}

#[test]
fn a_process_with_arguments_is_compared_by_its_command_line() {
    let process = |lines: &str| {
        let before = format!("vrrp_track_process p {{\n {lines}\n }}");
        let (config, _) = tracked(&before, "track_process {\n p\n }");
        config.track_processes["p"].clone()
    };
    let bare = process("process mysqld");
    assert_eq!((bare.full_command, bare.param_match), (false, None));
    let bare = process("process mysqld\n param_match");
    let exact = Some(ParamMatch::Exact);
    assert_eq!((bare.full_command, bare.param_match), (true, exact));
    let with = process("process mysqld --safe");
    assert_eq!((with.full_command, with.param_match), (true, exact));
    let partial = process("process mysqld --safe\n param_match partial");
    assert_eq!(partial.param_match, Some(ParamMatch::Partial));
    let none = process("process mysqld\n quorum 3\n quorum_max 0");
    assert_eq!((none.quorum, none.quorum_max), (0, Some(0)));
}

#[test]
fn a_link_counts_as_down_before_its_instance_takes_its_master_for_dead() {
    let delays = |line: &str, lines: &str| {
        let before = format!("interface_up_down_delays {{\n eth0 {line}\n }}");
        let (config, said) = tracked(&before, lines);
        let delays = config.links.up_down_delays.values().next().copied();
        let delays = delays
            .map(|d| (d.down.as_millis(), d.up.as_millis()))
            .unwrap();
        (delays, said.len())
    };
    assert_eq!(delays("1 3", ""), ((1000, 3000), 0));
    assert_eq!(delays("5", ""), ((1996, 0), 1), "less than two adverts");
    assert_eq!(delays("5 5", "advert_int 2"), ((3992, 3992), 1));
    assert_eq!(delays("1 1", "down_timer_adverts 1"), ((0, 0), 1));
}

#[test]
fn words_about_the_election_hold_where_they_make_sense() {
    let instance = |global: &str, lines: &str| {
        let text = format!(
            "global_defs {{\n {global}\n}}\nvrrp_instance V {{\n interface eth0\n \
             virtual_router_id 51\n {lines}\n virtual_ipaddress {{\n 10.0.0.9\n }}\n}}\n"
        );
        let loaded = read(&text);
        let said = loaded.diagnostics.iter().map(|d| d.message.clone());
        let said: Vec<String> = said.collect();
        (loaded.config.unwrap().instances.remove(0), said)
    };
    let expired = |lines| {
        let (instance, said) = instance("", lines);
        (instance.timer_expired_backup.map(|p| p.get()), said.len())
    };
    assert_eq!(expired(""), (None, 0));
    assert_eq!(expired("nopreempt\n timer_expired_backup"), (Some(254), 0));
    assert_eq!(
        expired("thread_timer_expired 120\n nopreempt"),
        (Some(120), 0)
    );
    assert_eq!(
        expired("timer_expired_backup 120"),
        (None, 1),
        "it may preempt"
    );
    let ignores = |global, lines| {
        let (instance, said) = instance(global, lines);
        (instance.owner_ignore_adverts, said.len())
    };
    let global = "vrrp_owner_ignore_adverts";
    assert_eq!(ignores("", "priority 255"), (false, 0));
    assert_eq!(
        ignores("", "priority 255\n owner_ignore_adverts"),
        (true, 0)
    );
    assert_eq!(ignores(global, "priority 255"), (true, 0));
    assert_eq!(
        ignores(global, "priority 255\n owner_ignore_adverts off"),
        (false, 0)
    );
    assert_eq!(ignores(global, "priority 254"), (false, 0));
    assert_eq!(
        ignores("", "priority 254\n owner_ignore_adverts"),
        (false, 1)
    );
}

#[test]
fn names_of_namespaces_and_instances_can_be_those_of_files() {
    let said = |line: &str| {
        let loaded = read(&format!("{line}\n"));
        loaded
            .diagnostics
            .iter()
            .any(|d| d.message.contains("is no name"))
    };
    for keyword in ["net_namespace", "net_namespace_ipvs", "instance"] {
        assert!(said(&format!("{keyword} ../blue")), "{keyword}");
        assert!(!said(&format!("{keyword} blue")), "{keyword}");
    }
    assert!(!said("net_namespace_ipvs"));
}

#[test]
fn a_login_for_mails_is_whole_and_encrypted_or_an_error() {
    let said = |lines: &str| {
        let loaded = read(&format!("global_defs {{\n{lines}\n}}\n"));
        let said = loaded.diagnostics.iter().map(|d| d.message.clone());
        said.filter(|said| said.contains("smtp"))
            .collect::<Vec<_>>()
    };
    let user = "@vipd smtp_user me\n";
    let file = "@vipd smtp_password_file /f\n";
    let none = Vec::<String>::new();
    assert_eq!(said(&format!("{user}{file}@vipd smtp_tls starttls")), none);
    assert_eq!(
        said(&format!("{user}{file}")),
        ["`smtp_user` without `smtp_tls`: a password is not sent in the clear"]
    );
    assert_eq!(
        said(&format!("{user}@vipd smtp_tls tls")),
        ["`smtp_user` without `smtp_password_file`"]
    );
    assert_eq!(
        said("@vipd smtp_tls on"),
        ["`smtp_tls` wants off, starttls or tls, not `on`"]
    );
}

#[test]
fn own_keywords_stand_on_lines_that_keepalived_drops() {
    let lease = |instance: &str| {
        let text = format!(
            "global_defs {{\n@vipd vip_lease 10\n}}\nvrrp_instance V {{\ninterface eth0\n\
             virtual_router_id 1\n{instance}\nvirtual_ipaddress {{\n10.0.0.1\n}}\n}}\n"
        );
        let loaded = read(&text);
        let lease = loaded.config.as_ref().unwrap().instances[0]
            .more
            .settings
            .vip_lease;
        let said: Vec<String> = loaded
            .diagnostics
            .iter()
            .map(|d| d.message.clone())
            .collect();
        (lease.map(|lease| lease.as_secs()), said)
    };
    let quiet = Vec::<String>::new();
    assert_eq!(lease(""), (Some(10), quiet.clone()));
    assert_eq!(lease("@vipd vip_lease 4"), (Some(4), quiet.clone()));
    assert_eq!(lease("@vipd vip_lease 0"), (None, quiet.clone()));
    assert_eq!(lease("@vipd vip_lease 4.2"), (Some(5), quiet));
    let (seconds, said) = lease("vip_lease 4");
    assert_eq!(seconds, Some(10), "keepalived does not know it");
    assert_eq!(said, ["`vip_lease` is a keyword of vipd's own"]);
    let (seconds, said) = lease("@vipd vip_lease 2");
    assert_eq!(seconds, Some(2));
    let short = "`vip_lease` of `V` is 2 s, and others wait 3 s for its adverts";
    assert_eq!(said, [short]);
    let (seconds, said) = lease("@vipd priority 4");
    assert_eq!(seconds, Some(10));
    assert_eq!(said, ["this version has no keyword `@vipd priority` here"]);
}
