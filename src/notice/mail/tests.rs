use std::sync::Arc;

use super::*;
use crate::config::model::{Instance, MailSettings};
use crate::notice::{CheckNotice, ServiceNotice};
use crate::units::Vrid;

fn instance(asked: Option<bool>, state: State) -> Notice {
    let mut instance = Instance::new("VI_1", "eth0".parse().unwrap(), Vrid::new(7).unwrap());
    instance.more.settings.smtp_alert = asked;
    Notice::Instance {
        instance: Arc::new(instance),
        change: Change::Entered(state),
        priority: 100,
    }
}

fn globals(mail: MailSettings) -> Globals {
    Globals {
        mail,
        ..Globals::default()
    }
}

fn subject(alerts: &mut Alerts, notice: &Notice, globals: &Globals) -> Option<String> {
    alerts.of(notice, globals).map(|alert| alert.subject)
}

#[test]
fn an_instance_is_told_of_where_it_is_asked_for() {
    let on = Some(true);
    for (own, vrrp, all, told) in [
        (None, None, None, false),
        (on, None, None, true),
        (None, on, None, true),
        (None, None, on, true),
        (Some(false), on, on, false),
        (None, Some(false), on, false),
    ] {
        let globals = globals(MailSettings {
            smtp_alert_vrrp: vrrp,
            smtp_alert: all,
            ..MailSettings::default()
        });
        let seen = subject(
            &mut Alerts::default(),
            &instance(own, State::Master),
            &globals,
        );
        let expected = told.then(|| "VRRP Instance VI_1 - Entering MASTER state".to_owned());
        assert_eq!(seen, expected, "{own:?} {vrrp:?} {all:?}");
    }
}

#[test]
fn a_state_is_told_once_and_faults_only_where_they_are_wanted() {
    let quiet = globals(MailSettings {
        no_email_faults: true,
        ..MailSettings::default()
    });
    let mut alerts = Alerts::default();
    let mut tell = |state| subject(&mut alerts, &instance(Some(true), state), &quiet).is_some();
    let states = [
        State::Backup,
        State::Fault,
        State::Backup,
        State::Master,
        State::Stop,
    ];
    assert_eq!(states.map(&mut tell), [true, false, false, true, true]);
}

fn check(changed: bool) -> Notice {
    Notice::Check(Box::new(CheckNotice {
        server: "[10.1.0.1]:tcp:80".to_owned(),
        service: "[10.0.0.1]:tcp:80".to_owned(),
        up: false,
        changed,
        smtp_alert: None,
        mail: "=> TCP CHECK failed on service <=".to_owned(),
        reason: Some("connection refused".to_owned()),
    }))
}

#[test]
fn real_servers_are_told_of_unasked_and_virtual_servers_are_not() {
    let mut alerts = Alerts::default();
    let alert = alerts.of(&check(false), &Globals::default()).unwrap();
    assert_eq!(
        alert.subject,
        "Realserver [10.1.0.1]:tcp:80 of virtual server [10.0.0.1]:tcp:80 - DOWN"
    );
    assert_eq!(alert.line, "=> TCP CHECK failed on service <=");
    let fewer = globals(MailSettings {
        no_checker_emails: true,
        ..MailSettings::default()
    });
    assert_eq!(alerts.of(&check(false), &fewer), None);
    assert!(alerts.of(&check(true), &fewer).is_some());
    let service = Notice::Service(Box::new(ServiceNotice {
        service: "[10.0.0.1]:tcp:80".to_owned(),
        up: true,
        run: None,
        smtp_alert: None,
        mail: "=> Gained quorum 1+0=1 <= 2 <=".to_owned(),
    }));
    assert_eq!(alerts.of(&service, &Globals::default()), None);
    let asked = globals(MailSettings {
        smtp_alert_checker: Some(true),
        ..MailSettings::default()
    });
    let subject = subject(&mut alerts, &service, &asked);
    assert_eq!(subject.unwrap(), "Virtualserver [10.0.0.1]:tcp:80 - UP");
}

#[test]
fn a_message_has_its_header_and_no_line_of_anybody_else_s() {
    let who = Correspondence {
        router_id: "node\r\nBcc: x@y".to_owned(),
        from: "a@b.example".to_owned(),
        to: vec!["c@d.example".to_owned(), "e@f.example".to_owned()],
    };
    let mail = Mail {
        subject: "S\u{e9}".to_owned(),
        lines: vec!["one".to_owned(), "two\nthree".to_owned()],
    };
    let text = mail.message(&who, "D", "1@h");
    let (header, body) = text.split_once("\n\n").unwrap();
    assert!(!header.contains("\nBcc"), "{header}");
    assert!(
        header.contains("To: c@d.example,\n e@f.example\n"),
        "{header}"
    );
    assert!(header.contains("Subject: =?UTF-8?B?"), "{header}");
    assert_eq!(body, "one\ntwo three\n");
}

#[test]
fn base64_is_that_of_the_rfc() {
    for (plain, coded) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(base64(plain.as_bytes()), coded);
    }
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (unix, text) in [
        (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
        (1_795_256_797, "Sat, 21 Nov 2026 10:26:37 +0000"),
        (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 +0000"),
    ] {
        assert_eq!(date(unix), text);
    }
}
