use super::*;

fn alert(subject: &str) -> Alert {
    Alert {
        subject: subject.to_owned(),
        line: format!("=> {subject} <="),
        detail: None,
    }
}

fn at(seconds: u64) -> Time {
    Time::from_millis(1_000_000 + seconds * 1000)
}

#[test]
fn changes_within_a_second_share_a_mail_with_the_subject_of_the_newest() {
    let mut mailbox = Mailbox::default();
    for n in 0..10 {
        mailbox.push(alert(&format!("{n}")), at(0));
    }
    assert_eq!(mailbox.take_due(at(0)).0, None);
    assert_eq!(mailbox.next_deadline(), Some(at(1)));
    let mail = mailbox.take_due(at(1)).0.unwrap();
    assert_eq!(mail.subject, "9");
    assert_eq!(mail.lines.len(), 20);
    assert_eq!(mail.lines[..2], ["0", "  => 0 <="]);
    assert_eq!(mailbox.ended(true, false, at(1)), Outcome::Sent);
    assert!(mailbox.is_empty() && mailbox.next_deadline().is_none());
}

#[test]
fn one_each_is_at_once_and_one_after_the_other() {
    let mut mailbox = Mailbox {
        one_each: true,
        ..Mailbox::default()
    };
    mailbox.push(alert("a"), at(0));
    mailbox.push(alert("b"), at(0));
    let mail = mailbox.take_due(at(0)).0.unwrap();
    assert_eq!(
        (mail.subject.as_str(), mail.lines),
        ("a", vec!["=> a <=".to_owned()])
    );
    assert_eq!(mailbox.take_due(at(0)).0, None, "one is under way");
    mailbox.ended(true, false, at(0));
    assert_eq!(mailbox.take_due(at(0)).0.unwrap().subject, "b");
}

#[test]
fn a_server_that_does_not_take_it_is_tried_less_and_less_for_an_hour() {
    let mut mailbox = Mailbox::default();
    mailbox.push(alert("a"), at(0));
    let mut now = at(1);
    let mut pauses = Vec::new();
    loop {
        assert_eq!(mailbox.take_due(now).0.unwrap().subject, "a");
        match mailbox.ended(false, true, now) {
            Outcome::Again(pause) => {
                pauses.push(pause.as_secs());
                assert_eq!(mailbox.take_due(now).0, None);
                now += pause;
                assert_eq!(mailbox.next_deadline(), Some(now));
            }
            Outcome::GivenUp => break,
            Outcome::Sent => unreachable!(),
        }
    }
    assert_eq!(pauses[..8], [5, 10, 20, 40, 80, 160, 300, 300]);
    assert!(now.since(at(0)) >= TRIED_FOR);
    assert!(mailbox.is_empty());
}

#[test]
fn a_refusal_for_good_is_not_tried_again() {
    let mut mailbox = Mailbox::default();
    mailbox.push(alert("a"), at(0));
    mailbox.hurry(at(0));
    assert!(mailbox.take_due(at(0)).0.is_some());
    assert_eq!(mailbox.ended(false, false, at(0)), Outcome::GivenUp);
    assert!(mailbox.is_empty());
}

#[test]
fn what_waits_is_bounded_and_the_one_under_way_stays() {
    let mut mailbox = Mailbox {
        one_each: true,
        ..Mailbox::default()
    };
    mailbox.push(alert("first"), at(0));
    mailbox.take_due(at(0));
    let lost: usize = (0..MAILS_MAX + 5)
        .map(|n| mailbox.push(alert(&format!("{n}")), at(0)))
        .sum();
    assert_eq!((lost, mailbox.waiting()), (6, MAILS_MAX));
    mailbox.ended(true, false, at(0));
    assert_eq!(mailbox.take_due(at(0)).0.unwrap().subject, "6");

    let mut mailbox = Mailbox::default();
    for n in 0..CHANGES_MAX + 7 {
        mailbox.push(alert(&format!("{n}")), at(0));
    }
    let mail = mailbox.take_due(at(1)).0.unwrap();
    assert_eq!(mail.subject, (CHANGES_MAX + 6).to_string());
    assert_eq!(mail.lines.last().unwrap(), "and 7 more changes");
}
