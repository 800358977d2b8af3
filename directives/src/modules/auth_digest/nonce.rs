//! Nonces: a time in base64, and behind it a hash of it, of the realm and of the client's
//! number, made with a secret. `gen_nonce`, `check_nonce` and `check_and_record_nonce`.
//!
//! **Invariant: what a client used last changes by requests only whose password was right
//! and whose nonce is ours.** Others could end somebody's session.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::clients::Clients;
pub use super::clients::Use;
use super::header::strtol;
use super::proof::same;
use crate::expr::hex;
use crate::modules::authn_core::{decode_base64, encode_base64};

/// The time's share, characters.
const TIME: usize = 12;

/// A nonce's length, characters.
const LENGTH: usize = TIME + 40;

/// Has a text the form of a nonce?
pub fn is_wellformed(nonce: &[u8]) -> bool {
    nonce.len() == LENGTH && nonce[TIME - 1] == b'='
}

/// What sections say about nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `AuthDigestNonceLifetime`, microseconds: 0 for a nonce for each request, less for
    /// nonces that do not end.
    pub lifetime: i64,
    /// `AuthDigestNcCheck`.
    pub counts: bool,
}

impl Rules {
    /// A nonce is good for one request.
    fn is_once(self) -> bool {
        self.lifetime == 0
    }

    /// Clients have to be known.
    pub fn tracks(self) -> bool {
        self.counts || self.is_once()
    }
}

/// The client's number, as it sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque {
    /// The text.
    pub text: Bytes,
    /// The number; 0 if it is none.
    pub client: u32,
}

impl Opaque {
    /// Reads a hexadecimal number.
    pub fn read(text: Bytes) -> Opaque {
        let (number, rest) = strtol(&text, 16);
        let client = if rest.is_empty() { u32::try_from(number) } else { Ok(0) };
        Opaque { client: client.unwrap_or_default(), text }
    }
}

/// What is asked about a nonce.
#[derive(Clone, Debug)]
pub struct Question {
    /// For which realm it is.
    pub realm: Bytes,
    /// What the client sent with its nonce.
    pub opaque: Option<Opaque>,
    /// What its section says.
    pub rules: Rules,
    /// When the request came, microseconds since 1970.
    pub now: i64,
    /// What is wanted.
    pub want: Want,
}

/// What is wanted of a nonce.
#[derive(Clone, Debug)]
pub enum Want {
    /// One to ask a client with.
    Challenge,
    /// Is this one ours, and does it hold? The password was right.
    Use {
        /// The nonce.
        nonce: Bytes,
        /// `nc`, where it is looked at.
        count: Option<Bytes>,
    },
    /// One for the client's next request.
    Next,
}

/// What is said about a nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// One to ask a client with.
    Challenge(Challenge),
    /// Whether the client's holds.
    Used(Used),
    /// One for the next request.
    Next(Bytes),
    /// There is no secret: nothing can be said.
    Failed,
}

impl Said {
    /// What is taken to be said where there is no server.
    pub fn assumed(question: &Question) -> Said {
        let nonce = Bytes::from_static(b"(a nonce)");
        match question.want {
            Want::Challenge => {
                let tracked = question.rules.tracks().then(|| "1".into());
                let client = tracked.as_ref().map_or(Client::None, |_| Client::New(1));
                Said::Challenge(Challenge { nonce, opaque: tracked, client })
            }
            Want::Use { .. } => Said::Used(Used::Accepted(question.now)),
            Want::Next => Said::Next(nonce),
        }
    }
}

/// A nonce to ask a client with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The nonce.
    pub nonce: Bytes,
    /// What it is sent with.
    pub opaque: Option<Bytes>,
    /// What became of the client's number.
    pub client: Client,
}

/// Whose number goes with a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Nobody's.
    None,
    /// A new client's.
    New(u32),
    /// The client's own.
    Known(u32),
    /// A new one; that of the client is not known, or not any more.
    Renewed {
        /// What it sent.
        old: u32,
        /// What it gets.
        new: u32,
    },
}

/// Does a nonce hold?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// It does, and was made at this time.
    Accepted(i64),
    /// It is none of ours.
    Forged,
    /// It was made later than now.
    Later,
    /// It is so many microseconds old, and too old.
    Expired(i64),
    /// The count is no number.
    NoCount,
    /// The client does not hold it.
    Refused(Use),
}

/// The secret, and the clients: for all threads, as long as the server lives.
pub struct Nonces {
    secret: [u8; 20],
    known: Mutex<Known>,
}

/// What changes.
struct Known {
    clients: Clients,
    /// The time of the last nonce that is good for one request.
    last: u32,
}

impl Nonces {
    /// With a secret that nobody can guess.
    pub const fn new(secret: [u8; 20]) -> Nonces {
        let known = Known { clients: Clients::new(), last: 0 };
        Nonces { secret, known: Mutex::new(known) }
    }

