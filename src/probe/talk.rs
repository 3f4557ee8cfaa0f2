//! Holding a [`Conversation`] with a server: time and bytes are limited here, what is said is the
//! conversation's.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::config::model::ConnectOptions;
use crate::wire::talk::{Conversation, Next};

use super::backend::Secure;
use super::read::read;
use super::{ProbeError, tcp};

/// A server that says more than this in one conversation does not end.
const HEARD_MAX: usize = 1024 * 1024;

/// The connection must be there within `connect_timeout`, and all else be over within as much again.
/// `secure`: how TLS is set up; `at_once`: before the first word.
///
/// # Errors
/// It could not be held, or the server did not say what it should.
pub(super) async fn hold<C: Conversation>(
    connect: &ConnectOptions,
    secure: Option<Secure<'_>>,
    at_once: bool,
    mut conversation: C,
) -> Result<C::Found, ProbeError> {
    let limit = connect.connect_timeout;
    let stream = tcp::open(connect).await?;
    let talk = async {
        let mut heard = Vec::new();
        let stream = match at_once {
            true => stream,
            false => match run(&mut conversation, stream, &mut heard).await? {
                End::Found(found) => return Ok(found),
                End::Secure(stream) => stream,
            },
        };
        // What was said before in the clear is not part of what is said in private.
        if !heard.is_empty() {
            let why = "the server says more before TLS begins than it should".to_owned();
            return Err(ProbeError::Answer(why));
        }
        let stream = start_tls(secure, stream).await?;
        match run(&mut conversation, stream, &mut heard).await? {
            End::Found(found) => Ok(found),
            End::Secure(_) => Err(ProbeError::Answer("TLS is asked for twice".to_owned())),
        }
    };
    match timeout(limit, talk).await {
        Ok(found) => found,
        Err(_) => Err(ProbeError::Timeout(limit)),
    }
}

async fn start_tls(
    secure: Option<Secure<'_>>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, ProbeError> {
    match secure {
        Some(secure) => secure.connect(stream).await,
        None => Err(ProbeError::Answer("TLS is asked for".to_owned())),
    }
}

enum End<F, S> {
    Found(F),
    Secure(S),
}

async fn run<C: Conversation, S>(
    conversation: &mut C,
    mut stream: S,
    heard: &mut Vec<u8>,
) -> Result<End<C::Found, S>, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut in_all = 0;
    loop {
        let mut say = Vec::new();
        let next = conversation.hear(heard, &mut say);
        if !say.is_empty() {
            let write = async {
                stream.write_all(&say).await?;
                stream.flush().await
            };
            // What the server said is the better reason, if it said no.
            if let (Err(error), Ok(_)) = (write.await, &next) {
                return Err(ProbeError::talk("write")(error));
            }
        }
        match next.map_err(ProbeError::Answer)? {
            Next::Over(found) => return Ok(End::Found(found)),
            Next::Secure => return Ok(End::Secure(stream)),
            Next::More => {}
        }
        let hear = |bytes: &[u8]| {
            heard.extend(bytes);
            bytes.len()
        };
        match read(&mut stream, hear)
            .await
            .map_err(ProbeError::talk("read"))?
        {
            0 => {
                let found = conversation.closed(heard).map_err(ProbeError::Answer)?;
                return Ok(End::Found(found));
            }
            length => in_all += length,
        }
        if in_all > HEARD_MAX {
            let why = format!("the answer goes on after {} MiB", HEARD_MAX >> 20);
            return Err(ProbeError::Answer(why));
        }
    }
}
