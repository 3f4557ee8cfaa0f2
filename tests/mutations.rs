//! Tests the simulator: each planted mistake in the source must make it fail.
//!
//! Every mutation is a text in a file and what stands in its place. It is made in a copy of the source
//! under the target directory, of which the library and the simulator alone are built, and the simulator
//! runs on it until it fails or its seeds are used up. The first of all is no mutation: the copy as it is
//! must pass. `scripts/simulate --mutations [NAME...]` runs this; `--list` names them, `--part K/N` takes every
//! Nth from the Kth on.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "a program of its own for tests: it has a clock, starts cargo, and prints its report"
)]

#[path = "mutations/list.rs"]
mod list;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use list::{ALL, Mutation};

/// Seeds that each mutation may survive for.
const SEEDS: &str = "600";
/// A mutation that makes the simulator run for ever is caught too.
const LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|w| w != "--exact")
        .collect();
    if names.iter().any(|name| name == "--list") {
        ALL.iter()
            .for_each(|m| println!("{:28} {}", m.name, m.means));
        return ExitCode::SUCCESS;
    }
    let chosen = choose(&names).and_then(|chosen| match chosen.is_empty() {
        true => Err("no mutation is meant by that; see --list".to_owned()),
        false => run(&chosen),
    });
    match chosen {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("mutations: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Those that the words of the command line mean.
fn choose(words: &[String]) -> Result<Vec<&'static Mutation>, String> {
    let part = match words {
        [flag, part] if flag == "--part" => part,
        names => {
            let named = |m: &&Mutation| {
                names.is_empty() || names.iter().any(|name| m.name.contains(name.as_str()))
            };
            return Ok(ALL.iter().filter(named).collect());
        }
    };
    let numbers = part.split_once('/');
    let numbers = numbers.and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    match numbers {
        Some((first, of)) if (1..=of).contains(&first) => {
            let skipped: usize = first - 1;
            Ok(ALL.iter().skip(skipped).step_by(of).collect())
        }
        _ => Err(format!("--part wants K/N with K from 1 to N, not {part}")),
    }
}

/// How many were not caught.
fn run(chosen: &[&Mutation]) -> Result<usize, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations");
    let tree = scratch.join("tree");
    fs::create_dir_all(&tree).map_err(|e| format!("{}: {e}", tree.display()))?;
    copy_tree(source, &tree)?;
    // A mutation that was left over from an interrupted run was overwritten by the copy.
    match simulate(&tree, &scratch, true)? {
        End::Passed => println!("passed   as it is"),
        end => {
            return Err(format!(
                "the simulator fails without any mutation: {}",
                end.text()
            ));
        }
    }
    let mut missed = 0;
    for mutation in ALL {
        original(mutation, &tree)?;
    }
    for mutation in chosen {
        let began = Instant::now();
        let end = with_mutation(mutation, &tree, || simulate(&tree, &scratch, false))?;
        let seconds = began.elapsed().as_secs_f64();
        match end {
            End::Failed(why) => println!("caught   {:28} {seconds:5.1} s  {why}", mutation.name),
            End::Passed | End::NotBuilt(_) => {
                missed += 1;
                println!(
                    "MISSED   {:28} {seconds:5.1} s  {}: {}",
                    mutation.name,
                    mutation.means,
                    end.text()
                );
            }
        }
    }
    println!(
        "mutations: {} caught, {missed} missed",
        chosen.len() - missed
    );
    Ok(missed)
}

/// What the simulator said.
enum End {
    Passed,
    Failed(String),
    NotBuilt(String),
}

impl End {
    fn text(&self) -> String {
        match self {
            End::Passed => "it passed".to_owned(),
            End::Failed(why) => why.clone(),
            End::NotBuilt(why) => format!("it does not compile: {why}"),
        }
    }
}

/// The file that a mutation is made in, as it is; an error unless what it changes stands there once.
fn original(mutation: &Mutation, tree: &Path) -> Result<String, String> {
    let path = tree.join(mutation.file);
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let found = text.matches(mutation.text).count();
    if found != 1 {
        return Err(format!(
            "{}: its text stands {found} times in {}: bring tests/mutations/list.rs up to date",
            mutation.name, mutation.file
        ));
    }
    Ok(text)
}

