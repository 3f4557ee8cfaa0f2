//! Who is told what: scripts and FIFOs, beside keepalived with the same file.

mod asked;
mod bounds;
mod ears;
mod mails;
mod secure_mails;
mod security;
mod told;

use std::time::Duration;

pub(super) use ears::Listener;

use crate::lab::Case;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "notify.instances",
        proves: "scripts and FIFOs are told of an instance in keepalived's words, by its users, in \
                 its order",
        limit: Duration::from_secs(150),
        run: told::instances,
    },
    Case {
        name: "notify.groups",
        proves: "scripts and FIFOs are told of a sync group and its members in keepalived's words",
        limit: Duration::from_secs(120),
        run: told::groups,
    },
    Case {
        name: "notify.servers",
        proves: "scripts and FIFOs are told of servers and quorums in keepalived's words",
        limit: Duration::from_secs(120),
        run: told::servers,
    },
    Case {
        name: "notify.outer_scripts",
        proves: "startup_script ends, or has its timeout, before anything else begins, and may make the \
                 interfaces; shutdown_script runs when all is gone",
        limit: Duration::from_secs(120),
        run: told::outer_scripts,
    },
    Case {
        name: "notify.mails",
        proves: "a mail server gets keepalived's mails about instances, servers and pools",
        limit: Duration::from_secs(120),
        run: mails::mails,
    },
    Case {
        name: "notify.asked_mails",
        proves: "smtp_alert_vrrp, smtp_alert_checker, no_email_faults and no_checker_emails decide who \
                 gets mail, as in keepalived",
        limit: Duration::from_secs(90),
        run: asked::mails,
    },
    Case {
        name: "notify.lvs_reader",
        proves: "lvs_notify_fifo_script reads what keepalived's reads, and with checker_log_all_failures \
                 each try that fails is logged",
        limit: Duration::from_secs(60),
        run: asked::readers,
    },
    Case {
        name: "notify.mails_together",
        proves: "changes that come together are one mail, and a mail server that was down gets it later",
        limit: Duration::from_secs(90),
        run: mails::mails_together,
    },
    Case {
        name: "notify.secure_mails",
        proves: "Exim takes mails after STARTTLS and a login, PLAIN or LOGIN; a server that is not believed and \
                 one that refuses the password get none, and what is mended counts at the next try",
        limit: Duration::from_secs(120),
        run: secure_mails::run,
    },
    Case {
        name: "notify.script_security",
        proves: "with enable_script_security root runs no script that others may replace, and such a \
                 script, or one that is missing, keeps nobody from being master",
        limit: Duration::from_secs(120),
        run: security::script_security,
    },
    Case {
        name: "notify.mute_mail_server",
        proves: "a mail server that never says a word, and a reader that dies, hold up the end for seconds only",
        limit: Duration::from_secs(90),
        run: bounds::mute_mail_server,
    },
    Case {
        name: "notify.order",
        proves: "scripts of one instance run one after the other in the order of its changes",
        limit: Duration::from_secs(90),
        run: bounds::order,
    },
    Case {
        name: "notify.hung_script",
        proves: "a script that never ends holds up neither adverts nor FIFOs nor the end, and is not \
                 killed by it",
        limit: Duration::from_secs(90),
        run: bounds::hung_script,
    },
    Case {
        name: "notify.script_stops_daemon",
        proves: "a script that stops its daemon and waits for that sees it gone",
        limit: Duration::from_secs(90),
        run: bounds::script_stops_daemon,
    },
    Case {
        name: "notify.fifos",
        proves: "a FIFO that nobody reads loses lines and nothing else, a reader that dies is started \
                 again, a symbolic link is not followed",
        limit: Duration::from_secs(90),
        run: bounds::fifos,
    },
];

const LIMIT: Duration = Duration::from_secs(20);
