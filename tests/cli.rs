//! The program as a person meets it, without root and without touching the network: help, `-t`, and
//! what is said of input that cannot be used.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot be set up has failed"
)]

#[path = "cli/fix.rs"]
mod fix;

use std::path::PathBuf;
use std::process::{Command, Output};

fn vipd(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vipd"))
        .args(args)
        .output()
        .expect("vipd starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A configuration in a file of its own that goes with the value.
struct Conf(PathBuf);

impl Conf {
    fn new(name: &str, text: &str) -> Conf {
        let path = std::env::temp_dir().join(format!("vipd-cli-{name}-{}", std::process::id()));
        std::fs::write(&path, text).expect("a scratch file");
        Conf(path)
    }

    fn arg(&self) -> &str {
        self.0.to_str().expect("a printable path")
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const GOOD: &str = "\
vrrp_instance VI_1 {
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        10.0.0.100
    }
}
";

#[test]
fn help_names_the_flags_and_shows_examples() {
    let output = vipd(&["--help"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for part in ["--use-file", "--run-dir", "Examples:", "Exit status:"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn a_good_file_passes_the_test_in_silence() {
    let conf = Conf::new("good", GOOD);
    let output = vipd(&["-t", "-f", conf.arg()]);
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(0), "")
    );
}

#[test]
fn an_unknown_keyword_is_a_warning_with_place_and_suggestion() {
    let conf = Conf::new("unknown", &GOOD.replace("priority", "priorty"));
    let output = vipd(&["-t", "-f", conf.arg()]);
    assert_eq!(output.status.code(), Some(5));
    let text = stderr(&output);
    assert!(text.contains(":5:5") && text.contains("priorty"), "{text}");
    assert!(text.contains("did you mean `priority`"), "{text}");
}

#[test]
fn a_missing_brace_is_an_error_at_the_brace_that_was_opened() {
    let conf = Conf::new("brace", GOOD.trim_end().trim_end_matches('}'));
    let output = vipd(&["-t", "-f", conf.arg()]);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains(":1:"), "{}", stderr(&output));
}

#[test]
fn a_file_that_does_not_exist_is_told_of_in_one_line() {
    for args in [
        ["-n", "-f", "/nonexistent.conf"],
        ["-t", "-f", "/nonexistent.conf"],
    ] {
        let output = vipd(&args);
        assert!(!output.status.success());
        let text = stderr(&output);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("/nonexistent.conf") && text.contains("ENOENT"),
            "{text}"
        );
    }
}

#[test]
fn a_directory_is_no_configuration() {
    let output = vipd(&["-n", "-f", "/"]);
    assert_eq!(output.status.code(), Some(6));
    assert!(stderr(&output).contains("it is a directory"));
}

#[test]
fn errors_keep_the_daemon_from_starting_and_each_has_a_line() {
    let text = GOOD
        .replace("10.0.0.100", "10.0.0.999")
        .replace("router_id 51", "router_id 300");
    let conf = Conf::new("errors", &text);
    let output = vipd(&["-n", "-f", conf.arg()]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains(":4:23") && said.contains("300"), "{said}");
}

#[test]
fn an_interface_that_does_not_exist_is_named_with_those_that_do() {
    let conf = Conf::new("interface", &GOOD.replace("eth0", "nosuch0"));
    let output = vipd(&["-n", "-f", conf.arg()]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains(":3:15") && said.contains("interface nosuch0 does not exist"),
        "{said}"
    );
    assert!(said.contains("there are:"), "{said}");
}

#[test]
fn an_unknown_flag_is_refused_with_a_hint() {
    let output = vipd(&["--run-dri", "/tmp"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--run-dir"));
}

#[test]
fn check_prints_every_problem_of_every_file_in_the_form_asked_for() {
    let warned = Conf::new("check-w", &GOOD.replace("priority", "priorty"));
    let broken = Conf::new("check-e", &GOOD.replace("10.0.0.100", "10.0.0.999"));
    let concise = vipd(&["check", "--format", "concise", warned.arg(), broken.arg()]);
    assert_eq!(concise.status.code(), Some(2));
    let text = String::from_utf8_lossy(&concise.stdout).into_owned();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        text.contains("warning[unknown-keyword]") && text.contains("10.0.0.999"),
        "{text}"
    );
    let json = vipd(&["check", "--format", "json", warned.arg(), broken.arg()]);
    let problems: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(problems[0]["line"], 5);
    assert_eq!(problems[1]["severity"], "error");
}

#[test]
fn check_fails_on_warnings_only_when_they_are_denied() {
    let warned = Conf::new("check-deny", &GOOD.replace("priority", "priorty"));
    assert_eq!(vipd(&["check", warned.arg()]).status.code(), Some(0));
    assert_eq!(
        vipd(&["check", "--deny-warnings", warned.arg()])
            .status
            .code(),
        Some(1)
    );
}

#[test]
fn check_explains_keywords_and_suggests_near_ones() {
    let output = vipd(&["check", "--explain", "priority"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("in `vrrp_instance`") && text.contains("range: 1 to 255"),
        "{text}"
    );
    let unknown = vipd(&["check", "--explain", "priorty"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("did you mean `priority`?"));
}

#[test]
fn plan_prints_the_table_before_any_check_has_run_without_needing_the_interfaces() {
    let text = GOOD.replace("eth0", "nosuch0")
        + "virtual_server 10.0.0.100 80 {
    lb_algo wrr
    lb_kind DR
    protocol TCP
    real_server 10.0.0.11 80 {
        weight 3
        TCP_CHECK {
        }
    }
}
";
    let conf = Conf::new("plan", &text);
    let output = vipd(&["plan", "--offline", "--format", "ipvsadm", conf.arg()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "-A -t 10.0.0.100:80 -s wrr\n-a -t 10.0.0.100:80 -r 10.0.0.11:80 -g -w 3\n"
    );
}

#[test]
fn check_prints_the_effective_configuration_with_its_defaults() {
    let conf = Conf::new("print", GOOD);
    let output = vipd(&["check", "--print", conf.arg()]);
    let config: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let instance = &config["instances"][0];
    assert_eq!(instance["advert_int"], 1.0);
    assert_eq!(instance["vips"][0]["cidr"], "10.0.0.100/32");
    assert_eq!(instance["garp"]["master_delay"], 5.0);
}
