//! SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding, as PostgreSQL has it.

use std::num::NonZeroU32;

use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::pbkdf2::{PBKDF2_HMAC_SHA256, derive};

/// A server that wants the password to be turned over more often than this wants our time (PostgreSQL: 4096).
const ROUNDS_MAX: u32 = 65_536;

/// The client's side of one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scram {
    password: String,
    nonce: String,
    /// What the server has to prove, once that is known.
    expected: Option<Vec<u8>>,
    proved: bool,
}

impl Scram {
    pub(super) fn new(password: &str, nonce: &str) -> Scram {
        Scram {
            password: password.to_owned(),
            nonce: nonce.to_owned(),
            expected: None,
            proved: false,
        }
    }

    /// Whether the server has shown that it knows the password too.
    pub(super) fn is_proved(&self) -> bool {
        self.proved
    }

    fn bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// What the client says first. PostgreSQL takes the name of the user from the session.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.bare())
    }

    /// What it says to the server's first words.
    pub(super) fn answer(&mut self, server: &[u8]) -> Result<String, String> {
        let wrong = || "the server's login is not SCRAM".to_owned();
        if self.expected.is_some() {
            return Err(wrong());
        }
        let server = std::str::from_utf8(server).map_err(|_| wrong())?;
        let field = |name: &str| server.split(',').find_map(|part| part.strip_prefix(name));
        let nonce =
            field("r=").filter(|n| n.starts_with(&self.nonce) && n.len() > self.nonce.len());
        let nonce = nonce.ok_or_else(wrong)?;
        let salt = field("s=").and_then(from_base64).ok_or_else(wrong)?;
        let rounds: u32 = field("i=").and_then(|i| i.parse().ok()).ok_or_else(wrong)?;
        let rounds = NonZeroU32::new(rounds).filter(|rounds| rounds.get() <= ROUNDS_MAX);
        let rounds = rounds.ok_or("the server wants the password to be turned over too often")?;
        let mut salted = [0; 32];
        let password = self.password.as_bytes();
        derive(PBKDF2_HMAC_SHA256, rounds, &salt, password, &mut salted);
        let hmac = |key: &[u8], text: &[u8]| sign(&Key::new(HMAC_SHA256, key), text);
        let last = format!("c=biws,r={nonce}");
        let all = format!("{},{server},{last}", self.bare());
        let client = hmac(&salted, b"Client Key");
        let stored = digest(&SHA256, client.as_ref());
        let signature = hmac(stored.as_ref(), all.as_bytes());
        let proof = client.as_ref().iter().zip(signature.as_ref());
        let proof: Vec<u8> = proof.map(|(a, b)| a ^ b).collect();
        let server_key = hmac(&salted, b"Server Key");
        self.expected = Some(hmac(server_key.as_ref(), all.as_bytes()).as_ref().to_vec());
        Ok(format!("{last},p={}", base64(&proof)))
    }

    /// Takes the server's last words.
    pub(super) fn check(&mut self, server: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(server).unwrap_or_default();
        let proof = text.split(',').find_map(|part| part.strip_prefix("v="));
        self.proved = self.expected.is_some() && proof.and_then(from_base64) == self.expected;
        match self.proved {
            true => Ok(()),
            false => Err("the server does not know the password itself".to_owned()),
        }
    }
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648 section 4.
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let at = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for (place, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let letter = usize::try_from(bits >> shift & 63).ok();
            let letter = letter.and_then(|index| LETTERS.get(index)).copied();
            text.push(match (place <= three.len(), letter) {
                (true, Some(letter)) => char::from(letter),
                _ => '=',
            });
        }
    }
    text
}

pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let body = text.trim_end_matches('=');
    if text.len() - body.len() > 2 {
        return None;
    }
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in body.bytes() {
        let value = LETTERS.iter().position(|l| *l == letter)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 255).ok()?);
        }
        bits &= 0xffff;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_exchange_of_rfc_7677_as_a_client_without_a_name_has_it() {
        // Section 3, with the user name left out as PostgreSQL wants it: only the proofs differ.
        let mut scram = Scram::new("pencil", "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(scram.first(), "n,,n=,r=rOprNGfwEbeRWgbNEkqO");
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let said = scram.answer(server.as_bytes()).unwrap();
        assert!(said.starts_with("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p="));
        // The server knows H(client key) and gets the client key back from the proof.
        let salt = from_base64("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let mut salted = [0; 32];
        let rounds = NonZeroU32::new(4096).unwrap();
        derive(PBKDF2_HMAC_SHA256, rounds, &salt, b"pencil", &mut salted);
        let key = sign(&Key::new(HMAC_SHA256, &salted), b"Client Key");
        let stored = digest(&SHA256, key.as_ref());
        let (last, proof) = said.split_once(",p=").unwrap();
        let all = format!("n=,r=rOprNGfwEbeRWgbNEkqO,{server},{last}");
        let signature = sign(&Key::new(HMAC_SHA256, stored.as_ref()), all.as_bytes());
        let proof = from_base64(proof).unwrap();
        let back: Vec<u8> = proof
            .iter()
            .zip(signature.as_ref())
            .map(|(a, b)| a ^ b)
            .collect();
        assert_eq!(digest(&SHA256, &back).as_ref(), stored.as_ref());
        assert!(scram.check(b"v=AAAA").is_err());
        let server_key = sign(&Key::new(HMAC_SHA256, &salted), b"Server Key");
        let proof = sign(&Key::new(HMAC_SHA256, server_key.as_ref()), all.as_bytes());
        let last = format!("v={}", base64(proof.as_ref()));
        assert_eq!(scram.check(last.as_bytes()), Ok(()));
        assert!(scram.is_proved());
    }

    #[test]
    fn a_server_that_is_no_server_is_not_answered() {
        for server in [
            "r=other,s=AAAA,i=1",
            "r=mine,s=AAAA,i=1",
            "r=mine1,s=A,i=1",
            "r=mine1,s=AAAA,i=0",
            "r=mine1,s=AAAA,i=99999999",
            "",
        ] {
            let mut scram = Scram::new("p", "mine");
            assert!(scram.answer(server.as_bytes()).is_err(), "{server}");
        }
    }

    proptest! {
        #[test]
        fn base64_is_read_as_it_is_written(bytes: Vec<u8>) {
            prop_assert_eq!(from_base64(&base64(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_no_panic(text in ".{0,40}") {
            drop(from_base64(&text));
            drop(Scram::new("p", "").answer(text.as_bytes()));
        }
    }
}
