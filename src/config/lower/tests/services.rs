//! Virtual servers.

use super::*;
use crate::config::model::VirtualServerAddress;

#[test]
fn a_group_is_one_virtual_server_and_no_address_has_two() {
    let text = "virtual_server_group web {\n 10.0.0.1 80\n 10.0.0.2 81\n 10.0.0.1 80\n}\n\
                virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n \
                real_server 10.1.0.1 80 {\n }\n}\n\
                virtual_server group web {\n protocol TCP\n lb_algo rr\n lb_kind DR\n \
                real_server 10.1.0.2 {\n }\n real_server 10.1.0.3 99 {\n }\n}\n\
                virtual_server group web {\n protocol TCP\n lb_algo rr\n lb_kind DR\n \
                real_server 10.1.0.4 {\n }\n}\n";
    let loaded = read(text);
    let said = loaded.diagnostics.iter().map(|d| d.message.clone());
    let said: Vec<String> = said.filter(|m| m.contains("virtual server")).collect();
    assert_eq!(
        said,
        [
            "10.0.0.1:80/tcp of this group has a virtual server already",
            "this virtual server is defined twice"
        ]
    );
    let config = loaded.config.unwrap();
    let mut shown = config.virtual_servers.iter().map(|vs| {
        let addresses: Vec<String> = lvs_keys(vs);
        let servers: Vec<String> = vs
            .real_servers
            .iter()
            .map(|rs| rs.endpoint.to_string())
            .collect();
        (addresses.join(" "), servers.join(" "))
    });
    let alone = ("10.0.0.1:80".to_owned(), "10.1.0.1:80".to_owned());
    assert_eq!(shown.clone().next().unwrap(), alone);
    assert_eq!(shown.clone().count(), 2);
    let group = ("10.0.0.2:81", "10.1.0.2:0 10.1.0.3:99 10.1.0.4:0");
    let last = shown.next_back().unwrap();
    assert_eq!((last.0.as_str(), last.1.as_str()), group);
}

fn lvs_keys(vs: &crate::config::model::VirtualServer) -> Vec<String> {
    vs.addresses()
        .map(|address| match address {
            VirtualServerAddress::Endpoint { endpoint, .. } => endpoint.to_string(),
            VirtualServerAddress::FwMark { mark, .. } => mark.to_string(),
        })
        .collect()
}
