//! Settings of the kernel under net.ipv4.vs that a configuration needs, each with those that ask for it.
//! They hold for the whole network namespace, so none is touched unless somebody asks.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::config::model::VirtualServer;

use super::service_key;

/// Whoever asks, by the setting that has to be 1.
pub type KernelSettings = BTreeMap<&'static str, Vec<String>>;

/// A reset for connections whose server was deleted; without it they hang.
const EXPIRE_NODEST: &str = "expire_nodest_conn";
/// A persistent client's new connections leave a server of weight 0; without it they go there still.
const EXPIRE_TEMPLATE: &str = "expire_quiescent_template";

/// What this configuration needs.
pub fn kernel_settings(config: &Config) -> KernelSettings {
    let mut settings = KernelSettings::new();
    for server in &config.virtual_servers {
        if !asks(server) {
            continue;
        }
        let name = match &server.group {
            Some(group) => format!("group {}", group.name),
            None => service_key(&server.address).to_string(),
        };
        if server.persistence.is_some() {
            let whom = settings.entry(EXPIRE_TEMPLATE).or_default();
            whom.push(name.clone());
        }
        settings.entry(EXPIRE_NODEST).or_default().push(name);
    }
    settings
}

fn asks(server: &VirtualServer) -> bool {
    let mut said = server.real_servers.iter();
    said.any(|rs| {
        let said = rs.connections.as_deref();
        let gone = said.filter(|c| c.on_down.is_some() || c.on_remove.is_some());
        gone.is_some_and(|c| !c.spared)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Options, load};

    struct One(&'static str);

    impl crate::config::Files for One {
        fn read(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
            Ok(self.0.as_bytes().to_vec())
        }

        fn exists(&self, _: &std::path::Path) -> bool {
            false
        }

        fn glob(&self, _: &std::path::Path) -> std::io::Result<Vec<std::path::PathBuf>> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn nothing_is_touched_unless_somebody_asks_and_persistence_needs_one_more() {
        let read = |text| {
            let path = std::path::Path::new("s.conf");
            load(path, &One(text), &Options::default()).config.unwrap()
        };
        let plain = "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n \
                     persistence_timeout 60\n real_server 10.1.0.1 80 {\n }\n}\n";
        assert_eq!(kernel_settings(&read(plain)), KernelSettings::new());
        let asked = "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n \
                     real_server 10.1.0.1 80 {\n @vipd on_down kill\n }\n}\n\
                     virtual_server 10.0.0.2 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n \
                     persistence_timeout 60\n @vipd on_remove drain 9\n \
                     real_server 10.1.0.1 80 {\n }\n}\n\
                     virtual_server 10.0.0.3 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n \
                     persistence_timeout 60\n real_server 10.1.0.1 80 {\n }\n}\n";
        let found = kernel_settings(&read(asked));
        let both = ["10.0.0.1:80/tcp", "10.0.0.2:80/tcp"].map(str::to_owned);
        let expected = KernelSettings::from([
            (EXPIRE_NODEST, both.to_vec()),
            (EXPIRE_TEMPLATE, vec![both[1].clone()]),
        ]);
        assert_eq!(found, expected);
    }
}
