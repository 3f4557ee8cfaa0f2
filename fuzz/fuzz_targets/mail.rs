//! Any bytes as the replies of a mail server that is handed a mail: every line we say ends, and nothing is
//! said of the login, the mail or its recipients before the way is encrypted.
//!
//! `cargo +nightly fuzz run mail -- -max_total_time=60`

#![no_main]

use libfuzzer_sys::fuzz_target;
use vipd::notice::{Dialogue, Envelope, Login, Next};

fuzz_target!(|input: (bool, bool, Vec<&[u8]>)| {
    let (starttls, with_login, replies) = input;
    let envelope = Envelope {
        helo: "node".to_owned(),
        from: "me@here.example".to_owned(),
        to: vec!["a@x.example".to_owned(), "b@x.example".to_owned()],
        message: "Subject: s\n\none\n.\n".to_owned(),
    };
    let login = with_login.then(|| Login {
        user: "user".to_owned(),
        password: "password".to_owned(),
    });
    let mut dialogue = Dialogue::new(envelope, starttls, login);
    let mut secret = starttls;
    for reply in replies {
        match dialogue.hear(reply) {
            Ok(Next::Say(line)) => {
                assert!(line.ends_with(b"\r\n"));
                assert!(!secret || line.starts_with(b"EHLO ") || line == b"STARTTLS\r\n");
            }
            Ok(Next::Encrypt) => {
                assert!(secret, "once, and where it was asked for");
                secret = false;
                assert!(dialogue.encrypted().starts_with(if with_login { b"EHLO " } else { b"HELO " }));
            }
            Ok(Next::Wait) => {}
            Ok(Next::Taken(refused)) => assert!(refused.len() < 2),
            Err(error) => drop(error.to_string()),
        }
    }
});
