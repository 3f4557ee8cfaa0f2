use super::*;

/// Rehearses, then does it: the commands are the same, and rehearsing changed nothing.
fn both(rig: &mut Rig, config: &Config) -> Vec<String> {
    let copy = rig.balancer.clone();
    let found = rig.kernel.now.clone();
    let planned = copy.rehearse(Arc::new(config.clone()), found, rig.now);
    let planned: Vec<String> = planned.commands.iter().map(ToString::to_string).collect();
    rig.log.clear();
    rig.input(Input::Reload(Arc::new(config.clone())));
    let done = rig.log.iter().filter(|line| {
        let verbs = ["add ", "change ", "delete ", "set ", "start ", "stop "];
        verbs.iter().any(|verb| line.starts_with(verb))
    });
    assert_eq!(planned, done.cloned().collect::<Vec<_>>());
    planned
}

#[test]
fn what_is_rehearsed_is_what_a_reload_does() {
    let mut rig = Rig::started(&two());
    assert_eq!(both(&mut rig, &two()), Vec::<String>::new());
    // A server is down: it is neither planned nor added.
    rig.pass(3000, |e| e != endpoint("10.1.0.1:80"));
    let mut other = two();
    other.virtual_servers[0].real_servers[1].weight = 7;
    let new = virtual_server("10.0.0.2:80", vec![real("10.1.0.9:80", 1)]);
    other.virtual_servers.push(new);
    assert_eq!(
        both(&mut rig, &other),
        [
            "add service 10.0.0.2:80/tcp",
            "add destination 10.1.0.9:80 to 10.0.0.2:80/tcp",
            "change destination 10.1.0.2:80 of 10.0.0.1:80/tcp",
        ]
    );
    let gone = config(vec![]);
    assert_eq!(
        both(&mut rig, &gone),
        [
            "delete service 10.0.0.1:80/tcp",
            "delete service 10.0.0.2:80/tcp"
        ]
    );
}

#[test]
fn a_server_that_a_reload_would_drain_is_named_with_its_time() {
    let drains = |both: bool| {
        let mut config = two();
        for server in &mut config.virtual_servers[0].real_servers {
            let connections = crate::config::model::Connections {
                on_remove: Some(crate::config::model::OnGone::Drain(Duration::from_secs(9))),
                ..Default::default()
            };
            server.connections = Some(Box::new(connections));
        }
        if !both {
            config.virtual_servers[0].real_servers.pop();
        }
        config
    };
    let rig = Rig::started(&drains(true));
    let found = rig.kernel.now.clone();
    let planned = rig
        .balancer
        .rehearse(Arc::new(drains(false)), found, rig.now);
    let words: Vec<String> = planned.commands.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["change destination 10.1.0.2:80 of 10.0.0.1:80/tcp"]);
    let at = (key("10.0.0.1:80"), server("10.1.0.2:80"));
    assert_eq!(planned.draining[&at], Duration::from_secs(9));
}