    /// Answers a question.
    pub fn answer(&self, question: &Question) -> Said {
        match &question.want {
            Want::Challenge => Said::Challenge(self.challenge(question)),
            Want::Use { nonce, count } => {
                Said::Used(self.used(question, nonce, count.as_deref()))
            }
            Want::Next => {
                let opaque = question.opaque.as_ref().map(|opaque| opaque.text.clone());
                Said::Next(self.make(question, opaque.as_deref()))
            }
        }
    }

    /// `note_digest_auth_failure`, as far as nonces go.
    fn challenge(&self, question: &Question) -> Challenge {
        let shown = |number: u32| Some(Bytes::from(format!("{number:x}")));
        let (opaque, client) = match &question.opaque {
            None if question.rules.tracks() => {
                let number = self.locked(|known| known.clients.add());
                (shown(number), Client::New(number))
            }
            // No number is needed, and none is sent.
            None => (None, Client::None),
            Some(Opaque { text, client }) => self.locked(|known| {
                if known.clients.knows(*client) {
                    (Some(text.clone()), Client::Known(*client))
                } else {
                    let new = known.clients.add();
                    (shown(new), Client::Renewed { old: *client, new })
                }
            }),
        };
        let nonce = self.make(question, opaque.as_deref());
        Challenge { nonce, opaque, client }
    }

    fn used(&self, question: &Question, nonce: &[u8], count: Option<&[u8]>) -> Used {
        let Question { opaque, rules, now, .. } = question;
        let Some((time, hash)) = nonce.split_at_checked(TIME) else {
            return Used::Forged;
        };
        let own =
            self.hash(question, time, opaque.as_ref().map(|opaque| &opaque.text[..]));
        let made = decode_base64(time).try_into().map(i64::from_le_bytes);
        let (true, Ok(made)) = (same(&own, hash), made) else { return Used::Forged };
        if rules.lifetime > 0 {
            let age = now.saturating_sub(made);
            if age < 0 {
                return Used::Later;
            }
            if age > rules.lifetime {
                return Used::Expired(age);
            }
        }
        if !rules.tracks() {
            return Used::Accepted(made);
        }
        let Some(count) = count else { return Used::Accepted(made) };
        let (count, rest) = strtol(count, 16);
        if rest.first().is_some_and(|&byte| !super::header::is_space(byte)) {
            return Used::NoCount;
        }
        let client = opaque.as_ref().map_or(0, |opaque| opaque.client);
        let used = self.locked(|known| {
            known.clients.uses(client, made, count as u64, rules.is_once())
        });
        match used {
            Use::Accepted => Used::Accepted(made),
            refused => Used::Refused(refused),
        }
    }

    /// A nonce of now; of those for one request each is later than the one before.
    fn make(&self, question: &Question, opaque: Option<&[u8]>) -> Bytes {
        let time = if question.rules.is_once() {
            self.locked(|known| {
                known.last = known.last.wrapping_add(1);
                i64::from(known.last)
            })
        } else {
            question.now
        };
        let time = encode_base64(&time.to_le_bytes());
        let hash = self.hash(question, time.as_bytes(), opaque);
        [time.as_bytes(), &hash].concat().into()
    }

