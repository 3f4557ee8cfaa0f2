//! `global_defs`: what holds for everything, and what instances and checks inherit.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::config::Compat;
use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::keywords::BlockKind;
use crate::config::model::{
    Capabilities, ExtraAnnouncements, Garp, Globals, MULTICAST_GROUP, NodeSettings, ReceiveBuffer,
    SmtpServer, SmtpTls,
};
use crate::config::source::Span;
use crate::config::tree::{Statement, Word};
use crate::net::{InterfaceName, Sysctl};
use crate::units::Version;

use super::context::{Context, Draft, Handled, Line};
use super::value::Value;
use super::{control, sync_daemon};

/// `global_defs`, read.
pub(super) struct Defaults {
    pub(super) globals: Globals,
    pub(super) version: Version,
    pub(super) mcast_group4: Ipv4Addr,
    /// `vrrp_rx_bufs_policy`: the share of an instance, once.
    receive_buffers: ReceiveBuffer,
    /// Where `smtp_user` stands.
    smtp_user_at: Option<Span>,
    pub(super) garp: GarpWords,
    pub(super) min_garp: bool,
    pub(super) down_timer_adverts: u8,
    pub(super) lower_prio_no_advert: bool,
    pub(super) higher_prio_send_advert: bool,
    pub(super) checker_log_all_failures: bool,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            globals: Globals::default(),
            version: Version::V2,
            mcast_group4: MULTICAST_GROUP,
            receive_buffers: ReceiveBuffer::System,
            smtp_user_at: None,
            garp: GarpWords::default(),
            min_garp: false,
            down_timer_adverts: 3,
            lower_prio_no_advert: false,
            higher_prio_send_advert: false,
            checker_log_all_failures: false,
        }
    }
}

/// What was written about announcements, in `global_defs` or in one instance.
#[derive(Clone, Copy, Default)]
pub(super) struct GarpWords {
    master_delay: Option<Duration>,
    master_repeat: Option<u32>,
    master_refresh: Option<Duration>,
    master_refresh_repeat: Option<u32>,
    lower_prio_delay: Option<Duration>,
    lower_prio_repeat: Option<u32>,
    /// Written, with 0 seconds: none.
    extra_if: Option<Option<ExtraAnnouncements>>,
}

impl GarpWords {
    /// Takes a keyword; its name without `vrrp_`.
    pub(super) fn apply(&mut self, name: &str, value: &Value) -> Handled {
        let seconds = value.seconds().map(whole);
        match name {
            "garp_master_delay" => self.master_delay = seconds,
            "garp_master_repeat" => self.master_repeat = value.number(),
            "garp_master_refresh" => self.master_refresh = seconds,
            "garp_master_refresh_repeat" => self.master_refresh_repeat = value.number(),
            "garp_lower_prio_delay" => self.lower_prio_delay = seconds,
            "garp_lower_prio_repeat" => self.lower_prio_repeat = value.number(),
            _ => return Handled::No,
        }
        Handled::Yes
    }

    /// `garp_extra_if [all] SECONDS`.
    pub(super) fn apply_extra_if(&mut self, ctx: &mut Context<'_>, line: &Line<'_>, least: i64) {
        let (all, seconds) = match line.args {
            [seconds] => (false, seconds),
            [all, seconds] if ctx.text(all) == "all" => (true, seconds),
            _ => {
                let message = format!("`{}` is `[all] SECONDS`", line.row.name);
                let span = line.args_span();
                ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
                return;
            }
        };
        let Some(seconds) = ctx.integer(seconds, least, EXTRA_IF_MAX, line.row) else {
            return;
        };
        let every = Duration::from_secs(seconds.unsigned_abs());
        let extra = ExtraAnnouncements { every, all };
        self.extra_if = Some((!every.is_zero()).then_some(extra));
    }

