//! `vipd manual`: man pages and completions, from the same source as `--help` and the keyword table.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::config::keywords::{self, Arguments, BlockKind, Body, Keyword, Support, Type};
use crate::daemon::run_dir::write_whole;
use crate::errno::Words;

use super::args::Args;

/// Write man pages and completions for shells
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Packages have them installed. By hand:
  vipd manual --dir /usr/local/share
  vipd manual --completion bash > /etc/bash_completion.d/vipd
  vipd manual --page vipd.conf.5 | man -l -")]
pub struct ManualArgs {
    /// Print the completion for a shell
    #[arg(long, value_enum, value_name = "SHELL", conflicts_with_all = ["page", "dir"])]
    completion: Option<Shell>,

    /// Print one man page: vipd.8, vipd-status.8, vipd.conf.5
    #[arg(long, value_name = "PAGE", conflicts_with = "dir")]
    page: Option<String>,

    /// Write everything under this directory: man/man8, man/man5, bash-completion, zsh, fish
    #[arg(long, value_name = "DIR", required_unless_present_any = ["completion", "page"])]
    dir: Option<PathBuf>,
}

/// Where completions are looked for under a `share` directory.
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions/vipd"),
    (Shell::Zsh, "zsh/vendor-completions/_vipd"),
    (Shell::Fish, "fish/vendor_completions.d/vipd.fish"),
];

/// Runs the command.
pub(super) fn run(args: &ManualArgs) -> ExitCode {
    let done = if let Some(shell) = args.completion {
        io::stdout().write_all(&completion(shell))
    } else if let Some(page) = &args.page {
        match pages().into_iter().find(|(name, _)| name == page) {
            Some((_, text)) => io::stdout().write_all(&text),
            None => {
                let names: Vec<String> = pages().into_iter().map(|(name, _)| name).collect();
                super::say(&format!(
                    "there is no page {page}; there are: {}",
                    names.join(", ")
                ));
                return ExitCode::FAILURE;
            }
        }
    } else {
        args.dir.as_deref().map_or(Ok(()), write_all)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            super::say(&format!("write the manual: {}", Words(&error)));
            ExitCode::FAILURE
        }
    }
}

fn write_all(dir: &std::path::Path) -> io::Result<()> {
    let mut files: Vec<(String, Vec<u8>)> = pages()
        .into_iter()
        .map(|(name, text)| {
            let section = name.rsplit('.').next().unwrap_or("8");
            (format!("man/man{section}/{name}"), text)
        })
        .collect();
    files.extend(SHELLS.map(|(shell, path)| (path.to_owned(), completion(shell))));
    for (path, text) in files {
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        write_whole(&path, &text)?;
    }
    Ok(())
}

fn completion(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "vipd", &mut text);
    text
}

/// Every page: its name with its section, and its text.
fn pages() -> Vec<(String, Vec<u8>)> {
    let mut command = Args::command();
    command.build();
    let mut all = vec![("vipd.8".to_owned(), page(&command, "vipd"))];
    for sub in command.get_subcommands() {
        let name = format!("vipd-{}", sub.get_name());
        all.push((format!("{name}.8"), page(sub, &name)));
    }
    all.push(("vipd.conf.5".to_owned(), configuration().into_bytes()));
    all
}

fn page(command: &clap::Command, name: &str) -> Vec<u8> {
    let version = concat!("vipd ", env!("CARGO_PKG_VERSION"));
    let command = command.clone();
    let man = clap_mangen::Man::new(command)
        .title(name.to_uppercase())
        .section("8")
        .date("")
        .source(version)
        .manual("vipd");
    let mut text = Vec::new();
    // Into memory, which does not fail.
    let _ = man.render(&mut text);
    text
}

/// The page of the configuration language, from the table that the parser reads.
fn configuration() -> String {
    let mut out = format!(
        ".TH VIPD.CONF 5 \"\" \"vipd {}\" \"vipd\"\n.SH NAME\nvipd.conf, keepalived.conf \\- configuration of vipd\n\
         .SH DESCRIPTION\nKeywords stand one in a line, blocks in braces; what follows # or ! is a comment. The file \
         is that of keepalived. Lines that begin with\n.B @vipd\nare vipd's own: keepalived leaves them \
         out.\n.PP\n.B vipd check\nFILE says what is wrong with a file,\n.B vipd check --explain\nKEYWORD what is \
         known of a keyword.\n",
        env!("CARGO_PKG_VERSION")
    );
    for kind in BlockKind::ALL {
        let title = match kind.keyword() {
            Some(keyword) => format!("IN {keyword}"),
            None => "OUTSIDE ALL BLOCKS".to_owned(),
        };
        let _ = writeln!(out, ".SH \"{title}\"");
        for row in keywords::rows(kind) {
            out += &entry(row);
        }
    }
    out += ".SH FILES\n/etc/vipd/vipd.conf, /etc/keepalived/keepalived.conf\n.SH \"SEE ALSO\"\n.BR vipd (8)\n";
    out
}