fn with_mutation<T>(
    mutation: &Mutation,
    tree: &Path,
    work: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let path = tree.join(mutation.file);
    let text = original(mutation, tree)?;
    write(&path, &text.replace(mutation.text, mutation.instead))?;
    let result = work();
    write(&path, &text)?;
    result
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Builds the simulator of the copy and runs it; `build_deps` on the first time, which takes longer.
fn simulate(tree: &Path, scratch: &Path, first: bool) -> Result<End, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut build = Command::new(&cargo);
    build.current_dir(tree);
    build.args([
        "test",
        "--offline",
        "--locked",
        "--quiet",
        "--no-run",
        "--test",
        "simulator",
    ]);
    build.env("CARGO_TARGET_DIR", scratch.join("target"));
    build.env("RUSTFLAGS", "-Awarnings -Cdebuginfo=0");
    let built = build.output().map_err(|e| format!("{cargo}: {e}"))?;
    if !built.status.success() {
        return Ok(End::NotBuilt(
            String::from_utf8_lossy(&built.stderr).into_owned(),
        ));
    }
    let mut run = Command::new(simulator(scratch)?);
    run.arg("one_master_whatever_happens");
    run.env("VIPD_SEEDS", SEEDS).env("RUST_BACKTRACE", "0");
    run.env_remove("VIPD_SEED");
    run.stdin(Stdio::null()).stderr(Stdio::null());
    let output = scratch.join("output");
    let file = fs::File::create(&output).map_err(|e| format!("{}: {e}", output.display()))?;
    let mut child = run.stdout(file).spawn().map_err(|e| e.to_string())?;
    let began = Instant::now();
    let passed = loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            break status.success();
        }
        if began.elapsed() > LIMIT * if first { 4 } else { 1 } {
            child
                .kill()
                .and_then(|()| child.wait())
                .map_err(|e| e.to_string())?;
            return Ok(End::Failed("it did not end".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if passed {
        return Ok(End::Passed);
    }
    let said = fs::read_to_string(&output).unwrap_or_default();
    let why = said.lines().find(|line| line.starts_with("VIPD_SEED="));
    Ok(End::Failed(why.unwrap_or("it failed").to_owned()))
}

/// The program that was built last.
fn simulator(scratch: &Path) -> Result<PathBuf, String> {
    let deps = scratch.join("target/debug/deps");
    let all = fs::read_dir(&deps).map_err(|e| format!("{}: {e}", deps.display()))?;
    let newest = all
        .flatten()
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with("simulator-") && !name.contains('.')
        })
        .max_by_key(|entry| entry.metadata().and_then(|m| m.modified()).ok());
    Ok(newest.ok_or("no simulator was built")?.path())
}

/// What the library and the simulator are made of. A file that is the same already keeps its time, so
/// that little is built again.
fn copy_tree(source: &Path, tree: &Path) -> Result<(), String> {
    for name in [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "tests",
        "integration",
        "benches",
    ] {
        copy(&source.join(name), &tree.join(name))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("{}: {e}", from.display());
    if from.is_dir() {
        fs::create_dir_all(to).map_err(failed)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(from).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name());
        }
        // What was renamed since the last copy would be built too.
        for entry in fs::read_dir(to).map_err(failed)?.flatten() {
            if !names.contains(&entry.file_name()) {
                let old = entry.path();
                let gone = if old.is_dir() {
                    fs::remove_dir_all(&old)
                } else {
                    fs::remove_file(&old)
                };
                gone.map_err(failed)?;
            }
        }
        return names
            .iter()
            .try_for_each(|name| copy(&from.join(name), &to.join(name)));
    }
    let bytes = fs::read(from).map_err(failed)?;
    if fs::read(to).ok().as_ref() != Some(&bytes) {
        fs::write(to, bytes).map_err(failed)?;
    }
    Ok(())
}
