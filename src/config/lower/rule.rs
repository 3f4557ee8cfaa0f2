//! Lines of `virtual_rules` and `static_rules`.

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::Rule;
use crate::config::tree::{Statement, Word};
use crate::net::{self, Cidr, Family, RuleAction};

use super::context::Context;
use super::names::{Kind, number};
use super::token::{OneFamily, Tokens};

const TOKENS: &[&str] = &[
    "from",
    "to",
    "inet",
    "inet6",
    "not",
    "table",
    "lookup",
    "preference",
    "order",
    "priority",
    "tos",
    "dsfield",
    "fwmark",
    "realms",
    "suppress_prefixlength",
    "sup_pl",
    "suppress_ifgroup",
    "sup_group",
    "iif",
    "dev",
    "oif",
    "tunnel-id",
    "uidrange",
    "l3mdev",
    "protocol",
    "ipproto",
    "sport",
    "dport",
    "goto",
    "nop",
    "type",
    "blackhole",
    "unreachable",
    "prohibit",
    "no_track",
    "track_group",
];

/// The lines of `virtual_rules` or `static_rules`.
pub(super) fn rules(ctx: &mut Context<'_>, statement: &Statement) -> Vec<Rule> {
    let lines = ctx.lines(statement);
    let rules = lines.iter().filter_map(|line| {
        let mut draft = RuleDraft::new();
        let mut tokens = Tokens::new(&line.words);
        while let Some((name, word)) = tokens.token(ctx) {
            draft.token(ctx, &name, word, &mut tokens)?;
        }
        draft.finish(ctx, line)
    });
    rules.collect()
}

struct RuleDraft {
    rule: net::Rule,
    family: OneFamily,
    action: Option<RuleAction>,
    preference: Option<u32>,
    no_track: bool,
    track_group: Option<String>,
}

impl RuleDraft {
    fn new() -> RuleDraft {
        RuleDraft {
            rule: net::Rule::new(Family::V4, 0, RuleAction::Nop),
            family: OneFamily::default(),
            action: None,
            preference: None,
            no_track: false,
            track_group: None,
        }
    }

    fn token(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        word: &Word,
        tokens: &mut Tokens<'_>,
    ) -> Option<()> {
        match name {
            "inet" => self.family.note(ctx, Family::V4, word)?,
            "inet6" => self.family.note(ctx, Family::V6, word)?,
            "not" => self.rule.invert = true,
            "preference" | "order" | "priority" => {
                self.preference = Some(tokens.number(ctx, 0, u32::MAX)?);
            }
            "table" | "lookup" => {
                let table = tokens.named(ctx, Kind::Table)?;
                self.act(ctx, RuleAction::Table(table), word)?;
            }
            "l3mdev" => self.act(ctx, RuleAction::L3mdev, word)?,
            "goto" => {
                let target = tokens.number(ctx, 0, u32::MAX)?;
                self.act(ctx, RuleAction::Goto(target), word)?;
            }
            "nop" => self.act(ctx, RuleAction::Nop, word)?,
            "type" => {}
            "blackhole" => self.act(ctx, RuleAction::Blackhole, word)?,
            "unreachable" => self.act(ctx, RuleAction::Unreachable, word)?,
            "prohibit" => self.act(ctx, RuleAction::Prohibit, word)?,
            "no_track" => self.no_track = true,
            "track_group" => self.track_group = Some(tokens.value(ctx)?.0),
            _ => {
                if self.selector(ctx, name, word, tokens)?.is_none() {
                    tokens.unknown(ctx, word, TOKENS.iter().copied());
                    return None;
                }
            }
        }
        Some(())
    }

    fn act(&mut self, ctx: &mut Context<'_>, action: RuleAction, word: &Word) -> Option<()> {
        if self.action.replace(action).is_none() {
            return Some(());
        }
        let message = "a rule does one thing: a table, l3mdev, goto, nop, blackhole, unreachable or \
                       prohibit";
        ctx.say(Diagnostic::error(Code::InvalidValue, word.span, message));
        None
    }