fn entry(row: &Keyword) -> String {
    let names: Vec<&str> = row.names().collect();
    let own = if row.support == Support::VipdOwn {
        "@vipd "
    } else {
        ""
    };
    let mut out = format!(
        ".TP\n.BR \"{own}{}\" \" {}\"\n",
        names.join(", "),
        roff(&value(row))
    );
    let mut text = roff(row.doc);
    if !row.default.is_empty() {
        let _ = write!(text, " Default: {}.", roff(row.default));
    }
    match row.support {
        Support::Acts | Support::VipdOwn => {}
        Support::NoEffect(why) => drop(write!(text, " Without effect: {}.", roff(why))),
        Support::Refused(why) => drop(write!(text, " Refused: {}.", roff(why))),
    }
    let _ = writeln!(out, "{text}");
    out
}

/// What stands behind a keyword.
fn value(row: &Keyword) -> String {
    let arguments = match row.arguments {
        Arguments::None => String::new(),
        Arguments::Bool => "[on|off]".to_owned(),
        Arguments::One(kind) => of_type(kind),
        Arguments::Optional(kind) => format!("[{}]", of_type(kind)),
        Arguments::Command => "COMMAND [USER [GROUP]]".to_owned(),
        Arguments::Words(0, _) => "[WORD...]".to_owned(),
        Arguments::Words(..) => "WORD...".to_owned(),
    };
    let body = match row.body {
        Body::None => "",
        Body::Lines => "{ LINES }",
        Body::Block(_) => "{ ... }",
    };
    [arguments.as_str(), body].join(" ").trim().to_owned()
}

fn of_type(kind: Type) -> String {
    let seconds = |micros: u64| std::time::Duration::from_micros(micros).as_secs_f64();
    match kind {
        Type::Integer(min, max) => format!("{min}..{max}"),
        Type::Seconds(min, max) => format!("{}..{} s", seconds(min), seconds(max)),
        Type::Millis(min, max) => format!("{}..{} ms", min / 1000, max / 1000),
        Type::Choice(words) => words.join("|"),
        Type::Address => "ADDRESS".to_owned(),
        Type::Interface => "INTERFACE".to_owned(),
        Type::Text => "WORD".to_owned(),
    }
}

/// Text as roff has it: no request at the beginning of a line, no escape, no quote within an argument.
fn roff(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('"', "\\(dq")
        .replace('\n', " ");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_every_keyword_has_its_page() {
        let pages = pages();
        let text = |name: &str| {
            let found = pages.iter().find(|(page, _)| page == name);
            String::from_utf8(found.unwrap_or_else(|| panic!("{name}")).1.clone()).unwrap()
        };
        for sub in Args::command().get_subcommands() {
            let page = text(&format!("vipd-{}.8", sub.get_name()));
            assert!(page.starts_with(".ie") || page.starts_with(".TH"), "{page}");
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            let begin: String = about.chars().take_while(|c| c.is_alphanumeric()).collect();
            assert!(page.contains(&begin), "{page}");
        }
        assert!(text("vipd.8").contains("\\-\\-run\\-dir"));
        let conf = text("vipd.conf.5");
        for kind in BlockKind::ALL {
            for row in keywords::rows(kind) {
                assert!(conf.contains(row.name), "{}", row.name);
            }
        }
        // Nothing but requests begins with a dot, and none of them is unknown.
        for line in conf.lines().filter(|line| line.starts_with('.')) {
            let request = line.split(' ').next().unwrap_or_default();
            assert!(
                [".TH", ".SH", ".TP", ".BR", ".B", ".PP"].contains(&request),
                "{line}"
            );
        }
    }

    #[test]
    fn each_shell_has_a_completion_that_knows_the_commands() {
        for (shell, _) in SHELLS {
            let text = String::from_utf8(completion(shell)).unwrap();
            for word in ["doctor", "failover", "--run-dir"] {
                let word = if shell == Shell::Fish {
                    word.trim_start_matches("--")
                } else {
                    word
                };
                assert!(text.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn text_is_no_request() {
        assert_eq!(roff(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(roff("a-b \"c\" \\d"), "a\\-b \\(dqc\\(dq \\ed");
    }
}
