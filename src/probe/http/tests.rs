use super::*;
use crate::config::model::{
    BackendTls, HttpMethod, Secret, ServerCertificate, SslSettings, TlsMode,
};
use crate::probe::tests::{local, run};
use crate::probe::tls::Tls;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

const LIMIT: Duration = Duration::from_millis(400);

fn key_file() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/probe/http/test_key.pem");
    path.to_string_lossy().into_owned()
}

/// Serves one client: tells what it asked, and answers with these pieces.
fn server(serve: impl FnOnce(&mut TcpStream) + Send + 'static) -> (HttpCheck, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, asked) = channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = tell.send(hear(&mut stream));
        serve(&mut stream);
    });
    let url = HttpUrl::new("/health?x=1");
    let check = HttpCheck {
        scheme: HttpScheme::Http,
        connect: local(address, LIMIT),
        protocol: HttpProtocol::V1_0,
        virtualhost: None,
        enable_sni: false,
        sni_name: None,
        fast_recovery: false,
        tls_compliant: false,
        certificate: None,
        urls: vec![url].into(),
    };
    (check, asked)
}

/// A request up to its empty line.
fn hear(stream: &mut impl Read) -> String {
    let mut heard = Vec::new();
    let mut byte = [0];
    while !heard.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        heard.push(byte[0]);
    }
    String::from_utf8(heard).unwrap()
}

fn answers(text: &'static str) -> (HttpCheck, Receiver<String>) {
    server(move |stream| stream.write_all(text.as_bytes()).unwrap())
}

fn verdict(check: &HttpCheck) -> Result<Option<String>, String> {
    let kit = Kit::for_check(check).unwrap();
    run(ask(&kit, check, 0)).map_err(|error| error.to_string())
}

fn said(check: &HttpCheck) -> String {
    verdict(check).unwrap_err()
}

#[test]
fn the_request_is_keepalived_s_and_a_good_answer_is_well() {
    let (mut check, asked) = answers("HTTP/1.0 200 OK\r\n\r\nhello");
    assert_eq!(verdict(&check), Ok(None));
    let port = check.connect.destination.port;
    assert_eq!(
        asked.recv().unwrap(),
        format!(
            "GET /health?x=1 HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 127.0.0.1:{port}\r\n\r\n"
        )
    );
    let (again, asked) = answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    check.connect = again.connect;
    check.protocol = HttpProtocol::V1_1;
    check.virtualhost = Some("www.example.org".to_owned());
    assert_eq!(verdict(&check), Ok(None));
    let asked = asked.recv().unwrap();
    assert!(
        asked.contains(" HTTP/1.1\r\n") && asked.contains("\r\nConnection: close\r\n"),
        "{asked}"
    );
    assert!(
        asked.ends_with("\r\nHost: www.example.org\r\n\r\n"),
        "{asked}"
    );
}

#[test]
fn a_check_ends_when_the_answer_does_though_the_connection_stays() {
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        let (check, _asked) = server(move |stream| {
            stream.write_all(text.as_bytes()).unwrap();
            // Open until the client is gone.
            let _ = stream.read(&mut [0]);
        });
        assert_eq!(verdict(&check), Ok(None), "{text}");
    }
}

#[test]
fn wrong_answers_are_failures_that_say_what_was_asked() {
    let (check, _asked) = answers("HTTP/1.1 503 Busy\r\n\r\n");
    assert_eq!(said(&check), "GET /health?x=1: status 503, not 200-299");
    let (check, _asked) = answers("220 mail ESMTP\r\n");
    assert_eq!(
        said(&check),
        "GET /health?x=1: the answer is not HTTP, it begins with `220 mail ESMTP`"
    );
    let (check, _asked) = answers("");
    assert_eq!(
        said(&check),
        "GET /health?x=1: the connection was closed without an answer"
    );
    let (check, _asked) = answers("HTTP/1.1 200 OK\r\nServ");
    assert_eq!(
        said(&check),
        "GET /health?x=1: the connection was closed within the header of the answer"
    );
}

