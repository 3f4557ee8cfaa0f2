//! `reload_time_file`: the first line of a file says when the configuration is to be read again, so that
//! several routers do it at the same moment.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::config::model::OutputSettings;
use crate::errno::Words;
use crate::kernel::clock::{Local, local};

use super::config_watch::{Ears, wall};

/// What is read of the file; a time has at most twenty characters.
const BYTES_MAX: u64 = 64;

/// What the configuration says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReloadTime {
    file: PathBuf,
    /// `reload_repeat`: the file stays, and a time without a date is one of every day.
    repeat: bool,
}

/// What stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    /// Year, month, day.
    date: Option<(i32, i32, i32)>,
    /// Hour, minute, second.
    time: (i32, i32, i32),
    /// `Z` at its end.
    utc: bool,
}

impl Said {
    /// `HH:MM:SS`, with `YYYY-MM-DD ` or `YY-MM-DD ` before it and `Z` behind it, and nothing else.
    fn parse(line: &str) -> Option<Said> {
        let (line, utc) = match line.strip_suffix('Z') {
            Some(line) => (line, true),
            None => (line, false),
        };
        let (date, time) = match line.split_once(' ') {
            Some((date, time)) => (Some(date), time),
            None => (None, line),
        };
        let [hour, minute, second] = three(time, ':')?;
        let time = (two(hour, 0, 23)?, two(minute, 0, 59)?, two(second, 0, 59)?);
        let date = match date {
            None => None,
            Some(date) => {
                let [year, month, day] = three(date, '-')?;
                let year = match year.len() {
                    2 => 2000 + two(year, 0, 99)?,
                    4 => two(&year[..2], 0, 99)? * 100 + two(&year[2..], 0, 99)?,
                    _ => return None,
                };
                Some((year, two(month, 1, 12)?, two(day, 1, 31)?))
            }
        };
        Some(Said { date, time, utc })
    }

    /// The next time that it names after `now`, both in seconds since 1970; `None`: it is past.
    fn next(&self, now: i64) -> Option<i64> {
        match self.date {
            Some(date) => self.on(date, 0).filter(|due| *due > now),
            None => {
                let today = match self.utc {
                    true => utc_date(now)?,
                    false => local(now)?.date,
                };
                let due = |days| self.on(today, days).filter(|due| *due > now);
                due(0).or_else(|| due(1))
            }
        }
    }

    /// Its time on a date and some days later.
    fn on(&self, (year, month, day): (i32, i32, i32), days: i32) -> Option<i64> {
        if self.utc {
            let (hour, minute, second) = self.time;
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
            let at = humantime::parse_rfc3339(&text).ok()?;
            let at = at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
            return Some(i64::try_from(at).ok()? + i64::from(days) * 86_400);
        }
        let wanted = Local {
            date: (year, month, day + days),
            time: self.time,
        };
        let at = wanted.seconds()?;
        // The 31st of April would be the 1st of May.
        (days > 0 || local(at)?.date == wanted.date).then_some(at)
    }
}

fn three(text: &str, between: char) -> Option<[&str; 3]> {
    let mut parts = text.split(between);
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

/// A number of two digits.
fn two(text: &str, least: i32, most: i32) -> Option<i32> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    (least..=most).contains(&number).then_some(number)
}

fn utc_date(now: i64) -> Option<(i32, i32, i32)> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now).ok()?);
    let text = humantime::format_rfc3339_seconds(now).to_string();
    let [year, month, day] = three(text.get(..10)?, '-')?;
    Some((year.parse().ok()?, month.parse().ok()?, day.parse().ok()?))
}

/// The first line, if there is such a file.
fn first_line(file: &Path) -> io::Result<Option<String>> {
    let opened = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    // A FIFO or a device may have no end.
    if !opened.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut bytes = Vec::new();
    opened.take(BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(text.lines().next().unwrap_or("").to_owned()))
}

/// What was last seen of the file, and said of it.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// Something that is no time, or past.
    Useless(String),
    Time(Said, i64),
}

impl ReloadTime {
    /// Nothing: the configuration asks for none.
    pub(super) fn of(outputs: &OutputSettings) -> Option<ReloadTime> {
        let file = outputs.reload_time_file.as_ref()?;
        Some(ReloadTime {
            file: PathBuf::from(file),
            repeat: outputs.reload_repeat,
        })
    }

