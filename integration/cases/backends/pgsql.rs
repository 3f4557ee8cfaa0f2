//! A real PostgreSQL primary and its standby.

use std::fs;
use std::time::Duration;

use super::{Site, service, wait_pools};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, wait_until};
use crate::lab::net::Host;
use crate::lab::process::Process;

const KEY: &str = include_str!("../../../src/probe/http/test_key.pem");
const STARTED: Duration = Duration::from_secs(60);
const PASSWORD: &str = "open, sesame";
/// Who may come how.
const HBA: &str = "local all all trust\nhost all postgres all trust\nhost replication postgres all trust\n\
    hostssl all tls all password\nhost all md5 all md5\nhost all scram all scram-sha-256\n";

/// Where the newest version has its programs.
fn programs() -> Outcome<String> {
    let mut versions = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql")? {
        versions.push(entry?.file_name().to_string_lossy().into_owned());
    }
    versions.sort();
    let newest = versions.pop().ok_or("no PostgreSQL is installed")?;
    Ok(format!("/usr/lib/postgresql/{newest}/bin"))
}

/// As its own user: it does not run as root.
fn as_postgres(host: &Host, script: &str) -> Outcome<String> {
    let path = programs()?;
    host.sh(&format!(
        "setpriv --reuid=postgres --regid=postgres --clear-groups env PATH={path}:$PATH sh -ec '{script}'"
    ))
}

fn start(host: &Host, dir: &str, port: u16) -> Outcome<Process> {
    let program = format!("{}/postgres", programs()?);
    let port = port.to_string();
    let argv = [
        "setpriv",
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        &program,
        "-D",
        dir,
        "-p",
        &port,
        "-c",
        "listen_addresses=192.0.2.1",
        "-c",
        "unix_socket_directories=/tmp/pg",
        "-c",
        "fsync=off",
        "-c",
        "shared_buffers=16MB",
        "-c",
        "ssl=on",
        "-c",
        "ssl_cert_file=/tmp/pg/key.pem",
        "-c",
        "ssl_key_file=/tmp/pg/key.pem",
        "-c",
        "dynamic_shared_memory_type=mmap",
    ];
    let process = host.spawn(&format!("postgres-{port}"), &argv)?;
    let program = programs()?;
    let ready = || {
        let ready = format!("{program}/pg_isready");
        let argv = [ready.as_str(), "-h", "/tmp/pg", "-p", &port];
        Ok(host.try_run(&argv)?.stdout.contains("accepting"))
    };
    wait_until(format!("{port} accepts connections"), STARTED, ready)?;
    Ok(process)
}

fn conf(password_file: &str) -> String {
    let check = |user: &str, more: &str| {
        format!(
            "@vipd PGSQL_CHECK {{\n@vipd user {user}\n@vipd connect_timeout 4\n@vipd password_file {password_file}\n{more}@vipd }}"
        )
    };
    service(8001, &[5432, 5433], &check("scram", "@vipd role primary\n"))
        + &service(
            8002,
            &[5432, 5433],
            &check(
                "md5",
                "@vipd role standby\n@vipd max_lag 5\n@vipd tls off\n",
            ),
        )
        + &service(
            8003,
            &[5432],
            &check(
                "tls",
                "@vipd tls on\n@vipd query \"SELECT count(*) FROM pg_class\"\n",
            ),
        )
        + &service(
            8004,
            &[5432],
            "@vipd PGSQL_CHECK {\n@vipd user scram\n@vipd connect_timeout 4\n@vipd password wrong\n@vipd }",
        )
        + &service(8005, &[5432], &check("md5", "@vipd query \"SELECT 1/0\"\n"))
}

pub(super) fn run(lab: &Lab) -> Outcome {
    let site = Site::new(lab)?;
    let host = &site.host;
    fs::create_dir_all("/tmp/pg")?;
    fs::write("/tmp/pg/key.pem", KEY)?;
    fs::write("/tmp/pg/hba", HBA)?;
    host.sh("chown -R postgres /tmp/pg && chmod 0600 /tmp/pg/key.pem")?;
    as_postgres(
        host,
        "initdb --no-sync -A trust --no-locale -E UTF8 -D /tmp/pg/one >/tmp/pg/log; cp /tmp/pg/hba /tmp/pg/one/pg_hba.conf",
    )?;
    lab.note("the data directory is there");
    let mut primary = start(host, "/tmp/pg/one", 5432)?;
    let users = format!(
        "CREATE ROLE scram LOGIN PASSWORD $${PASSWORD}$$; CREATE ROLE tls LOGIN PASSWORD $${PASSWORD}$$; \
         SET password_encryption = $$md5$$; CREATE ROLE md5 LOGIN PASSWORD $${PASSWORD}$$;"
    );
    fs::write("/tmp/pg/users.sql", users)?;
    as_postgres(host, "psql -q -h /tmp/pg -f /tmp/pg/users.sql")?;
    as_postgres(
        host,
        "pg_basebackup --no-sync -c fast -R -h 192.0.2.1 -D /tmp/pg/two",
    )?;
    let _standby = start(host, "/tmp/pg/two", 5433)?;
    as_postgres(host, "psql -q -h /tmp/pg -c \"CREATE TABLE t ()\"")?;
    let file = host.dir().join("password");
    fs::write(&file, format!("{PASSWORD}\n"))?;
    let mut daemon = site.start(lab, &conf(&file.display().to_string()))?;
    wait_pools(
        lab,
        host,
        STARTED,
        "a primary and its standby",
        &["8001>5432*100", "8002>5433*100", "8003>5432*100"],
    )?;
    for said in [
        "password authentication failed for user",
        "`SELECT 1/0`: error 22012: division by zero",
        "it is a standby (in recovery), not a primary",
        "it is a primary, not a standby",
    ] {
        daemon.wait_log(said, 1, STARTED)?;
    }
    // At once, without waiting for anybody.
    primary.signal(3)?;
    wait_pools(
        lab,
        host,
        STARTED,
        "the primary is gone, the standby gets older",
        &[],
    )?;
    daemon.wait_log("s behind, more than 5s", 1, STARTED)?;
    as_postgres(host, "pg_ctl promote -W -D /tmp/pg/two")?;
    wait_pools(
        lab,
        host,
        STARTED,
        "the standby is primary",
        &["8001>5433*100"],
    )?;
    ensure!(
        !daemon.log().contains(PASSWORD),
        "the password is not in the log"
    );
    let _ = primary.wait(STARTED);
    let status = daemon.stop()?;
    ensure!(status.success(), "it stopped with {status}");
    Ok(())
}
