//! The rules that keep the source in layers, checked in the source itself: who may import whom, what pure
//! modules must not touch, where `unsafe` may stand, how long a file may be, what must not be written
//! down. Each failure says why the rule exists; each rule is shown to fail on a small tree in memory.

#[path = "architecture/paths.rs"]
mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use paths::{PathUse, code_of, paths_in};

/// What a module is made of, by its layer. A module imports only from layers with a smaller number.
const LAYERS: &[(&str, u8)] = &[
    ("errno", 0),
    ("fact", 0),
    ("net", 0),
    ("time", 0),
    ("units", 0),
    ("config", 1),
    ("ipvs", 1),
    ("wire", 1),
    ("bfd", 2),
    ("health", 2),
    ("lvs", 2),
    ("notice", 2),
    ("reconcile", 2),
    ("track", 2),
    ("vrrp", 2),
    ("engine", 3),
    ("kernel", 3),
    ("notify", 3),
    ("probe", 3),
    ("cli", RUNTIME),
    ("control", RUNTIME),
    ("daemon", RUNTIME),
    ("lib", RUNTIME),
    ("main", RUNTIME),
];
const LOGIC: u8 = 2;
const RUNTIME: u8 = 4;

/// A tool of the logic modules that knows none of them: the one sibling that they may import.
const LOGIC_TOOL: &str = "reconcile";

/// Lines of the longest file.
const LINES_MAX: usize = 600;

/// What pure modules must not use; a path that begins with it is a use of it.
const IMPURE: &[(&[&str], &str)] = &[
    (&["std", "fs"], "files"),
    (&["std", "process"], "processes"),
    (&["std", "thread"], "threads"),
    (&["std", "env"], "the environment"),
    (&["std", "io", "stdin"], "the terminal"),
    (&["std", "io", "stdout"], "the terminal"),
    (&["std", "io", "stderr"], "the terminal"),
    (&["std", "os"], "descriptors"),
    (&["std", "net", "TcpStream"], "sockets"),
    (&["std", "net", "TcpListener"], "sockets"),
    (&["std", "net", "UdpSocket"], "sockets"),
    (&["std", "time", "Instant"], "a clock"),
    (&["std", "time", "SystemTime"], "a clock"),
    (&["std", "collections", "HashMap"], "unordered maps"),
    (&["std", "collections", "HashSet"], "unordered maps"),
    (&["tokio"], "tokio"),
    (&["socket2"], "sockets"),
    (&["rand"], "randomness"),
];

/// The same, however they were brought into scope.
const IMPURE_CALLS: &[(&[&str], &str)] = &[
    (&["Instant", "now"], "a clock"),
    (&["SystemTime", "now"], "a clock"),
    (&["HashMap", "new"], "unordered maps"),
    (&["HashSet", "new"], "unordered maps"),
    (&["thread", "spawn"], "threads"),
    (&["thread", "sleep"], "threads"),
    (&["TcpStream", "connect"], "sockets"),
    (&["UdpSocket", "bind"], "sockets"),
];

/// A rule, and why it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    KnownModule,
    LayersPointUp,
    LogicSiblings,
    IpvsStandsAlone,
    PureModules,
    UnsafeInSysAlone,
    FileLength,
    NothingUnfinished,
    NothingOfThisMachine,
}

impl Rule {
    const ALL: [Rule; 9] = [
        Rule::KnownModule,
        Rule::LayersPointUp,
        Rule::LogicSiblings,
        Rule::IpvsStandsAlone,
        Rule::PureModules,
        Rule::UnsafeInSysAlone,
        Rule::FileLength,
        Rule::NothingUnfinished,
        Rule::NothingOfThisMachine,
    ];

    const fn reason(self) -> &'static str {
        match self {
            Rule::KnownModule => {
                "every module has a layer, so that it is known what it may import: add it to LAYERS \
                 in this test and to the table in src/lib.rs"
            }
            Rule::LayersPointUp => {
                "a module imports only from layers above its own, so that each can be understood, \
                 tested and replaced without what is built on it: move what both need up, or hand it \
                 in as an argument"
            }
            Rule::LogicSiblings => {
                "logic modules do not know each other, so that each can be simulated alone: they meet \
                 in engine, or through facts and values of a layer above"
            }
            Rule::IpvsStandsAlone => {
                "ipvs could be a crate of its own tomorrow: it may know the values of layer 0 and \
                 nothing else of vipd"
            }
            Rule::PureModules => {
                "the same input has to give the same output in a test, in the simulator and in a \
                 replay: time, seeds and what was read are arguments; edges do the rest"
            }
            Rule::UnsafeInSysAlone => {
                "whoever audits unsafe code has one place to read: add a safe function to kernel::sys"
            }
            Rule::FileLength => "a file is to be read in one sitting: split it by subject",
            Rule::NothingUnfinished => {
                "a panic in place of a feature is an outage: leave the feature out, or refuse it with \
                 an error that says so"
            }
            Rule::NothingOfThisMachine => {
                "what was built here has to build and run anywhere: no path of the machine it was \
                 written on, no registry's host"
            }
        }
    }
}

/// A place where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    rule: Rule,
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    what: String,
}

/// Path in the repository, and text.
type Tree = BTreeMap<String, String>;

fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree {
        if Path::new(path).extension().is_some_and(|end| end == "rs") {
            check_rust(path, text, &mut found);
        }
        check_text(path, text, &mut found);
    }
    found
}

