//! mod_unique_id: a name for each request that no other request has.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::phase::{DECLINED, Phase, Verdict, first};
use crate::request::Request;
use crate::schema::Module;

/// Settings of a section: none.
pub type Dir = ();
/// Settings of a server: none.
pub type Server = ();

/// The module: it works by being loaded.
pub static MODULE: Module = Module {
    name: "mod_unique_id.c",
    id: "unique_id_module",
    directives: &[],
    hooks: &[first(Phase::Received, generate)],
};

const NAME: &[u8] = b"UNIQUE_ID";
const REDIRECTED: &[u8] = b"REDIRECT_UNIQUE_ID";

/// What tells this process from all others: random, as httpd's `root`.
static ROOT: LazyLock<[u8; 16]> = LazyLock::new(|| {
    let random = || RandomState::new().hash_one(0_u8).to_be_bytes();
    let mut root = [0; 16];
    root[..8].copy_from_slice(&random());
    root[8..].copy_from_slice(&random());
    root
});

/// Requests of the same second are told apart by their number.
static COUNTER: AtomicU16 = AtomicU16::new(0);

/// `gen_unique_id`. Time, process, number and connection, as 27 letters.
fn generate(r: &mut Request) -> Verdict {
    if r.prev.is_some()
        && let Some(id) = r.env.get(REDIRECTED).cloned()
    {
        r.env.set(NAME, id);
        return DECLINED;
    }
    let mut id = Vec::with_capacity(20);
    id.extend_from_slice(&((r.request_time / 1_000_000) as u32).to_be_bytes());
    id.extend_from_slice(&ROOT[..10]);
    id.extend_from_slice(&COUNTER.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    id.extend_from_slice(&(r.connection.id as u32).to_be_bytes());
    r.env.set(NAME, encode(&id));
    DECLINED
}

const LETTERS: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@-";

/// Six bits in each letter; the last one is filled up with zeros.
fn encode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 4 / 3 + 1);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let letters = three.len() * 8 / 6 + 1;
        out.extend(
            (0..letters.min(4)).map(|i| LETTERS[(bits >> (18 - 6 * i) & 63) as usize]),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_bytes_are_twenty_seven_letters() {
        assert_eq!(encode(&[0; 20]), [b'A'; 27]);
        assert_eq!(encode(b"\xff\xff\xff\x00"), b"----AA");
        assert_eq!(encode(b"\x04"), b"BA");
    }
}
