use proptest::prelude::*;

use super::*;
use crate::wire::talk::hear_all;

const SCRAMBLE: [u8; 20] = [
    10, 47, 74, 111, 75, 73, 34, 48, 88, 76, 114, 74, 37, 13, 3, 80, 82, 2, 23, 21,
];

fn greeting(version: &str, flags: u32, plugin: &str) -> Vec<u8> {
    let mut body = vec![10];
    body.extend(version.as_bytes());
    body.extend([0, 1, 0, 0, 0]);
    body.extend(&SCRAMBLE[..8]);
    body.push(0);
    body.extend(&flags.to_le_bytes()[..2]);
    body.extend([33, 2, 0]);
    body.extend(&flags.to_le_bytes()[2..]);
    body.push(21);
    body.extend([0; 10]);
    body.extend(&SCRAMBLE[8..]);
    body.push(0);
    body.extend(plugin.as_bytes());
    body.push(0);
    packet(0, &body)
}

fn text(value: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(value.len()).unwrap()];
    bytes.extend(value.as_bytes());
    bytes
}

/// An answer of rows; `None`: NULL.
fn rows(names: &[&str], values: &[&[Option<&str>]]) -> Vec<u8> {
    const END: &[u8] = &[0xfe, 0, 0, 2, 0];
    let mut all = packet(1, &[u8::try_from(names.len()).unwrap()]);
    for name in names {
        let mut column: Vec<u8> = ["def", "", "", ""].iter().flat_map(|t| text(t)).collect();
        column.extend(text(name));
        all.extend(packet(2, &column));
    }
    all.extend(packet(3, END));
    for row in values {
        let cell = |value: &Option<&str>| value.map_or(vec![0xfb], text);
        all.extend(packet(4, &row.iter().flat_map(cell).collect::<Vec<u8>>()));
    }
    all.extend(packet(5, END));
    all
}

fn ok() -> Vec<u8> {
    packet(2, &[0, 0, 0, 2, 0, 0, 0])
}

fn asks(questions: Questions) -> Asks {
    let login = Login {
        user: "vipd".to_owned(),
        password: "secret".to_owned(),
        ..Login::default()
    };
    Asks::new(login, questions)
}

fn heard(questions: Questions, server: &[u8]) -> Result<Next<Report>, String> {
    let whole = hear_all(&mut asks(questions.clone()), server, usize::MAX).0;
    let cut = hear_all(&mut asks(questions), server, 1).0;
    assert_eq!(whole, cut);
    whole
}

fn all() -> Questions {
    Questions {
        variables: vec!["read_only"],
        status: Vec::new(),
        replication: true,
        query: Some("SELECT 1".to_owned()),
    }
}

#[test]
fn a_login_is_proved_and_answers_are_read() {
    let columns = [
        "Slave_IO_Running",
        "Slave_SQL_Running",
        "Seconds_Behind_Master",
    ];
    let server = [
        greeting("5.5.5-10.11.6-MariaDB", 0xf7fe, "mysql_native_password"),
        ok(),
        rows(
            &["Variable_name", "Value"],
            &[&[Some("read_only"), Some("ON")]],
        ),
        rows(
            &columns,
            &[
                &[Some("Yes"), Some("Yes"), Some("7")],
                &[Some("Connecting"), Some("Yes"), None],
            ],
        ),
        rows(&["1"], &[&[Some("1")]]),
    ]
    .concat();
    let Ok(Next::Over(report)) = heard(all(), &server) else {
        panic!("it is not over");
    };
    assert_eq!(report.facts["read_only"], "ON");
    let link = |io: &str, behind| Link {
        io: io.to_owned(),
        sql: "Yes".to_owned(),
        behind,
    };
    let links = vec![link("Yes", Some(7)), link("Connecting", None)];
    assert_eq!(report.links, Some(links));
    assert_eq!(report.refused, None);
    let (_, said) = hear_all(&mut asks(all()), &server, usize::MAX);
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("vipd") && !said.contains("secret"));
    assert!(said.contains("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only')"));
    assert!(said.contains("SHOW ALL SLAVES STATUS") && said.contains("SELECT 1"));
    assert!(said.ends_with("\u{1}\0\0\0\u{1}"), "it says goodbye");
}

#[test]
fn the_proofs_are_those_that_servers_check() {
    // The server has SHA1(SHA1(password)), and gets SHA1(password) back from the proof.
    use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY as SHA1, digest};
    let proof = answer(&Plugin::Native, "secret", &SCRAMBLE);
    let once = digest(&SHA1, b"secret");
    let stored = digest(&SHA1, once.as_ref());
    let mixed = digest(&SHA1, &[&SCRAMBLE, stored.as_ref()].concat());
    let back: Vec<u8> = proof
        .iter()
        .zip(mixed.as_ref())
        .map(|(a, b)| a ^ b)
        .collect();
    assert_eq!(back, once.as_ref());
    // As go-sql-driver's tests have it.
    let expected = [
        244, 144, 231, 111, 102, 217, 216, 102, 101, 206, 84, 217, 140, 120, 208, 172, 254, 47,
        176, 176, 139, 66, 61, 168, 7, 20, 72, 115, 211, 11, 49, 44,
    ];
    assert_eq!(answer(&Plugin::CachingSha2, "secret", &SCRAMBLE), expected);
    assert_eq!(answer(&Plugin::CachingSha2, "", &SCRAMBLE), [0; 0]);
}