    /// What it matches; `None` inside: it is none of these.
    fn selector(
        &mut self,
        ctx: &mut Context<'_>,
        name: &str,
        word: &Word,
        tokens: &mut Tokens<'_>,
    ) -> Option<Option<()>> {
        let rule = &mut self.rule;
        match name {
            "from" | "to" => {
                let network = tokens.network(ctx)?;
                if let Some(network) = network {
                    self.family.note(ctx, network.family(), word)?;
                }
                let network = network.map(Cidr::network).filter(|n| n.prefix() > 0);
                match name {
                    "from" => rule.from = network,
                    _ => rule.to = network,
                }
            }
            "tos" | "dsfield" => rule.tos = tokens.named_byte(ctx, Kind::Dsfield)?,
            "fwmark" => rule.fwmark = Some(tokens.read(ctx, "it takes MARK or MARK/MASK", mark)?),
            "realms" => {
                self.family.note(ctx, Family::V4, word)?;
                rule.realms = tokens.realms(ctx)?;
            }
            "suppress_prefixlength" | "sup_pl" => {
                rule.suppress_prefix = Some(tokens.number(ctx, 0, 128)?);
            }
            "suppress_ifgroup" | "sup_group" => {
                rule.suppress_group = Some(tokens.named(ctx, Kind::Group)?);
            }
            "iif" | "dev" => rule.iif = Some(tokens.interface(ctx)?),
            "oif" => rule.oif = Some(tokens.interface(ctx)?),
            "tunnel-id" => {
                rule.tunnel_id = tokens.read(ctx, "it takes a number", |t| t.parse().ok())?;
            }
            "uidrange" => {
                let hint = "it takes FIRST-LAST";
                rule.uids = Some(tokens.read(ctx, hint, |text| {
                    let (first, last) = text.split_once('-')?;
                    let range = (first.parse().ok()?, last.parse().ok()?);
                    (range.0 <= range.1).then_some(range)
                })?);
            }
            "protocol" => rule.protocol = tokens.named_byte(ctx, Kind::Protocol)?,
            "ipproto" => {
                let hint = "it takes a number from 0 to 255 or tcp, udp, icmp and the like";
                rule.ip_protocol = Some(tokens.read(ctx, hint, ip_protocol)?);
            }
            "sport" => rule.source_ports = Some(tokens.read(ctx, PORTS, ports)?),
            "dport" => rule.destination_ports = Some(tokens.read(ctx, PORTS, ports)?),
            _ => return Some(None),
        }
        Some(Some(()))
    }

    fn finish(self, ctx: &mut Context<'_>, line: &Statement) -> Option<Rule> {
        let span = line.span();
        let error = |message: &str| Diagnostic::error(Code::MissingValue, span, message.to_owned());
        let Some(action) = self.action else {
            ctx.say(
                error("this rule does not say what to do").hint("add `table TABLE`".to_owned()),
            );
            return None;
        };
        match (action, self.preference) {
            (RuleAction::Goto(_), None) => {
                ctx.say(error("`goto` needs a `preference` before its target"));
                return None;
            }
            (RuleAction::Goto(target), Some(preference)) if preference >= target => {
                let message = format!("`goto` leads forward: {target} is not behind {preference}");
                ctx.say(error(&message));
                return None;
            }
            _ => {}
        }
        let rule = self.rule;
        let of_tables =
            rule.realms != 0 || rule.suppress_prefix.is_some() || rule.suppress_group.is_some();
        let looks = matches!(action, RuleAction::Table(_) | RuleAction::L3mdev);
        if of_tables && !looks {
            ctx.say(error("`realms` and `suppress_...` go with a table"));
            return None;
        }
        let family = self.family.get();
        let preference = self.preference.unwrap_or_else(|| {
            let preference = ctx.next_preference(family);
            let message =
                format!("this rule has no `preference`: {preference} is taken, as in keepalived");
            ctx.say(
                Diagnostic::warning(Code::MissingValue, span, message)
                    .hint("say where it is to stand among the others".to_owned()),
            );
            preference
        });
        Some(Rule {
            rule: net::Rule {
                family,
                preference,
                action,
                ..rule
            },
            no_track: self.no_track,
            track_group: self.track_group,
        })
    }
}

const PORTS: &str = "it takes PORT or FIRST-LAST, 1 to 65535";

fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range: (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (range.0 > 0 && range.0 <= range.1).then_some(range)
}

fn mark(text: &str) -> Option<(u32, u32)> {
    match text.split_once('/') {
        Some((mark, mask)) => Some((number(mark, 10)?, number(mask, 10)?)),
        None => Some((number(text, 10)?, u32::MAX)),
    }
}

/// protocols(5), those that a rule is written for.
fn ip_protocol(text: &str) -> Option<u8> {
    Some(match text {
        "icmp" => 1,
        "tcp" => 6,
        "udp" => 17,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "icmpv6" | "ipv6-icmp" => 58,
        "vrrp" => 112,
        "sctp" => 132,
        "udplite" => 136,
        number => number.parse().ok()?,
    })
}
