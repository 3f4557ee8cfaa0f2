use std::io;
use std::path::{Path, PathBuf};

use crate::config::model::ScriptUser;
use crate::config::{Audit, Code, Config, Files, Options, load};

/// A machine on which `/gone` is missing and `/open` may be replaced by others if root runs it.
struct Fake(String);

impl Files for Fake {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }

    fn exists(&self, _: &Path) -> bool {
        false
    }

    fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn audit(&self, program: &str, user: Option<&ScriptUser>) -> Audit {
        let root = user.is_none_or(|user| user.user == "root");
        Audit {
            broken: (program == "/gone").then(|| "no such file".to_owned()),
            replaceable: (program == "/open" && root)
                .then(|| ("its mode".to_owned(), "chmod".to_owned())),
        }
    }
}

/// The configuration and what was said of scripts.
fn read(globals: &str) -> (Config, Vec<String>) {
    let text = format!(
        "global_defs {{\n{globals}\n}}\n\
         vrrp_script gone {{\n script /gone\n}}\nvrrp_script open {{\n script /open\n}}\n\
         vrrp_script good {{\n script /good\n}}\n\
         vrrp_instance A {{\n interface eth0\n virtual_router_id 1\n\
         virtual_ipaddress {{\n 10.0.0.10/24\n }}\n notify_master /gone\n notify_backup /open nobody\n\
         notify_fault /open\n notify /good\n track_script {{\n gone\n open\n good\n }}\n}}\n\
         virtual_server 10.0.0.1 80 {{\n protocol TCP\n quorum_up /gone\n\
         real_server 10.1.0.1 80 {{\n notify_down /open\n MISC_CHECK {{\n misc_path /gone\n }}\n\
         MISC_CHECK {{\n misc_path /good\n }}\n }}\n}}\n"
    );
    let loaded = load(Path::new("k.conf"), &Fake(text), &Options::default());
    let of_scripts = |code| matches!(code, Code::Script | Code::ScriptSecurity);
    let said = loaded.diagnostics.iter().filter(|d| of_scripts(d.code));
    let said = said.map(|d| d.message.clone()).collect();
    (loaded.config.unwrap(), said)
}

fn tracked(config: &Config) -> Vec<&str> {
    let tracked = &config.instances[0].more.track_scripts;
    tracked.iter().map(|t| t.script.as_str()).collect()
}

#[test]
fn what_cannot_be_run_is_left_out_and_nobody_waits_for_it() {
    let (config, said) = read("");
    assert_eq!(
        said,
        [
            "`/gone` cannot be run: no such file",
            "`/open` is run by root, and others may replace it: its mode"
        ]
    );
    assert_eq!(tracked(&config), ["open", "good"]);
    assert!(!config.scripts.contains_key("gone"));
    let settings = &config.instances[0].more.settings;
    assert!(settings.notify_master.is_none() && settings.notify_fault.is_some());
    let server = &config.virtual_servers[0];
    assert!(server.pool.quorum_up.is_none());
    assert_eq!(server.real_servers[0].checkers.len(), 1);
    assert!(server.real_servers[0].more.notify_down.is_some());
}

#[test]
fn with_script_security_root_runs_nothing_that_others_may_replace() {
    let (config, said) = read("enable_script_security");
    assert_eq!(said.len(), 2);
    assert_eq!(tracked(&config), ["good"]);
    let settings = &config.instances[0].more.settings;
    assert!(settings.notify_fault.is_none(), "root runs it");
    assert!(settings.notify_backup.is_some(), "another user runs it");
    assert!(settings.notify.is_some());
    let server = &config.virtual_servers[0].real_servers[0];
    assert!(server.more.notify_down.is_none());
}

#[test]
fn script_user_is_who_runs_them() {
    let (config, said) = read("enable_script_security\nscript_user nobody");
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(tracked(&config), ["open", "good"]);
}
