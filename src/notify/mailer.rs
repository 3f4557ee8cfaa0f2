//! The way to the mail server: names, connections, and the time that each may take.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::config::model::SmtpServer;
use crate::errno::Words;
use crate::notice::{Dialogue, Envelope, Next, SmtpError};

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
    wait: Duration,
    envelope: Envelope,
) -> Result<Vec<String>, MailError> {
    let all = wait * WAITS_MAX;
    match timeout(all, converse(server, wait, envelope)).await {
        Ok(result) => result,
        Err(_) => Err(MailError::Timeout(all)),
    }
}

async fn converse(
    server: &SmtpServer,
    wait: Duration,
    envelope: Envelope,
) -> Result<Vec<String>, MailError> {
    let mut stream = connect(server, wait).await?;
    let mut dialogue = Dialogue::new(envelope);
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
        match dialogue.hear(heard).map_err(MailError::Smtp)? {
            Next::Wait => {}
            Next::Taken(refused) => return Ok(refused),
            Next::Say(line) => {
                let written = timeout(wait, stream.write_all(&line)).await;
                match written {
                    Err(_) => return Err(MailError::Timeout(wait)),
                    // What it said before it hung up is read first.
                    Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                        return Err(MailError::Io(error));
                    }
                    Ok(_) => {}
                }
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
