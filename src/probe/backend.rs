//! vipd's own checks: whom they log in as, how TLS is set up for them, and who judges what was found.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
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

use crate::config::Config;
use crate::config::model::{
    Backend, BackendCheck, BackendTls, CheckerKind, Secret, SslSettings, TlsMode,
};
use crate::errno::Words;
use crate::health::{
    CheckOutcome, agent_outcome, grpc_outcome, mysql_outcome, mysql_questions, pgsql_outcome,
    pgsql_statements, redis_outcome,
};
use crate::wire::tls::anybody;
use crate::wire::{agent, grpc, mysql, pgsql, redis};

use super::tls::{handshake_error, own_key};
use super::{Kit, ProbeError, talk};

/// Where Debian keeps the certificates of those whom everybody trusts.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";
/// A file with more in it holds no password.
const PASSWORD_MAX: usize = 1024;

/// Asks one server.
///
/// # Errors
/// It cannot be asked, or does not answer as it should.
pub(super) async fn ask(kit: &Kit, check: &BackendCheck) -> Result<CheckOutcome, ProbeError> {
    let logins = &kit.logins;
    let secure = logins.secure(check);
    let user = check.user.as_deref();
    let password = logins.password(check);
    let connect = &check.connect;
    match &check.backend {
        Backend::Redis { role } => {
            let asks = redis::Asks::new(user, password, role.is_some());
            let at_once = check.tls.mode != TlsMode::Off;
            let pong = talk::hold(connect, secure, at_once, asks).await?;
            Ok(redis_outcome(&pong, *role))
        }
        Backend::Haproxy { send } => {
            let asks = agent::Asks::new(send.as_deref());
            let said = talk::hold(connect, None, false, asks).await?;
            Ok(agent_outcome(&said))
        }
        Backend::Grpc { service, authority } => {
            let at_once = check.tls.mode != TlsMode::Off;
            let whom = connect.destination.to_string();
            let authority = authority.as_deref().unwrap_or(&whom);
            let asks = grpc::Asks::new(service, authority, at_once);
            let health = talk::hold(connect, secure, at_once, asks).await?;
            Ok(grpc_outcome(&health, service))
        }
        Backend::Mysql { database, wants } => {
            let login = mysql::Login {
                user: user.unwrap_or_default().to_owned(),
                password: password.unwrap_or_default().to_owned(),
                database: database.clone(),
                tls: wants_tls(check.tls.mode),
            };
            let asks = mysql::Asks::new(login, mysql_questions(wants));
            let report = talk::hold(connect, secure, false, asks).await?;
            Ok(mysql_outcome(&report, wants))
        }
        Backend::Pgsql { database, wants } => {
            let login = pgsql::Login {
                user: user.unwrap_or_default().to_owned(),
                password: password.map(str::to_owned),
                database: database.clone().unwrap_or_else(|| "postgres".to_owned()),
                tls: wants_tls(check.tls.mode),
                nonce: nonce()?,
            };
            let asks = pgsql::Asks::new(login, pgsql_statements(wants));
            let answers = talk::hold(connect, secure, false, asks).await?;
            Ok(pgsql_outcome(&answers, wants))
        }
    }
}

/// `None`: if the server has it.
fn wants_tls(mode: TlsMode) -> Option<bool> {
    match mode {
        TlsMode::Off => Some(false),
        TlsMode::Prefer => None,
        TlsMode::On | TlsMode::Verify => Some(true),
    }
}

/// Random, printable, without a comma.
fn nonce() -> Result<String, ProbeError> {
    let random: [u8; 18] = ring::rand::generate(&ring::rand::SystemRandom::new())
        .map_err(|_| std::io::ErrorKind::Unsupported.into())
        .map_err(ProbeError::prepare(|| "read random bytes".to_owned()))?
        .expose();
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How TLS is set up with one server.
pub(super) struct Secure<'a> {
    connector: &'a TlsConnector,
    name: Option<&'a str>,
    address: IpAddr,
}

impl Secure<'_> {
    pub(super) async fn connect(
        self,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ProbeError> {
        let name = self.name.map(str::to_owned);
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let name = name.unwrap_or_else(|| ServerName::from(self.address));
        let connecting = self.connector.connect(name, stream);
        let connected = connecting.await;
        connected.map_err(|error| handshake_error(&error, "vipd does not speak here"))
    }
}

/// Passwords and TLS settings, read once with the configuration.
#[derive(Default)]
pub(super) struct Logins {
    passwords: BTreeMap<String, Secret>,
    connectors: BTreeMap<Manner, TlsConnector>,
}

