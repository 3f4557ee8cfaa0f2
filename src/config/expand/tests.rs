use std::io;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::{self, Files, Limits, Style, render};

/// Files in memory.
struct Memory(&'static [(&'static str, &'static str)], String);

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new("/etc/k.conf") {
            return Ok(self.1.clone().into_bytes());
        }
        let found = self.0.iter().find(|(name, _)| Path::new(name) == path);
        found
            .map(|(_, text)| text.as_bytes().to_vec())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.iter().any(|(name, _)| Path::new(name) == path)
    }

    fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "SET").then(|| "from outside".to_owned())
    }
}

fn read_with(
    text: &str,
    files: &'static [(&'static str, &'static str)],
    options: &Options,
) -> config::Read {
    config::read(
        Path::new("/etc/k.conf"),
        &Memory(files, text.to_owned()),
        options,
    )
}

fn options() -> Options {
    Options {
        config_id: "main".to_owned(),
        ..Options::default()
    }
}

fn items(tree: &Tree, read: &config::Read, out: &mut String) {
    fn walk(items: &[crate::config::tree::Item], read: &config::Read, out: &mut String) {
        for item in items {
            match item {
                crate::config::tree::Item::Stray(_) => out.push_str("?|"),
                crate::config::tree::Item::Include(_, trees) => {
                    for tree in trees {
                        walk(&tree.items, read, out);
                    }
                }
                crate::config::tree::Item::Statement(statement) => {
                    let words = statement.words.iter().map(|w| read.sources.text(w.span));
                    out.push_str(&words.collect::<Vec<_>>().join(" "));
                    if let Some(block) = &statement.block {
                        out.push_str("{|");
                        walk(&block.items, read, out);
                        out.push('}');
                    }
                    out.push('|');
                }
            }
        }
    }
    walk(&tree.items, read, out);
}

/// The words that a text comes to, `|` between statements; it must be clean.
fn becomes(text: &str) -> String {
    let read = read_with(text, &[], &options());
    assert!(read.diagnostics.is_empty(), "{}", said(&read));
    let mut out = String::new();
    items(read.tree.as_ref().unwrap(), &read, &mut out);
    out.trim_end_matches('|').to_owned()
}

/// What is said of a text, one line each.
fn said(read: &config::Read) -> String {
    let mut diagnostics = read.diagnostics.clone();
    diagnostics.trace(&read.sources);
    render::render(&diagnostics, &read.sources, Style::Concise)
}

fn complaint(text: &str) -> String {
    said(&read_with(text, &[], &options()))
}

#[test]
fn a_use_ends_at_a_blank_a_comma_a_parenthesis_or_the_line() {
    assert_eq!(
        becomes("$X=5 # c\na $X, $X) x$X \"$X \" $X# c\n"),
        "a 5, 5) x5 \"5 \" 5"
    );
    assert_eq!(becomes("  $X=5\nx${X}y $X\tz\n$X\n"), "x5y 5 z|5");
    assert_eq!(becomes("$X=a\n$Xb=c\nx $X $Xb ${X}b"), "x a c ab");
    assert_eq!(becomes("$X= 5  6 \nx$X"), "x5 6");
    assert_eq!(becomes("$X=\na $X b\na ${X}b"), "a b|a b");
}

#[test]
fn what_is_not_defined_stands_for_itself() {
    assert_eq!(becomes("a $U b$U \"${U}\""), "a $U b$U \"${U}\"");
    assert_eq!(becomes("$X = 5\na $X"), "$X = 5|a $X");
    assert_eq!(becomes("$1X=5\na $1X"), "$1X=5|a $1X");
    assert!(complaint("a ${U}\n").starts_with("/etc/k.conf:1:3: error[unknown-name]: `$U`"));
}

#[test]
fn a_name_that_is_defined_but_cannot_be_seen_is_told_of() {
    let said = complaint("$X=5\na $X/24 \"$X\"\n");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("2:3: warning[invalid-value]: `$X` is not replaced here: `/` follows"));
    assert!(said.contains("write `${X}`"));
}

