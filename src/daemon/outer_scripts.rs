//! `startup_script` and `shutdown_script`: what runs before everything and after everything.

use std::time::Duration;

use crate::config::Loaded;
use crate::config::model::{Globals, Run};
use crate::kernel::spawner::{AtEnd, Outcome, Request, Spawner};

use super::failure::Failure;
use super::options::Options;
use super::prepare;
use super::restart;
use super::run_dir::RunDir;

/// Their timeout when none is configured.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs `startup_script`, before anybody looks whether the interfaces are there: it may make them. An
/// answer is for the log; as in keepalived a script that fails keeps nothing from starting.
///
/// # Errors
/// Another vipd uses the run directory, permissions are missing, or there is no helper process.
pub(super) fn run_startup(loaded: &Loaded, options: &Options) -> Result<Option<String>, Failure> {
    if restart::is_resumed() {
        return Ok(None);
    }
    // What is wrong with the file is said by whoever needs it.
    let Some(config) = loaded.config.as_ref().filter(|_| !loaded.has_errors()) else {
        return Ok(None);
    };
    let scripts = &config.globals.scripts;
    let Some(run) = &scripts.startup_script else {
        return Ok(None);
    };
    prepare::permissions(config)?;
    let _alone = RunDir::lock(&options.run_dir).map_err(|e| Failure::fatal(e.to_string()))?;
    let [mut spawner] = Spawner::start()
        .map_err(|error| Failure::fatal(format!("start the script helper: {error}")))?;
    let timeout = scripts.startup_script_timeout;
    Ok(run_to_end(&mut spawner, &config.globals, "startup", run, timeout).err())
}

/// Whether there is a `startup_script`.
pub(super) fn has_startup(loaded: &Loaded) -> bool {
    let config = loaded.config.as_ref();
    config.is_some_and(|config| config.globals.scripts.startup_script.is_some())
}

/// Runs `shutdown_script`; the error is for the log.
///
/// # Errors
/// How it failed.
pub(super) fn run_shutdown(spawner: &mut Spawner, globals: &Globals) -> Result<(), String> {
    let scripts = &globals.scripts;
    match &scripts.shutdown_script {
        None => Ok(()),
        Some(run) => {
            let timeout = scripts.shutdown_script_timeout;
            run_to_end(spawner, globals, "shutdown", run, timeout)
        }
    }
}

/// How long [`run_shutdown`] may take.
pub(super) fn shutdown_max(globals: &Globals) -> Duration {
    let scripts = &globals.scripts;
    match scripts.shutdown_script {
        None => Duration::ZERO,
        Some(_) => scripts.shutdown_script_timeout.unwrap_or(TIMEOUT),
    }
}

fn run_to_end(
    spawner: &mut Spawner,
    globals: &Globals,
    which: &str,
    run: &Run,
    timeout: Option<Duration>,
) -> Result<(), String> {
    if run.argv.is_empty() {
        return Ok(());
    }
    let user = run.user.clone().or_else(|| globals.script_user.clone());
    let request = Request {
        id: u64::MAX,
        argv: run.argv.clone(),
        user,
        caps: globals.script_caps,
        timeout: Some(timeout.unwrap_or(TIMEOUT)),
        at_end: AtEnd::Leave,
    };
    let how = match spawner.run(&request) {
        Ok(Outcome::Exited(0)) => return Ok(()),
        Ok(outcome) => outcome.to_string(),
        Err(error) => error.to_string(),
    };
    let command = run.argv.join(" ");
    Err(format!("{which} script {command} {how}; vipd goes on"))
}
