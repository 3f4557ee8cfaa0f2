//! Lines for FIFOs, as keepalived writes them.

use super::{Change, Notice};

/// Who reads a FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// `vrrp_notify_fifo`, and `notify_fifo`.
    Vrrp,
    /// `lvs_notify_fifo`, and `notify_fifo`.
    Lvs,
}

impl Notice {
    /// Whose FIFO is told, beside the one that is told everything.
    pub fn audience(&self) -> Audience {
        match self {
            Notice::Instance { .. } | Notice::Group { .. } => Audience::Vrrp,
            Notice::Server(_) | Notice::Check(_) | Notice::Service(_) => Audience::Lvs,
        }
    }

    /// The line, its newline included; `None` for what FIFOs are not told.
    pub fn line(&self) -> Option<String> {
        Some(match self {
            Notice::Check(_) => return None,
            Notice::Instance {
                instance,
                change,
                priority,
            } => vrrp_line("INSTANCE", &instance.name, *change, *priority),
            // keepalived has no priority for a group and says 0.
            Notice::Group { group, change } => vrrp_line("GROUP", &group.name, *change, 0),
            Notice::Server(notice) => {
                let state = if notice.up { "UP" } else { "DOWN" };
                format!("RS {} {} {state}\n", notice.server, notice.service)
            }
            Notice::Service(notice) => {
                let state = if notice.up { "UP" } else { "DOWN" };
                format!("VS {} {state}\n", notice.service)
            }
        })
    }
}

fn vrrp_line(kind: &str, name: &str, change: Change, priority: u8) -> String {
    format!("{kind} \"{name}\" {} {priority}\n", change.as_str())
}