#[test]
fn values_are_looked_up_when_they_are_used() {
    assert_eq!(
        becomes("$A=1${B}3\n$B=2\nx $A\n$B=22\nx $A"),
        "x 123|x 1223"
    );
    assert_eq!(becomes("$A=1$\n$B=7\nx ${A}B"), "x 17");
}

#[test]
fn a_value_may_hold_a_condition_a_loop_or_a_block() {
    assert_eq!(becomes("$C=@main\n$D=@other\n$C a\n$D b\n"), "a");
    assert_eq!(becomes("$S=~SEQ(i,1,2)\n$S x$i\n"), "x1|x2");
    assert_eq!(
        becomes("$B=email { a b }\nnotification_$B r q"),
        "notification_email{|a b|}|r q"
    );
    assert_eq!(becomes("$V= \\\n { a \\\n }\nb $V\nc"), "b{|a|}|c");
}

#[test]
fn comment_signs_can_be_written() {
    assert_eq!(becomes(r"$A=a\#b".to_owned().as_str()), "");
    let text = "$A=a\\#b\nx $A \"$A \" ${_HASH}c \"${_BANG}\" $_HASH\n";
    assert_eq!(becomes(text), "x a\\#b \"a#b \" \\#c \"!\" \\#");
}

#[test]
fn lines_after_a_backslash_belong_to_the_definition() {
    assert_eq!(
        becomes("$M= \\\na $N \\\nb\n$N=1\n$M\n$N=2\n${M}\n"),
        "a 1|b|a 2|b"
    );
    assert_eq!(becomes("$M=a\\\nb\n$M\nx $M # c\n"), "a|b|x a|b");
    assert_eq!(becomes("$M= \\\na # c \\\n# d\nb \\\nc\n$M\n"), "a|b|c");
    assert_eq!(becomes("$M= \\\na \\\n\nb\n$M\n"), "b|a");
    assert_eq!(becomes("$X=5 # what \\\na\nb $X\n"), "b 5|a");
    let nested = "$I= \\\ni $n \\\nj\n$M= \\\n$n=1 \\\n$I \\\n$n=2 \\\n$I\n$M\nz\n";
    assert_eq!(becomes(nested), "i 1|j|i 2|j|z");
    assert_eq!(
        becomes("$M= \\\na $N \\\nb\n$N= \\\nn \\\nm\n$M\n"),
        "a n|m|b"
    );
}

#[test]
fn several_lines_stand_only_at_the_end_of_a_line() {
    let said = complaint("$M=a\\\nb\nx $M y\n");
    assert!(
        said.contains("3:3: warning[invalid-value]: `$M` is not replaced here"),
        "{said}"
    );
}

#[test]
fn loops_repeat_the_rest_of_their_line() {
    assert_eq!(
        becomes("~SEQ(i,1,2) ~SEQ(j,1,${i}) a${i}_$j"),
        "a1_1|a2_1|a2_2"
    );
    assert_eq!(becomes("~SEQ(i,1,2)a$i # c"), "a1|a2");
    assert_eq!(becomes("$N=2\n~SEQ (i,1,$N) a$i { b }"), "a1{|b|}|a2{|b|}");
    assert_eq!(
        becomes("~LST({a,b},{1,2},{3,4}) ~SEQx(i,9,10) $a ${b}$i"),
        "1 29|1 2a|3 49|3 4a"
    );
    assert_eq!(becomes("$A=5\n~LST(i,$A,6) a${i}"), "a5|a6");
    assert_eq!(becomes("$i=9\n~SEQ(i,1,2) a$i\nb$i"), "a1|a2|b2");
    assert_eq!(becomes("~SEQ(i,1,2) $Z=$i\nz $Z"), "z 2");
    assert_eq!(
        becomes("$M= \\\na$i \\\nb\n~SEQ(i,1,2) x $M"),
        "x a1|b|x a2|b"
    );
    assert_eq!(becomes("x ~SEQ(i,1,2) a"), "x ~SEQ(i,1,2) a");
}

