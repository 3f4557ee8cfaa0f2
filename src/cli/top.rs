//! `vipd top`: what vipd does, live in the terminal.

mod screen;

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use hyper::Method;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::control::model::{Event, Status};
use crate::errno::Words;
use crate::kernel::clock;

use super::client::Whom;
use screen::{Moment, Screen, Step};

/// Show what vipd does, live in the terminal
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Instances with their reasons, services with their servers, connections, rates and checks, and events.

Keys: arrows, PgUp, PgDn, Home and End move; Tab shows instances, services or events alone; q ends.

Exit status: 0, or 1 when no vipd answers or there is no terminal.")]
pub struct TopArgs {
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    every: Duration,

    #[command(flatten)]
    whom: Whom,
}

/// The shortest time between two looks.
const EVERY_MIN: Duration = Duration::from_millis(200);
/// Events that are kept.
const EVENTS_MAX: usize = 1024;
/// The alternate screen, without a cursor; and back.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

/// Runs the command.
pub(super) fn run(args: &TopArgs) -> Result<ExitCode, String> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err("there is no terminal here: vipd top needs one; for a pipe there are `vipd status` and \
                    `vipd events --follow`"
            .to_owned());
    }
    // One that does not answer is said before the screen is another one.
    let mut moment = look(&args.whom, None)?;
    let failed = |error: io::Error| format!("use the terminal: {}", Words(&error));
    let raw = Raw::enter().map_err(failed)?;
    let keys = keys();
    let colour = super::wants_colour(&io::stdout());
    let mut screen = Screen::new(colour);
    let every = args.every.max(EVERY_MIN);
    let mut next = clock::now() + every;
    loop {
        let (width, height) = size();
        draw(&screen.lines(&moment, width, height)).map_err(failed)?;
        match keys.recv_timeout(next.until(clock::now())) {
            Ok(Step::End) => break,
            Ok(step) => screen.step(step, height),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                match look(&args.whom, Some(&moment)) {
                    Ok(found) => moment = found,
                    Err(error) => moment.error = Some(error),
                }
                next = clock::now() + every;
            }
        }
    }
    drop(raw);
    Ok(ExitCode::SUCCESS)
}

/// The status, and what happened since the last.
fn look(whom: &Whom, before: Option<&Moment>) -> Result<Moment, String> {
    let answer = whom.ask(Method::GET, "/v1/status?traffic=true")?;
    let status: Status = answer.done()?;
    let same = before.filter(|before| before.status.daemon.started == status.daemon.started);
    let mut events = same.map(|before| before.events.clone()).unwrap_or_default();
    let after = events.last().map_or(0, |event: &Event| event.number);
    if status.daemon.last_event > after {
        whom.follow(&format!("/v1/events?after={after}"), |line| {
            events.extend(serde_json::from_slice::<Event>(line));
            true
        })?;
        let many = events.len().saturating_sub(EVENTS_MAX);
        events.drain(..many);
    }
    Ok(Moment {
        status,
        at: clock::now(),
        before: same.map(|before| Box::new((before.at, before.status.clone()))),
        events,
        error: None,
    })
}

/// Columns and lines.
fn size() -> (usize, usize) {
    let size = tcgetwinsize(io::stdout());
    let or = |number: u16, usual| {
        if number == 0 {
            usual
        } else {
            usize::from(number)
        }
    };
    size.map_or((80, 24), |size| (or(size.ws_col, 80), or(size.ws_row, 24)))
}

/// Each line in its place, and what stood behind it cleared.
fn draw(lines: &[String]) -> io::Result<()> {
    let mut text = String::from("\x1b[H");
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            text.push_str("\r\n");
        }
        text.push_str(line);
        text.push_str("\x1b[K");
    }
    text.push_str("\x1b[J");
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What is pressed, as it comes.
fn keys() -> Receiver<Step> {
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 32];
        while let Ok(read @ 1..) = io::stdin().lock().read(&mut bytes) {
            let step = bytes.get(..read).and_then(Step::of);
            if let Some(step) = step
                && tell.send(step).is_err()
            {
                return;
            }
        }
    });
    heard
}

/// The terminal as it was, to be put back.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Raw> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        let entered = Raw(before);
        io::stdout().write_all(ENTER)?;
        Ok(entered)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = io::stdout().write_all(LEAVE);
        let _ = io::stdout().flush();
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}
