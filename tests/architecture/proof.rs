//! Each rule fails where it should, and only there: small trees in memory.

use super::*;

/// The rules broken by one file in a tree that is sound otherwise.
fn broken_by(path: &str, text: &str) -> Vec<(Rule, usize)> {
    let mut tree = sound();
    tree.insert(path.to_owned(), text.to_owned());
    let found = check(&tree);
    assert!(found.iter().all(|v| v.path == path), "{found:?}");
    found.into_iter().map(|v| (v.rule, v.line)).collect()
}

fn sound() -> Tree {
    let files = [
        ("src/lib.rs", "pub mod net;\npub mod vrrp;\n"),
        ("src/net/address.rs", "use std::net::{IpAddr, Ipv4Addr};\n"),
        ("src/ipvs.rs", "use crate::net::Protocol;\n"),
        (
            "src/vrrp/machine.rs",
            "use crate::{time::Time, units};\nuse super::timers;\nuse crate::vrrp::timers;\n",
        ),
        ("src/lvs.rs", "use crate::reconcile::diff;\n"),
        ("src/engine.rs", "use crate::{lvs, vrrp::Machine};\n"),
        (
            "src/probe.rs",
            "use std::net::TcpStream;\nuse tokio::net;\n",
        ),
        ("src/kernel/sys/poll.rs", "fn f() { unsafe { g() } }\n"),
        ("src/cli.rs", "use crate::daemon;\nuse crate::config;\n"),
        ("src/daemon.rs", "use crate::kernel;\nuse crate::engine;\n"),
        ("README.md", "vipd keeps a service reachable.\n"),
    ];
    files
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into()
}

#[test]
fn a_sound_tree_breaks_nothing() {
    assert_eq!(check(&sound()), []);
}

#[test]
fn every_rule_can_be_broken() {
    let long = "\n".repeat(LINES_MAX + 1);
    let of_this_machine = format!("see {}/x\n", concat!("/wo", "rk"));
    let breaches: [(Rule, usize, &str, &str); 9] = [
        (Rule::KnownModule, 0, "src/extra.rs", ""),
        (
            Rule::LayersPointUp,
            2,
            "src/net.rs",
            "\nuse crate::config::Config;\n",
        ),
        (
            Rule::LogicSiblings,
            1,
            "src/vrrp.rs",
            "use crate::track::Script;\n",
        ),
        (
            Rule::IpvsStandsAlone,
            1,
            "src/ipvs.rs",
            "use crate::wire::arp;\n",
        ),
        (Rule::PureModules, 1, "src/vrrp.rs", "use std::fs::File;\n"),
        (
            Rule::UnsafeInSysAlone,
            1,
            "src/kernel/poll.rs",
            "unsafe fn f() {}\n",
        ),
        (Rule::FileLength, 0, "src/vrrp/machine.rs", &long),
        (
            Rule::NothingUnfinished,
            1,
            "src/vrrp.rs",
            "fn f() { todo!() }\n",
        ),
        (Rule::NothingOfThisMachine, 1, "docs/a.md", &of_this_machine),
    ];
    let mut broken = BTreeSet::new();
    for (rule, line, path, text) in breaches {
        assert_eq!(broken_by(path, text), [(rule, line)], "{path}: {text}");
        broken.insert(rule);
    }
    assert_eq!(broken, BTreeSet::from(Rule::ALL));
}

#[test]
fn an_import_is_found_however_it_is_written() {
    let forms = [
        "use crate::engine::X;",
        "use crate::{\n    net::Cidr,\n    engine::{X, Y},\n};",
        "use crate::{engine, net};",
        "pub(crate) use crate::engine as e;",
        "fn f(x: crate::engine::X) {}",
        "fn f() { <crate::engine::X as Y>::z() }",
        "use super::engine::X;",
        "use super::{engine, net};",
        "mod tests { use super::super::engine::X; }",
        "fn f<'a>(x: &'a str) { let c = '\"'; crate::engine::y(c) }",
        "const X: &[&str] = &[r#\"a\"b\"#, \"\\\"\"]; use crate::engine;",
    ];
    for form in forms {
        let rules: BTreeSet<_> = broken_by("src/vrrp.rs", form)
            .into_iter()
            .map(|(r, _)| r)
            .collect();
        assert_eq!(rules, BTreeSet::from([Rule::LayersPointUp]), "{form}");
    }
}

#[test]
fn comments_texts_and_look_alikes_are_no_imports() {
    let harmless = [
        "// use crate::engine;\n/* crate::engine /* nested */ crate::engine */\n",
        "//! [`crate::engine`] says why.\n",
        "const A: &str = \"crate::engine \\\" crate::engine\";\n",
        "const A: &str = r#\"crate::engine \" crate::engine\"#;\n",
        "use self::engine;\nmod engine;\n",
        "mod tests { use super::engine; }\n",
        "fn tokio() {}\nfn f(rand: u8) { tokio(); g(rand) }\n",
        "const A: &str = \"unsafe { todo!() }\";\n",
    ];
    for text in harmless {
        assert_eq!(broken_by("src/vrrp.rs", text), [], "{text}");
    }
}

#[test]
fn every_impure_thing_is_noticed_in_pure_modules_and_let_be_elsewhere() {
    for (path, _) in IMPURE.iter().chain(IMPURE_CALLS) {
        let text = format!("fn f() {{ {}::x::<u8>() }}\n", path.join("::"));
        let called = format!("fn f() {{ {}() }}\n", path.join("::"));
        let text = if IMPURE_CALLS.iter().any(|(p, _)| p == path) {
            called
        } else {
            text
        };
        for pure in [
            "src/net.rs",
            "src/config.rs",
            "src/vrrp/machine.rs",
            "src/engine/x.rs",
        ] {
            assert_eq!(
                broken_by(pure, &text),
                [(Rule::PureModules, 1)],
                "{pure}: {text}"
            );
        }
        assert_eq!(broken_by("src/kernel/x.rs", &text), [], "{text}");
    }
}

#[test]
fn edges_know_neither_each_other_nor_the_engine() {
    for (path, text) in [
        ("src/kernel/x.rs", "use crate::probe::tcp;"),
        ("src/probe/tcp.rs", "use crate::kernel::clock;"),
        ("src/kernel/x.rs", "use crate::engine::Shared;"),
        ("src/engine/x.rs", "use crate::kernel::clock;"),
        ("src/engine/x.rs", "use crate::daemon::Thread;"),
    ] {
        assert_eq!(
            broken_by(path, text),
            [(Rule::LayersPointUp, 1)],
            "{path}: {text}"
        );
    }
}

#[test]
fn the_tool_of_the_logic_modules_knows_none_of_them() {
    assert_eq!(
        broken_by("src/reconcile.rs", "use crate::lvs::Plan;"),
        [(Rule::LogicSiblings, 1)]
    );
}

#[test]
fn a_failure_says_why_and_where() {
    let mut tree = sound();
    tree.insert("src/net.rs".to_owned(), "use crate::vrrp;\n".to_owned());
    let words = in_words(&check(&tree));
    assert!(
        words.contains("src/net.rs:1: net imports crate::vrrp"),
        "{words}"
    );
    assert!(words.contains(Rule::LayersPointUp.reason()), "{words}");
}
