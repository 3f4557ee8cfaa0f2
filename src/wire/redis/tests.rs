use proptest::prelude::*;

use super::*;
use crate::wire::talk::hear_all;

fn said(server: &str, role: bool) -> Result<Next<Pong>, String> {
    let whole = hear_all(&mut Asks::new(None, None, role), server.as_bytes(), 4096).0;
    for step in 1..5 {
        let cut = hear_all(&mut Asks::new(None, None, role), server.as_bytes(), step).0;
        assert_eq!(cut.map_err(drop), whole.clone().map_err(drop), "{step}");
    }
    whole
}

#[test]
fn the_question_is_as_the_protocol_has_it() {
    let (_, said) = hear_all(&mut Asks::new(Some("vipd"), Some("p q"), true), b"", 1);
    let expected =
        "*3\r\n$4\r\nAUTH\r\n$4\r\nvipd\r\n$3\r\np q\r\n*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nROLE\r\n";
    assert_eq!(said, expected.as_bytes());
}

#[test]
fn a_server_that_answers_is_found_with_its_role() {
    let over = |part| Ok(Next::Over(Pong { part }));
    assert_eq!(said("+PONG\r\n", false), over(None));
    let master = "+PONG\r\n*3\r\n$6\r\nmaster\r\n:3129659\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n9001\r\n$1\r\n5\r\n";
    assert_eq!(said(master, true), over(Some(Part::Master)));
    let replica =
        "+PONG\r\n*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:9000\r\n$9\r\nconnected\r\n:3167038\r\n";
    let link = "connected".to_owned();
    assert_eq!(said(replica, true), over(Some(Part::Replica { link })));
    let sentinel = "+PONG\r\n*2\r\n$8\r\nsentinel\r\n*1\r\n$1\r\na\r\n";
    assert_eq!(
        said(sentinel, true),
        over(Some(Part::Other("sentinel".into())))
    );
}

#[test]
fn others_are_not_and_it_is_said_why() {
    let why = |server: &str| said(server, true).unwrap_err();
    assert_eq!(
        why("-NOAUTH Authentication required.\r\n"),
        "PING: NOAUTH Authentication required."
    );
    assert_eq!(
        why("-LOADING Redis is loading the dataset in memory\r\n"),
        "PING: LOADING Redis is loading the dataset in memory"
    );
    assert_eq!(
        why("+PONG\r\n-NOPERM this user has no permissions\r\n"),
        "ROLE: NOPERM this user has no permissions"
    );
    assert_eq!(
        why("SSH-2.0-other\r\n"),
        "the answer is not Redis, it begins with `SSH-2.0-other`"
    );
    assert_eq!(why(":1\r\n"), "the answer to PING is not what Redis says");
    assert_eq!(
        why("+PONG\r\n*0\r\n"),
        "the answer to ROLE is not what Redis says"
    );
    assert!(why("$99999999\r\n").starts_with("the answer is not Redis"));
    assert!(why("*99999999\r\n").starts_with("the answer is not Redis"));
    assert!(why(&"*1\r\n".repeat(20)).starts_with("the answer is not Redis"));
    assert!(why(&format!("+{}", "x".repeat(5000))).starts_with("the answer is not Redis"));
}

proptest! {
    #[test]
    fn any_bytes_are_no_panic(bytes: Vec<u8>, step in 1_usize..9) {
        let mut asks = Asks::new(None, Some("x"), true);
        let (_, said) = hear_all(&mut asks, &bytes, step);
        prop_assert!(said.len() < 200);
    }

    #[test]
    fn what_begins_well_is_no_panic(text in "([+*$:-][0-9a-z]{0,3}\r\n){0,12}") {
        drop(hear_all(&mut Asks::new(None, None, true), text.as_bytes(), 3));
    }
}
