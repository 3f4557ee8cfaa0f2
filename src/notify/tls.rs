//! TLS to the mail server: who it is matters, since it gets a password and what we know.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::model::MailSettings;
use crate::wire::tls::anybody;

/// Where distributions keep the certificates that they trust.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Encrypts a connection to `host`.
///
/// # Errors
/// In words: what cannot be used, or why the server is not believed.
pub(super) async fn encrypt(
    stream: TcpStream,
    host: &str,
    settings: &MailSettings,
) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("`{host}` is no name that a certificate could have"))?;
    let connector = connector(settings)?;
    let connected = connector.connect(name, stream).await;
    connected.map_err(|error| handshake_error(&error))
}

fn connector(settings: &MailSettings) -> Result<TlsConnector, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("set TLS up: {error}"))?;
    let mut config = if settings.smtp_tls_verify == Some(false) {
        builder
            .dangerous()
            .with_custom_certificate_verifier(anybody())
            .with_no_client_auth()
    } else {
        let roots = roots(settings.smtp_tls_ca.as_deref())?;
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(named: Option<&str>) -> Result<RootCertStore, String> {
    let file = match named {
        Some(file) => file,
        None => SYSTEM
            .into_iter()
            .find(|file| Path::new(file).exists())
            .ok_or(
                "this system has no list of certificates to check it with: install ca-certificates, \
                 or name a file by `@vipd smtp_tls_ca FILE`",
            )?,
    };
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("read certificates of {file}: {error}"))?;
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(certificates);
    match taken {
        0 => Err(format!("{file} has no certificate that could be used")),
        _ => Ok(roots),
    }
}

fn handshake_error(error: &io::Error) -> String {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => format!(
            "its certificate is not believed ({why}): name who signed it by `@vipd smtp_tls_ca FILE`, its \
             name by `smtp_server`, or do without by `@vipd smtp_tls_verify off`"
        ),
        Some(rustls::Error::InvalidMessage(_)) => {
            "TLS handshake: what it says is not TLS; a server that speaks plainly first wants \
             `@vipd smtp_tls starttls`"
                .to_owned()
        }
        Some(tls) => format!("TLS handshake: {tls}"),
        None => format!("TLS handshake: {error}"),
    }
}

#[cfg(test)]
mod tests;
