use proptest::prelude::*;

use super::*;
use crate::wire::talk::hear_all;

fn login(tls: Option<bool>) -> Login {
    Login {
        user: "vipd".to_owned(),
        password: Some("secret".to_owned()),
        database: "postgres".to_owned(),
        tls,
        nonce: "nonce".to_owned(),
    }
}

fn asks(tls: Option<bool>) -> Asks {
    Asks::new(
        login(tls),
        vec!["SELECT 1".to_owned(), "SELECT 2".to_owned()],
    )
}

fn auth(code: u32, rest: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes()[..], rest].concat())
}

fn data(values: &[Option<&str>]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        let length = value.map_or(-1, |v| i32::try_from(v.len()).unwrap());
        body.extend(length.to_be_bytes());
        body.extend(value.unwrap_or_default().as_bytes());
    }
    message(b'D', &body)
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

fn failed(text: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0C28P01\0M{text}\0\0").as_bytes())
}

fn heard(server: &[u8]) -> Result<Next<Vec<Answered>>, String> {
    let whole = hear_all(&mut asks(Some(false)), server, usize::MAX).0;
    assert_eq!(hear_all(&mut asks(Some(false)), server, 1).0, whole);
    whole
}

#[test]
fn statements_are_answered_in_their_order() {
    let server = [
        auth(0, &[]),
        message(b'S', b"server_version\x0015\0"),
        message(b'K', &[0; 8]),
        ready(),
        message(b'T', &[0, 0]),
        data(&[Some("t"), None]),
        data(&[Some("f")]),
        message(b'C', b"SELECT 2\0"),
        ready(),
        failed("no such thing"),
        ready(),
    ]
    .concat();
    let first = Ok(vec![Some("t".to_owned()), None]);
    let second = Err("error 28P01: no such thing".to_owned());
    assert_eq!(heard(&server), Ok(Next::Over(vec![first, second])));
    let (_, said) = hear_all(&mut asks(Some(false)), &server, 99);
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("user\0vipd\0database\0postgres\0"));
    assert!(said.ends_with("X\0\0\0\u{4}"), "it says goodbye");
}

#[test]
fn passwords_are_proved_as_the_server_wants_it() {
    // As libpq has it: md5(md5("secret" + "vipd") + salt), reckoned with md5sum.
    let (_, said) = hear_all(&mut asks(Some(false)), &auth(5, b"salt"), 99);
    let said = String::from_utf8_lossy(&said).into_owned();
    let proof = md5_proof("vipd", "secret", *b"salt");
    assert!(said.contains(&proof) && proof.len() == 35 && !said.contains("secret"));
    let clear = heard(&auth(3, &[])).unwrap_err();
    assert!(clear.contains("use `tls on`"), "{clear}");
    let names = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
    let (next, said) = hear_all(&mut asks(Some(false)), &auth(10, names), 99);
    assert_eq!(next, Ok(Next::More));
    assert!(String::from_utf8_lossy(&said).contains("n,,n=,r=nonce"));
    // A server that lets us in without its own proof is not the one that knows the password.
    let early = [auth(10, names), auth(0, &[])].concat();
    assert!(heard(&early).is_err());
    let mut open = login(Some(false));
    open.password = None;
    let (next, _) = hear_all(&mut Asks::new(open, Vec::new()), &auth(5, b"salt"), 99);
    assert_eq!(next, Err("the server wants a password".to_owned()));
}

#[test]
fn tls_begins_where_the_server_has_it() {
    let mut asks = asks(None);
    let (mut heard, mut say) = (b"S".to_vec(), Vec::new());
    assert_eq!(asks.hear(&mut heard, &mut say), Ok(Next::Secure));
    assert_eq!(say, [0, 0, 0, 8, 4, 210, 22, 47]);
    say.clear();
    assert_eq!(asks.hear(&mut heard, &mut say), Ok(Next::More));
    assert!(String::from_utf8_lossy(&say).contains("vipd"));
    heard.extend(auth(3, &[]));
    say.clear();
    assert_eq!(asks.hear(&mut heard, &mut say), Ok(Next::More));
    assert_eq!(say, message(b'p', b"secret\0"));
    let refuses = |tls| hear_all(&mut self::asks(tls), b"N", 1).0;
    assert_eq!(refuses(None), Ok(Next::More));
    assert_eq!(
        refuses(Some(true)),
        Err("the server does not offer TLS".to_owned())
    );
}

#[test]
fn what_a_server_refuses_is_told_in_its_words() {
    assert_eq!(
        heard(&failed("password authentication failed")),
        Err("error 28P01: password authentication failed".to_owned())
    );
    assert!(heard(b"HTTP/1.1 400 Bad Request\r\n").is_err());
    assert!(heard(b"R\xff\xff\xff\xff").is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_no_panic(bytes: Vec<u8>, step in 1_usize..9) {
        drop(hear_all(&mut asks(Some(false)), &bytes, step));
        drop(hear_all(&mut asks(None), &bytes, step));
    }

    #[test]
    fn any_messages_are_no_panic(
        messages in prop::collection::vec(("[RSKZTDCEN]", prop::collection::vec(0_u8..13, 0..9)), 0..12),
    ) {
        let mut server = Vec::new();
        for (kind, body) in messages {
            server.extend(message(kind.as_bytes()[0], &body));
        }
        drop(hear_all(&mut asks(Some(false)), &server, 5));
    }
}