#[test]
fn half_an_answer_passes_as_in_keepalived_and_is_remarked_on() {
    let (check, _asked) = answers("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    let remark = verdict(&check).unwrap().unwrap();
    assert_eq!(remark, "the page ended after 4 of 9 bytes (Content-Length)");
}

#[test]
fn slow_and_endless_answers_end() {
    let (check, _asked) = server(|stream| {
        let _ = stream.read(&mut [0]);
    });
    assert_eq!(said(&check), "no answer within 400ms");
    let (check, _asked) = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nsome").unwrap();
        let _ = stream.read(&mut [0]);
    });
    assert_eq!(
        said(&check),
        "GET /health?x=1: the answer stopped for 400ms"
    );
    let (mut check, _asked) = server(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b"drip").is_ok() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    });
    check.connect.connect_timeout = Duration::from_millis(50);
    assert_eq!(
        said(&check),
        "GET /health?x=1: the answer does not end within 500ms"
    );
    let (mut check, _asked) = server(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let flood = vec![b'x'; 1 << 20];
        while stream.write_all(&flood).is_ok() {}
    });
    check.connect.connect_timeout = Duration::from_secs(60);
    assert_eq!(
        said(&check),
        "GET /health?x=1: the answer goes on after 64 MiB"
    );
}

#[test]
fn a_reset_is_a_failure() {
    let (check, _asked) = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nsome").unwrap();
        let socket = socket2::SockRef::from(&*stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    });
    let said = said(&check);
    assert!(said.starts_with("read the answer: "), "{said}");
    assert!(said.ends_with("(ECONNRESET)"), "{said}");
}

/// Speaks TLS with one client, tells the name it asks for, and answers.
fn tls_server(text: &'static str, close: bool) -> (HttpCheck, Receiver<String>) {
    let (certificates, key) = crate::probe::tls::own_key(&SslSettings {
        certificate: Some(key_file()),
        ..SslSettings::default()
    })
    .unwrap()
    .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, asked) = channel();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, stream);
        hear(&mut stream);
        let _ = tell.send(stream.conn.server_name().unwrap_or("nobody").to_owned());
        let _ = stream.write_all(text.as_bytes());
        if close {
            stream.conn.send_close_notify();
        }
        let _ = stream.flush();
    });
    let (mut check, _) = server(|_| {});
    check.connect = local(address, Duration::from_secs(5));
    check.scheme = HttpScheme::Https;
    (check, asked)
}

#[test]
fn tls_is_spoken_with_anybody_and_the_name_is_told_only_where_asked_for() {
    let (mut check, asked) = tls_server("HTTP/1.1 200 OK\r\n\r\nhello", true);
    check.virtualhost = Some("www.example.org:443".to_owned());
    assert_eq!(verdict(&check), Ok(None));
    assert_eq!(asked.recv().unwrap(), "nobody");
    let (again, asked) = tls_server("HTTP/1.1 200 OK\r\n\r\nhello", false);
    check.connect = again.connect;
    check.enable_sni = true;
    assert_eq!(verdict(&check), Ok(None));
    assert_eq!(asked.recv().unwrap(), "www.example.org");
    let (again, asked) = tls_server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false);
    check.connect = again.connect;
    check.sni_name = Some("other.example.org".to_owned());
    check.tls_compliant = true;
    let remark = verdict(&check).unwrap().unwrap();
    assert_eq!(remark, "the connection ended without a TLS close");
    assert_eq!(asked.recv().unwrap(), "other.example.org");
}

#[test]
fn a_certificate_is_looked_at_where_that_is_asked_for() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let ask = |mode, expiry_days| {
        let (mut check, asked) = tls_server(OK, true);
        check.virtualhost = Some("www.example.org:443".to_owned());
        let ca = Some(key_file());
        let tls = BackendTls {
            mode,
            ca,
            name: None,
        };
        check.certificate = Some(Box::new(ServerCertificate { tls, expiry_days }));
        (verdict(&check), asked)
    };
    // It is good for a hundred years, and for another name.
    let (good, asked) = ask(TlsMode::On, Some(3650));
    assert_eq!(good, Ok(None));
    assert_eq!(asked.recv().unwrap(), "www.example.org");
    let (soon, _asked) = ask(TlsMode::On, Some(100_000));
    let soon = soon.unwrap().unwrap();
    assert!(soon.contains(" days, at 2126-10-28T13:06:24Z"), "{soon}");
    let (bad, _asked) = ask(TlsMode::Verify, None);
    let bad = bad.unwrap_err();
    assert!(
        bad.starts_with("TLS handshake: invalid peer certificate"),
        "{bad}"
    );
}

