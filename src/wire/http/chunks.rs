//! The chunked transfer coding (RFC 9112 section 7.1).

use super::Part;

/// Longest line of a chunk's size with its extensions, and of trailers in all.
const LINE_MAX: usize = 8 * 1024;

/// A chunked body that is being read.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    state: State,
    /// Bytes of lines that are not data since the last data.
    line_len: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Hexadecimal digits; `None` before the first one.
    #[default]
    Start,
    Size(u64),
    /// Behind the digits, up to the end of the line.
    Extension(u64),
    Data(u64),
    /// Behind data: the end of a line.
    AfterData,
    /// Trailers; whether the line has anything in it.
    Trailer(bool),
    /// What came is no chunk: nothing can be said of what follows.
    Broken,
}

impl Chunks {
    /// True when the last chunk was read. Broken chunks never end.
    pub(super) fn read(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Part<'_>)) -> bool {
        let mut rest = bytes;
        while let Some((&byte, behind)) = rest.split_first() {
            if let State::Data(left) = self.state {
                let wanted = usize::try_from(left).unwrap_or(usize::MAX);
                let data = rest.get(..wanted).unwrap_or(rest);
                sink(Part::Wire(data));
                sink(Part::Body(data));
                rest = rest.get(data.len()..).unwrap_or_default();
                let left = left - data.len() as u64;
                self.state = match left {
                    0 => State::AfterData,
                    left => State::Data(left),
                };
                self.line_len = 0;
                continue;
            }
            if self.state == State::Broken {
                sink(Part::Wire(rest));
                return false;
            }
            sink(Part::Wire(&[byte]));
            rest = behind;
            self.line_len += 1;
            match self.next(byte) {
                Some(state) if self.line_len <= LINE_MAX => self.state = state,
                None if self.state == State::Trailer(false) => return true,
                _ => self.state = State::Broken,
            }
        }
        false
    }

    /// The state behind a byte that is not data. `None`: the end, in an empty line of trailers; elsewhere
    /// it makes no sense.
    fn next(&self, byte: u8) -> Option<State> {
        let sized = |size| match size {
            0 => State::Trailer(false),
            size => State::Data(size),
        };
        match (self.state, byte) {
            (State::Start, b' ' | b'\t') => Some(State::Start),
            (State::Start, byte) => Some(State::Size(digit(byte)?)),
            (State::Size(size) | State::Extension(size), b'\n') => Some(sized(size)),
            (State::Size(size), b';' | b' ' | b'\t' | b'\r') => Some(State::Extension(size)),
            (State::Size(size), byte) => {
                let size = size.checked_mul(16)?.checked_add(digit(byte)?)?;
                Some(State::Size(size))
            }
            (State::Extension(size), _) => Some(State::Extension(size)),
            (State::AfterData, b'\r') => Some(State::AfterData),
            (State::AfterData, b'\n') => Some(State::Start),
            (State::Trailer(false), b'\r') => Some(State::Trailer(false)),
            (State::Trailer(true), b'\n') => Some(State::Trailer(false)),
            (State::Trailer(false), b'\n') => None,
            (State::Trailer(_), _) => Some(State::Trailer(true)),
            (State::AfterData | State::Data(_) | State::Broken, _) => None,
        }
    }
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}
