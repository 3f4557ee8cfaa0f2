use super::*;

fn words(options: &str) -> Vec<String> {
    options.split_whitespace().map(str::to_owned).collect()
}

#[track_caller]
fn found(pattern: &str, options: &str, bytes: &[u8]) -> Option<(usize, usize)> {
    match Pattern::new(pattern, &words(options)) {
        Ok(compiled) => compiled.find(bytes, 0),
        Err(error) => panic!("{pattern}: {error}"),
    }
}

#[test]
fn patterns_mean_what_they_mean_to_pcre() {
    for (pattern, options, subject, at) in [
        ("ok", "", "not ok", Some((4, 6))),
        (
            r#"{"status":\s*"up"}"#,
            "",
            r#"x{"status": "up"}"#,
            Some((1, 17)),
        ),
        ("a{2,3}b{,2}", "", "aaab{,2}", Some((0, 8))),
        ("^b", "", "a\nb", None),
        ("^b", "multiline", "a\nb", Some((2, 3))),
        ("(?m)^b$", "", "a\nb\nc", Some((2, 3))),
        ("OK$", "", "OK\n", Some((0, 3))),
        ("OK$", "", "OK\n\n", None),
        ("OK$", "dollar_endonly", "OK\n", None),
        (r"OK\Z", "", "OK\n", Some((0, 3))),
        (r"OK\z", "", "OK\n", None),
        ("a.b", "", "a\nb", None),
        ("a.b", "dotall", "a\nb", Some((0, 3))),
        ("(?s:a.b)", "", "a\nb", Some((0, 3))),
        ("UP", "caseless", "up", Some((0, 2))),
        ("(?i)u(?-i)p", "", "Up", Some((0, 2))),
        ("(?i)u(?-i)p", "", "UP", None),
        ("a b # c", "extended", "ab", Some((0, 2))),
        ("a [ ] (?x: b ) c", "", "a  b", None),
        ("a[ ](?x: b )c", "", "a bc", Some((0, 4))),
        ("<.+>", "ungreedy", "<a><b>", Some((0, 3))),
        ("[]x]+", "", "a]x", Some((1, 3))),
        ("[]x]", "allow_empty_class", "x]", None),
        ("[^]", "allow_empty_class", "x", Some((0, 1))),
        ("[[:digit:][]+", "", "a[1", Some((1, 3))),
        ("[a&&b~~-]+", "", "~&-", Some((0, 3))),
        (r"[\d.-]+", "", "v1.2-3", Some((1, 6))),
        (r"[\]\\]", "", "\\", Some((0, 1))),
        (r"\Qa.b(\E+", "", "a.b((", Some((0, 5))),
        (r"\/\-\<\#", "", "/-<#", Some((0, 4))),
        (r"a\x2Eb\x{2e}\056", "", "a.b..", Some((0, 5))),
        (r"\h+\v\R", "", " \t\n\r\n", Some((0, 5))),
        (
            "(?<name>a)(?P<n>b)(?'m'c)(?:d)(?#e)",
            "",
            "abcd",
            Some((0, 4)),
        ),
        ("é+", "", "é", Some((0, 2))),
        ("é+", "utf", "éé", Some((0, 4))),
        ("É", "utf caseless", "é", Some((0, 2))),
        ("a.c", "utf", "aéc", Some((0, 4))),
        ("a.c", "", "aéc", None),
        (r"\w+", "utf", "é1", Some((2, 3))),
        (r"\w+", "utf ucp", "é1", Some((0, 3))),
        (r"\bok\b", "", "(ok)", Some((1, 3))),
        (r"\s", "", "a\x0b", Some((1, 2))),
    ] {
        assert_eq!(
            found(pattern, options, subject.as_bytes()),
            at,
            "{pattern} {options}"
        );
    }
}

#[test]
fn bytes_that_are_no_text_are_searched_too() {
    assert_eq!(found(r"\xff.b", "", b"\xfe\xff\xc3b"), Some((1, 4)));
    assert_eq!(found("[\\x80-\\xff]+", "", b"a\x80\xff"), Some((1, 3)));
}

#[test]
fn what_cannot_be_done_is_named() {
    for (pattern, options, why) in [
        ("a(?=b)", "", "it looks ahead"),
        ("a(?!b)", "", "it looks ahead"),
        ("(?<!a)b", "", "it looks behind"),
        (r"(a)\1", "", "it refers back to a group"),
        (r"(?<x>a)\k<x>", "", "it refers back"),
        ("a++", "", "it has a possessive quantifier"),
        ("a{2}+", "", "it has a possessive quantifier"),
        ("(?>a)", "", "it has an atomic group"),
        ("(*UTF8)a", "", "it has a verb"),
        ("(?R)", "", "it has a group that refers to others"),
        ("(?1)", "", "it has a group that refers to others"),
        (r"\pL", "", "it has a Unicode property"),
        ("a", "alt_bsux", "it has the option `alt_bsux`"),
        ("a", "ucp", "it has the option `ucp` without `utf`"),
        ("(a", "", "unclosed group"),
        ("[a", "", "a `[` is never closed"),
        ("(((a{1000}){1000}){1000})", "", "it is too large"),
    ] {
        let error = Pattern::new(pattern, &words(options)).unwrap_err();
        assert!(error.to_string().starts_with(why), "{pattern}: {error}");
    }
}

#[test]
fn options_are_known_by_name() {
    assert!(is_option("caseless") && is_option("no_auto_possess") && is_option("alt_bsux"));
    assert!(!is_option("case-less"));
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_pattern_or_is_not(pattern in "[ -~é\n]{0,24}", subject in "[ -~é\n]{0,24}") {
        if let Ok(compiled) = Pattern::new(&pattern, &[]) {
            let _ = compiled.find(subject.as_bytes(), 0);
        }
    }

    #[test]
    fn what_is_quoted_finds_itself(text in "[ -~é\n]{0,12}") {
        proptest::prop_assume!(!text.contains("\\E"));
        let compiled = Pattern::new(&format!("\\Q{text}\\E"), &[]).unwrap();
        proptest::prop_assert_eq!(compiled.find(text.as_bytes(), 0), Some((0, text.len())));
    }
}
