//! What packages are made of: that it is there, that it fits together, and that the programs which read it
//! understand it. No package is built here; `scripts/package` does that.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test that cannot be set up has failed; one that cannot look says so"
)]

#[path = "packaging/manifest.rs"]
mod manifest;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use manifest::{assets, section};

/// Sections of Cargo.toml: vipd, and what stands in for keepalived.
const DEB: [&str; 2] = [
    "package.metadata.deb",
    "package.metadata.deb.variants.keepalived",
];
const RPM: [&str; 2] = [
    "package.metadata.generate-rpm",
    "package.metadata.generate-rpm.variants.keepalived",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

#[test]
fn every_file_that_a_package_names_exists() {
    for (source, dest) in [DEB, RPM].into_iter().flatten().flat_map(assets) {
        // scripts/package makes them: the program, and what it says of itself.
        if source.starts_with("target/") || source.starts_with("packaging/share/") {
            continue;
        }
        let path = root().join(&source);
        let there = match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if name.starts_with("*.") => {
                let end = name.trim_start_matches('*');
                let parent = path.parent().expect("a folder");
                let mut files = std::fs::read_dir(parent).expect("a folder").flatten();
                files.any(|file| file.file_name().to_string_lossy().ends_with(end))
            }
            // A link is there even where it leads nowhere yet.
            _ => path.symlink_metadata().is_ok(),
        };
        assert!(there, "{source}, for {dest}");
    }
    for package in [DEB, RPM].into_iter().flatten() {
        for line in section(package).lines() {
            if let Some((key, value)) = line.split_once(" = ")
                && (key.ends_with("_script") || key == "maintainer-scripts")
            {
                let path = value.trim_matches('"');
                assert!(root().join(path).exists(), "{path}");
            }
        }
    }
}

/// Names that begin with `vipd_` in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !word(c));
    words.filter(|word| word.starts_with("vipd_")).collect()
}

#[test]
fn every_metric_of_the_dashboard_is_one_of_vipds() {
    let dashboard = read("packaging/grafana/vipd.json");
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    assert_eq!(parsed["uid"], "vipd");
    let source = read("src/control/metrics.rs");
    let named = metrics_in(&dashboard);
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let base = ["_total", "_bucket"]
            .iter()
            .fold(name, |name, end| name.trim_end_matches(end));
        let base = base.trim_start_matches("vipd_");
        // What the kernel counts has one name for services and for servers.
        let counted = base
            .trim_start_matches("service_")
            .trim_start_matches("server_");
        let there = source.contains(&format!("\"{base}\""))
            || source.contains(&format!("(\"{counted}\", "));
        assert!(there, "{name} is no metric of src/control/metrics.rs");
    }
}

#[test]
fn deb_and_rpm_hold_the_same() {
    let of = |packages: [&str; 2]| -> BTreeSet<(String, String)> {
        packages.into_iter().flat_map(assets).collect()
    };
    let (deb, rpm) = (of(DEB), of(RPM));
    let differ: Vec<&str> = deb
        .symmetric_difference(&rpm)
        .map(|(_, dest)| dest.as_str())
        .collect();
    // Each system has its own place for options of what it calls keepalived, and the one has a script
    // that makes the link.
    assert_eq!(
        differ,
        [
            "usr/sbin/keepalived",
            "etc/default/keepalived",
            "etc/sysconfig/keepalived"
        ]
    );
    assert!(read("packaging/stand-in/rpm-post.sh").contains("ln -sf vipd /usr/sbin/keepalived\n"));
}

#[test]
fn the_stand_in_s_unit_is_vipd_s_by_another_name() {
    let own = [
        "Description=",
        "Conflicts=",
        "After=",
        "ConditionFileNotEmpty=",
        "EnvironmentFile=",
        "ExecStart=",
        "#",
    ];
    let lines = |path| -> Vec<String> {
        let text = read(path);
        text.lines()
            .filter(|line| !own.iter().any(|begin| line.starts_with(begin)))
            .map(str::to_owned)
            .collect()
    };
    let vipd = lines("packaging/systemd/vipd.service");
    assert!(vipd.iter().any(|line| line == "KillMode=process"));
    assert_eq!(vipd, lines("packaging/stand-in/keepalived.service"));
}

