//! Dates as people of this place write them.

/// A point in time by the clocks of this place (localtime(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Year, month from 1, day from 1.
    pub date: (i32, i32, i32),
    /// Hour, minute, second.
    pub time: (i32, i32, i32),
}

impl Local {
    /// `2026-11-21`.
    pub fn date(&self) -> String {
        let (year, month, day) = self.date;
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `14:02:11`.
    pub fn time(&self) -> String {
        let (hour, minute, second) = self.time;
        format!("{hour:02}:{minute:02}:{second:02}")
    }

    /// The same in seconds since 1970 (mktime(3)): days and hours beyond the last one go on in the next month
    /// and day, and of a time that the clocks show twice it is one of both. `None`: it has no number.
    pub fn seconds(&self) -> Option<i64> {
        let ((year, month, day), (hour, minute, second)) = (self.date, self.time);
        // SAFETY: all zeros are a valid tm, whose one pointer may be null.
        let mut parts: libc::tm = unsafe { std::mem::zeroed() };
        parts.tm_year = year.checked_sub(1900)?;
        parts.tm_mon = month.checked_sub(1)?;
        parts.tm_mday = day;
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (hour, minute, second);
        // Whether it is summer time is found out.
        parts.tm_isdst = -1;
        // SAFETY: the pointer is to a value of ours that lives through the call, which reads and writes it.
        let seconds = unsafe { libc::mktime(&raw mut parts) };
        (seconds != -1).then_some(seconds)
    }
}

/// Whether somebody keeps the clock right (adjtimex(2), STA_UNSYNC).
///
/// # Errors
/// The kernel does not say.
pub(crate) fn is_synchronised() -> std::io::Result<bool> {
    let mut state = std::mem::MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all zeros are a valid timex that asks for nothing to be changed; the pointer is to a value of
    // ours that lives through the call, which writes it.
    let (said, state) = unsafe { (libc::adjtimex(state.as_mut_ptr()), state.assume_init()) };
    if said < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(said != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0)
}

/// localtime_r(3) of seconds since 1970; `None` for a year that has no number.
pub fn local(seconds: i64) -> Option<Local> {
    let seconds = libc::time_t::try_from(seconds).ok()?;
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are to values of ours that live through the call, which reads the one and
    // writes the other; all zeros are a valid tm, whose one pointer may be null.
    let parts = unsafe {
        if libc::localtime_r(&raw const seconds, parts.as_mut_ptr()).is_null() {
            return None;
        }
        parts.assume_init()
    };
    Some(Local {
        date: (parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday),
        time: (parts.tm_hour, parts.tm_min, parts.tm_sec),
    })
}