#[test]
fn method_and_header_are_as_configured() {
    let (mut check, asked) = answers("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    let mut url = HttpUrl::new("/x");
    url.method = HttpMethod::Head;
    url.headers = vec![("Authorization".to_owned(), Secret::new("Basic abc"))];
    check.urls = vec![url].into();
    assert_eq!(verdict(&check), Ok(None));
    let port = check.connect.destination.port;
    assert_eq!(
        asked.recv().unwrap(),
        format!(
            "HEAD /x HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 127.0.0.1:{port}\r\n\
             Authorization: Basic abc\r\n\r\n"
        )
    );
}

#[test]
fn a_server_without_tls_is_told_apart_and_a_silent_one_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut check, _) = server(|_| {});
    check.scheme = HttpScheme::Https;
    check.connect = local(listener.local_addr().unwrap(), LIMIT);
    assert_eq!(said(&check), "no TLS handshake within 400ms");
    std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = stream.read(&mut [0; 1000]);
        }
    });
    let mut last = said(&check);
    if last.starts_with("no TLS") {
        last = said(&check);
    }
    assert!(
        last.starts_with("TLS handshake: what the server says is not TLS"),
        "{last}"
    );
}

#[test]
fn keys_that_cannot_be_used_are_named_with_what_to_do() {
    let wrong = |ssl: SslSettings| Tls::new(Some(&ssl)).err().unwrap();
    let some = |file: &str| Some(file.to_owned());
    let error = wrong(SslSettings {
        certificate: some("/no/such/file"),
        ..SslSettings::default()
    });
    assert_eq!(
        error,
        "SSL: read `certificate` /no/such/file: no such file or directory (ENOENT)"
    );
    let error = wrong(SslSettings {
        certificate: some("/dev/null"),
        ..SslSettings::default()
    });
    assert_eq!(error, "SSL: `certificate` /dev/null has no certificate");
    let encrypted = std::env::temp_dir().join(format!("vipd-key-{}", std::process::id()));
    std::fs::write(&encrypted, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n").unwrap();
    let error = wrong(SslSettings {
        certificate: Some(key_file()),
        key: Some(encrypted.to_string_lossy().into_owned()),
        password: some("secret"),
        ..SslSettings::default()
    });
    let _ = std::fs::remove_file(&encrypted);
    assert!(
        error.contains("is encrypted") && error.contains("openssl pkey -in"),
        "{error}"
    );
    let whole = Tls::new(Some(&SslSettings {
        certificate: Some(key_file()),
        key: Some(key_file()),
        ..SslSettings::default()
    }));
    assert!(whole.is_ok());
}

#[test]
fn a_page_over_http2_ends_where_the_answer_does_and_not_before() {
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    const HEAD: &[u8] = b"\0\0\x01\x01\x04\0\0\0\x01\x88";
    const HELLO: &[u8] = b"\0\0\x05\0\x01\0\0\0\x01hello";
    let two = |pieces: &'static [&'static [u8]], regex: &str| {
        let (mut check, asked) = server(move |stream| {
            for piece in pieces {
                stream.write_all(piece).unwrap();
            }
            // Until whoever asks goes; if there is more to come it waits in vain.
            if pieces.last() == Some(&HELLO) {
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        check.protocol = HttpProtocol::V2;
        let mut url = HttpUrl::new("/health?x=1");
        url.regex = Some(regex.to_owned());
        check.urls = vec![url].into();
        let said = verdict(&check);
        assert_eq!(asked.recv().unwrap(), "PRI * HTTP/2.0\r\n\r\n");
        said
    };
    assert_eq!(two(&[SETTINGS, HEAD, HELLO], "^hello$"), Ok(None));
    let other = two(&[SETTINGS, HEAD, HELLO], "well").unwrap_err();
    assert_eq!(other, "GET /health?x=1: the page does not match `regex`");
    let old = two(&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], "").unwrap_err();
    assert_eq!(
        old,
        "GET /health?x=1: the server does not speak HTTP/2 here"
    );
}
