//! What is compared with the hash that a file of `htdigest` has for a user: the two ways of
//! `get_realm_hash`'s callers, `new_digest` here and mod_auth_basic's. **The hash is as good
//! as the password: it stays with who reads the file.**

use bytes::Bytes;
use md5::{Digest, Md5};

use super::header::Fields;
use crate::expr::hex;
use crate::modules::auth_basic::Checked;

/// A question about a user, for who reads files.
#[derive(Clone, Debug)]
pub struct Claim {
    /// `AuthUserFile`.
    pub file: Bytes,
    /// The user.
    pub user: Bytes,
    /// `AuthName`.
    pub realm: Bytes,
    /// Why it should be the user.
    pub proof: Proof,
}

/// What is compared with the file's hash.
#[derive(Clone)]
pub enum Proof {
    /// Nothing: only whether there is such a user is wanted.
    None,
    /// A hash made from the client's password.
    Hash(Bytes),
    /// What the client has made with the hash.
    Response(Box<Response>),
}

/// Not for logs.
impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// What the client has made, and from what else.
#[derive(Clone)]
pub struct Response {
    /// Nonce, count, the client's nonce and the quality of protection, with colons between.
    between: Vec<u8>,
    /// The hash of method and URI.
    request: Bytes,
    /// The hash of the URI, for our own response.
    answer: Bytes,
    /// What the client made.
    given: Bytes,
}

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    /// Was it right?
    pub checked: Checked,
    /// `rspauth`: shows the client that we know the password as well.
    pub answer: Bytes,
}

impl Proof {
    /// What `Authorization: Digest` proves; without a quality of protection that there is,
    /// nothing.
    pub fn of_digest(fields: &Fields, method: &[u8]) -> Proof {
        let (Some(qop), Some(nc), Some(cnonce)) =
            (&fields.qop, &fields.nc, &fields.cnonce)
        else {
            return Proof::None;
        };
        if !qop.eq_ignore_ascii_case(b"auth") {
            return Proof::None;
        }
        Proof::Response(Box::new(Response {
            between: [&fields.nonce[..], nc, cnonce, qop].join(&b':'),
            request: md5(&[method, &fields.uri]),
            answer: md5(&[b"", &fields.uri]),
            given: fields.response.clone(),
        }))
    }

    /// What a password proves (`AuthBasicUseDigestAlgorithm`).
    pub fn of_password(user: &[u8], realm: &[u8], password: &[u8]) -> Proof {
        Proof::Hash(md5(&[user, realm, password]))
    }

    /// Compares with the file's hash, which there may be none of. The time does not tell.
    pub fn weigh(&self, hash: Option<&[u8]>) -> Proved {
        // One that is none is nobody's: it would be known to everybody.
        let is_hash =
            |hash: &&[u8]| hash.len() == 32 && hash.iter().all(u8::is_ascii_hexdigit);
        let own = hash.filter(is_hash);
        let used = own.unwrap_or(&[b'0'; 32]);
        let (is_right, answer) = match self {
            Proof::None => (false, Bytes::new()),
            Proof::Hash(made) => (same(made, used), Bytes::new()),
            Proof::Response(response) => {
                let Response { between, request, answer, given } = &**response;
                let expected = md5(&[used, between, request]);
                (same(&expected, given), md5(&[used, between, answer]))
            }
        };
        let checked = match (hash, own) {
            (None, _) => Checked::NoUser,
            (Some(_), Some(_)) if is_right => Checked::Granted,
            _ => Checked::Denied,
        };
        let answer = if checked == Checked::Granted { answer } else { Bytes::new() };
        Proved { checked, answer }
    }
}

impl Proved {
    /// Nothing was found out.
    pub fn not(checked: Checked) -> Proved {
        Proved { checked, answer: Bytes::new() }
    }
}

/// The hash of texts with colons between, as 32 hexadecimal digits.
fn md5(parts: &[&[u8]]) -> Bytes {
    hex(&Md5::digest(parts.join(&b':')))
}

/// Compares without stopping at the first difference: `ap_memeq_timingsafe`.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 2617, 3.5.
    fn example(response: &'static str) -> (Proof, Bytes) {
        let fields = Fields {
            username: "Mufasa".into(),
            realm: "testrealm@host.com".into(),
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093".into(),
            uri: "/dir/index.html".into(),
            response: response.into(),
            cnonce: Some("0a4f113b".into()),
            qop: Some("auth".into()),
            nc: Some("00000001".into()),
            ..Fields::default()
        };
        let hash = md5(&[b"Mufasa", b"testrealm@host.com", b"Circle Of Life"]);
        (Proof::of_digest(&fields, b"GET"), hash)
    }

    #[test]
    fn the_rfc_s_example_is_right() {
        let (proof, hash) = example("6629fae49393a05397450978507c4ef1");
        assert_eq!(hash, "939e7578ed9e3c518a452acee763bce9");
        let proved = proof.weigh(Some(&hash));
        assert_eq!(proved.checked, Checked::Granted);
        assert_eq!(proved.answer.len(), 32);
    }

    #[test]
    fn everything_else_is_wrong() {
        let (right, hash) = example("6629fae49393a05397450978507c4ef1");
        assert_eq!(right.weigh(None).checked, Checked::NoUser);
        let other = md5(&[b"Mufasa", b"testrealm@host.com", b"Circle of Life"]);
        assert_eq!(right.weigh(Some(&other)).checked, Checked::Denied);
        let (wrong, _) = example("6629fae49393a05397450978507c4ef2");
        assert_eq!(wrong.weigh(Some(&hash)), Proved::not(Checked::Denied));
        assert_eq!(Proof::None.weigh(Some(&hash)).checked, Checked::Denied);
        assert_eq!(Proof::None.weigh(None).checked, Checked::NoUser);
    }

    /// A line without a hash, or one that stands for a missing user, lets nobody in.
    #[test]
    fn a_hash_that_is_none_is_nobody_s() {
        let (proof, _) = example("6629fae49393a05397450978507c4ef1");
        let Proof::Response(mut response) = proof else { panic!("a response") };
        for (made_with, in_file) in
            [("", ""), ("x", "x"), ("00000000000000000000000000000000", "")]
        {
            let parts = [made_with.as_bytes(), &response.between, &response.request];
            response.given = md5(&parts);
            let proof = Proof::Response(response.clone());
            assert_eq!(proof.weigh(Some(in_file.as_bytes())).checked, Checked::Denied);
            assert_eq!(proof.weigh(None).checked, Checked::NoUser);
        }
        assert_eq!(Proof::Hash("".into()).weigh(Some(b"")).checked, Checked::Denied);
    }

    #[test]
    fn passwords_are_proofs_too() {
        let proof =
            Proof::of_password(b"Mufasa", b"testrealm@host.com", b"Circle Of Life");
        let hash = b"939e7578ed9e3c518a452acee763bce9";
        assert_eq!(proof.weigh(Some(hash)).checked, Checked::Granted);
        let proof = Proof::of_password(b"Mufasa", b"testrealm@host.com", b"");
        assert_eq!(proof.weigh(Some(hash)).checked, Checked::Denied);
        assert!(!format!("{proof:?}").contains("939e"));
    }
}
