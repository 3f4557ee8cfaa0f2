use std::io::Read as _;
use std::net::TcpListener;

use rustls::pki_types::PrivateKeyDer;

use super::*;

fn file(name: &str) -> String {
    format!("{}/src/notify/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Speaks TLS with one client, as mail.example.org, with a certificate of an authority that nobody knows.
fn server() -> std::net::SocketAddr {
    let pem = file("test_server.pem");
    let certificates = CertificateDer::pem_file_iter(&pem).unwrap();
    let certificates = certificates.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&pem).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let _ = rustls::StreamOwned::new(connection, stream).read(&mut [0; 10]);
    });
    address
}

fn meets(host: &str, ca: Option<&str>, verify: Option<bool>) -> Result<(), String> {
    let settings = MailSettings {
        smtp_tls_ca: ca.map(file),
        smtp_tls_verify: verify,
        ..MailSettings::default()
    };
    let address = server();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        encrypt(stream, host, &settings).await.map(drop)
    })
}

#[test]
fn only_a_server_of_that_name_that_somebody_known_vouches_for_is_believed() {
    let known = Some("test_ca.pem");
    assert_eq!(meets("mail.example.org", known, None), Ok(()));
    let refused = meets("other.example.org", known, None).unwrap_err();
    assert!(
        refused.starts_with("its certificate is not believed"),
        "{refused}"
    );
    let refused = meets("192.0.2.1", known, None).unwrap_err();
    assert!(refused.contains("`@vipd smtp_tls_verify off`"), "{refused}");
    let stranger = meets("mail.example.org", Some("test_server.pem"), None).unwrap_err();
    assert!(stranger.contains("`@vipd smtp_tls_ca FILE`"), "{stranger}");
    assert_eq!(meets("other.example.org", None, Some(false)), Ok(()));
    let absent = meets("mail.example.org", Some("none.pem"), None).unwrap_err();
    assert!(absent.starts_with("read certificates of "), "{absent}");
}
