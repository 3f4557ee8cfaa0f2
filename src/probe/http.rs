//! `HTTP_GET` and `SSL_GET`: a page is asked for and read to its end, and thrown away as it comes.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::config::model::{BackendTls, HttpCheck, HttpProtocol, HttpScheme, HttpUrl, TlsMode};
use crate::health::Page;
use crate::net::Endpoint;
use crate::wire::http::{Answer, Ending, Part, Progress, Request, Version, request};
use crate::wire::{http2, x509};

use super::read::read;
use super::{Kit, ProbeError, tcp};

/// An answer of more bytes than this is taken for one without an end.
const ANSWER_MAX: u64 = 64 * 1024 * 1024;
/// An answer that goes on for as many times `connect_timeout` is taken for one without an end.
const ANSWER_TIMES: u32 = 10;

/// Asks for one of the pages. `Ok`: it is as it should be, with what is odd about it all the same.
///
/// # Errors
/// It cannot be had, or is not as it should be.
pub(super) async fn ask(
    kit: &Kit,
    check: &HttpCheck,
    page: usize,
) -> Result<Option<String>, ProbeError> {
    let Some(url) = check.urls.get(page) else {
        return Ok(None);
    };
    let mut page = Page::new(url, kit.pattern(url));
    let got = get(kit, check, url, &mut |part| page.take(part)).await?;
    let judged = page
        .judge(got.status, got.ending)
        .map(|odd| odd.or(got.odd));
    let method = url.method.word();
    judged.map_err(|why| ProbeError::Answer(format!("{method} {}: {why}", url.path)))
}

/// What came of asking for a page.
pub struct Got {
    /// Status, if there was a whole header.
    pub status: Option<u16>,
    /// How the answer ended.
    pub ending: Ending,
    /// What is odd about how the connection ended, in words.
    odd: Option<String>,
}

