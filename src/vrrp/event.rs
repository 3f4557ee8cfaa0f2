//! What happens to a virtual router, what it does about it, and both in words.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Time;

/// RFC 3768 section 6.4, and keepalived's Fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Not yet in the election: something that it tracks has not been heard of.
    Init,
    /// Listens, and takes over when the master falls silent.
    Backup,
    /// Holds the addresses and says so.
    Master,
    /// Out of the election until every fault is gone.
    Fault,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Init => "INIT",
            State::Backup => "BACKUP",
            State::Master => "MASTER",
            State::Fault => "FAULT",
        })
    }
}

/// How a machine begins, from what a crashed predecessor left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing is held: begin as backup.
    Fresh,
    /// The predecessor was master less than two adverts ago: go on as master.
    Resume,
    /// It was master, but longer ago: backup, the addresses kept until somebody else is heard.
    Keep,
}

/// Whether this router may take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Some tracked thing has not answered once.
    Waiting,
    /// It may.
    Able,
    /// It may not; each fault in words, never empty.
    Faulty(BTreeSet<String>),
}

/// An advert of this virtual router from somebody else, already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who sent it.
    pub source: IpAddr,
    /// 0: the sender leaves.
    pub priority: u8,
    /// The sender's interval.
    pub interval: Duration,
}

/// What happens to a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A deadline may have come.
    Timer,
    /// An advert was heard.
    Heard(Heard),
    /// Faults came or went.
    Standing(Standing),
    /// The sum of all weights, to be added to the priority.
    WeightSum(i32),
    /// Our own source address, for ties; it may change.
    Source(IpAddr),
    /// What stands behind the VIPs is in place: they may be claimed.
    MayClaim,
    /// Leave the addresses to the others: somebody outside keeps taking them away, or another member of
    /// the group does not have its own.
    Yield(Reason),
    /// Whether it is in a sync group: then it becomes master by [`Input::Claim`] only.
    InGroup(bool),
    /// Every member of its sync group wants to be master: it may, if it wanted to.
    Claim,
    /// As master: tell the neighbours again, as after a lower priority was heard.
    Reannounce,
    /// An operator wants somebody else to be master, this once.
    HandOver,
    /// An operator wants this router to yield and to stay yielded, or no longer.
    Standby(bool),
    /// While addresses are held for a successor: somebody else has announced every one of them.
    TakenOver,
    /// Not before then is anybody listened to, or anything sent (`vrrp_startup_delay`).
    DeafUntil(Time),
    /// The daemon stops, or the instance goes: leave in order.
    Stop,
}

/// What to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an advert with this priority; 0: leaving.
    SendAdvert {
        /// As it goes on the wire.
        priority: u8,
    },
    /// The addresses are to be set.
    Hold,
    /// The addresses are to be removed.
    Release,
    /// Tell the neighbours, this many times for each address.
    Announce {
        /// At least 1.
        repeat: u32,
    },
    /// Ask on the link whether somebody has the addresses of whom no advert told; nothing waits for it.
    Probe,
    /// The state changed.
    Entered {
        /// The state left.
        from: State,
        /// The state entered.
        to: State,
        /// Why.
        reason: Reason,
    },
    /// Worth a line in the log.
    Note(Note),
}

