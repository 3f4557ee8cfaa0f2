//! docs/configuration.md holds the keyword table as it is. `VIPD_WRITE_DOCS=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use vipd::config::keywords::{self, Arguments, BlockKind, Body, Keyword, Support, Type};

const BEGIN: &str =
    "<!-- keywords: written from the keyword table by tests/config/documentation.rs -->\n";
const END: &str = "<!-- end of keywords -->\n";

#[test]
fn the_manual_lists_every_keyword() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let manual = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = manual.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let table = tables();
    if std::env::var_os("VIPD_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert!(
        written == table,
        "docs/configuration.md is not what the keyword table says: write it with VIPD_WRITE_DOCS=1"
    );
}

fn tables() -> String {
    let mut out = String::new();
    for kind in BlockKind::ALL {
        let title = match kind.keyword() {
            Some(keyword) => format!("In `{keyword}`"),
            None => "Outside all blocks".to_owned(),
        };
        let _ = write!(
            out,
            "\n### {title}\n\n| keyword | value | default | vipd | |\n| --- | --- | --- | --- | --- |\n"
        );
        for row in keywords::rows(kind) {
            let names: Vec<String> = row.names().map(|name| format!("`{name}`")).collect();
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                names.join(", "),
                value(row),
                row.default,
                support(row.support),
                row.doc
            );
        }
    }
    out.push('\n');
    out
}

fn value(row: &Keyword) -> String {
    let arguments = match row.arguments {
        Arguments::None => String::new(),
        Arguments::Bool => "on or off; on when it stands alone".to_owned(),
        Arguments::One(kind) => of_type(kind),
        Arguments::Optional(kind) => format!("{}, or nothing", of_type(kind)),
        Arguments::Command => "command".to_owned(),
        Arguments::Words(0, _) => "words or nothing".to_owned(),
        Arguments::Words(..) => "words".to_owned(),
    };
    let body = match row.body {
        Body::None => "",
        Body::Lines => "{ lines }",
        Body::Block(_) => "{ ... }",
    };
    [arguments.as_str(), body].join(" ").trim().to_owned()
}

fn of_type(kind: Type) -> String {
    let seconds = |micros: u64| std::time::Duration::from_micros(micros).as_secs_f64();
    match kind {
        Type::Integer(min, max) => format!("{min} to {max}"),
        Type::Seconds(min, max) => format!("{} to {} s", seconds(min), seconds(max)),
        Type::Millis(min, max) => format!("{} to {} ms", min / 1000, max / 1000),
        Type::Choice(words) => words.join(", "),
        Type::Address => "address".to_owned(),
        Type::Interface => "interface".to_owned(),
        Type::Text => "word".to_owned(),
    }
}

fn support(support: Support) -> String {
    match support {
        Support::Acts => "acts".to_owned(),
        Support::NoEffect(why) => format!("no effect: {why}"),
        Support::Refused(why) => format!("refused: {why}"),
        Support::VipdOwn => "vipd's own".to_owned(),
    }
}