/// Asks for a page and hands the parts of the answer to `sink`.
///
/// # Errors
/// There is no connection, or no answer that can be read, or it does not end.
pub async fn get(
    kit: &Kit,
    check: &HttpCheck,
    url: &HttpUrl,
    sink: &mut dyn FnMut(Part<'_>),
) -> Result<Got, ProbeError> {
    let limit = check.connect.connect_timeout;
    let host = url.virtualhost.as_ref().or(check.virtualhost.as_ref());
    let whom = match host {
        Some(host) => host.clone(),
        None => authority(check.connect.destination),
    };
    let method = url.method.word();
    let asked = Request {
        method,
        path: &url.path,
        host: &whom,
        version: version(check.protocol),
    };
    let headers = url.headers.iter();
    let headers: Vec<(&str, &str)> = headers.map(|(n, v)| (n.as_str(), v.reveal())).collect();
    let answer = match check.protocol {
        HttpProtocol::V2 => {
            let tls = check.scheme == HttpScheme::Https;
            Reading::Two(http2::Answer::to(asked, &headers, tls))
        }
        _ => Reading::One(Answer::to(method), request(asked, &headers)),
    };
    let mut talk = Talk {
        limit,
        asked: format!("{method} {}", url.path),
        answer,
        say: Vec::new(),
        sink,
        read: 0,
        tls: None,
    };
    match check.scheme {
        HttpScheme::Http => {
            let stream = tcp::open(&check.connect).await?;
            talk.run(stream).await
        }
        HttpScheme::Https => {
            talk.tls = Some(url.tls_compliant.unwrap_or(check.tls_compliant));
            let host = host.map(String::as_str);
            match manner(check) {
                None => secured(kit, check, host, talk).await,
                Some((tls, h2)) => looked_at(kit, check, (&tls, h2), host, talk).await,
            }
        }
    }
}

/// With whoever answers.
async fn secured(
    kit: &Kit,
    check: &HttpCheck,
    host: Option<&str>,
    talk: Talk<'_>,
) -> Result<Got, ProbeError> {
    let tls = kit.tls.as_ref().ok_or_else(no_tls)?;
    let limit = check.connect.connect_timeout;
    let name = check.sni_name.as_deref();
    let name = name.or(host.filter(|_| check.enable_sni));
    // One time for both, as in keepalived.
    let connecting = async {
        let stream = tcp::open(&check.connect).await?;
        tls.connect(stream, name, check.connect.destination.addr)
            .await
    };
    match timeout(limit, connecting).await {
        Ok(stream) => talk.run(stream?).await,
        Err(_) => Err(no_handshake(limit)),
    }
}

/// How TLS is spoken where keepalived has nothing like it: the certificate is looked at, or HTTP/2 is asked for,
/// which is the second.
pub(super) fn manner(check: &HttpCheck) -> Option<(BackendTls, bool)> {
    let h2 = check.protocol == HttpProtocol::V2 && check.scheme == HttpScheme::Https;
    let anybody = || BackendTls {
        mode: TlsMode::On,
        ca: None,
        name: None,
    };
    match &check.certificate {
        Some(wanted) => Some((wanted.tls.clone(), h2)),
        None => h2.then(|| (anybody(), true)),
    }
}

/// With a server whose certificate must be good, or not about to expire, or that speaks HTTP/2. Who it is is told
/// it in any case: its certificate depends on that.
async fn looked_at(
    kit: &Kit,
    check: &HttpCheck,
    manner: (&BackendTls, bool),
    host: Option<&str>,
    talk: Talk<'_>,
) -> Result<Got, ProbeError> {
    let limit = check.connect.connect_timeout;
    let name = manner.0.name.as_deref().or(check.sni_name.as_deref());
    let name = name.or(host.map(|host| host.split(':').next().unwrap_or(host)));
    let address = check.connect.destination.addr;
    let secure = kit.logins.looking(manner, name, address);
    let secure = secure.ok_or_else(no_tls)?;
    let connecting = async { secure.connect(tcp::open(&check.connect).await?).await };
    let stream = match timeout(limit, connecting).await {
        Ok(stream) => stream?,
        Err(_) => return Err(no_handshake(limit)),
    };
    let certificates = stream.get_ref().1.peer_certificates();
    let days = check.certificate.as_ref().and_then(|c| c.expiry_days);
    let expiry = expiry(certificates.unwrap_or_default(), days);
    let got = talk.run(stream).await?;
    Ok(Got {
        odd: expiry.or(got.odd),
        ..got
    })
}

/// What is to be said of how long the first certificate is good.
fn expiry(certificates: &[CertificateDer<'_>], days: Option<u32>) -> Option<String> {
    let days = days?;
    #[expect(
        clippy::disallowed_methods,
        reason = "certificates end by the wall's clock"
    )]
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    match certificates
        .first()
        .and_then(|first| x509::not_after(first))
    {
        Some(end) => x509::expiry_words(end, now, days),
        None => Some("the server's certificate does not say until when it is good".to_owned()),
    }
}

fn no_tls() -> ProbeError {
    ProbeError::prepare(|| "use TLS".to_owned())(io::ErrorKind::Unsupported.into())
}