    /// `gen_nonce_hash`.
    fn hash(&self, question: &Question, time: &[u8], opaque: Option<&[u8]>) -> Bytes {
        let hash = Sha1::new()
            .chain_update(self.secret)
            // Nobody makes a realm's end a time's beginning.
            .chain_update((question.realm.len() as u64).to_le_bytes())
            .chain_update(&question.realm)
            .chain_update(time)
            .chain_update(opaque.unwrap_or_default());
        hex(&hash.finalize())
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { lifetime: 300_000_000, counts: false };
    const COUNTS: Rules = Rules { counts: true, ..RULES };
    const ONCE: Rules = Rules { lifetime: 0, counts: false };
    const NOW: i64 = 1_700_000_000_000_000;

    fn nonces() -> Nonces {
        Nonces::new(*b"twenty secret bytes.")
    }

    fn question(rules: Rules, want: Want) -> Question {
        Question { realm: "x".into(), opaque: None, rules, now: NOW, want }
    }

    fn challenge(nonces: &Nonces, rules: Rules) -> Challenge {
        match nonces.answer(&question(rules, Want::Challenge)) {
            Said::Challenge(challenge) => challenge,
            other => panic!("{other:?}"),
        }
    }

    fn used(nonces: &Nonces, given: &Challenge, change: impl Fn(&mut Question)) -> Used {
        let want = Want::Use { nonce: given.nonce.clone(), count: Some("1".into()) };
        let mut question = question(RULES, want);
        question.opaque = given.opaque.clone().map(Opaque::read);
        change(&mut question);
        match nonces.answer(&question) {
            Said::Used(used) => used,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nonces_hold_where_and_while_they_should() {
        let nonces = nonces();
        let given = challenge(&nonces, RULES);
        assert!(is_wellformed(&given.nonce) && given.opaque.is_none());
        let at = |now: i64| used(&nonces, &given, |q| q.now = NOW + now);
        assert_eq!(at(0), Used::Accepted(NOW));
        assert_eq!(at(300_000_000), Used::Accepted(NOW));
        assert_eq!(at(300_000_001), Used::Expired(300_000_001));
        assert_eq!(at(-1), Used::Later);
        assert_eq!(used(&nonces, &given, |q| q.realm = "y".into()), Used::Forged);
        let opaque = Some(Opaque::read("1".into()));
        assert_eq!(used(&nonces, &given, |q| q.opaque = opaque.clone()), Used::Forged);
        let others = Nonces::new([7; 20]);
        assert_eq!(used(&others, &given, |_| {}), Used::Forged);
    }

    /// Any character that is changed makes it another's.
    #[test]
    fn nonces_cannot_be_changed() {
        let nonces = nonces();
        let given = challenge(&nonces, RULES);
        for place in 0..given.nonce.len() {
            let mut nonce = given.nonce.to_vec();
            nonce[place] ^= 1;
            let changed = Challenge { nonce: nonce.into(), ..given.clone() };
            assert_eq!(used(&nonces, &changed, |_| {}), Used::Forged, "{place}");
        }
        for nonce in ["", "AAAAAAAAAAA=", "ä"] {
            let changed = Challenge { nonce: nonce.into(), ..given.clone() };
            assert_eq!(used(&nonces, &changed, |_| {}), Used::Forged);
        }
    }

    #[test]
    fn counted_nonces_are_of_known_clients() {
        let nonces = nonces();
        let given = challenge(&nonces, COUNTS);
        assert_eq!(given.client, Client::New(1));
        let with = |count: &'static str| {
            used(&nonces, &given, |q| {
                q.rules = COUNTS;
                let nonce = given.nonce.clone();
                q.want = Want::Use { nonce, count: Some(count.into()) };
            })
        };
        assert_eq!(with("x"), Used::NoCount);
        assert_eq!(with("0000000a"), Used::Accepted(NOW));
        assert_eq!(with("0000000a"), Used::Refused(Use::NotAbove(10)));
        assert_eq!(with("0000000b"), Used::Accepted(NOW));
        // A number that nobody has, with a nonce that fits it, is forged all the same.
        let opaque = Some(Opaque::read("2".into()));
        let strange =
            used(&nonces, &given, |q| (q.rules, q.opaque) = (COUNTS, opaque.clone()));
        assert_eq!(strange, Used::Forged);
        // One without a number is of nobody.
        let unnumbered = challenge(&nonces, RULES);
        let nobody = used(&nonces, &unnumbered, |q| q.rules = COUNTS);
        assert_eq!(nobody, Used::Refused(Use::Unknown));
    }

    #[test]
    fn nonces_for_one_request_are_good_for_one() {
        let nonces = nonces();
        let given = challenge(&nonces, ONCE);
        let once = |given: &Challenge| used(&nonces, given, |q| q.rules = ONCE);
        assert_eq!(once(&given), Used::Accepted(1));
        assert_eq!(once(&given), Used::Refused(Use::Again));
        let mut next = question(ONCE, Want::Next);
        next.opaque = given.opaque.clone().map(Opaque::read);
        let Said::Next(nonce) = nonces.answer(&next) else { panic!("a nonce") };
        let next = Challenge { nonce, ..given };
        assert_eq!(once(&next), Used::Accepted(2));
        assert_eq!(once(&next), Used::Refused(Use::Again));
    }

    #[test]
    fn a_forgotten_client_gets_a_new_number() {
        let nonces = nonces();
        let mut ask = question(RULES, Want::Challenge);
        ask.opaque = Some(Opaque::read("77".into()));
        let Said::Challenge(given) = nonces.answer(&ask) else { panic!("a challenge") };
        assert_eq!(given.client, Client::Renewed { old: 0x77, new: 1 });
        ask.opaque = given.opaque.map(Opaque::read);
        let Said::Challenge(given) = nonces.answer(&ask) else { panic!("a challenge") };
        assert_eq!(given.client, Client::Known(1));
    }

    #[test]
    fn numbers_of_clients_are_hexadecimal() {
        for (text, number) in [
            ("1f", 0x1f),
            ("0x1f", 0x1f),
            ("", 0),
            ("-1", 0),
            ("1g", 0),
            ("100000000", 0),
            ("ffffffff", u32::MAX),
            ("ffffffffffffffffffff", 0),
        ] {
            assert_eq!(Opaque::read(text.into()).client, number, "{text}");
        }
    }
}