    /// Says each time that it is time, for as long as somebody listens.
    pub(super) async fn wait(self, say: mpsc::Sender<()>) {
        let directory = self.file.parent().unwrap_or(Path::new("/"));
        let mut ears = Ears::open("reload_time_file", &BTreeSet::from([directory.to_owned()]));
        let mut seen = Seen::Nothing;
        loop {
            let file = self.file.clone();
            let Ok(line) = spawn_blocking(move || first_line(&file)).await else {
                return;
            };
            seen = self.look(line, seen);
            let Seen::Time(said, due) = &seen else {
                ears.wait().await;
                continue;
            };
            let due = Duration::from_secs(u64::try_from(*due).unwrap_or(0));
            let now = wall();
            if now < due {
                tokio::select! {
                    // The clock on the wall may be set meanwhile; it is looked at again then.
                    () = ears.wait() => {}
                    () = tokio::time::sleep(due.saturating_sub(now)) => {}
                }
                continue;
            }
            if !self.repeat || said.date.is_some() {
                let file = self.file.clone();
                let removed = spawn_blocking(move || std::fs::remove_file(file)).await;
                if let Ok(Err(error)) = removed {
                    warn!("remove {}: {}", self.file.display(), Words(&error));
                }
            }
            info!("it is the time that {} says", self.file.display());
            seen = Seen::Nothing;
            if say.send(()).await.is_err() {
                return;
            }
        }
    }

    /// What stands there now; what is new is told.
    fn look(&self, line: io::Result<Option<String>>, before: Seen) -> Seen {
        let file = self.file.display();
        let now = i64::try_from(wall().as_secs()).unwrap_or(i64::MAX);
        let line = match line {
            Ok(Some(line)) => line,
            Ok(None) => {
                if matches!(before, Seen::Time(..)) {
                    info!("{file} is gone: the planned reload is cancelled");
                }
                return Seen::Nothing;
            }
            Err(error) => {
                let seen = Seen::Useless(Words(&error).to_string());
                if seen != before {
                    warn!("read {file}: {}", Words(&error));
                }
                return seen;
            }
        };
        let said = Said::parse(&line);
        if let (Some(said), Seen::Time(armed, _)) = (&said, &before)
            && said == armed
        {
            return before;
        }
        match said.and_then(|said| Some((said, said.next(now)?))) {
            Some((said, due)) => {
                let at = local(due).map(|at| format!("{} {}", at.date(), at.time()));
                info!("reload at {}, as {file} says", at.unwrap_or_default());
                Seen::Time(said, due)
            }
            None => {
                let seen = Seen::Useless(line.clone());
                if seen != before {
                    let why = match said {
                        Some(_) => "is past or no date of the calendar",
                        None => {
                            "is no time: write HH:MM:SS or YYYY-MM-DD HH:MM:SS, with a Z for UTC"
                        }
                    };
                    warn!("{file}: `{line}` {why}; no reload is planned");
                }
                seen
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_manual_has_them_and_nothing_else() {
        let at = |text| Said::parse(text).map(|said| (said.date, said.time, said.utc));
        assert_eq!(at("07:05:09"), Some((None, (7, 5, 9), false)));
        let date = Some((2026, 11, 22));
        assert_eq!(at("2026-11-22 23:59:59Z"), Some((date, (23, 59, 59), true)));
        assert_eq!(at("26-11-22 00:00:00"), Some((date, (0, 0, 0), false)));
        for bad in [
            "",
            " 07:05:09",
            "07:05:09 ",
            "7:05:09",
            "24:00:00",
            "07:60:00",
            "07:05",
            "07:05:09 Z",
            "2026-13-01 00:00:00",
            "2026-1-01 00:00:00",
            "2026-11-22  00:00:00",
            "+7:05:09",
            "2026-11-22T00:00:00Z",
            "é7:05:09",
            "éé-11-22 00:00:00",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_time_without_a_date_is_today_or_tomorrow_and_a_date_is_not_twice() {
        let said = |text| Said::parse(text).unwrap();
        // 2026-11-22 03:00:00 UTC.
        let now = 1_795_316_400;
        assert_eq!(said("03:00:01Z").next(now), Some(now + 1));
        assert_eq!(said("03:00:00Z").next(now), Some(now + 86_400));
        assert_eq!(said("2026-11-22 03:00:01Z").next(now), Some(now + 1));
        assert_eq!(said("26-11-22 03:00:00Z").next(now), None);
        assert_eq!(said("2026-11-31 03:00:00Z").next(now), None);
        assert_eq!(said("2027-04-31 03:00:00").next(now), None);
        // Whatever the clocks of this place are.
        let here = local(now + 60).unwrap();
        let time = here.time();
        assert_eq!(said(&time).next(now), Some(now + 60));
        let date = format!("{} {}", here.date(), here.time());
        assert_eq!(said(&date).next(now), Some(now + 60));
        assert_eq!(said(&date).next(now + 60), None);
    }
}