fn check_rust(path: &str, text: &str, found: &mut Vec<Violation>) {
    let code = code_of(text);
    let uses = paths_in(&code, depth_of(path));
    let mut report = |rule, line, what: String| {
        found.push(Violation {
            rule,
            path: path.to_owned(),
            line,
            what,
        });
    };
    let lines = text.lines().count();
    if lines > LINES_MAX {
        let what = format!("{lines} lines, at most {LINES_MAX}");
        report(Rule::FileLength, 0, what);
    }
    for (line, name) in paths::macros_in(&code) {
        if matches!(name.as_str(), "todo" | "unimplemented") {
            report(Rule::NothingUnfinished, line, format!("{name}!"));
        }
    }
    let Some(module) = module_of(path) else {
        return;
    };
    if !(path == "src/kernel/sys.rs" || path.starts_with("src/kernel/sys/")) {
        for line in paths::words_in(&code, &["unsafe", "unsafe_code"]) {
            report(Rule::UnsafeInSysAlone, line, "unsafe".to_owned());
        }
    }
    let Some(layer) = layer_of(module) else {
        let what = format!("module {module} has no layer");
        return report(Rule::KnownModule, 0, what);
    };
    for used in &uses {
        if let Some(rule) = broken_import(module, layer, used) {
            let what = format!("{module} imports {used}");
            report(rule, used.line, what);
        }
        let pure = layer <= LOGIC || module == "engine";
        if pure && let Some(what) = impurity(used) {
            let what = format!("{module} uses {what}: {used}");
            report(Rule::PureModules, used.line, what);
        }
    }
}

/// The rule that an import breaks, if any.
fn broken_import(module: &str, layer: u8, used: &PathUse) -> Option<Rule> {
    let target = used.in_crate()?;
    // A name of the crate's root that is no module is one of main's or lib's own.
    let target_layer = layer_of(target)?;
    if target == module || layer == RUNTIME {
        return None;
    }
    if module == "ipvs" && target_layer > 0 {
        return Some(Rule::IpvsStandsAlone);
    }
    if layer == LOGIC && target_layer == LOGIC {
        return (target != LOGIC_TOOL || module == LOGIC_TOOL).then_some(Rule::LogicSiblings);
    }
    (target_layer >= layer).then_some(Rule::LayersPointUp)
}

fn impurity(used: &PathUse) -> Option<&'static str> {
    let by_path = IMPURE
        .iter()
        .find(|(path, _)| used.begins_with(path) && (path.len() > 1 || used.segments.len() > 1));
    let by_call = IMPURE_CALLS.iter().find(|(path, _)| used.ends_with(path));
    by_path.or(by_call).map(|(_, what)| *what)
}

/// Rules for every file, whatever language it is in. The words are put together here, so that this file
/// does not contain them.
fn check_text(path: &str, text: &str, found: &mut Vec<Violation>) {
    let forbidden = [
        concat!("/wo", "rk/"),
        concat!("/wo", "rk "),
        concat!("../sha", "red"),
        concat!("/root", "/."),
        concat!("crates", ".io"),
        concat!("docs", ".rs"),
    ];
    for (number, line) in text.lines().enumerate() {
        for word in forbidden {
            if line.contains(word) {
                found.push(Violation {
                    rule: Rule::NothingOfThisMachine,
                    path: path.to_owned(),
                    line: number + 1,
                    what: format!("{word:?}"),
                });
            }
        }
    }
}

/// `src/vrrp/machine.rs` and `src/vrrp.rs` belong to `vrrp`; files outside `src` to no module.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    inside.split(['/', '.']).next()
}

fn layer_of(module: &str) -> Option<u8> {
    let row = LAYERS.iter().find(|(name, _)| *name == module)?;
    Some(row.1)
}

/// How many times `super` leads from a file's own module to the crate's root.
fn depth_of(path: &str) -> usize {
    match path {
        "src/lib.rs" | "src/main.rs" => 0,
        _ => path
            .strip_prefix("src/")
            .map_or(0, |inside| inside.split('/').count()),
    }
}

/// Every text file of the repository that people write. (In a linked work tree `.git` is a file.)
fn repository() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tree = Tree::new();
    let folders = [
        "src",
        "tests",
        "integration",
        "scripts",
        "conf",
        "docs",
        "packaging",
        "fuzz",
        "benches",
    ];
    for folder in folders {
        read_folder(root, &root.join(folder), &mut tree);
    }
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        if entry.path().is_file() && entry.file_name() != ".git" {
            read_file(root, &entry.path(), &mut tree);
        }
    }
    // It names where each package came from, which is what it is for.
    tree.remove("Cargo.lock");
    tree
}

fn read_folder(root: &Path, folder: &Path, tree: &mut Tree) {
    // Not every folder exists in every state of the repository.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "target" {
            read_folder(root, &path, tree);
        } else if path.is_file() {
            read_file(root, &path, tree);
        }
    }
}

fn read_file(root: &Path, path: &Path, tree: &mut Tree) {
    // What is not text has no rules.
    if let (Ok(text), Ok(name)) = (std::fs::read_to_string(path), path.strip_prefix(root)) {
        tree.insert(name.display().to_string(), text);
    }
}

fn in_words(violations: &[Violation]) -> String {
    let mut text = String::new();
    for rule in Rule::ALL {
        let of_rule: Vec<_> = violations.iter().filter(|v| v.rule == rule).collect();
        if of_rule.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{rule:?}: {}\n", rule.reason()));
        for v in of_rule {
            text.push_str(&format!("  {}:{}: {}\n", v.path, v.line, v.what));
        }
    }
    text
}

#[test]
fn the_source_keeps_the_rules() {
    let tree = repository();
    assert!(tree.contains_key("src/lib.rs"), "the repository was found");
    let violations = check(&tree);
    assert!(violations.is_empty(), "{}", in_words(&violations));
}

#[path = "architecture/proof.rs"]
mod proof;