/// How TLS is spoken.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Manner {
    /// File of those whom to trust; `None`: anybody.
    trusted: Option<String>,
    /// For HTTP/2, which servers of gRPC want to be told (RFC 9113 section 3.2).
    h2: bool,
}

impl Manner {
    fn new(tls: &BackendTls, h2: bool) -> Manner {
        let file = || tls.ca.clone().unwrap_or_else(|| TRUSTED.to_owned());
        let trusted = (tls.mode == TlsMode::Verify).then(file);
        Manner { trusted, h2 }
    }

    fn of(check: &BackendCheck) -> Manner {
        Manner::new(&check.tls, matches!(check.backend, Backend::Grpc { .. }))
    }
}

impl Logins {
    /// Reads the files that the checks of a configuration name.
    ///
    /// # Errors
    /// In words: which file cannot be used, and why.
    pub(super) fn new(config: &Config) -> Result<Logins, String> {
        let mut logins = Logins::default();
        for checker in config.checkers() {
            let CheckerKind::Backend(check) = &checker.kind else {
                continue;
            };
            let keyword = check.backend.keyword();
            if let Some(file) = &check.password_file
                && !logins.passwords.contains_key(file)
            {
                let password = password_in(file).map_err(|why| format!("{keyword}: {why}"))?;
                logins.passwords.insert(file.clone(), password);
            }
            if check.tls.mode != TlsMode::Off {
                logins.add(Manner::of(check), config, keyword)?;
            }
        }
        Ok(logins)
    }

    /// Makes TLS ready for pages; `h2`: over HTTP/2.
    pub(super) fn look(
        &mut self,
        tls: &BackendTls,
        h2: bool,
        config: &Config,
    ) -> Result<(), String> {
        self.add(Manner::new(tls, h2), config, "SSL_GET")
    }

    fn add(&mut self, manner: Manner, config: &Config, keyword: &str) -> Result<(), String> {
        if let Entry::Vacant(place) = self.connectors.entry(manner) {
            let connector = connector(config.ssl.as_ref(), place.key());
            place.insert(connector.map_err(|why| format!("{keyword}: {why}"))?);
        }
        Ok(())
    }

    /// For the server of a page, which is told this name and whose certificate is that of the name, else of its
    /// address, if it is looked at.
    pub(super) fn looking<'a>(
        &'a self,
        (tls, h2): (&BackendTls, bool),
        name: Option<&'a str>,
        address: IpAddr,
    ) -> Option<Secure<'a>> {
        Some(Secure {
            connector: self.connectors.get(&Manner::new(tls, h2))?,
            name,
            address,
        })
    }

    fn password<'a>(&'a self, check: &'a BackendCheck) -> Option<&'a str> {
        let read = check.password_file.as_ref();
        let read = read.and_then(|file| self.passwords.get(file));
        read.or(check.password.as_ref()).map(Secret::reveal)
    }

    fn secure<'a>(&'a self, check: &'a BackendCheck) -> Option<Secure<'a>> {
        if check.tls.mode == TlsMode::Off {
            return None;
        }
        Some(Secure {
            connector: self.connectors.get(&Manner::of(check))?,
            name: check.tls.name.as_deref(),
            address: check.connect.destination.addr,
        })
    }
}

/// The first line of a file.
fn password_in(file: &str) -> Result<Secret, String> {
    let bytes = std::fs::read(file)
        .map_err(|error| format!("read `password_file` {file}: {}", Words(&error)))?;
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).ok();
    match text.filter(|text| !text.is_empty() && text.len() <= PASSWORD_MAX) {
        Some(text) => Ok(Secret::new(text)),
        None => Err(format!(
            "`password_file` {file} has no password in its first line"
        )),
    }
}

fn connector(ssl: Option<&SslSettings>, manner: &Manner) -> Result<TlsConnector, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("set TLS up: {error}"))?;
    let builder = match &manner.trusted {
        Some(file) => builder.with_root_certificates(roots(file)?),
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(anybody()),
    };
    let mut config = match ssl.and_then(own_key).transpose()? {
        None => builder.with_no_client_auth(),
        Some((certificates, key)) => builder
            .with_client_auth_cert(certificates, key)
            .map_err(|error| format!("SSL: `certificate` and `key` cannot be used: {error}"))?,
    };
    config.resumption = Resumption::disabled();
    if manner.h2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(file: &str) -> Result<RootCertStore, String> {
    let read = CertificateDer::pem_file_iter(Path::new(file))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("read `tls_ca` {file}: {error}"))?;
    let mut roots = RootCertStore::empty();
    let (used, _) = roots.add_parsable_certificates(read);
    match used {
        0 => Err(format!(
            "`tls_ca` {file} has no certificate that can be used"
        )),
        _ => Ok(roots),
    }
}

#[cfg(test)]
mod tests;
