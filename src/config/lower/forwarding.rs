//! `lb_kind` and its other names: how packets reach a server.

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{Tunnel, TunnelChecksum};
use crate::config::tree::Word;
use crate::net::ForwardingMethod;

use super::context::{Context, Line};
use super::virtual_server::port_of;

/// A method and the tunnel that goes with it.
#[derive(Clone, Copy)]
pub(super) struct Forwarding {
    pub(super) method: ForwardingMethod,
    pub(super) tunnel: Tunnel,
}

impl Forwarding {
    /// What an omitted `lb_kind` means.
    pub(super) const NAT: Forwarding = Forwarding {
        method: ForwardingMethod::Masquerading,
        tunnel: Tunnel::Ipip,
    };
}

/// `NAT`, `DR`, or `TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]`; `None`: it was said why, and
/// `default` holds.
pub(super) fn read(ctx: &mut Context<'_>, line: &Line<'_>, default: &str) -> Option<Forwarding> {
    let (first, options) = line.args.split_first()?;
    let text = ctx.text(first);
    let method = match text.as_ref() {
        "NAT" => ForwardingMethod::Masquerading,
        "DR" => ForwardingMethod::DirectRoute,
        "TUN" => ForwardingMethod::Tunnel,
        _ => {
            let name = ctx.raw(line.span);
            let message = format!("`{name}` wants NAT, DR or TUN, not `{text}`");
            let upper = text.to_uppercase();
            let near = ["NAT", "DR", "TUN"].into_iter().find(|&m| m == upper);
            ctx.say(
                Diagnostic::warning(Code::InvalidValue, first.span, message)
                    .label(format!(
                        "the line is left out, so the default holds: {default}"
                    ))
                    .note("keepalived does the same")
                    .hint(near.map(|near| format!("did you mean `{near}`?"))),
            );
            return None;
        }
    };
    let tunnel = match method {
        ForwardingMethod::Tunnel => tunnel(ctx, options)?,
        _ => {
            if let Some(option) = options.first() {
                let message = format!("`{text}` takes no options");
                ctx.say(
                    Diagnostic::warning(Code::ExtraWords, option.span, message).label("ignored"),
                );
            }
            Tunnel::Ipip
        }
    };
    Some(Forwarding { method, tunnel })
}

fn tunnel(ctx: &mut Context<'_>, mut words: &[Word]) -> Option<Tunnel> {
    let mut kind = "ipip".to_owned();
    let mut port = None;
    let mut checksum = TunnelChecksum::Off;
    let span = words.first().map(|word| word.span);
    while let Some((word, rest)) = words.split_first() {
        let text = ctx.text(word).into_owned();
        let (value, behind) = match rest.split_first() {
            Some((value, behind)) => (Some(value), behind),
            None => (None, rest),
        };
        words = rest;
        match (text.as_str(), value) {
            ("type", Some(value)) => {
                kind = ctx.text(value).into_owned();
                words = behind;
            }
            ("port", Some(value)) => {
                port = Some(port_of(ctx, value)?);
                words = behind;
            }
            ("nocsum", _) => checksum = TunnelChecksum::Off,
            ("csum", _) => checksum = TunnelChecksum::On,
            ("remcsum", _) => checksum = TunnelChecksum::Remote,
            _ => {
                let message = format!("`{text}` is not known behind TUN");
                let hint = "options are `type ipip`, `type gue port N`, `type gre`, and `nocsum`, \
                            `csum` or `remcsum`";
                ctx.say(
                    Diagnostic::error(Code::InvalidValue, word.span, message).hint(hint.to_owned()),
                );
                return None;
            }
        }
    }
    match (kind.as_str(), port) {
        ("ipip", _) => Some(Tunnel::Ipip),
        ("gue", Some(port)) if port > 0 => Some(Tunnel::Gue { port, checksum }),
        ("gre", _) if checksum != TunnelChecksum::Remote => Some(Tunnel::Gre { checksum }),
        ("gre", _) => {
            let message = "`remcsum` is for tunnels of type gue";
            ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
            None
        }
        ("gue", _) => {
            let message = "a tunnel of type gue needs `port N`";
            ctx.say(Diagnostic::error(Code::MissingValue, span, message));
            None
        }
        _ => {
            let message = format!("`{kind}` is not a type of tunnel: ipip, gue or gre");
            ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
            None
        }
    }
}
