//! Keywords that are a field each: the field has the keyword's name, its type says what the keyword takes.
//!
//! Most of what a configuration may say is a flag, a number or a name that one place asks for. A struct
//! made by [`settings!`] has a field for each such keyword and takes it by name, so that a keyword of the
//! table cannot be read and then be forgotten between the two.

use std::net::IpAddr;
use std::time::Duration;

use crate::net::InterfaceName;

use super::{MasqueradeFor, NotifyFifo, OutsideChanges, Run, ScriptUser, SmtpTls, Sysctls};

/// What stood behind a keyword, checked by its row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Setting {
    /// Nothing: the keyword stands there.
    Present,
    /// On or off.
    Bool(bool),
    /// A number within its range.
    Integer(i64),
    /// A length of time.
    Time(Duration),
    /// An address.
    Address(IpAddr),
    /// An interface.
    Interface(InterfaceName),
    /// One word.
    Text(String),
    /// Any number of words.
    Words(Vec<String>),
    /// A command.
    Run(Run),
}

/// What a field makes of a setting.
pub(in crate::config) trait Field {
    /// Takes it; `false`: it is of another type, which is a hole in vipd.
    fn take(&mut self, setting: &Setting) -> bool;
}

impl Field for bool {
    fn take(&mut self, setting: &Setting) -> bool {
        *self = match setting {
            Setting::Present => true,
            Setting::Bool(value) => *value,
            _ => return false,
        };
        true
    }
}

impl Field for OutsideChanges {
    fn take(&mut self, setting: &Setting) -> bool {
        *self = match setting {
            Setting::Text(word) if word == "revert" => OutsideChanges::Revert,
            Setting::Text(word) if word == "keep" => OutsideChanges::Keep,
            _ => return false,
        };
        true
    }
}

impl Field for Option<MasqueradeFor> {
    fn take(&mut self, setting: &Setting) -> bool {
        *self = match setting {
            Setting::Present => Some(MasqueradeFor::Neighbours),
            Setting::Text(word) if word == "all" => Some(MasqueradeFor::All),
            _ => return false,
        };
        true
    }
}

impl Field for SmtpTls {
    fn take(&mut self, setting: &Setting) -> bool {
        *self = match setting {
            Setting::Text(word) if word == "off" => SmtpTls::Off,
            Setting::Text(word) if word == "starttls" => SmtpTls::Starttls,
            Setting::Text(word) if word == "tls" => SmtpTls::Tls,
            _ => return false,
        };
        true
    }
}

impl Field for Option<bool> {
    fn take(&mut self, setting: &Setting) -> bool {
        self.get_or_insert_default().take(setting)
    }
}

impl Field for Vec<String> {
    fn take(&mut self, setting: &Setting) -> bool {
        *self = match setting {
            Setting::Present => Vec::new(),
            Setting::Text(word) => vec![word.clone()],
            Setting::Words(words) => words.clone(),
            _ => return false,
        };
        true
    }
}

impl Field for Option<Vec<String>> {
    fn take(&mut self, setting: &Setting) -> bool {
        self.get_or_insert_default().take(setting)
    }
}

/// `Option<T>` of a value, and `Option<Option<T>>` for a keyword that may stand alone.
macro_rules! optional {
    ($($type:ty: $pattern:pat => $value:expr;)*) => {
        $(
            impl Field for Option<$type> {
                fn take(&mut self, setting: &Setting) -> bool {
                    if let $pattern = setting {
                        *self = $value;
                        return self.is_some();
                    }
                    false
                }
            }

            impl Field for Option<Option<$type>> {
                fn take(&mut self, setting: &Setting) -> bool {
                    let inner = self.get_or_insert_default();
                    *setting == Setting::Present || Field::take(inner, setting)
                }
            }
        )*
    };
}

optional! {
    i8: Setting::Integer(n) => i8::try_from(*n).ok();
    i32: Setting::Integer(n) => i32::try_from(*n).ok();
    u8: Setting::Integer(n) => u8::try_from(*n).ok();
    u16: Setting::Integer(n) => u16::try_from(*n).ok();
    u32: Setting::Integer(n) => u32::try_from(*n).ok();
    Duration: Setting::Time(time) => Some(*time);
    IpAddr: Setting::Address(address) => Some(*address);
    InterfaceName: Setting::Interface(name) => Some(name.clone());
    String: Setting::Text(text) => Some(text.clone());
    Run: Setting::Run(run) => Some(run.clone());
}

/// `sysctl NAME VALUE`: checked before, for its error says more than that it is none.
impl Field for Sysctls {
    fn take(&mut self, setting: &Setting) -> bool {
        let Setting::Words(words) = setting else {
            return false;
        };
        let [name, value] = words.as_slice() else {
            return false;
        };
        if let Ok(name) = name.parse() {
            self.0.insert(name, value.clone());
        }
        true
    }
}

/// `PATH [USER [GROUP]]`. As in keepalived the first one stays.
impl Field for Option<NotifyFifo> {
    fn take(&mut self, setting: &Setting) -> bool {
        let Setting::Words(words) = setting else {
            return false;
        };
        let mut words = words.iter().cloned();
        let Some(path) = words.next() else {
            return false;
        };
        let owner = words.next().map(|user| ScriptUser {
            user,
            group: words.next(),
        });
        self.get_or_insert(NotifyFifo { path, owner });
        true
    }
}

/// Makes a struct of keywords. `None`: it was not written, and what the table calls its default holds.
macro_rules! settings {
    ($(#[$meta:meta])* $name:ident { $($(#[$on:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
        pub struct $name {
            $(
                #[doc = concat!("`", stringify!($field), "`.")]
                $(#[$on])*
                pub $field: $type,
            )*
        }

        impl $name {
            /// Takes a keyword by its name; `false` when it is none of these.
            pub(in crate::config) fn set(
                &mut self,
                keyword: &str,
                setting: &$crate::config::model::settings::Setting,
            ) -> bool {
                match keyword {
                    $(stringify!($field) => {
                        $crate::config::model::settings::Field::take(&mut self.$field, setting)
                    })*
                    _ => false,
                }
            }
        }
    };
}
pub(in crate::config) use settings;