#[test]
fn what_follows_a_brace_is_a_line_too() {
    assert_eq!(becomes("g { $X=5\na { $X\n} }"), "g{|a{|5|}|}");
    assert_eq!(becomes("g { ~SEQ(i,1,2) a$i\nb }"), "g{|a1|a2|b|}");
    assert_eq!(becomes("g { @other a\n@main b }"), "g{|b|}");
}

#[test]
fn a_loop_that_means_nothing_is_an_error() {
    for text in [
        "~SEQ(i,1,-2,6) a",
        "~SEQ(i a",
        "~SEQy(i,1) a",
        "~LST(i) a",
        "~SEQ a",
    ] {
        let said = complaint(text);
        assert!(
            said.contains("1:1: error[invalid-value]: this loop"),
            "{text}: {said}"
        );
    }
}

#[test]
fn lines_for_another_config_id_do_not_count() {
    assert_eq!(
        becomes("@main a\n@other b\n@^other c\n@^main d\n@main\n@ e\n"),
        "a|c"
    );
    let read = read_with("@main a\n@^other b\n", &[], &Options::default());
    assert!(read.tree.unwrap().items.is_empty());
}

#[test]
fn lines_of_vipd_are_marked_and_its_name_is_no_config_id() {
    let text = "$M= \\\nd \\\ne\n@vipd a b\nc\n@vipd $M\n";
    let read = read_with(text, &[], &options());
    let own = read
        .tree
        .as_ref()
        .unwrap()
        .items
        .iter()
        .map(|item| match item {
            crate::config::tree::Item::Statement(statement) => statement.words[0].own,
            _ => panic!("{item:?}"),
        });
    assert_eq!(own.collect::<Vec<_>>(), [true, false, true, true]);
    let taken = Options {
        config_id: "vipd".to_owned(),
        ..Options::default()
    };
    assert_eq!(read_with(text, &[], &taken).diagnostics.errors(), 1);
}

#[test]
fn some_names_are_known_without_a_definition() {
    assert_eq!(
        becomes("x ${_PWD} $_INSTANCE ${_ENV SET}"),
        "x /etc main from outside"
    );
    assert_eq!(becomes("$_PWD=5\nx $_PWD"), "x 5");
    assert!(complaint("x ${_ENV UNSET}").contains("`UNSET` is not set in the environment"));
    assert!(complaint("x ${_RANDOM 9 1}").contains("it takes `[MIN [MAX]]`"));
    let seeded = |seed| {
        becomes(&format!(
            "random_seed {seed}\nx ${{_RANDOM}} ${{_RANDOM 1 1}}"
        ))
    };
    assert_eq!(seeded(3), seeded(3));
    assert_ne!(seeded(3), seeded(4));
    assert!(seeded(3).ends_with(" 1"));
}

#[test]
fn definitions_go_through_included_files_in_order() {
    const FILES: &[(&str, &str)] = &[
        ("/etc/a", "in $X ${_PWD}\n$Y=set\n"),
        ("/etc/d/b", "in ${_PWD}\n"),
        ("/etc/n", "n$i\n"),
    ];
    let text =
        "$X=1\ninclude a\nout $Y\n$P=include d/b\n$P\n@main include d/b\n~SEQ(i,1,2) include n\n";
    let read = read_with(text, FILES, &options());
    assert!(read.diagnostics.is_empty(), "{}", said(&read));
    let mut out = String::new();
    items(read.tree.as_ref().unwrap(), &read, &mut out);
    assert_eq!(out, "in 1 /etc|out set|in /etc/d|in /etc/d|n1|n2|");
    assert_eq!(read.tree.unwrap().print(&read.sources), text);
}

#[test]
fn a_file_that_includes_itself_by_a_variable_ends() {
    let files: &[(&str, &str)] = &[("/etc/a", "$P\n")];
    let read = read_with("$P=include a\n$P\n", files, &options());
    assert!(said(&read).contains("`/etc/a` includes itself"));
}

