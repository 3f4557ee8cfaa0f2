//! TLS 1.2 and 1.3 by rustls.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::model::SslSettings;
use crate::wire::tls::anybody;

use super::super::ProbeError;
use super::{handshake_error, own_key};

/// What to do about a server that is older.
const INSTEAD: &str = "this build of vipd does not speak: install its package or build it with \
    `--features openssl`, or use TCP_CHECK";

/// Settings of every TLS connection.
pub(in crate::probe) struct Tls {
    connector: TlsConnector,
}

impl Tls {
    /// With the keys that `SSL` names.
    ///
    /// # Errors
    /// In words: which file cannot be used, and why.
    pub(in crate::probe) fn new(ssl: Option<&SslSettings>) -> Result<Tls, String> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("set TLS up: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(anybody());
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
    pub(in crate::probe) async fn connect(
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
        let connected = connecting.await;
        connected.map_err(|error| handshake_error(&error, INSTEAD))
    }
}
