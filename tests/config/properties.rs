//! What holds for any bytes at all.

use std::path::Path;

use proptest::prelude::*;
use vipd::config::lexer::lex;
use vipd::config::tree::Tree;
use vipd::config::{Compat, Diagnostics, Options, SourceMap, Style, keywords, load};

use crate::files::{Memory, load_text};

/// Text that looks enough like a configuration to come far.
fn nearly_a_configuration() -> impl Strategy<Value = String> {
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
    let options = Options {
        compat,
        config_id: "node".to_owned(),
    };
    let loaded = load(Path::new("k.conf"), &Memory(bytes.to_vec()), &options);
    assert_eq!(loaded.config.is_none(), loaded.diagnostics.is_broken());
    assert!(loaded.config.is_some() || loaded.has_errors());
    for style in [Style::Plain, Style::Colour, Style::Concise] {
        let text = loaded.render(style);
        assert_eq!(text.is_empty(), loaded.diagnostics.is_empty());
    }
}

fn printed(text: &str) -> String {
    let mut sources = SourceMap::default();
    let file = sources.add("k.conf".into(), text.into()).unwrap();
    let mut diagnostics = Diagnostics::default();
    let tokens = lex(text, file, &Options::default(), &mut diagnostics);
    let tree = Tree::parse(
        file,
        &tokens,
        &sources,
        keywords::is_root_block,
        &mut diagnostics,
    );
    tree.print(&sources)
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
        prop_assert_eq!(printed(&text), text);
    }

    #[test]
    fn printing_the_tree_gives_a_configuration_back(text in nearly_a_configuration()) {
        prop_assert_eq!(printed(&text), text);
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
