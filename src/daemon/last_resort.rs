//! What is done when a thread has ended by a fault and the process cannot start again in place.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::engine::failover::Failover;
use crate::kernel::own_link;
use crate::kernel::route::Route;
use crate::net::{
    ADDRESS_PROTOCOL, AddressCommand, AddressKey, Cidr, InterfaceName, NetCommand, NetPicture,
    ROUTE_PROTOCOL, RouteCommand, RuleCommand,
};

/// The last resort: addresses that the configuration names or that carry our tag are removed, and links of
/// ours.
pub(super) fn release_vips(config: &Config) -> String {
    let vips: BTreeSet<(&InterfaceName, Cidr)> = config
        .instances
        .iter()
        .flat_map(|i| {
            i.all_vips().filter_map(|vip| {
                let on = vip.vmac.as_ref().or(vip.dev.as_ref());
                Some((on.or(i.interface.as_ref())?, vip.cidr))
            })
        })
        .collect();
    let removed = Route::open()
        .map_err(|error| error.to_string())
        .and_then(|mut route| {
            let interest = Failover::routing_interest(config).with_ours();
            let picture = route
                .picture(&interest)
                .map_err(|error| error.to_string())?;
            let NetPicture {
                links,
                addresses,
                routes,
                rules,
            } = picture;
            // Those that carry our tag; others of the same protocol may be somebody else's.
            let rules = rules
                .into_iter()
                .filter(|rule| rule.protocol == ROUTE_PROTOCOL);
            let mut commands: Vec<NetCommand> =
                rules.map(|rule| RuleCommand::Delete(rule).into()).collect();
            let routes = routes.into_iter().map(|route| route.key);
            let routes = routes.filter(|key| key.protocol == ROUTE_PROTOCOL);
            commands.extend(routes.map(|key| NetCommand::from(RouteCommand::Delete(key))));
            let named = |key: &AddressKey| {
                let on = links.iter().find(|link| link.index == key.interface);
                on.is_some_and(|link| vips.contains(&(&link.name, key.cidr)))
            };
            let addresses = addresses
                .into_iter()
                .filter(|a| a.protocol == ADDRESS_PROTOCOL || named(&a.key))
                .map(|a| NetCommand::from(AddressCommand::Delete(a.key)));
            commands.extend(addresses);
            let failures = route.apply(&commands);
            let failures = failures
                .into_iter()
                .map(|failure| failure.error.to_string());
            let mut failures: Vec<String> = failures.collect();
            for link in config.own_links.iter().rev() {
                let removed = own_link::remove(&mut route, link);
                failures.extend(removed.err().map(|error| error.to_string()));
            }
            failures.into_iter().next().map_or(Ok(()), Err)
        });
    match removed {
        Ok(()) => "its VIPs were released".to_owned(),
        Err(error) => format!("its VIPs could not be released: {error}"),
    }
}
