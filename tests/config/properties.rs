//! What holds for any bytes at all.

use std::path::Path;

use proptest::prelude::*;
use vipd::config::{Compat, Limits, Options, Style, keywords, load, read};

use crate::files::{Memory, load_text};

/// Text that looks enough like a configuration to come far.
pub(crate) fn nearly_a_configuration() -> impl Strategy<Value = String> {
    let kinds = keywords::BlockKind::ALL.into_iter();
    let mut words: Vec<String> = kinds
        .flat_map(keywords::rows)
        .flat_map(|row| row.names())
        .map(|name| format!("{name} "))
        .collect();
    let often = [
        "{\n",
        "}\n",
        "\n",
        "\n",
        "\"",
        "'",
        "# c\n",
        "! c\n",
        "\\",
        "@node ",
        "@vipd ",
        "${X} ",
        "$A=1",
        "$A=$B",
        "$B=${A} ",
        "\n$M= \\\n",
        " \\\n",
        "$M\n",
        "$A ",
        "${B}",
        "${_RANDOM 1 9}",
        "${_PWD}",
        "${_HASH}",
        "\n~SEQ(i,1,9) ",
        "\n~SEQx(i,9,-1,1) ",
        "\n~LST({i,j},{1,2},{$A}) ",
        "$i ",
        "${i}",
        "\n@^vm ",
        "10.0.0.1 ",
        "10.0.0.1/24 ",
        "2001:db8::1 ",
        "eth0 ",
        "80 ",
        "-20 ",
        "0.5 ",
        "99999999999 ",
        "\u{3000}",
        "\u{a0}",
        "MASTER ",
        "DR ",
        "include x*\n",
        "weight ",
        "dev ",
        "é",
        "\r\n",
        "\0",
    ];
    for _ in 0..8 {
        words.extend(often.map(String::from));
    }
    prop::collection::vec(prop::sample::select(words), 0..80).prop_map(|words| words.concat())
}

fn whole_run(bytes: &[u8], compat: Compat) {
    let options = Options { compat, ..small() };
    let loaded = load(Path::new("k.conf"), &Memory(bytes.to_vec()), &options);
    assert_eq!(loaded.config.is_none(), loaded.diagnostics.is_broken());
    assert!(loaded.config.is_some() || loaded.has_errors());
    for style in [Style::Plain, Style::Colour, Style::Concise] {
        let text = loaded.render(style);
        assert_eq!(text.is_empty(), loaded.diagnostics.is_empty());
    }
}

/// Options that keep a loop without an end short.
fn small() -> Options {
    Options {
        config_id: "node".to_owned(),
        limits: Limits {
            lines: 2_000,
            words: 20_000,
            bytes: 100_000,
        },
        ..Options::default()
    }
}

/// The file again; nothing when it expands without bound.
fn printed(text: &str) -> Option<String> {
    let read = read(Path::new("k.conf"), &Memory(text.into()), &small());
    Some(read.tree?.print(&read.sources))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        whole_run(&bytes, Compat::Vipd);
        whole_run(&bytes, Compat::Keepalived);
    }

    #[test]
    fn any_keywords_are_read_without_panic(text in nearly_a_configuration()) {
        whole_run(text.as_bytes(), Compat::Vipd);
        whole_run(text.as_bytes(), Compat::Keepalived);
    }

    #[test]
    fn printing_the_tree_gives_any_text_back(text in "\\PC*") {
        prop_assert!(printed(&text).is_none_or(|printed| printed == text));
    }

    #[test]
    fn printing_the_tree_gives_a_configuration_back(text in nearly_a_configuration()) {
        prop_assert!(printed(&text).is_none_or(|printed| printed == text));
    }

    #[test]
    fn comments_and_blank_lines_mean_nothing(
        lines in prop::collection::vec(("[a-z]{0,6}", any::<bool>()), 20)
    ) {
        let plain = include_str!("fixtures/front-door.conf");
        let mut decorated = String::new();
        for (line, (comment, blank)) in plain.lines().zip(lines.iter().cycle()) {
            decorated.push_str(&format!("\t{line} # {comment}\r\n"));
            decorated.push_str(if *blank { "\n! {\n" } else { "" });
        }
        let options = Options::default();
        let expected = load_text(plain, &options).config;
        prop_assert!(expected.is_some());
        prop_assert_eq!(load_text(&decorated, &options).config, expected);
    }
}
