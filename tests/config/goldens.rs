//! Whole files: `fixtures` mean something, `bad` ones are told what is wrong with them.

use std::path::Path;

use vipd::config::{Compat, Loaded, Options, Style, load};

use crate::files::Within;
use crate::summary::summary;

fn load_file(path: &Path, compat: Compat) -> Loaded {
    let directory = path.parent().unwrap().to_path_buf();
    let name = path.file_name().unwrap();
    let options = Options {
        compat,
        config_id: "node".to_owned(),
        ..Options::default()
    };
    load(Path::new(name), &Within(directory), &options)
}

pub(crate) fn golden(name: &str, path: &Path, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.remove_input_file();
    settings.remove_snapshot_suffix();
    let stem = path.file_stem().unwrap().to_string_lossy();
    settings.bind(|| insta::assert_snapshot!(format!("{name}-{stem}"), text));
}

#[test]
fn files_mean_what_their_authors_meant() {
    insta::glob!("fixtures/*.conf", |path| {
        let loaded = load_file(path, Compat::Vipd);
        let config = loaded.config.as_ref();
        let config = config.unwrap_or_else(|| panic!("{}", loaded.render(Style::Plain)));
        let text = format!("{}\n{}", summary(config), loaded.render(Style::Plain));
        golden("means", path, &text);
    });
}

#[test]
fn bad_files_are_told_what_is_wrong_with_them() {
    insta::glob!("bad/*.conf", |path| {
        let loaded = load_file(path, Compat::Vipd);
        let verdict = match &loaded.config {
            Some(config) => summary(config),
            None => "nothing is applied\n".to_owned(),
        };
        golden(
            "bad",
            path,
            &format!("{}\n{verdict}", loaded.render(Style::Plain)),
        );
    });
}

/// Slips that are understood are not when keepalived is imitated.
#[test]
fn compat_keepalived_understands_no_slips() {
    for name in [
        "fixtures/pair-left",
        "fixtures/unicast-lvs",
        "fixtures/container-wide-blank",
        "bad/unknown-block",
        "bad/contradictions",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/config/{name}.conf"));
        let loaded = load_file(&path, Compat::Keepalived);
        golden("compat", &path, &loaded.render(Style::Concise));
    }
}

#[test]
fn a_file_that_does_not_exist_is_an_error() {
    let loaded = load_file(Path::new("/nowhere/vipd.conf"), Compat::Vipd);
    assert!(loaded.config.is_none());
    let said = loaded.render(Style::Concise);
    assert!(
        said.starts_with("error[cannot-read]: read vipd.conf: "),
        "{said}"
    );
}

#[test]
fn colours_appear_only_when_asked_for() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/bad/numbers.conf");
    let loaded = load_file(&path, Compat::Vipd);
    assert!(loaded.render(Style::Colour).contains("\x1b["));
    assert!(!loaded.render(Style::Plain).contains('\x1b'));
    assert!(!loaded.render(Style::Concise).contains('\x1b'));
}

/// An error that only shows against the kernel can say where its object was written.
#[test]
fn origins_lead_back_to_the_text() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/fixtures/front-door.conf");
    let loaded = load_file(&path, Compat::Vipd);
    let place = |span| loaded.sources.place(span).unwrap().to_string();
    assert_eq!(
        place(loaded.origins.instances["VI_A"]),
        "front-door.conf:1:1"
    );
    let interfaces = &loaded.origins.interfaces;
    let eth1 = interfaces[&"eth1".parse().unwrap()];
    assert_eq!(place(eth1), "front-door.conf:3:15");
    assert_eq!(loaded.origins.virtual_servers.len(), 2);
}
