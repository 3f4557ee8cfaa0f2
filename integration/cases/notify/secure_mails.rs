//! Mails through a real server that wants encryption and a login.

use std::fs;
use std::time::Duration;

use super::LIMIT;
use crate::cases::daemon::only_vipd;
use crate::cases::scene::{Lan, VIP};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::process::read_lossy;

/// A key that belongs to nobody, and its certificate.
const KEY: &str = include_str!("../../../src/probe/http/test_key.pem");

/// Nobody sends anything without a login, there is no login in the clear, and only this one in `way`.
fn exim_conf(dir: &str, way: &str) -> String {
    let (fields, prompts) = match way {
        "PLAIN" => (("$auth2", "$auth3"), ""),
        _ => (("$auth1", "$auth2"), " server_prompts = User:: : Word::\n"),
    };
    let (user, password) = fields;
    format!(
        "primary_hostname = mail.example.org\nspool_directory = {dir}/spool\nlog_file_path = {dir}/%slog\n\
         pid_file_path = {dir}/exim.pid\nlocal_interfaces = 192.0.2.2\ndaemon_smtp_ports = 587\nhost_lookup =\n\
         rfc1413_query_timeout = 0s\ntls_advertise_hosts = *\ntls_certificate = {dir}/key.pem\n\
         auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}\nacl_smtp_rcpt = rcpt\nqueue_only\n\
         begin acl\nrcpt:\n accept authenticated = *\n deny\n\
         begin authenticators\nonly:\n driver = plaintext\n public_name = {way}\n{prompts} \
         server_condition = ${{if and{{{{eq{{{user}}}{{node}}}}{{eq{{{password}}}{{open sesame}}}}}}}}\n \
         server_set_id = {user}\n"
    )
}

fn conf(dir: &str, more: &str) -> String {
    format!(
        "global_defs {{\n router_id NODE\n smtp_alert\n notification_email {{\n one@x.example\n }}\n \
         notification_email_from here@x.example\n smtp_server 192.0.2.2 587\n smtp_connect_timeout 5\n \
         @vipd smtp_tls starttls\n @vipd smtp_user node\n @vipd smtp_password_file {dir}/password\n {more}\n}}\n\
         vrrp_instance V {{\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {{\n {VIP}\n }}\n}}\n"
    )
}

/// One that is not believed gets nothing; then each way to log in, and a password that is mended.
pub(super) fn run(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 2, lab.subject())?;
    // In the memory of the guest: Exim writes as a user of its own.
    let dir = "/run/exim";
    router.host.sh(&format!("mkdir -p {dir}/spool"))?;
    fs::write(format!("{dir}/key.pem"), KEY)?;
    fs::write(format!("{dir}/password"), "open sesame\n")?;
    router.host.sh(&format!("chown -R Debian-exim {dir}"))?;
    let host = router.host.clone();
    let serve = |way: &str| {
        let file = format!("{dir}/exim.conf");
        fs::write(&file, exim_conf(dir, way))?;
        host.spawn("exim", &["exim4", "-C", &file, "-bdf"])
    };
    let taken = || {
        let log = read_lossy(format!("{dir}/mainlog").as_ref());
        let whole = |line: &&str| {
            line.contains("<= here@x.example")
                && line.contains(" X=TLS1.")
                && line.contains(" A=only:node")
        };
        log.lines().filter(whole).count()
    };
    let exim = serve("PLAIN")?;
    router.start(&conf(dir, &format!("@vipd smtp_tls_ca {dir}/key.pem")))?;
    let daemon = router.daemon()?;
    daemon.wait_log("its certificate is not believed", 1, LIMIT)?;
    ensure_eq!(taken(), 0, "mails to a server that is not believed");
    daemon.reload(&conf(dir, "@vipd smtp_tls_verify off"))?;
    let plain = || Ok(taken() > 0);
    wait_until("a mail was taken after AUTH PLAIN", LIMIT, plain)?;
    drop(exim);

    let before = taken();
    fs::write(format!("{dir}/password"), "wrong\n")?;
    let _exim = serve("LOGIN")?;
    // BACKUP or FAULT and back: something to tell of.
    router.host.ip("link set eth0 down\n")?;
    let daemon = router.daemon()?;
    daemon.wait_log("the server answers AUTH with 535", 1, LIMIT)?;
    ensure_eq!(taken(), before, "mails with a wrong password");
    fs::write(format!("{dir}/password"), "open sesame\n")?;
    let login = || Ok(taken() > before);
    wait_until("a mail was taken after AUTH LOGIN", LIMIT, login)?;
    lab.note(format!(
        "{before} mails after AUTH PLAIN, {} in all",
        taken()
    ));
    ensure!(
        !daemon.log().contains("sesame"),
        "the password stands in the log"
    );
    let began = std::time::Instant::now();
    router.stop()?;
    ensure!(
        began.elapsed() < Duration::from_secs(10),
        "it took {:?} to stop",
        began.elapsed()
    );
    lan.net.demolish()
}
