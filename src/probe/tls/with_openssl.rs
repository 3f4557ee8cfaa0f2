//! TLS by the system's OpenSSL, as its openssl.cnf says.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{self, Ssl, SslContext, SslMethod, SslSessionCacheMode, SslVerifyMode};
use openssl::x509::X509;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::config::model::SslSettings;
use crate::errno::Words;

use super::super::ProbeError;
use super::{OwnKey, own_key};

/// Settings of every TLS connection.
pub(in crate::probe) struct Tls {
    context: SslContext,
}

impl Tls {
    /// With the keys that `SSL` names.
    ///
    /// # Errors
    /// In words: which file cannot be used, and why.
    pub(in crate::probe) fn new(ssl: Option<&SslSettings>) -> Result<Tls, String> {
        let own = ssl.and_then(own_key).transpose()?;
        let context = context(own.as_ref()).map_err(|error| match own {
            Some(_) => format!("SSL: `certificate` and `key` cannot be used: {error}"),
            None => format!("set TLS up: {error}"),
        })?;
        Ok(Tls { context })
    }

    /// `name`: told to the server (SNI), if it is a name that can be told.
    pub(in crate::probe) async fn connect(
        &self,
        stream: TcpStream,
        name: Option<&str>,
        _: IpAddr,
    ) -> Result<SslStream<Endless>, ProbeError> {
        let prepare = || {
            let mut ssl = Ssl::new(&self.context)?;
            let name = name.map(|name| name.split(':').next().unwrap_or(name));
            // An address is never told (RFC 6066 section 3).
            if let Some(name) = name.filter(|name| name.parse::<IpAddr>().is_err()) {
                ssl.set_hostname(name)?;
            }
            SslStream::new(ssl, Endless(stream))
        };
        let mut stream = prepare().map_err(|error| {
            ProbeError::prepare(|| "set TLS up".to_owned())(io::Error::other(error))
        })?;
        match Pin::new(&mut stream).connect().await {
            Ok(()) => Ok(stream),
            Err(error) => Err(handshake_error(&error)),
        }
    }
}

fn context(own: Option<&OwnKey>) -> Result<SslContext, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    builder.set_verify(SslVerifyMode::NONE);
    // Each check begins anew; that it could go on from the one before says nothing.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    if let Some((certificates, key)) = own {
        for (number, certificate) in certificates.iter().enumerate() {
            let certificate = X509::from_der(certificate)?;
            match number {
                0 => builder.set_certificate(&certificate)?,
                _ => builder.add_extra_chain_cert(certificate)?,
            }
        }
        builder.set_private_key(&*PKey::private_key_from_der(key.secret_der())?)?;
        builder.check_private_key()?;
    }
    Ok(builder.build())
}

/// A connection whose end is an error: TLS has an end of its own, which comes before it.
pub(in crate::probe) struct Endless(TcpStream);

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = bytes.filled().len();
        let read = ready!(Pin::new(&mut self.0).poll_read(cx, bytes));
        let ended = read.is_ok() && bytes.filled().len() == before;
        Poll::Ready(match ended {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => read,
        })
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Why a handshake failed. That a server is older than this system allows is no fault of the server's.
fn handshake_error(error: &ssl::Error) -> ProbeError {
    if let Some(error) = error.io_error() {
        return ProbeError::Answer(format!("TLS handshake: {}", Words(error)));
    }
    let Some(stack) = error.ssl_error() else {
        return ProbeError::Answer("TLS handshake: the server closed the connection".to_owned());
    };
    let reasons: Vec<&str> = stack.errors().iter().filter_map(|e| e.reason()).collect();
    let why = reasons.join(", ");
    let says = |word: &str| why.contains(word);
    let too_old = [
        "handshake failure",
        "protocol version",
        "insufficient security",
    ]
    .into_iter()
    .chain([
        "unsupported protocol",
        "too small",
        "no protocols",
        "wrong signature",
    ])
    .any(says);
    ProbeError::Answer(match too_old {
        false if says("wrong version number") || says("packet length too long") => {
            format!("TLS handshake: what the server says is not TLS ({why})")
        }
        false => format!("TLS handshake: {why}"),
        true => format!(
            "TLS handshake: {why}; it may be that the server is well and older than the OpenSSL of this \
             system allows: lower MinProtocol and the SECLEVEL of CipherString in openssl.cnf, or use \
             TCP_CHECK"
        ),
    })
}