    /// What an instance does: its own words, else those of `global_defs`, else the defaults. What is
    /// said about a lower priority follows what is said about becoming master.
    /// keepalived does not announce as a matter of routine unless it is told to.
    pub(super) fn resolve(&self, global: &GarpWords, min_garp: bool, compat: Compat) -> Garp {
        let default = match (min_garp, compat) {
            (true, _) => Garp {
                master_repeat: 1,
                master_delay: Duration::ZERO,
                ..Garp::default()
            },
            (false, Compat::Keepalived) => Garp::default(),
            (false, Compat::Vipd) => Garp {
                master_refresh: REFRESH,
                ..Garp::default()
            },
        };
        let master_repeat = self.master_repeat.or(global.master_repeat);
        let master_repeat = master_repeat.unwrap_or(default.master_repeat).max(1);
        let master_delay = self.master_delay.or(global.master_delay);
        let master_delay = master_delay.unwrap_or(default.master_delay);
        let refresh = self.master_refresh.or(global.master_refresh);
        let refresh_repeat = self.master_refresh_repeat.or(global.master_refresh_repeat);
        let lower_repeat = self.lower_prio_repeat.or(global.lower_prio_repeat);
        let lower_delay = self.lower_prio_delay.or(global.lower_prio_delay);
        Garp {
            master_repeat,
            master_delay,
            master_refresh: refresh.unwrap_or(default.master_refresh),
            master_refresh_repeat: refresh_repeat
                .unwrap_or(default.master_refresh_repeat)
                .max(1),
            lower_prio_repeat: lower_repeat.unwrap_or(master_repeat),
            lower_prio_delay: lower_delay.unwrap_or(master_delay),
            extra_if: self.extra_if.or(global.extra_if).flatten(),
            probe: compat == Compat::Vipd,
        }
    }
}

/// How often a master announces when nothing was said: switches forget within 5 minutes where an address
/// is that is not heard from (IEEE 802.1Q, the default ageing time).
const REFRESH: Duration = Duration::from_secs(60);

/// A day: keepalived's largest.
const EXTRA_IF_MAX: i64 = 86_400;

/// keepalived keeps these as whole seconds.
fn whole(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

/// Reads every `global_defs`, later ones over earlier ones.
pub(super) fn lower(
    ctx: &mut Context<'_>,
    statements: &[&Statement],
    node: NodeSettings,
) -> Defaults {
    let mut defaults = Defaults::default();
    defaults.globals.node = node;
    for statement in statements {
        ctx.read_block(BlockKind::GlobalDefs, statement, &mut defaults);
    }
    defaults.mail_login(ctx);
    defaults
}

impl<'t> Draft<'t> for Defaults {
    fn apply(&mut self, ctx: &mut Context<'_>, line: &Line<'t>, value: Value) -> Handled {
        let name = line.row.name;
        if let Some(name) = name.strip_prefix("vrrp_")
            && self.garp.apply(name, &value) == Handled::Yes
        {
            return Handled::Yes;
        }
        match name {
            "vrrp_version" => self.version = version(&value),
            "vrrp_mcast_group4" => self.mcast_group4(ctx, line, &value),
            "vrrp_garp_extra_if" => self.garp.apply_extra_if(ctx, line, 1),
            "vrrp_mcast_group6" => self.mcast_group6(ctx, line, &value),
            "vrrp_rx_bufs_policy" => self.receive_buffers = buffers(ctx, line),
            "vrrp_min_garp" => self.min_garp = value.is_true(),
            "vrrp_down_timer_adverts" => {
                self.down_timer_adverts = value.number().unwrap_or(self.down_timer_adverts);
            }
            "vrrp_lower_prio_no_advert" => self.lower_prio_no_advert = value.is_true(),
            "vrrp_higher_prio_send_advert" => self.higher_prio_send_advert = value.is_true(),
            "checker_log_all_failures" => self.checker_log_all_failures = value.is_true(),
            // They were heeded when variables were replaced and files included.
            "random_seed" | "include_check" => {}
            _ => return self.globals(ctx, line, value),
        }
        Handled::Yes
    }
}

/// `sysctl NAME VALUE`; a value is a number, or several.
fn sysctl_is_good(ctx: &mut Context<'_>, line: &Line<'_>) -> bool {
    let [name, value] = line.args else {
        return true;
    };
    let bad = |ctx: &mut Context<'_>, word: &Word, message: String| {
        ctx.say(Diagnostic::error(Code::InvalidValue, word.span, message));
        false
    };
    if let Err(message) = ctx.text(name).parse::<Sysctl>() {
        return bad(ctx, name, message);
    }
    let text = ctx.text(value).into_owned();
    text.parse::<i32>().is_ok()
        || bad(
            ctx,
            value,
            format!("`sysctl` wants a whole number, not `{text}`"),
        )
}