#[test]
fn the_signal_that_keeps_is_the_one_that_the_unit_sends() {
    // 34 is SIGRTMIN where systemd counts.
    assert!(read("packaging/systemd/vipd.service").contains("RestartKillSignal=SIGRTMIN+6\n"));
    assert!(read("src/daemon/main_loop.rs").contains("const SIGNAL_KEEP: i32 = 34 + 6;"));
}

#[test]
fn systemd_understands_the_units() {
    let scratch = std::env::temp_dir().join(format!("vipd-units-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("a scratch folder");
    let program = env!("CARGO_BIN_EXE_vipd");
    for (path, name) in [
        ("packaging/systemd/vipd.service", "vipd.service"),
        (
            "packaging/stand-in/keepalived.service",
            "keepalived.service",
        ),
        ("strict", "strict.service"),
    ] {
        let text = match path {
            // As a drop-in it comes after the rest.
            "strict" => {
                let (unit, drop_in) = (
                    read("packaging/systemd/vipd.service"),
                    read("packaging/systemd/strict.conf"),
                );
                unit.replace("[Install]", &format!("{drop_in}\n[Install]"))
            }
            path => read(path),
        };
        // It looks for the programs, which are not installed here.
        let text = text
            .replace("/usr/sbin/vipd", program)
            .replace("/usr/sbin/keepalived", program);
        let unit = scratch.join(name);
        std::fs::write(&unit, text).expect("a scratch file");
        let verify = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(&unit)
            .output();
        let Ok(verify) = verify else {
            eprintln!("systemd-analyze is not installed: units were not verified");
            break;
        };
        let said = String::from_utf8_lossy(&verify.stderr);
        let about_it: Vec<&str> = said.lines().filter(|line| line.contains(name)).collect();
        assert!(about_it.is_empty(), "{about_it:#?}");
    }
    let _ = std::fs::remove_dir_all(&scratch);
}

/// Scripts that are run as root on somebody's machine.
#[test]
fn shells_understand_the_scripts() {
    let mut scripts = vec![
        root().join("packaging/stand-in/keepalived.init"),
        root().join("packaging/stand-in/rpm-post.sh"),
        root().join("packaging/stand-in/rpm-preun.sh"),
        root().join("packaging/compose/entrypoint.sh"),
    ];
    for folder in [
        "packaging/debian",
        "packaging/stand-in/debian",
        "packaging/rpm",
    ] {
        let entries = std::fs::read_dir(root().join(folder)).expect(folder);
        scripts.extend(entries.flatten().map(|entry| entry.path()));
    }
    let is_bad = |script: &PathBuf| {
        let status = Command::new("/bin/sh").arg("-n").arg(script).status();
        !status.expect("a shell").success()
    };
    scripts.retain(is_bad);
    assert_eq!(scripts, Vec::<PathBuf>::new());
}

#[test]
fn configurations_of_the_examples_have_no_mistakes() {
    for who in ["master", "slave"] {
        let conf = root().join(format!("packaging/compose/keepalived-{who}.conf"));
        let check = Command::new(env!("CARGO_BIN_EXE_vipd"))
            .arg("check")
            .arg(&conf)
            .output()
            .expect("vipd starts");
        let said = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success() && said.is_empty(), "{said}");
    }
}

/// Links from one document to another, and to pictures.
#[test]
fn links_of_the_documents_lead_to_what_is_there_and_what_is_packaged() {
    let packaged: BTreeSet<String> = DEB
        .into_iter()
        .flat_map(assets)
        .map(|(from, _)| from)
        .collect();
    let mut seen = 0;
    for folder in ["docs", "docs/scenarios"] {
        for entry in std::fs::read_dir(root().join(folder))
            .expect(folder)
            .flatten()
        {
            let path = entry.path();
            if path.extension().is_none_or(|end| end != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a document");
            for link in text
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split_once(')'))
            {
                let link = link.0.split('#').next().unwrap_or_default();
                if link.is_empty() || link.contains("://") {
                    continue;
                }
                let target = root().join(folder).join(link).canonicalize();
                let target = target.unwrap_or_else(|_| panic!("{}: {link}", path.display()));
                let target = target.strip_prefix(root()).expect("in the repository");
                let (Ok(inside), Some(end)) = (target.strip_prefix("docs"), target.extension())
                else {
                    continue;
                };
                let place = Path::new("docs").join(inside).with_file_name("*");
                let pattern = format!("{}.{}", place.display(), end.to_string_lossy());
                assert!(packaged.contains(&pattern), "{pattern}, for {link}");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
}
