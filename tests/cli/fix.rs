//! `check --fix`: what it writes, what it leaves alone, what it says.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::{Conf, GOOD, stderr, vipd};

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(conf: &Conf) -> String {
    std::fs::read_to_string(&conf.0).expect("the file is there")
}

fn misspelt() -> String {
    GOOD.replace("priority", "priorty")
}

#[test]
fn fix_writes_the_file_and_says_what_it_did_and_what_remains() {
    let conf = Conf::new("fix", &misspelt().replace("51", "51\n    zebra 1"));
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&conf.0, mode).expect("a mode");
    let output = vipd(&["check", "--fix", "--format", "concise", conf.arg()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stdout(&output);
    let done = format!("fixed: {}:6: unknown keyword `priorty`", conf.arg());
    assert!(said.starts_with(&done), "{said}");
    assert!(said.contains(&format!("wrote {}\n", conf.arg())), "{said}");
    assert!(
        said.ends_with(
            ":5:5: warning[unknown-keyword]: unknown keyword `zebra` in `vrrp_instance`\n"
        ),
        "{said}"
    );
    assert_eq!(text(&conf), GOOD.replace("51", "51\n    zebra 1"));
    let metadata = std::fs::metadata(&conf.0).expect("the file is there");
    assert_eq!(metadata.mode() & 0o7777, 0o640);
    let again = vipd(&["check", "--fix", "--format", "concise", conf.arg()]);
    assert_eq!(stdout(&again).lines().count(), 1, "{}", stdout(&again));
}

#[test]
fn the_status_is_that_of_the_corrected_file() {
    let warned = Conf::new("fix-status", &misspelt());
    let deny = |flags: &[&str]| {
        let args = [&["check", "--deny-warnings"], flags, &[warned.arg()]].concat();
        vipd(&args).status.code()
    };
    assert_eq!(deny(&[]), Some(1));
    assert_eq!(deny(&["--fix", "--dry-run"]), Some(0));
    assert_eq!(deny(&["--fix"]), Some(0));
    let broken = Conf::new("fix-broken", &misspelt().replace("0.100", "0.999"));
    assert_eq!(
        vipd(&["check", "--fix", broken.arg()]).status.code(),
        Some(2)
    );
    assert!(text(&broken).contains("priority 100"));
}

#[test]
fn a_dry_run_prints_a_diff_and_writes_nothing() {
    let conf = Conf::new("fix-dry", &misspelt());
    let output = vipd(&["check", "--fix", "--dry-run", conf.arg()]);
    let expected = format!(
        "--- {0}\n+++ {0}\n@@ -2,7 +2,7 @@\n     state BACKUP\n     interface eth0\n     \
         virtual_router_id 51\n-    priorty 100\n+    priority 100\n     virtual_ipaddress {{\n         \
         10.0.0.100\n     }}\n",
        conf.arg()
    );
    assert_eq!(
        (stdout(&output), stderr(&output)),
        (expected, String::new())
    );
    assert_eq!(text(&conf), misspelt());
}

#[test]
fn a_link_stays_and_the_file_behind_it_is_written() {
    let conf = Conf::new("fix-target", &misspelt());
    let link = Conf::new("fix-link", "");
    std::fs::remove_file(&link.0).expect("room for the link");
    symlink(&conf.0, &link.0).expect("a link");
    let output = vipd(&["check", "--fix", link.arg()]);
    let said = stdout(&output);
    let whole = std::fs::canonicalize(&conf.0).expect("the file is there");
    let told = format!(
        "wrote {} (a link; written is {})",
        link.arg(),
        whole.display()
    );
    assert!(said.contains(&told), "{said}");
    assert_eq!(text(&conf), GOOD);
    assert!(link.0.is_symlink());
}

#[test]
fn a_file_with_several_names_is_refused() {
    let conf = Conf::new("fix-names", &misspelt());
    let other = Conf::new("fix-other", "");
    std::fs::remove_file(&other.0).expect("room for the name");
    std::fs::hard_link(&conf.0, &other.0).expect("a second name");
    let output = vipd(&["check", "--fix", conf.arg()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("2 names"), "{}", stderr(&output));
    assert_eq!(text(&conf), misspelt());
}

#[test]
fn bytes_that_are_not_text_keep_a_file_from_being_written() {
    let conf = Conf::new("fix-bytes", "");
    let bytes = [misspelt().as_bytes(), b"# \xff\n"].concat();
    std::fs::write(&conf.0, &bytes).expect("a scratch file");
    let output = vipd(&["check", "--fix", conf.arg()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("UTF-8"), "{}", stderr(&output));
    assert_eq!(std::fs::read(&conf.0).expect("the file is there"), bytes);
}

#[test]
fn an_included_file_is_written_in_its_own_place() {
    let part = Conf::new("fix-part.inc", "priorty 100\n");
    let including = GOOD.replace("priority 100", &format!("include {}", part.arg()));
    let conf = Conf::new("fix-root", &including);
    let output = vipd(&["check", "--fix", conf.arg()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(text(&part), "priority 100\n");
    assert_eq!(text(&conf), including);
}

#[test]
fn what_an_expansion_made_is_never_edited() {
    let loops = "~SEQ(i, 1, 2) vrrp_scrpt s$i { script /bin/true }\n";
    let whole = format!(
        "$LINES= \\\n    priorty 100\n{}{loops}",
        GOOD.replace("priority 100", "$LINES")
    );
    let conf = Conf::new("fix-made", &whole);
    let output = vipd(&["check", "--fix", "--format", "concise", conf.arg()]);
    let said = stdout(&output);
    assert!(
        said.contains("`priorty`") && said.contains("`vrrp_scrpt`"),
        "{said}"
    );
    assert_eq!(text(&conf), whole);
}

#[test]
fn json_lists_the_edits() {
    let conf = Conf::new("fix-json", &misspelt());
    let output = vipd(&["check", "--format", "json", conf.arg()]);
    let problems: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let edit = &problems[0]["edits"][0];
    assert_eq!(
        (&edit["old"], &edit["new"]),
        (&"priorty".into(), &"priority".into())
    );
    assert_eq!((&edit["line"], &edit["column"]), (&5.into(), &5.into()));
    let fixed = vipd(&["check", "--fix", "--format", "json", conf.arg()]);
    let problems: serde_json::Value = serde_json::from_slice(&fixed.stdout).expect("JSON");
    assert_eq!(problems, serde_json::Value::Array(Vec::new()));
    assert!(stderr(&fixed).contains("wrote "), "{}", stderr(&fixed));
}
