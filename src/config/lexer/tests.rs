use super::*;
use crate::config::Options;
use crate::config::source::SourceMap;

fn words(text: &str, options: &Options) -> (Vec<String>, Diagnostics) {
    let mut sources = SourceMap::default();
    let file = sources.add("k.conf".into(), text.into()).unwrap();
    let mut diagnostics = Diagnostics::default();
    let tokens = lex(text, file, options, &mut diagnostics);
    let words = tokens
        .iter()
        .map(|t| sources.text(t.span(file)).to_owned())
        .collect();
    (words, diagnostics)
}

fn plain(text: &str) -> Vec<String> {
    let (words, diagnostics) = words(text, &Options::default());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    words
}

#[test]
fn braces_split_words_and_comments_end_them() {
    assert_eq!(
        plain("a{b c}d # e { f\n"),
        ["a", "{", "b", "c", "}", "d"].map(String::from)
    );
    assert_eq!(plain("auth_pass a#b"), ["auth_pass", "a"]);
    assert_eq!(plain("}!comment"), ["}"]);
}

#[test]
fn quotes_hold_blanks_braces_and_comment_signs() {
    assert_eq!(plain("x \"a { # b\" c"), ["x", "\"a { # b\"", "c"]);
    assert_eq!(plain(r"x a\#b\!c \d"), ["x", r"a\#b\!c", r"\d"]);
}

#[test]
fn braces_of_an_include_belong_to_the_file_name() {
    assert_eq!(plain("include {a,b}.conf"), ["include", "{a,b}.conf"]);
}

#[test]
fn wide_blanks_are_blanks_unless_keepalived_is_imitated() {
    let (found, diagnostics) = words("a\u{3000}\u{a0}b", &Options::default());
    assert_eq!(found, ["a", "b"]);
    assert_eq!(diagnostics.len(), 1);
    let strict = Options {
        compat: Compat::Keepalived,
        ..Options::default()
    };
    let (found, diagnostics) = words("a\u{3000}b", &strict);
    assert_eq!(found, ["a\u{3000}b"]);
    assert!(diagnostics.is_empty());
}

#[test]
fn a_line_with_a_nul_byte_is_not_read() {
    let (found, diagnostics) = words("a\0b\nc\n", &Options::default());
    assert_eq!(found, ["c"]);
    assert_eq!(diagnostics.len(), 1);
}

#[test]
fn a_line_that_keepalived_would_ignore_is_read_with_a_warning() {
    let text = format!("a {}\nb\n", "x".repeat(1100));
    let (found, diagnostics) = words(&text, &Options::default());
    assert_eq!(found.len(), 3);
    assert_eq!(diagnostics.len(), 1);
    let strict = Options {
        compat: Compat::Keepalived,
        ..Options::default()
    };
    assert_eq!(words(&text, &strict).0, ["b"]);
}

#[test]
fn a_backslash_before_a_backslash_makes_no_sign_plain() {
    assert_eq!(plain(r"a\\#b"), [r"a\\"]);
    assert_eq!(plain(r"a\\\#b"), [r"a\\\#b"]);
}

#[test]
fn variables_that_nobody_replaced_are_errors_where_their_braces_would_count() {
    let said = |text| words(text, &Options::default()).1.errors();
    assert_eq!(said("a ${B}\n"), 1);
    assert_eq!(said("a ${B:-1}/${C}\n"), 1);
    assert_eq!(plain("auth_pass pa$$w$rd"), ["auth_pass", "pa$$w$rd"]);
    assert_eq!(plain("script \"echo ${HOME}\"").len(), 2);
}
