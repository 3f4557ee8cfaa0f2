//! Loading a kernel module, as ipvsadm and keepalived do: `modprobe`, bounded in time.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// How long `modprobe` may take, in steps.
const STEP: Duration = Duration::from_millis(10);
const STEPS: usize = 1000;

/// Loads `name`; the error is one line, in words of `modprobe` where it had any.
pub(super) fn load(name: &str) -> Result<(), String> {
    let program = program();
    let mut child = Command::new(&program)
        .args(["--", name])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{program}: {e}"))?;
    let ended = wait(&mut child);
    if let Ended::InTime(Some(status)) = ended
        && status.success()
    {
        return Ok(());
    }
    if let Ended::Killed = ended {
        return Err(format!("{program} did not end in 10 s"));
    }
    let mut words = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // The child has ended; 4 KiB of its words are enough.
        let _ = stderr.take(4096).read_to_end(&mut words);
    }
    let words = String::from_utf8_lossy(&words);
    match (words.lines().find(|l| !l.trim().is_empty()), ended) {
        (Some(line), _) => Err(line.trim().to_owned()),
        (None, Ended::InTime(Some(status))) => Err(format!("{program}: {status}")),
        // It had nothing to say: whether the module is there now shows at the next question.
        (None, _) => Ok(()),
    }
}

/// How a run of `modprobe` ended.
#[derive(Clone, Copy)]
enum Ended {
    /// By itself; without a status where the kernel keeps none (SIGCHLD is ignored: signal(7)).
    InTime(Option<ExitStatus>),
    /// Its time was over.
    Killed,
}

/// The program that the kernel itself would run.
fn program() -> String {
    let named = fs::read_to_string("/proc/sys/kernel/modprobe").unwrap_or_default();
    match named.trim() {
        "" => "/sbin/modprobe".to_owned(),
        path => path.to_owned(),
    }
}

fn wait(child: &mut Child) -> Ended {
    for _ in 0..STEPS {
        match child.try_wait() {
            Ok(Some(status)) => return Ended::InTime(Some(status)),
            Ok(None) => {}
            Err(_) => return Ended::InTime(None), // ECHILD: gone, and its status with it
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "once, at start, before anything is served"
        )]
        thread::sleep(STEP);
    }
    let _ = child.kill();
    let _ = child.wait();
    Ended::Killed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_does_not_exist_is_an_error_in_one_line() {
        let error = load("vipd_no_such_module").unwrap_err();
        assert!(!error.is_empty() && !error.contains('\n'), "{error:?}");
    }
}
