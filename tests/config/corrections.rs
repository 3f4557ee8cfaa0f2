//! Corrected files: what was corrected is not said again, and the file means what it meant.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use vipd::config::fix::{Fixed, edits, fix};
use vipd::config::{Code, Compat, Files, Loaded, Options, load};

use crate::files::{Memory, Within};
use crate::goldens::golden;
use crate::properties::nearly_a_configuration;

fn options() -> Options {
    Options {
        compat: Compat::Vipd,
        config_id: "node".to_owned(),
        ..Options::default()
    }
}

fn both(path: &Path, files: &dyn Files) -> (Loaded, Fixed) {
    let options = options();
    (load(path, files, &options), fix(path, files, &options))
}

/// Whether a correction gives the file a meaning that it did not have.
fn respells(loaded: &Loaded) -> bool {
    let mut all = loaded.diagnostics.iter();
    all.any(|d| d.code == Code::UnknownKeyword && edits(d, loaded).next().is_some())
}

fn assert_same_meaning(before: &Loaded, fixed: &Fixed) {
    if !respells(before) && !respells(&fixed.loaded) {
        assert_eq!(before.config, fixed.loaded.config);
    }
    assert!(before.config.is_none() || fixed.loaded.config.is_some());
    assert!(fixed.loaded.diagnostics.errors() <= before.diagnostics.errors());
}

#[test]
fn corrected_files_mean_what_they_meant() {
    let mut corrected = 0;
    for folder in ["fixtures", "bad"] {
        insta::glob!(&format!("{folder}/*.conf"), |path| {
            let files = Within(path.parent().unwrap().to_path_buf());
            let (before, fixed) = both(&PathBuf::from(path.file_name().unwrap()), &files);
            assert_same_meaning(&before, &fixed);
            corrected += fixed.files.len();
        });
    }
    assert!(corrected > 5, "{corrected}");
}

#[test]
fn corrections_are_those_that_are_certain() {
    insta::glob!("fixtures/*.conf", |path| {
        let files = Within(path.parent().unwrap().to_path_buf());
        let (_, fixed) = both(&PathBuf::from(path.file_name().unwrap()), &files);
        if !fixed.files.is_empty() {
            let left: Vec<_> = fixed.loaded.diagnostics.iter().collect();
            assert!(
                left.iter()
                    .all(|d| edits(d, &fixed.loaded).next().is_none())
            );
            let texts = fixed.files.iter().map(|file| {
                let done = file.done.join("\n");
                format!("{done}\n\n{}", changed_lines(&file.before, &file.after))
            });
            golden("fixed", path, &texts.collect::<String>());
        }
    });
}

/// Lines of the second text that the first one does not have.
fn changed_lines(before: &str, after: &str) -> String {
    let old: Vec<&str> = before.lines().collect();
    let new = after.lines().filter(|line| !old.contains(line));
    new.map(|line| format!("{line}\n")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_corrected_text_means_what_it_meant(text in nearly_a_configuration()) {
        let files = Memory(text.into_bytes());
        let (before, fixed) = both(Path::new("k.conf"), &files);
        assert_same_meaning(&before, &fixed);
    }
}
