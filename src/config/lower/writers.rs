//! Which servers of a pool may write: vipd's own keywords.

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{OneWriter, VirtualServer, VirtualServerAddress, WriterOrder, Writers};
use crate::config::source::Span;
use crate::net::{Endpoint, FwMark};

use super::context::{Context, Handled, Line};
use super::value::Value;
use super::virtual_server::{fwmark, port_of};

/// The words of a `virtual_server`.
#[derive(Default)]
pub(super) struct WriterWords {
    order: Option<WriterOrder>,
    failback: Option<(bool, Span)>,
    readers_of: Option<(Whose, Span)>,
}

/// A virtual server, as `readers_of` names it.
enum Whose {
    Endpoint(Endpoint),
    FwMark(FwMark),
    Group(String),
}

/// Readers whose writers have still to be found.
pub(super) struct Readers {
    pool: VirtualServerAddress,
    of: Whose,
    span: Span,
}

impl WriterWords {
    pub(super) fn apply(
        &mut self,
        ctx: &mut Context<'_>,
        line: &Line<'_>,
        value: &Value,
    ) -> Handled {
        match line.row.name {
            "one_writer" => {
                self.order = match value {
                    Value::Choice("order") => Some(WriterOrder::Order),
                    Value::Choice("index") => Some(WriterOrder::Index),
                    _ => self.order,
                }
            }
            "writer_failback" => self.failback = Some((value.is_true(), line.span)),
            "readers_of" => {
                let whose = whose(ctx, line).map(|whose| (whose, line.span));
                self.readers_of = whose.or(self.readers_of.take());
            }
            _ => return Handled::No,
        }
        Handled::Yes
    }

    /// Of a virtual server whose readers are those of no other.
    pub(super) fn own(&self, ctx: &mut Context<'_>) -> Option<Writers> {
        if let (Some(_), Some((_, span))) = (self.order, &self.readers_of) {
            let message = "a pool with `one_writer` cannot be one of readers";
            ctx.say(
                Diagnostic::error(Code::Conflict, *span, message)
                    .hint("give the readers a `virtual_server` of their own".to_owned()),
            );
            return None;
        }
        if let (None, Some((_, span))) = (self.order, self.failback) {
            let message = "`writer_failback` does nothing without `one_writer`";
            ctx.say(Diagnostic::warning(Code::NoEffect, span, message));
        }
        let failback = self.failback.is_some_and(|(failback, _)| failback);
        Some(Writers::One(OneWriter {
            order: self.order?,
            failback,
        }))
    }

    /// Whose readers they are.
    pub(super) fn readers(&mut self, pool: VirtualServerAddress) -> Option<Readers> {
        let (of, span) = self.readers_of.take().filter(|_| self.order.is_none())?;
        Some(Readers { pool, of, span })
    }
}

/// `IP [PORT]`, `fwmark N`, `group NAME`.
fn whose(ctx: &mut Context<'_>, line: &Line<'_>) -> Option<Whose> {
    let (first, rest) = line.args.split_first()?;
    let text = ctx.text(first);
    Some(match (text.as_ref(), rest.first()) {
        ("fwmark", Some(word)) => Whose::FwMark(fwmark(ctx, word)?),
        ("group", Some(word)) => Whose::Group(ctx.text(word).into_owned()),
        (_, port) => {
            let addr = ctx.address(first)?;
            let port = match port {
                Some(word) => port_of(ctx, word)?,
                None => 0,
            };
            Whose::Endpoint(Endpoint::new(addr, port))
        }
    })
}

impl Whose {
    fn is(&self, server: &VirtualServer) -> bool {
        if let Whose::Group(name) = self {
            let group = server.group.as_ref();
            return group.is_some_and(|group| group.name == *name);
        }
        server.addresses().any(|address| match (self, address) {
            (Whose::Endpoint(at), VirtualServerAddress::Endpoint { endpoint, .. }) => {
                *at == endpoint
            }
            (Whose::FwMark(of), VirtualServerAddress::FwMark { mark, .. }) => *of == mark,
            _ => false,
        })
    }
}

/// Finds the virtual servers whose readers there are.
pub(super) fn find_writers(
    ctx: &mut Context<'_>,
    servers: &mut [VirtualServer],
    readers: Vec<Readers>,
) {
    for Readers { pool, of, span } in readers {
        let named: Vec<&VirtualServer> = servers.iter().filter(|vs| of.is(vs)).collect();
        let one = |vs: &&VirtualServer| matches!(vs.writers, Some(Writers::One(_)));
        if let Some(writers) = named.iter().find(|vs| one(vs)) {
            let address = writers.address;
            let pool = servers
                .iter_mut()
                .find(|vs| vs.addresses().any(|a| a == pool));
            if let Some(pool) = pool {
                pool.writers = Some(Writers::ReadersOf(address));
            }
            continue;
        }
        let (message, hint) = match named.is_empty() {
            true => (
                "`readers_of` names a virtual server that is not defined",
                "name it as its own first line does: IP PORT, fwmark N or group NAME",
            ),
            false => (
                "`readers_of` names a virtual server that has no writer",
                "write `@vipd one_writer order` there",
            ),
        };
        // What could not be read may have been it.
        if !ctx.is_damaged() {
            ctx.say(Diagnostic::error(Code::UnknownName, span, message).hint(hint.to_owned()));
        }
    }
}
