//! TLS for `SSL_GET`: whether the server speaks it, not who it is. As keepalived does, no certificate is
//! looked at; a key of our own is shown to servers that ask for one.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::model::SslSettings;
use crate::errno::Words;

use super::ProbeError;

/// Settings of every TLS connection.
pub(super) struct Tls {
    connector: TlsConnector,
}

impl Tls {
    /// With the keys that `SSL` names.
    ///
    /// # Errors
    /// In words: which file cannot be used, and why.
    pub(super) fn new(ssl: Option<&SslSettings>) -> Result<Tls, String> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("set TLS up: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody));
        let mut config = match ssl.and_then(own_key).transpose()? {
            None => builder.with_no_client_auth(),
            Some((certificates, key)) => builder
                .with_client_auth_cert(certificates, key)
                .map_err(|error| format!("SSL: `certificate` and `key` cannot be used: {error}"))?,
        };
        // Each check begins anew; that it could go on from the one before says nothing.
        config.resumption = Resumption::disabled();
        Ok(Tls {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// `name`: told to the server (SNI), if it is a name that can be told.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        name: Option<&str>,
        address: IpAddr,
    ) -> Result<TlsStream<TcpStream>, ProbeError> {
        let name = name.map(|name| name.split(':').next().unwrap_or(name).to_owned());
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        // An address is never told (RFC 6066 section 3).
        let name = name.unwrap_or_else(|| ServerName::from(address));
        let connecting = self.connector.connect(name, stream);
        connecting.await.map_err(|error| handshake_error(&error))
    }
}

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

/// Why a handshake failed. That a server is too old for this build is no fault of the server's.
pub(super) fn handshake_error(error: &io::Error) -> ProbeError {
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
             TLS 1.1, or TLS 1.2 with CBC or static RSA, which vipd does not speak"
        ),
        tls => format!("TLS handshake: {tls}"),
    })
}

/// Whoever answers is the server.
#[derive(Debug)]
pub(super) struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    /// Everything that has a name: what the server signs with is not looked at.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        use SignatureScheme as S;
        vec![
            S::ECDSA_NISTP256_SHA256,
            S::ECDSA_NISTP384_SHA384,
            S::ECDSA_NISTP521_SHA512,
            S::ED25519,
            S::ED448,
            S::RSA_PSS_SHA256,
            S::RSA_PSS_SHA384,
            S::RSA_PSS_SHA512,
            S::RSA_PKCS1_SHA256,
            S::RSA_PKCS1_SHA384,
            S::RSA_PKCS1_SHA512,
            S::ECDSA_SHA1_Legacy,
            S::RSA_PKCS1_SHA1,
        ]
    }
}
