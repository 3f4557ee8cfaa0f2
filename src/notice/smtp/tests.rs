use proptest::prelude::*;

use super::*;

fn envelope(to: &[&str]) -> Envelope {
    Envelope {
        helo: "node.example".to_owned(),
        from: "vipd <vipd@node.example>".to_owned(),
        to: to.iter().map(|&to| to.to_owned()).collect(),
        message: "Subject: s\n\none\n.two\n".to_owned(),
    }
}

fn said(next: Next) -> String {
    match next {
        Next::Say(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_is_handed_over_word_by_word() {
    let mut d = Dialogue::new(envelope(&["a@x.example", "B <b@x.example>"]), false, None);
    assert_eq!(d.hear(b"220-welcome\r\n220"), Ok(Next::Wait));
    let mut say = |reply: &str| said(d.hear(reply.as_bytes()).unwrap());
    assert_eq!(say(" to you\r\n"), "HELO node.example\r\n");
    assert_eq!(say("250 hi\r\n"), "MAIL FROM:<vipd@node.example>\r\n");
    assert_eq!(say("250 ok\r\n"), "RCPT TO:<a@x.example>\r\n");
    assert_eq!(say("251 will forward\r\n"), "RCPT TO:<b@x.example>\r\n");
    assert_eq!(say("250 ok\r\n"), "DATA\r\n");
    assert_eq!(
        say("354 go on\r\n"),
        "Subject: s\r\n\r\none\r\n..two\r\n.\r\n"
    );
    assert_eq!(say("250 taken\r\n"), "QUIT\r\n");
    assert_eq!(d.hear(b"221 bye\r\n"), Ok(Next::Taken(vec![])));
}

#[test]
fn one_recipient_who_is_refused_does_not_keep_the_others_from_it() {
    let mut d = Dialogue::new(envelope(&["no@x.example", "a@x.example"]), false, None);
    for reply in ["220 a\r\n", "250 b\r\n", "250 c\r\n"] {
        d.hear(reply.as_bytes()).unwrap();
    }
    assert_eq!(
        said(d.hear(b"550 nobody\r\n").unwrap()),
        "RCPT TO:<a@x.example>\r\n"
    );
    for reply in ["250 d\r\n", "354 e\r\n", "250 f\r\n"] {
        d.hear(reply.as_bytes()).unwrap();
    }
    // It hangs up without a word.
    let Ok(Next::Taken(refused)) = d.hear(b"") else {
        panic!("not taken");
    };
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("no@x.example") && refused[0].contains("550 nobody"));
}

#[test]
fn all_refused_is_an_error_and_its_code_says_whether_to_try_again() {
    for (code, permanent) in [("450 busy", false), ("550 nobody", true)] {
        let mut d = Dialogue::new(envelope(&["no@x.example"]), false, None);
        for reply in ["220 a\r\n", "250 b\r\n", "250 c\r\n"] {
            d.hear(reply.as_bytes()).unwrap();
        }
        let error = d.hear(format!("{code}\r\n").as_bytes()).unwrap_err();
        assert_eq!(error.is_permanent(), permanent, "{error}");
    }
    let mut d = Dialogue::new(envelope(&["a@x.example"]), false, None);
    assert_eq!(d.hear(b"HTTP/1.1 400\r\n"), Err(SmtpError::Nonsense));
    let mut d = Dialogue::new(envelope(&["a@x.example"]), false, None);
    assert_eq!(d.hear(b""), Err(SmtpError::Closed));
}

fn login() -> Login {
    Login {
        user: "vipd".to_owned(),
        password: "open sesame".to_owned(),
    }
}

#[test]
fn with_starttls_and_a_login_nothing_is_said_before_both() {
    let mut d = Dialogue::new(envelope(&["a@x.example"]), true, Some(login()));
    let hello = said(d.hear(b"220 a\r\n").unwrap());
    assert_eq!(hello, "EHLO node.example\r\n");
    // The login that is offered in the clear is not taken.
    let offer = b"250-here\r\n250-AUTH PLAIN\r\n250 starttls\r\n";
    assert_eq!(said(d.hear(offer).unwrap()), "STARTTLS\r\n");
    // What follows in the clear is forgotten (RFC 3207 section 5).
    assert_eq!(d.hear(b"220 go\r\n250 AUTH PLAIN\r\n"), Ok(Next::Encrypt));
    assert_eq!(d.encrypted(), b"EHLO node.example\r\n");
    let plain = said(d.hear(b"250-here\r\n250 AUTH LOGIN PLAIN\r\n").unwrap());
    assert_eq!(plain, "AUTH PLAIN AHZpcGQAb3BlbiBzZXNhbWU=\r\n");
    let from = said(d.hear(b"235 welcome\r\n").unwrap());
    assert_eq!(from, "MAIL FROM:<vipd@node.example>\r\n");
    assert!(!format!("{d:?}").contains("sesame"));
}

#[test]
fn a_server_without_plain_is_logged_in_to_in_two_words() {
    let mut d = Dialogue::new(envelope(&["a@x.example"]), false, Some(login()));
    let mut say = |reply: &str| said(d.hear(reply.as_bytes()).unwrap());
    assert_eq!(say("220 a\r\n"), "EHLO node.example\r\n");
    assert_eq!(say("250-here\r\n250 AUTH=LOGIN\r\n"), "AUTH LOGIN\r\n");
    assert_eq!(say("334 VXNlcm5hbWU6\r\n"), "dmlwZA==\r\n");
    assert_eq!(say("334 UGFzc3dvcmQ6\r\n"), "b3BlbiBzZXNhbWU=\r\n");
    let error = d.hear(b"535 no\r\n").unwrap_err();
    assert_eq!(error.to_string(), "the server answers AUTH with 535 no");
    assert!(!error.is_permanent(), "a password can be mended");
}

#[test]
fn what_is_not_offered_ends_it() {
    for (starttls, lacks) in [(true, "STARTTLS"), (false, "AUTH PLAIN or AUTH LOGIN")] {
        let mut d = Dialogue::new(envelope(&["a@x.example"]), starttls, Some(login()));
        d.hear(b"220 a\r\n").unwrap();
        let offer = b"250-here STARTTLS\r\n250-AUTHOR PLAIN\r\n250 AUTH CRAM-MD5\r\n";
        assert_eq!(d.hear(offer), Err(SmtpError::Lacks(lacks)));
    }
}

#[test]
fn nothing_in_an_address_begins_another_command() {
    assert_eq!(
        mailbox("a@b>\r\nRCPT TO:<c@d"),
        "<a@bRCPTTO:c@d>".to_owned()
    );
}

proptest! {
    #[test]
    fn no_server_can_break_it(secure: bool, replies in proptest::collection::vec(
        prop_oneof![
            any::<Vec<u8>>(),
            Just(b"250-x\r\n250-STARTTLS\r\n250 AUTH LOGIN\r\n".to_vec()),
            (200u16..600, "[ -~]{0,20}").prop_map(|(c, t)| format!("{c} {t}\r\n").into_bytes()),
        ], 0..20))
    {
        let mut d = Dialogue::new(envelope(&["a@x.example", "b@x.example"]), secure, secure.then(login));
        for reply in replies {
            match d.hear(&reply) {
                Ok(Next::Say(line)) => prop_assert!(line.ends_with(b"\r\n")),
                Ok(Next::Wait) => {}
                Ok(Next::Encrypt) => prop_assert!(secure && d.encrypted().starts_with(b"EHLO ")),
                Ok(Next::Taken(_)) | Err(_) => break,
            }
        }
    }
}
