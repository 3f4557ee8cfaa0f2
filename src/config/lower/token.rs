//! Lines of tokens as iproute2 has them: a name, then what stands behind it.

use std::net::IpAddr;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::suggest::nearest;
use crate::config::tree::Word;
use crate::net::{Cidr, Family, InterfaceName};

use super::context::Context;
use super::names::{Kind, number};

/// The words of a line that are still to be read. Whatever gives `None` has said why.
pub(super) struct Tokens<'w> {
    rest: &'w [Word],
    /// The token that values are read for.
    name: Option<&'w Word>,
}

impl<'w> Tokens<'w> {
    pub(super) fn new(words: &'w [Word]) -> Tokens<'w> {
        Tokens {
            rest: words,
            name: None,
        }
    }

    /// The next token.
    pub(super) fn token(&mut self, ctx: &Context<'_>) -> Option<(String, &'w Word)> {
        let (word, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.name = Some(word);
        Some((ctx.text(word).into_owned(), word))
    }

    /// The next word, if it is this one.
    pub(super) fn skip(&mut self, ctx: &Context<'_>, text: &str) -> bool {
        let next = self.rest.split_first();
        match next.filter(|(word, _)| ctx.text(word) == text) {
            Some((_, rest)) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The next word without taking it.
    pub(super) fn peek(&self, ctx: &Context<'_>) -> Option<String> {
        self.rest.first().map(|word| ctx.text(word).into_owned())
    }

    /// The word behind the token.
    pub(super) fn value(&mut self, ctx: &mut Context<'_>) -> Option<(String, &'w Word)> {
        if let Some((word, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Some((ctx.text(word).into_owned(), word));
        }
        if let Some(name) = self.name {
            let message = format!("`{}` needs a value", ctx.text(name));
            ctx.say(Diagnostic::error(Code::MissingValue, name.span, message));
        }
        None
    }

    /// Says that a value is not one of the token.
    pub(super) fn refuse(&self, ctx: &mut Context<'_>, word: &Word, hint: &str) {
        let name = self.name.map(|name| ctx.text(name).into_owned());
        let message = format!(
            "`{}` is not a value of `{}`",
            ctx.text(word),
            name.unwrap_or_default()
        );
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        let span = word.span;
        ctx.say(Diagnostic::error(Code::InvalidValue, span, message).hint(hint));
    }

    /// A value that `read` understands.
    pub(super) fn read<T>(
        &mut self,
        ctx: &mut Context<'_>,
        hint: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let (text, word) = self.value(ctx)?;
        let value = read(&text);
        if value.is_none() {
            self.refuse(ctx, word, hint);
        }
        value
    }

    /// A number within a range.
    pub(super) fn number(&mut self, ctx: &mut Context<'_>, min: u32, max: u32) -> Option<u32> {
        let hint = format!("it takes a number from {min} to {max}");
        let within = |n: &u32| (min..=max).contains(n);
        self.read(ctx, &hint, |text| number(text, 10).filter(within))
    }

    /// A number of 8 bits.
    pub(super) fn byte(&mut self, ctx: &mut Context<'_>) -> Option<u8> {
        u8::try_from(self.number(ctx, 0, 255)?).ok()
    }

    /// A number, or a name that iproute2 has for one.
    pub(super) fn named(&mut self, ctx: &mut Context<'_>, kind: Kind) -> Option<u32> {
        let (text, word) = self.value(ctx)?;
        let number = ctx.iproute_names().number(kind, &text);
        if number.is_none() {
            let all = ctx.iproute_names().all(kind);
            let near = nearest(&text, all.iter().map(String::as_str));
            let near = near.map(|near| format!("did you mean `{near}`?"));
            let hint = near.unwrap_or_else(|| {
                let (noun, max) = (kind.noun(), kind.max());
                format!(
                    "write the number of the {noun}, 0 to {max}, or name it in iproute2's files"
                )
            });
            let message = format!("`{text}` is no {}", kind.noun());
            let span = word.span;
            ctx.say(Diagnostic::error(Code::UnknownName, span, message).hint(hint));
        }
        number
    }

    /// The same, of 8 bits.
    pub(super) fn named_byte(&mut self, ctx: &mut Context<'_>, kind: Kind) -> Option<u8> {
        u8::try_from(self.named(ctx, kind)?).ok()
    }

    /// `[SOURCE/]DESTINATION`: the source in the upper 16 bits.
    pub(super) fn realms(&mut self, ctx: &mut Context<'_>) -> Option<u32> {
        let (text, word) = self.value(ctx)?;
        let mut realms = Some(0);
        for part in text.splitn(2, '/') {
            let part = ctx.iproute_names().number(Kind::Realm, part);
            realms = realms.and_then(|realms: u32| Some(realms << 16 | part?));
        }
        if realms.is_none() {
            self.refuse(
                ctx,
                word,
                "realms are DESTINATION or SOURCE/DESTINATION, 0 to 65535 each",
            );
        }
        realms
    }

    /// An interface.
    pub(super) fn interface(&mut self, ctx: &mut Context<'_>) -> Option<InterfaceName> {
        let (_, word) = self.value(ctx)?;
        ctx.interface(word)
    }

    /// An address, perhaps with its family before it.
    pub(super) fn address(&mut self, ctx: &mut Context<'_>) -> Option<(IpAddr, &'w Word)> {
        let _ = self.skip(ctx, "inet") || self.skip(ctx, "inet6");
        let (_, word) = self.value(ctx)?;
        Some((ctx.address(word)?, word))
    }

    /// A network, or a word for all of them.
    pub(super) fn network(&mut self, ctx: &mut Context<'_>) -> Option<Option<Cidr>> {
        let hint = "it takes ADDRESS/LENGTH or `default`";
        self.read(ctx, hint, network)
    }

    /// Says that a token is not known here.
    pub(super) fn unknown<'n>(
        &self,
        ctx: &mut Context<'_>,
        word: &Word,
        known: impl Iterator<Item = &'n str>,
    ) {
        let text = ctx.text(word).into_owned();
        let near = nearest(&text, known).map(|near| format!("did you mean `{near}`?"));
        let message = format!("`{text}` is not known here");
        let span = word.span;
        ctx.say(Diagnostic::error(Code::UnknownKeyword, span, message).hint(near));
    }
}

/// A network, or a word for all of them.
pub(super) fn network(text: &str) -> Option<Option<Cidr>> {
    match text {
        "default" | "all" | "any" => Some(None),
        network => network.parse().ok().map(Some),
    }
}

/// The family that everything on a line has to have.
#[derive(Default)]
pub(super) struct OneFamily(Option<Family>);

impl OneFamily {
    pub(super) fn get(&self) -> Family {
        self.0.unwrap_or(Family::V4)
    }

    /// Notes the family of a part; `None` when another part had the other one.
    pub(super) fn note(
        &mut self,
        ctx: &mut Context<'_>,
        family: Family,
        word: &Word,
    ) -> Option<()> {
        if *self.0.get_or_insert(family) == family {
            return Some(());
        }
        let message = "IPv4 and IPv6 do not go together here";
        ctx.say(Diagnostic::error(Code::InvalidValue, word.span, message));
        None
    }
}
