use super::*;

/// Files in memory by name.
struct Memory(Vec<(&'static str, String)>);

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = self.0.iter().find(|(name, _)| Path::new(name) == path);
        let text = found.map(|(_, text)| text.clone().into_bytes());
        text.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.iter().any(|(name, _)| Path::new(name) == path)
    }

    fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

fn fixed(files: Vec<(&'static str, String)>) -> Fixed {
    fix(Path::new("k.conf"), &Memory(files), &Options::default())
}

fn instance(lines: &str) -> String {
    format!(
        "vrrp_instance A {{\n    interface eth0\n    virtual_router_id 7\n{lines}\n    \
         virtual_ipaddress {{\n        10.0.0.9\n    }}\n}}\n"
    )
}

/// The text after, or `None` when nothing changed.
fn after(lines: &str) -> Option<String> {
    let fixed = fixed(vec![("k.conf", instance(lines))]);
    fixed.files.into_iter().next().map(|file| file.after)
}

#[test]
fn a_misspelt_keyword_with_one_near_candidate_is_corrected() {
    for (wrong, right) in [
        ("    priorty 200", "    priority 200"),
        ("    pirority 200", "    priority 200"),
        ("    garp_master_deley 2", "    garp_master_delay 2"),
        ("    advertint 2", "    advert_int 2"),
    ] {
        assert_eq!(after(wrong), Some(instance(right)), "{wrong}");
    }
}

#[test]
fn what_is_a_guess_is_left_alone() {
    for line in [
        // Another keyword is meant as likely, or none of these.
        "    master_src_ip 10.0.0.1",
        "    no_priority 1",
        "    vrrp_script 1",
        // A value, not a keyword.
        "    priority 999",
        "    state MASTER\n    nopreempt",
        // The right one stands there too: which should count?
        "    priorty 200\n    priority 100",
        "    priorty 200\n    pririty 100",
        // The keyword takes a block, the line has none.
        "    trak_script chk",
        // It would be out of range afterwards.
        "    priorty 999",
    ] {
        assert_eq!(after(line), None, "{line}");
    }
}

#[test]
fn slips_are_written_out_wherever_they_stand() {
    let check = |word: &str| format!("        TCP_CHECK {{\n            {word} 2\n        }}\n");
    let text = |word: &str, blank: &str| {
        format!(
            "virtual_server 10.0.0.1 80 {{\n    protocol{blank}TCP{blank}# a　comment\n    \
             real_server 10.0.0.2 80 {{\n{0}    }}\n    real_server 10.0.0.3 80 {{\n{0}    }}\n}}\n",
            check(word)
        )
    };
    let result = fixed(vec![("k.conf", text("nb_get_retry", " \u{3000}"))]);
    assert_eq!(result.files[0].after, text("retry", "  "));
    assert_eq!(result.files[0].done.len(), 4);
}

#[test]
fn passwords_under_another_keyword_get_a_line_of_their_own() {
    let block = "        auth_type PASS\n        auth_pass secret\n    }";
    let right = instance(&format!("    advert_int 1\n    authentication {{\n{block}"));
    for head in [
        "    advert_int 1 {",
        "    advert_int 1{",
        "    advert_int 1\n    {",
    ] {
        let wrong = format!("{head}\n{block}");
        assert_eq!(after(&wrong), Some(right.clone()), "{head}");
    }
}

#[test]
fn a_password_is_cut_where_it_counts_no_more() {
    let auth = |pass: &str| {
        format!("    authentication {{\n        auth_type PASS\n        auth_pass {pass}\n    }}")
    };
    let right = |pass| Some(instance(&auth(pass)));
    assert_eq!(after(&auth("much-too-long")), right("much-too"));
    assert_eq!(after(&auth("\"much too long\"")), right("\"much too\""));
    assert_eq!(after(&auth("sevenbyé9")), None, "in the middle of a letter");
    assert_eq!(after(&auth("a\\!3456789")), None, "two signs for one");
}

#[test]
fn a_title_becomes_a_comment_and_other_text_does_not() {
    let title = format!("Configuration File for keepalived\n{}", instance(""));
    let result = fixed(vec![("k.conf", title.clone())]);
    assert_eq!(result.files[0].after, format!("! {title}"));
    let other = format!("This file is mine\n{}", instance(""));
    assert_eq!(fixed(vec![("k.conf", other)]).files, []);
}

#[test]
fn a_misspelt_block_is_corrected_with_what_stands_in_it() {
    let wrong = instance("    priorty 200").replace("vrrp_instance", "vrrp_instanse");
    let result = fixed(vec![("k.conf", wrong)]);
    assert_eq!(result.files[0].after, instance("    priority 200"));
    assert!(result.loaded.diagnostics.is_empty());
}

#[test]
fn an_included_file_is_corrected_in_its_place_and_once() {
    let root = instance("    include part.inc").replace("vrrp_instance A", "vrrp_instance B");
    let twice = root
        .replace("router_id 7", "router_id 8")
        .replace(" B ", " C ");
    let twice = twice.replace("10.0.0.9", "10.0.0.8");
    let files = vec![
        ("k.conf", format!("{root}{twice}")),
        ("part.inc", "priorty 50\n".to_owned()),
    ];
    let result = fixed(files);
    assert_eq!(result.files.len(), 1);
    assert_eq!(result.files[0].path, Path::new("part.inc"));
    assert_eq!(result.files[0].after, "priority 50\n");
    assert_eq!(result.files[0].done.len(), 1);
    assert!(result.loaded.diagnostics.is_empty());
}

#[test]
fn the_right_keyword_in_an_included_file_leaves_the_misspelt_one_in_doubt() {
    let root = instance("    priorty 200\n    include part.inc");
    let files = vec![("k.conf", root), ("part.inc", "priority 50\n".to_owned())];
    assert_eq!(fixed(files).files, []);
}