impl Defaults {
    fn globals(&mut self, ctx: &mut Context<'_>, line: &Line<'_>, value: Value) -> Handled {
        let globals = &mut self.globals;
        match line.row.name {
            "router_id" => globals.router_id = Some(value.text()),
            "notification_email" => {
                for address in ctx.lines(line.statement) {
                    let words = address.words.iter();
                    globals
                        .notification_email
                        .extend(words.map(|word| ctx.text(word).into_owned()));
                }
            }
            "notification_email_from" => globals.notification_email_from = Some(value.text()),
            "smtp_server" => globals.smtp_server = smtp_server(ctx, line),
            "smtp_user" => {
                self.smtp_user_at = Some(line.span);
                globals.mail.smtp_user = Some(value.text());
            }
            "smtp_connect_timeout" => {
                globals.smtp_connect_timeout =
                    value.seconds().unwrap_or(globals.smtp_connect_timeout);
            }
            "script_user" => globals.script_user = ctx.user(line),
            "lvs_sync_daemon" => globals.lvs_sync_daemon = sync_daemon::daemon(ctx, line),
            "lvs_timeouts" => globals.lvs_timeouts = sync_daemon::timeouts(ctx, line),
            "script_caps" => {
                globals.script_caps = script_caps(ctx, line).unwrap_or(globals.script_caps);
            }
            "sysctl" => {
                let setting = ctx.setting(line, &value);
                if sysctl_is_good(ctx, line) {
                    return Handled::of(globals.lvs.set("sysctl", &setting));
                }
            }
            "enable_script_security" => globals.enable_script_security = true,
            "watch_config" => globals.control.watch_config = true,
            "umask" => {
                let umask = control::umask(ctx, line);
                globals.outputs.umask = umask.or(globals.outputs.umask);
            }
            "control_mode" | "control_group" | "metrics_listen" | "page_listen" => {
                control::apply(&mut globals.control, ctx, line, &value.text());
            }
            name => {
                let setting = ctx.setting(line, &value);
                return Handled::of(
                    globals.mail.set(name, &setting)
                        || globals.scheduling.set(name, &setting)
                        || globals.scripts.set(name, &setting)
                        || globals.vrrp.set(name, &setting)
                        || globals.filters.set(name, &setting)
                        || globals.lvs.set(name, &setting)
                        || globals.outputs.set(name, &setting),
                );
            }
        }
        Handled::Yes
    }

    /// A password goes nowhere in the clear, and a name alone is no login.
    fn mail_login(&self, ctx: &mut Context<'_>) {
        let mail = &self.globals.mail;
        let Some(span) = self.smtp_user_at else {
            return;
        };
        if mail.smtp_tls == SmtpTls::Off {
            let problem = Diagnostic::error(
                Code::MissingKeyword,
                span,
                "`smtp_user` without `smtp_tls`: a password is not sent in the clear",
            );
            ctx.say(
                problem.hint("add `@vipd smtp_tls starttls`, or `tls` for port 465".to_owned()),
            );
        }
        if mail.smtp_password_file.is_none() {
            let message = "`smtp_user` without `smtp_password_file`";
            let problem = Diagnostic::error(Code::MissingKeyword, span, message);
            ctx.say(problem.hint(
                "add `@vipd smtp_password_file FILE`, a file that root alone can read".to_owned(),
            ));
        }
    }

    fn mcast_group6(&mut self, ctx: &mut Context<'_>, line: &Line<'_>, value: &Value) {
        match value.address() {
            Some(group @ IpAddr::V6(address)) if address.is_multicast() => {
                self.globals.vrrp.vrrp_mcast_group6 = Some(group);
            }
            Some(address) => {
                let message = format!("{address} is not an IPv6 multicast address");
                let span = line.args_span();
                ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
            }
            None => {}
        }
    }

