//! The way to the mail server: names, connections, and the time that each may take.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::config::model::{MailSettings, SmtpServer, SmtpTls};
use crate::errno::Words;
use crate::notice::{Dialogue, Envelope, Login, Next, SmtpError};

use super::tls;

/// Waits for the server, of the configured length each, that one conversation may have.
const WAITS_MAX: u32 = 10;

/// Why a mail was not taken.
#[derive(Debug)]
pub enum MailError {
    /// The server's name has no address.
    Resolve(io::Error),
    /// No address of it takes a connection; the last error.
    Connect(io::Error),
    /// Reading or writing failed.
    Io(io::Error),
    /// What is needed to log in cannot be had, or the way cannot be encrypted; in words.
    Secure(String),
    /// It took too long.
    Timeout(Duration),
    /// It said no.
    Smtp(SmtpError),
}

impl MailError {
    /// Whether another try is in vain.
    pub fn is_permanent(&self) -> bool {
        matches!(self, MailError::Smtp(error) if error.is_permanent())
    }
}

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MailError::Resolve(error) => write!(f, "find its address: {}", Words(error)),
            MailError::Connect(error) => write!(f, "connect: {}", Words(error)),
            MailError::Io(error) => Words(error).fmt(f),
            MailError::Secure(why) => f.write_str(why),
            MailError::Timeout(limit) => write!(f, "no answer within {} s", limit.as_secs()),
            MailError::Smtp(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for MailError {}

/// Hands a message over; recipients who were refused, each with the answer, while others were not.
/// `wait` bounds each step, and ten times as long all of them.
///
/// # Errors
/// The server did not take it.
pub async fn send(
    server: &SmtpServer,
    settings: &MailSettings,
    wait: Duration,
    envelope: Envelope,
) -> Result<Vec<String>, MailError> {
    let all = wait * WAITS_MAX;
    match timeout(all, converse(server, settings, wait, envelope)).await {
        Ok(result) => result,
        Err(_) => Err(MailError::Timeout(all)),
    }
}

async fn converse(
    server: &SmtpServer,
    settings: &MailSettings,
    wait: Duration,
    envelope: Envelope,
) -> Result<Vec<String>, MailError> {
    let login = login(settings)?;
    let mut stream = Stream::Plain(connect(server, wait).await?);
    if settings.smtp_tls == SmtpTls::Tls {
        stream = stream.encrypt(server, settings, wait).await?;
    }
    let starttls = settings.smtp_tls == SmtpTls::Starttls;
    let mut dialogue = Dialogue::new(envelope, starttls, login);
    let mut bytes = [0; 1024];
    loop {
        let read = timeout(wait, stream.read(&mut bytes)).await;
        let heard = match read {
            Err(_) => Err(MailError::Timeout(wait)),
            Ok(Err(error)) => Err(MailError::Io(error)),
            Ok(Ok(len)) => Ok(len),
        };
        let len = match heard {
            Ok(len) => len,
            // It had the message before.
            Err(_) if dialogue.is_taken() => 0,
            Err(error) => return Err(error),
        };
        let heard = bytes.get(..len).unwrap_or_default();
        let line = match dialogue.hear(heard).map_err(MailError::Smtp)? {
            Next::Wait => continue,
            Next::Taken(refused) => return Ok(refused),
            Next::Say(line) => line,
            Next::Encrypt => {
                stream = stream.encrypt(server, settings, wait).await?;
                dialogue.encrypted()
            }
        };
        match timeout(wait, stream.say(&line)).await {
            Err(_) => return Err(MailError::Timeout(wait)),
            // What it said before it hung up is read first.
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(MailError::Io(error));
            }
            Ok(_) => {}
        }
    }
}

/// Name and password, read anew for each mail: whoever changes the file need not reload.
fn login(settings: &MailSettings) -> Result<Option<Login>, MailError> {
    let (Some(user), Some(file)) = (&settings.smtp_user, &settings.smtp_password_file) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(file).map_err(|error| {
        let why = format!("read the password of {user} from {file}: {}", Words(&error));
        MailError::Secure(why)
    })?;
    let password = text.lines().next().unwrap_or_default().to_owned();
    Ok(Some(Login {
        user: user.clone(),
        password,
    }))
}

/// The way to the server.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    async fn encrypt(
        self,
        server: &SmtpServer,
        settings: &MailSettings,
        wait: Duration,
    ) -> Result<Stream, MailError> {
        // There is no TLS in TLS.
        let Stream::Plain(stream) = self else {
            return Ok(self);
        };
        match timeout(wait, tls::encrypt(stream, &server.host, settings)).await {
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
            Ok(Err(why)) => Err(MailError::Secure(why)),
            Err(_) => Err(MailError::Timeout(wait)),
        }
    }

    async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(bytes).await,
            Stream::Tls(stream) => stream.read(bytes).await,
        }
    }

    async fn say(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.write_all(line).await,
            Stream::Tls(stream) => {
                stream.write_all(line).await?;
                stream.flush().await
            }
        }
    }
}

async fn connect(server: &SmtpServer, wait: Duration) -> Result<TcpStream, MailError> {
    let found = timeout(wait, lookup_host((server.host.as_str(), server.port))).await;
    let addresses = found
        .map_err(|_| MailError::Timeout(wait))?
        .map_err(MailError::Resolve)?;
    let mut last = MailError::Resolve(io::Error::other("it has no address"));
    for address in addresses {
        match timeout(wait, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = MailError::Connect(error),
            Err(_) => last = MailError::Timeout(wait),
        }
    }
    Err(last)
}
