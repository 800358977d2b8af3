//! The secret of Digest authentication's nonces: made when it is first needed, and the same for
//! all threads and all configurations until the server half ends. What clients have used is
//! kept with it and ends with it: a nonce of an earlier secret can be used by nobody.

use std::sync::OnceLock;

use directives::modules::auth_digest::nonce::Nonces;

/// The secret, with what is kept beside it.
#[derive(Default)]
pub struct Secret {
    made: OnceLock<Option<Nonces>>,
}

impl Secret {
    /// What makes nonces and knows them again; `None` if there are no random numbers.
    pub fn get(&self) -> Option<&Nonces> {
        self.made.get_or_init(make).as_ref()
    }
}

/// Not for logs.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret { … }")
    }
}

/// From the generator that makes TLS's secrets: `apr_generate_random_bytes`.
fn make() -> Option<Nonces> {
    let mut secret = [0; 20];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut secret).ok()?;
    Some(Nonces::new(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use directives::modules::auth_digest::nonce::{Question, Rules, Said, Want};

    fn nonce(secret: &Secret) -> bytes::Bytes {
        let rules = Rules { lifetime: 1, counts: false };
        let (realm, opaque, want) = ("x".into(), None, Want::Challenge);
        let question = Question { realm, opaque, rules, now: 0, want };
        match secret.get().map(|nonces| nonces.answer(&question)) {
            Some(Said::Challenge(challenge)) => challenge.nonce,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_secret_stays_and_no_two_are_alike() {
        let (one, other) = (Secret::default(), Secret::default());
        assert_eq!(nonce(&one), nonce(&one));
        assert_ne!(nonce(&one), nonce(&other));
    }
}