#[test]
fn a_server_may_want_another_login_or_the_whole_password() {
    let mysql8 = |flags| greeting("8.0.36", flags, "caching_sha2_password");
    let known = [mysql8(0xf7ff), packet(2, &[1, 3]), ok()].concat();
    let over = Ok(Next::Over(Report::default()));
    assert_eq!(heard(Questions::default(), &known), over);
    let whole = [mysql8(0xf7ff), packet(2, &[1, 4])].concat();
    let why = heard(Questions::default(), &whole).unwrap_err();
    assert!(why.contains("use `tls on`"), "{why}");
    let mut switch = b"\xfemysql_native_password\0".to_vec();
    switch.extend(SCRAMBLE);
    switch.push(0);
    let other = [mysql8(0xf7ff), packet(2, &switch), ok()].concat();
    assert_eq!(heard(Questions::default(), &other), over);
    let strange = packet(2, b"\xfedialog\0");
    let why = heard(Questions::default(), &[mysql8(0xf7ff), strange].concat()).unwrap_err();
    assert_eq!(
        why,
        "the server wants the login `dialog`, which vipd does not know"
    );
}

#[test]
fn tls_begins_where_the_server_has_it_and_the_password_goes_over_it() {
    let mut asks = asks(Questions::default());
    let (mut heard, mut say) = (
        greeting("8.0.36", 0xffff, "caching_sha2_password"),
        Vec::new(),
    );
    assert_eq!(asks.hear(&mut heard, &mut say), Ok(Next::Secure));
    assert_eq!((say.len(), say[0], say[3]), (36, 32, 1));
    say.clear();
    assert_eq!(asks.hear(&mut heard, &mut say), Ok(Next::More));
    assert_eq!(say[3], 2);
    heard.extend(packet(3, &[1, 4]));
    say.clear();
    assert_eq!(asks.hear(&mut heard, &mut say), Ok(Next::More));
    assert_eq!(say, packet(4, b"secret\0"));
    let login = Login {
        tls: Some(true),
        ..Login::default()
    };
    let without = greeting("5.5.5", 0xf7ff, "mysql_native_password");
    let (next, _) = hear_all(&mut Asks::new(login, Questions::default()), &without, 99);
    assert_eq!(next, Err("the server does not offer TLS".to_owned()));
}

#[test]
fn what_a_server_refuses_is_told_in_its_words() {
    let error = |text: &str| packet(2, &[&[0xff, 0x15, 4][..], text.as_bytes()].concat());
    let hello = || greeting("8.4.0", 0xf7ff, "mysql_native_password");
    let why = |server: &[u8]| heard(all(), server).unwrap_err();
    assert_eq!(
        why(&[hello(), error("#28000Access denied for user 'vipd'")].concat()),
        "error 1045: Access denied for user 'vipd'"
    );
    assert_eq!(
        why(&error("Too many connections")),
        "error 1045: Too many connections"
    );
    assert_eq!(why(&packet(0, b"HTTP/1.1")), "the greeting is not MySQL");
    let query = Questions {
        query: Some("SELECT 1".to_owned()),
        ..Questions::default()
    };
    let refused = [hello(), ok(), error("#08S01WSREP has not yet prepared")].concat();
    let Ok(Next::Over(report)) = heard(query, &refused) else {
        panic!("it is not over");
    };
    assert_eq!(
        report.refused.as_deref(),
        Some("error 1045: WSREP has not yet prepared")
    );
    assert_eq!(replication_statement("8.0.22-log"), "SHOW REPLICA STATUS");
    assert_eq!(replication_statement("8.4.0"), "SHOW REPLICA STATUS");
    assert_eq!(replication_statement("8.0.21"), "SHOW SLAVE STATUS");
    assert_eq!(replication_statement("5.7.44"), "SHOW SLAVE STATUS");
}

proptest! {
    #[test]
    fn any_bytes_are_no_panic(bytes: Vec<u8>, step in 1_usize..9) {
        drop(hear_all(&mut asks(all()), &bytes, step));
    }

    #[test]
    fn any_packets_behind_a_greeting_are_no_panic(
        bodies in prop::collection::vec(prop::collection::vec(0_u8..6, 0..12), 0..12),
    ) {
        let mut server = greeting("8.0.36", 0xf7ff, "mysql_native_password");
        // Zero is what goes on, and the end of rows makes more of it.
        for body in bodies {
            server.extend(packet(1, &body));
            server.extend(packet(1, &[0xfe, 0, 0, 2, 0]));
        }
        drop(hear_all(&mut asks(all()), &server, 7));
    }
}
