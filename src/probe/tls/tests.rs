use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use super::Tls;
use crate::probe::tcp;
use crate::probe::tests::{local, run};

/// A server that is too old for whoever asks: it ends the handshake with this alert (RFC 8446 section 6).
fn refuses(alert: u8) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = local(listener.local_addr().unwrap(), Duration::from_secs(5));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 2000]);
        let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, alert]);
        let _ = stream.read(&mut [0; 2000]);
    });
    let tls = Tls::new(None).unwrap();
    let connected = run(async {
        let stream = tcp::open(&options).await?;
        tls.connect(stream, None, [127, 0, 0, 1].into()).await
    });
    connected.err().unwrap().to_string()
}

#[test]
fn a_server_that_is_too_old_is_said_to_be_perhaps_well_and_what_to_do() {
    const HANDSHAKE_FAILURE: u8 = 40;
    const PROTOCOL_VERSION: u8 = 70;
    const INTERNAL_ERROR: u8 = 80;
    let what = match cfg!(feature = "openssl") {
        true => "openssl.cnf",
        false => "--features openssl",
    };
    for alert in [HANDSHAKE_FAILURE, PROTOCOL_VERSION] {
        let said = refuses(alert);
        for part in [
            "TLS handshake: ",
            "the server is well",
            what,
            "use TCP_CHECK",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
    let said = refuses(INTERNAL_ERROR);
    assert!(
        said.starts_with("TLS handshake: ") && !said.contains("well"),
        "{said}"
    );
}

#[cfg(feature = "openssl")]
#[test]
fn old_servers_are_spoken_with() {
    use openssl::asn1::Asn1Time;
    use openssl::hash::MessageDigest;
    use openssl::pkey::PKey;
    use openssl::rsa::Rsa;
    use openssl::ssl::{Ssl, SslContext, SslMethod, SslVersion};
    use openssl::x509::X509;
    use tokio_openssl::SslStream;
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut certificate = X509::builder().unwrap();
    certificate.set_pubkey(&key).unwrap();
    let days = |days| Asn1Time::days_from_now(days).unwrap();
    certificate.set_not_before(&days(0)).unwrap();
    certificate.set_not_after(&days(1)).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    let certificate = certificate.build();
    for ciphers in ["AES128-SHA", "ECDHE-RSA-AES128-SHA", "AES256-GCM-SHA384"] {
        let mut builder = SslContext::builder(SslMethod::tls_server()).unwrap();
        builder.set_certificate(&certificate).unwrap();
        builder.set_private_key(&key).unwrap();
        builder
            .set_max_proto_version(Some(SslVersion::TLS1_2))
            .unwrap();
        builder.set_cipher_list(ciphers).unwrap();
        let context = builder.build();
        let tls = Tls::new(None).unwrap();
        run(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let options = local(listener.local_addr().unwrap(), Duration::from_secs(5));
            let serve = async {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = SslStream::new(Ssl::new(&context).unwrap(), stream).unwrap();
                std::pin::Pin::new(&mut stream).accept().await.unwrap();
            };
            let ask = async {
                let stream = tcp::open(&options).await.unwrap();
                tls.connect(stream, None, [127, 0, 0, 1].into())
                    .await
                    .unwrap();
            };
            tokio::join!(serve, ask);
        });
    }
}
