//! Pools with one writer, and those of their readers.

use crate::config::diagnostic::Diagnostics;
use crate::config::model::{
    Backend, CheckerKind, OnGone, OneWriter, RealServer, VirtualServer, VirtualServerAddress,
    WriterOrder, Writers,
};
use crate::config::source::Span;

use super::risk;

pub(super) fn lint(
    server: &VirtualServer,
    all: &[VirtualServer],
    span: Option<Span>,
    diagnostics: &mut Diagnostics,
) {
    match server.writers {
        None => {}
        Some(Writers::One(rule)) => one_writer(server, rule, span, diagnostics),
        Some(Writers::ReadersOf(address)) => readers(server, address, all, span, diagnostics),
    }
}

fn one_writer(
    server: &VirtualServer,
    rule: OneWriter,
    span: Option<Span>,
    diagnostics: &mut Diagnostics,
) {
    let servers = &server.real_servers;
    let on_down = |rs: &RealServer| rs.connections.as_deref().and_then(|c| c.on_down);
    let keeps = |rs: &RealServer| {
        let on_remove = rs.connections.as_deref().and_then(|c| c.on_remove);
        let drains = |gone| matches!(gone, Some(OnGone::Drain(_)));
        rs.inhibit_on_failure || drains(on_down(rs)) || drains(on_remove)
    };
    if servers.iter().any(keeps) {
        let message =
            "with `one_writer` a writer that is none any more keeps no place: it leaves at once";
        diagnostics.push(
            risk(span, message)
                .label("`inhibit_on_failure`, and `drain` when it fails or is removed, do nothing here")
                .hint("write `@vipd on_down kill`".to_owned()),
        );
    } else if servers.iter().any(|rs| on_down(rs).is_none()) {
        let message =
            "connections to a writer that is none any more hang until their clients give up";
        diagnostics.push(
            risk(span, message).hint("write `@vipd on_down kill`: they are reset then".to_owned()),
        );
    }
    let mut checkers = servers.iter().flat_map(|rs| &rs.checkers);
    let knows = checkers.any(|checker| match &checker.kind {
        CheckerKind::Backend(check) => match &check.backend {
            Backend::Mysql { wants, .. } => wants.galera.is_some(),
            _ => false,
        },
        _ => false,
    });
    if rule.order == WriterOrder::Index && !knows {
        let message = "`one_writer index`: no check of this pool learns the index of a server";
        diagnostics.push(
            risk(span, message)
                .label("the order of the file is taken")
                .hint(
                    "write `one_writer order`, or ask with `MYSQL_CHECK` and `galera`".to_owned(),
                ),
        );
    }
}

fn readers(
    server: &VirtualServer,
    writers: VirtualServerAddress,
    all: &[VirtualServer],
    span: Option<Span>,
    diagnostics: &mut Diagnostics,
) {
    let Some(writers) = all.iter().find(|vs| vs.address == writers) else {
        return;
    };
    let common = |rs: &RealServer| {
        let mut others = writers.real_servers.iter();
        others.any(|other| other.endpoint == rs.endpoint)
    };
    if !server.real_servers.iter().any(common) {
        let message = "`readers_of` does nothing: none of these servers stands in that pool";
        let hint = "a server is the same one by its address and port";
        diagnostics.push(risk(span, message).hint(hint.to_owned()));
    }
}
