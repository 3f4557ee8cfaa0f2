use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use super::*;
use crate::probe::tests::{local, run};

/// Serves one client: says this, and what it does then.
fn server(says: Vec<u8>, then: fn(std::net::TcpStream)) -> BackendCheck {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(&says);
        then(stream);
    });
    BackendCheck {
        connect: local(address, Duration::from_millis(400)),
        user: None,
        password: None,
        password_file: None,
        tls: BackendTls::default(),
        backend: Backend::Redis { role: None },
    }
}

fn said(says: &[u8], then: fn(std::net::TcpStream)) -> String {
    let check = server(says.to_vec(), then);
    match run(ask(&Kit::default(), &check)) {
        Ok(outcome) => format!("{outcome:?}"),
        Err(error) => error.to_string(),
    }
}

/// Until the client goes.
fn wait(mut stream: std::net::TcpStream) {
    let _ = stream.read(&mut [0; 512]);
}

#[test]
fn answers_that_are_half_slow_endless_or_cut_off_are_failures() {
    assert_eq!(said(b"+PONG\r\n", drop), "Passed");
    assert_eq!(said(b"+PO", wait), "no answer within 400ms");
    assert_eq!(
        said(b"+PO", drop),
        "the server closed the connection before its answer was whole"
    );
    let endless = |mut stream: std::net::TcpStream| while stream.write_all(&[b'x'; 999]).is_ok() {};
    assert!(said(b"+", endless).starts_with("the answer is not Redis"));
    let reset = |stream: std::net::TcpStream| {
        let linger = Some(Duration::ZERO);
        socket2::SockRef::from(&stream).set_linger(linger).unwrap();
    };
    assert_eq!(
        said(b"+PO", reset),
        "read: connection reset by peer (ECONNRESET)"
    );
}

#[test]
fn a_password_is_the_first_line_of_its_file_and_is_never_shown() {
    let dir = std::env::temp_dir().join(format!("vipd-backend-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("secret");
    std::fs::write(&file, "pass word\nmore\n").unwrap();
    let name = file.to_str().unwrap();
    let password = password_in(name).unwrap();
    assert_eq!(password.reveal(), "pass word");
    assert!(!format!("{password:?}").contains("pass"));
    std::fs::write(&file, "\n").unwrap();
    let why = password_in(name).unwrap_err();
    assert!(why.ends_with("has no password in its first line"), "{why}");
    std::fs::remove_dir_all(&dir).unwrap();
    let why = password_in(name).unwrap_err();
    assert!(why.ends_with("no such file or directory (ENOENT)"), "{why}");
}
