//! Files that users wrote, as they wrote them: what is not seen where they are played, because it is over
//! by the time that everything runs.

use std::path::Path;
use std::time::Duration;

use vipd::config::Options;
use vipd::{ipvs, lvs};

use crate::files::load_text;

#[test]
fn the_servers_of_the_compose_project_are_direct_and_checked_as_often_as_it_says() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/fixtures/scenarios/s2-master.conf");
    let text = std::fs::read_to_string(file).unwrap();
    let config = load_text(&text, &Options::default()).config.unwrap();
    let servers = &config.virtual_servers;
    let table: ipvs::Table = servers.iter().flat_map(lvs::before_checks).collect();
    assert_eq!(
        ipvs::save(&table)
            .lines()
            .map(str::trim_end)
            .collect::<Vec<_>>(),
        [
            "-A -t 172.20.128.2:80 -s rr -p 50",
            "-a -t 172.20.128.2:80 -r 172.16.16.177:80 -g -w 1",
            "-a -t 172.20.128.2:80 -r 172.16.16.178:80 -g -w 1",
        ]
    );
    let checks = servers[0]
        .real_servers
        .iter()
        .flat_map(|real| &real.checkers);
    let tries: Vec<_> = checks
        .map(|check| (check.retry, check.delay_before_retry, check.delay_loop))
        .collect();
    // `nb_get_retry` of a TCP_CHECK: keepalived does not know it there, and tries again once.
    let each = (3, Duration::from_secs(4), Duration::from_secs(15));
    assert_eq!(tries, [each; 2]);
}