#[test]
fn what_grows_without_bound_is_refused() {
    let doubled = |last: &str| {
        let mut text: String = (0..60)
            .map(|i| format!("$A{i}=${{A{}}} ${{A{}}}\n", i + 1, i + 1))
            .collect();
        text.push_str(&format!("$A60={last}\nx $A0\n"));
        text
    };
    let lines: String = (0..60)
        .map(|i| format!("$L{i}= \\\n$L{} \\\n$L{}\n", i + 1, i + 1))
        .collect();
    let short: String = (30..60)
        .map(|i| format!("$L{i}= \\\n$L{} \\\n$L{}\n", i + 1, i + 1))
        .collect();
    let texts = [
        "$A=$B\n$B=$A\nx $A y\n".to_owned(),
        "$A=x$A\nx $A\n".to_owned(),
        "$A=$A x\n$A\n".to_owned(),
        "$A=a\\\n$A\n$A\n".to_owned(),
        doubled("x"),
        doubled(""),
        format!("{lines}$L60=x\n$L0\n"),
        format!("{short}$L60=x\n$L30\n"),
        "~SEQ(i,1,99999999999) a$i\n".to_owned(),
        "~SEQ(i,1,9000) a b c d $i\n".to_owned(),
        "~SEQ(i,1,99999) ~SEQ(j,1,99999)\n~SEQ(i,1,9999999)\n~SEQ(i,1,99999) ~SEQ(j,1,99999) $Q=\n"
            .to_owned(),
    ];
    let options = Options {
        limits: Limits {
            lines: 10_000,
            words: 20_000,
            bytes: 1 << 20,
        },
        ..options()
    };
    for text in texts {
        let read = read_with(&text, &[], &options);
        assert!(read.tree.is_none(), "{text}");
        assert_eq!(read.diagnostics.errors(), 1, "{text}");
        assert!(said(&read).contains("error[too-deep]"), "{}", said(&read));
    }
}

#[test]
fn sixty_five_thousand_instances_are_not_too_many() {
    let text = "$ONE= \\\nvrrp_instance r${R}_s${S}_${N} { \\\ninterface rack${R} \\\nvirtual_router_id ${N} \\\n\
                virtual_ipaddress { \\\n10.${R}.${S}.${N} \\\n} \\\n}\n\
                ~SEQ(R,1,16) ~SEQ(S,1,16) ~SEQ(N,1,254) $ONE\n";
    let read = read_with(text, &[], &options());
    assert!(read.diagnostics.is_empty(), "{}", said(&read));
    assert_eq!(read.tree.unwrap().items.len(), 65_024);
}

#[test]
fn include_check_counts_from_there_to_the_end_of_its_file() {
    let files = &[(
        "/etc/a",
        "include no-1\nglobal_defs { include_check -match }\ninclude no-2\n",
    )];
    let text = "include no-0\nglobal_defs {\n include_check match\n}\ninclude a\ninclude no-3\ninclude {no-6,a}\ninclude no-7*\n\
                include_check + wildcard_match\ninclude no-*\ninclude_check read nothing\ninclude no-4\n\
                include_check\ninclude {no-5,a}\n";
    let said = said(&read_with(text, files, &options()));
    let found = |wanted: &str| {
        let line = said.lines().find(|line| line.contains(wanted));
        line.unwrap_or("").to_owned()
    };
    for (file, severity) in [
        ("no-0", "warning"),
        ("no-1", "error"),
        ("no-2", "warning"),
        ("no-3", "error"),
        ("no-*", "error"),
        ("no-4", "warning"),
        ("no-5", "error"),
        ("no-6", "warning"),
        ("no-7*", "warning"),
    ] {
        let line = found(&format!("no file matches `{file}`"));
        assert!(line.contains(&format!("{severity}[cannot-read]")), "{said}");
    }
    assert!(found("not `nothing`").contains("warning[invalid-value]"));
}
