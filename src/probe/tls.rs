//! TLS for `SSL_GET`: whether the server speaks it, not who it is. As keepalived does, no certificate is
//! looked at; a key of our own is shown to servers that ask for one.
//!
//! By rustls, which is part of the program and takes nothing that is weak by now; with the feature
//! `openssl` by the system's library, which keepalived uses, too, and which takes what old servers offer.

#[cfg(feature = "openssl")]
mod with_openssl;
#[cfg(not(feature = "openssl"))]
mod with_rustls;

#[cfg(feature = "openssl")]
pub(super) use with_openssl::Tls;
#[cfg(not(feature = "openssl"))]
pub(super) use with_rustls::Tls;

use std::io;
use std::path::Path;

use rustls::AlertDescription;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::model::SslSettings;
use crate::errno::Words;

use super::ProbeError;

/// `certificate` and `key`; the key may stand in the certificate's file.
pub(super) type OwnKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub(super) fn own_key(ssl: &SslSettings) -> Option<Result<OwnKey, String>> {
    let certificate = ssl.certificate.as_deref()?;
    let key = ssl.key.as_deref().unwrap_or(certificate);
    let both = || Ok((certificates(certificate)?, private_key(key)?));
    Some(both())
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(Path::new(file))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable("certificate", file, &error))?;
    match read.is_empty() {
        true => Err(format!("SSL: `certificate` {file} has no certificate")),
        false => Ok(read),
    }
}

fn private_key(file: &str) -> Result<PrivateKeyDer<'static>, String> {
    let bytes =
        std::fs::read(file).map_err(|error| unreadable("key", file, &pem::Error::Io(error)))?;
    let says = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    if says(b"BEGIN ENCRYPTED PRIVATE KEY") || says(b"Proc-Type: 4,ENCRYPTED") {
        return Err(format!(
            "SSL: `key` {file} is encrypted, and vipd does not take a `password`; write it without one: \
             openssl pkey -in {file} -out NEW, and make NEW readable by root alone"
        ));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| unreadable("key", file, &error))
}

fn unreadable(keyword: &str, file: &str, error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => format!("SSL: read `{keyword}` {file}: {}", Words(error)),
        pem::Error::NoItemsFound => format!("SSL: `{keyword}` {file} has none in it"),
        error => format!("SSL: `{keyword}` {file} is not PEM: {error}"),
    }
}

/// Why a handshake of rustls failed; that a server is too old for it is no fault of the server's. `instead`:
/// who does not speak with such servers, and what to do.
pub(super) fn handshake_error(error: &io::Error, instead: &str) -> ProbeError {
    use AlertDescription::{HandshakeFailure, InsufficientSecurity, ProtocolVersion};
    let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        return ProbeError::Answer(format!("TLS handshake: {}", Words(error)));
    };
    ProbeError::Answer(match tls {
        rustls::Error::InvalidMessage(_) => {
            format!("TLS handshake: what the server says is not TLS ({tls})")
        }
        rustls::Error::AlertReceived(HandshakeFailure | InsufficientSecurity | ProtocolVersion)
        | rustls::Error::PeerIncompatible(_) => format!(
            "TLS handshake: {tls}; it may be that the server is well and offers nothing newer than \
             TLS 1.1, or TLS 1.2 with CBC or static RSA, which {instead}"
        ),
        tls => format!("TLS handshake: {tls}"),
    })
}

#[cfg(test)]
mod tests;
