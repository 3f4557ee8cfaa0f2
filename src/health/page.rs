//! What a page says of a server (`HTTP_GET`, `SSL_GET`): its status, its digest, a pattern in it.

mod search;

use std::fmt::Write as _;
use std::sync::Arc;

use md5::{Digest as _, Md5};

use crate::config::model::HttpUrl;
use crate::config::pattern::Pattern;
use crate::wire::http::{Ending, Part};

use search::Search;

/// Statuses that are well where none are named.
const WELL: (u16, u16) = (200, 299);

/// A page that is being read. Nothing of it is kept but what a pattern is searched in.
pub struct Page<'u> {
    url: &'u HttpUrl,
    digest: Option<Digests>,
    search: Option<Search>,
}

/// Of the body, and of the bytes as they came: keepalived knows nothing of chunks, so that digests that
/// its genhash made of a chunked answer have them in.
#[derive(Default)]
struct Digests {
    body: Md5,
    wire: Option<Md5>,
}

impl<'u> Page<'u> {
    /// `pattern`: the URL's, ready to be searched for.
    pub fn new(url: &'u HttpUrl, pattern: Option<Arc<Pattern>>) -> Page<'u> {
        Page {
            url,
            digest: url.digest.map(|_| Digests::default()),
            search: pattern.map(|pattern| Search::new(pattern, url)),
        }
    }

    /// Takes in a piece of the answer.
    pub fn take(&mut self, part: Part<'_>) {
        match part {
            Part::Head(_) => {}
            Part::Body(bytes) => {
                if let Some(digests) = &mut self.digest {
                    digests.body.update(bytes);
                }
                if let Some(search) = &mut self.search {
                    search.take(bytes);
                }
            }
            Part::Wire(bytes) => {
                if let Some(digests) = &mut self.digest {
                    digests.wire.get_or_insert_default().update(bytes);
                }
            }
        }
    }

    /// The answer has ended. `Ok`: it is as it should be; with a remark where it is odd all the same.
    /// As in keepalived a body that is shorter than its header says is odd, and no more than that.
    ///
    /// # Errors
    /// It is not; why, in words.
    pub fn judge(self, status: Option<u16>, ending: Ending) -> Result<Option<String>, String> {
        let Some(status) = status else {
            return Err(match ending {
                Ending::Nothing => "the connection was closed without an answer",
                _ => "the connection was closed within the header of the answer",
            }
            .to_owned());
        };
        let wanted = match self.url.status_codes.as_slice() {
            [] => &[WELL],
            ranges => ranges,
        };
        if !wanted
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&status))
        {
            return Err(format!("status {status}, not {}", ranges(wanted)));
        }
        if let (Some(wanted), Some(digests)) = (self.url.digest, self.digest) {
            digests.judge(wanted)?;
        }
        if let Some(search) = self.search {
            match (search.finish(), self.url.regex_no_match) {
                (true, true) => return Err("the page matches `regex`".to_owned()),
                (false, false) => return Err("the page does not match `regex`".to_owned()),
                _ => {}
            }
        }
        Ok(match ending {
            Ending::Short { came, announced } => Some(format!(
                "the page ended after {came} of {announced} bytes (Content-Length)"
            )),
            Ending::BrokenChunks => Some("the page ended without its last chunk".to_owned()),
            Ending::Whole | Ending::Nothing | Ending::InHead => None,
        })
    }
}

impl Digests {
    fn judge(self, wanted: [u8; 16]) -> Result<(), String> {
        let body = <[u8; 16]>::from(self.body.finalize());
        let wire = self.wire.map(|wire| <[u8; 16]>::from(wire.finalize()));
        if body == wanted || wire == Some(wanted) {
            return Ok(());
        }
        Err(format!(
            "the digest of the page is {}, not {}",
            hex(&body),
            hex(&wanted)
        ))
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `200-299, 404`.
fn ranges(ranges: &[(u16, u16)]) -> String {
    let words = ranges.iter().map(|(from, to)| match from == to {
        true => from.to_string(),
        false => format!("{from}-{to}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