fn no_handshake(limit: Duration) -> ProbeError {
    ProbeError::Answer(format!("no TLS handshake within {limit:?}"))
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`.
fn authority(server: Endpoint) -> String {
    match server.addr {
        IpAddr::V4(address) => format!("{address}:{}", server.port),
        IpAddr::V6(address) => format!("[{address}]:{}", server.port),
    }
}

fn version(protocol: HttpProtocol) -> Version {
    Version {
        one_one: protocol == HttpProtocol::V1_1,
        close: protocol != HttpProtocol::V1_0,
    }
}

/// An answer, of one version or the other.
enum Reading {
    /// And its request.
    One(Answer, Vec<u8>),
    Two(http2::Answer),
}

impl Reading {
    fn status(&self) -> Option<u16> {
        match self {
            Reading::One(answer, _) => answer.status(),
            Reading::Two(answer) => answer.status(),
        }
    }

    /// Takes in what has come; what is to be said to that.
    fn read(
        &mut self,
        bytes: &[u8],
        say: &mut Vec<u8>,
        sink: &mut dyn FnMut(Part<'_>),
    ) -> Result<Progress, String> {
        match self {
            Reading::One(answer, question) => {
                say.append(question);
                let read = answer.read(bytes, sink);
                read.map_err(|fault| fault.to_string())
            }
            Reading::Two(answer) => answer.read(bytes, say, sink),
        }
    }

    fn ended(&self) -> Result<Ending, String> {
        match self {
            Reading::One(answer, _) => Ok(answer.ended()),
            Reading::Two(answer) => answer.ended(),
        }
    }
}

struct Talk<'a> {
    limit: Duration,
    /// Method and path.
    asked: String,
    answer: Reading,
    /// What is to be said next.
    say: Vec<u8>,
    sink: &'a mut dyn FnMut(Part<'_>),
    read: u64,
    /// Over TLS; whether its end counts (`tls_compliant`).
    tls: Option<bool>,
}

impl Talk<'_> {
    async fn run<S>(mut self, mut stream: S) -> Result<Got, ProbeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // The request.
        self.take(&[])?;
        match timeout(self.limit, self.speak(&mut stream)).await {
            Ok(written) => written?,
            Err(_) => return Err(ProbeError::Timeout(self.limit)),
        }
        let mut over = match timeout(self.limit, self.step(&mut stream)).await {
            Ok(step) => step?,
            Err(_) => return Err(ProbeError::Timeout(self.limit)),
        };
        // keepalived: over TLS the rest has so much time as a whole, otherwise from piece to piece.
        let whole = match self.tls {
            Some(_) => self.limit,
            None => self.limit * ANSWER_TIMES,
        };
        let (limit, asked) = (self.limit, self.asked.clone());
        let rest = async {
            while over.is_none() {
                over = match timeout(limit, self.step(&mut stream)).await {
                    Ok(step) => step?,
                    Err(_) => {
                        let why = format!("{asked}: the answer stopped for {limit:?}");
                        return Err(ProbeError::Answer(why));
                    }
                };
            }
            Ok(over.flatten())
        };
        let odd = match timeout(whole, rest).await {
            Ok(over) => over?,
            Err(_) => {
                let why = format!("{asked}: the answer does not end within {whole:?}");
                return Err(ProbeError::Answer(why));
            }
        };
        let ending = self.answer.ended().map_err(|why| self.wrong(&why))?;
        Ok(Got {
            status: self.answer.status(),
            ending,
            odd,
        })
    }

    async fn speak<S>(&mut self, stream: &mut S) -> Result<(), ProbeError>
    where
        S: AsyncWrite + Unpin,
    {
        let say = std::mem::take(&mut self.say);
        let write = async {
            stream.write_all(&say).await?;
            stream.flush().await
        };
        write.await.map_err(ProbeError::talk("send the request"))
    }

    fn wrong(&self, why: &str) -> ProbeError {
        ProbeError::Answer(format!("{}: {why}", self.asked))
    }

    /// Reads once. `Some`: the answer is over, with what is odd about that.
    async fn step<S>(&mut self, stream: &mut S) -> Result<Option<Option<String>>, ProbeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let came = |bytes: &[u8]| match bytes {
            [] => Ok(Some(None)),
            bytes => self.take(bytes),
        };
        match read(stream, came).await {
            Ok(Ok(None)) if !self.say.is_empty() => self.speak(stream).await.map(|()| None),
            Ok(taken) => taken,
            Err(error) if self.tls.is_some() && self.answer.status().is_some() => {
                Ok(Some(self.unclean(&error)))
            }
            Err(error) => Err(ProbeError::talk("read the answer")(error)),
        }
    }

    /// Takes what has come.
    fn take(&mut self, bytes: &[u8]) -> Result<Option<Option<String>>, ProbeError> {
        self.read += bytes.len() as u64;
        if self.read > ANSWER_MAX {
            return Err(ProbeError::Answer(format!(
                "{}: the answer goes on after {} MiB",
                self.asked,
                ANSWER_MAX >> 20
            )));
        }
        let progress = self
            .answer
            .read(bytes, &mut self.say, self.sink)
            .map_err(|why| self.wrong(&why))?;
        // How TLS ends is only known at its end; HTTP/2 leaves it to us.
        Ok(match progress {
            Progress::Whole if self.tls != Some(true) || self.is_two() => Some(None),
            Progress::Whole | Progress::More => None,
        })
    }

    fn is_two(&self) -> bool {
        matches!(self.answer, Reading::Two(_))
    }

    /// A TLS connection broke behind the header. keepalived judges what has come.
    fn unclean(&self, error: &io::Error) -> Option<String> {
        match error.kind() {
            io::ErrorKind::UnexpectedEof if self.tls != Some(true) => None,
            io::ErrorKind::UnexpectedEof => {
                Some("the connection ended without a TLS close".to_owned())
            }
            _ => Some(format!("the connection broke: {error}")),
        }
    }
}

#[cfg(test)]
mod tests;