/// Why a state was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was started.
    Started,
    /// A predecessor was master a moment ago.
    Resumed,
    /// It owns the addresses: priority 255 and `state MASTER`.
    Owner,
    /// Nothing was heard from a master for this long.
    Silence(Duration),
    /// The master advertises less than we do.
    Preempts {
        /// Who was master.
        source: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// The master said that it leaves.
    MasterLeft(IpAddr),
    /// Somebody advertises more.
    HigherPriority {
        /// Who.
        source: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// Somebody advertises as much and has the higher address.
    HigherAddress(IpAddr),
    /// Faults, in words.
    Faults(BTreeSet<String>),
    /// The last fault is gone.
    FaultsCleared,
    /// Somebody outside took the addresses away again and again.
    AddressesTaken,
    /// While it stood still somebody else became master, whom it may not preempt at once.
    Overslept(IpAddr),
    /// A member of its sync group is not master any more.
    SyncGroup {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
    /// It stood still for so long, and would not take the addresses back from whoever has them.
    TimerExpired(Duration),
    /// Somebody else says that it owns the addresses too, and does not stop.
    OtherOwner(IpAddr),
    /// An operator handed over.
    HandedOver,
    /// An operator handed over, and nobody took it.
    NobodyTookOver,
    /// An operator made it stand by.
    Standby,
}

/// Something a person may want to know that is no change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// As master, a lower priority was heard.
    LowerPriorityHeard {
        /// Who.
        source: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// As backup with the right to preempt, a lower priority was heard for the first time.
    WillPreempt {
        /// Who is master now.
        source: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Ours.
        ours: u8,
    },
    /// Kept addresses are given up: somebody else is master.
    KeptAddressesReleased(IpAddr),
    /// It did not run for so long that others had time to elect a master.
    Overslept(Duration),
    /// The priority that counts changed.
    PriorityChanged {
        /// Before.
        from: u8,
        /// Now.
        to: u8,
    },
    /// It would claim, but what stands behind the VIPs is not in place yet.
    WaitsToClaim,
    /// It would claim, but it was told to stand by.
    StandsBy,
    /// As master, another master was heard that had not been heard before: this router stays it. Whoever
    /// was told of the other one's becoming master is to be told again.
    SplitHealed(IpAddr),
    /// As master and owner of the addresses, another owner was heard.
    TwoOwners(IpAddr),
    /// As owner of the addresses it does not listen to this router.
    OwnerIgnores(IpAddr),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Started => f.write_str("it was started"),
            Reason::Resumed => f.write_str("it was master a moment ago"),
            Reason::Owner => f.write_str("it owns the addresses (priority 255, state MASTER)"),
            Reason::Silence(d) => write!(f, "no advert for {:.3} s", d.as_secs_f64()),
            Reason::Preempts {
                source,
                theirs,
                ours,
            } => {
                write!(f, "{source} advertises only {theirs}, ours is {ours}")
            }
            Reason::MasterLeft(who) => write!(f, "{who} left with priority 0"),
            Reason::HigherPriority {
                source,
                theirs,
                ours,
            } => {
                write!(f, "{source} advertises {theirs}, ours is {ours}")
            }
            Reason::HigherAddress(who) => {
                write!(
                    f,
                    "{who} advertises the same priority from a higher address"
                )
            }
            Reason::Faults(faults) => {
                let mut sep = "";
                for fault in faults {
                    write!(f, "{sep}{fault}")?;
                    sep = "; ";
                }
                Ok(())
            }
            Reason::FaultsCleared => f.write_str("every fault is gone"),
            Reason::AddressesTaken => {
                f.write_str("something on this host keeps removing its addresses")
            }
            Reason::SyncGroup { group, member } => {
                write!(f, "{member} of sync group {group} is not master")
            }
            Reason::Overslept(who) => {
                write!(f, "{who} became master while this router stood still")
            }
            Reason::TimerExpired(late) => write!(
                f,
                "its timer expired {:.3} s ago: another router may be master",
                late.as_secs_f64()
            ),
            Reason::OtherOwner(who) => write!(
                f,
                "{who} has priority 255 too and does not stop: give one of the two another priority"
            ),
            Reason::HandedOver => f.write_str("it was told to hand over"),
            Reason::NobodyTookOver => f.write_str("it handed over and nobody took over"),
            Reason::Standby => f.write_str("it was told to stand by"),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::LowerPriorityHeard {
                source,
                theirs,
                ours,
            } => write!(
                f,
                "Received advert from {source} with lower priority {theirs}, ours {ours}, forcing new election"
            ),
            Note::WillPreempt {
                source,
                theirs,
                ours,
            } => {
                write!(
                    f,
                    "received lower priority {theirs} advert from {source}, ours {ours}: will take over"
                )
            }
            Note::KeptAddressesReleased(source) => {
                write!(
                    f,
                    "{source} is heard: addresses kept from before the restart are given up"
                )
            }
            Note::Overslept(late) => write!(
                f,
                "did not run for {:.1} s longer than it should: listens before it goes on",
                late.as_secs_f64()
            ),
            Note::PriorityChanged { from, to } => {
                write!(f, "Changing effective priority from {from} to {to}")
            }
            Note::WaitsToClaim => {
                f.write_str("would become master, waits until IPVS is programmed")
            }
            Note::SplitHealed(who) => write!(
                f,
                "{who} was master too, in another part of the network: this router stays master and \
                 announces its addresses again"
            ),
            Note::TwoOwners(who) => write!(
                f,
                "CONFIGURATION ERROR: this router and {who} both have priority 255: \
                 give one of the two another priority"
            ),
            Note::OwnerIgnores(who) => write!(
                f,
                "adverts of {who} are dropped: this router owns the addresses (owner_ignore_adverts)"
            ),
            Note::StandsBy => f.write_str(
                "would become master, but was told to stand by: nobody has the addresses",
            ),
        }
    }
}