    /// `default_interface`: where addresses without a `dev` are that no interface goes with.
    pub(super) fn default_interface(&self) -> InterfaceName {
        let written = self.globals.vrrp.default_interface.clone();
        written.unwrap_or_else(InterfaceName::eth0)
    }

    /// What an instance that says nothing about it gets.
    pub(super) fn receive_buffer(&self) -> ReceiveBuffer {
        let times = self.globals.vrrp.vrrp_rx_bufs_multiplier.unwrap_or(3);
        match self.receive_buffers {
            ReceiveBuffer::Mtu(_) => ReceiveBuffer::Mtu(times),
            ReceiveBuffer::Advert(_) => ReceiveBuffer::Advert(times),
            fixed => fixed,
        }
    }

    fn mcast_group4(&mut self, ctx: &mut Context<'_>, line: &Line<'_>, value: &Value) {
        if let Some(group) = group4(ctx, line, value) {
            self.mcast_group4 = group;
        }
    }
}

/// A multicast address.
pub(super) fn group(ctx: &mut Context<'_>, line: &Line<'_>, value: &Value) -> Option<IpAddr> {
    let address = value.address()?;
    if address.is_multicast() {
        return Some(address);
    }
    let message = format!("{address} is not a multicast address");
    let span = line.args_span();
    ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
    None
}

/// `MTU`, `ADVERT` or a number of bytes.
fn buffers(ctx: &mut Context<'_>, line: &Line<'_>) -> ReceiveBuffer {
    let Some(word) = line.args.first() else {
        return ReceiveBuffer::System;
    };
    match ctx.text(word).as_ref() {
        "MTU" => ReceiveBuffer::Mtu(1),
        "ADVERT" => ReceiveBuffer::Advert(1),
        _ => match ctx.integer(word, 1, i64::from(u32::MAX), line.row) {
            Some(bytes) => ReceiveBuffer::Bytes(u32::try_from(bytes).unwrap_or(u32::MAX)),
            None => ReceiveBuffer::System,
        },
    }
}

/// A multicast address of IPv4.
fn group4(ctx: &mut Context<'_>, line: &Line<'_>, value: &Value) -> Option<Ipv4Addr> {
    let address = value.address()?;
    match address {
        IpAddr::V4(group) if group.is_multicast() => Some(group),
        _ => {
            let message = format!("{address} is not an IPv4 multicast address");
            let span = line.args_span();
            ctx.say(Diagnostic::error(Code::InvalidValue, span, message));
            None
        }
    }
}

/// 2 or 3.
pub(super) fn version(value: &Value) -> Version {
    match value.number() {
        Some(3u8) => Version::V3,
        _ => Version::V2,
    }
}

/// `none`, or names of capabilities.
fn script_caps(ctx: &mut Context<'_>, line: &Line<'_>) -> Option<Capabilities> {
    if let [word] = line.args
        && ctx.text(word) == "none"
    {
        return Some(Capabilities::NONE);
    }
    let mut caps = Capabilities::NONE;
    for word in line.args {
        let Some(more) = caps.with(&ctx.text(word)) else {
            let message = format!("`{}` is no capability", ctx.text(word));
            let problem = Diagnostic::error(Code::InvalidValue, word.span, message);
            ctx.say(
                problem.hint("names are those of capabilities(7), as CAP_NET_ADMIN".to_owned()),
            );
            return None;
        };
        caps = more;
    }
    Some(caps)
}

fn smtp_server(ctx: &mut Context<'_>, line: &Line<'_>) -> Option<SmtpServer> {
    let host = ctx.text(line.args.first()?).into_owned();
    let port = match line.args.get(1) {
        Some(word) => ctx.integer(word, 1, 65535, line.row)?,
        None => 25,
    };
    Some(SmtpServer {
        host,
        port: u16::try_from(port).unwrap_or(25),
    })
}
