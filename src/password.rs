//! Checks passwords against a file of users: `apr_password_validate`, which knows whatever
//! `htpasswd` ever wrote; and what was made of them against a file of `htdigest`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crypt3_rs::crypt;
use directives::modules::auth_basic::Checked;
use directives::modules::auth_digest::proof::{Claim, Proved, same};
use directives::modules::authn_core::Credentials;
use directives::modules::authn_file::{hash_of, hashes, realm_hash_of};
use sha1::{Digest, Sha1};

use crate::disk;

/// Checks a user's password. The work is that of the costliest hash of the file, whether
/// or not there is such a user, so that the time does not tell.
pub fn check(file: &Bytes, given: &Credentials) -> Checked {
    let text = match std::fs::read(disk::path(file)) {
        Ok(text) => text,
        Err(error) => return Checked::Failed(disk::os_error(&error)),
    };
    let own = hash_of(&text, &given.user);
    let costliest = hashes(&text).max_by_key(|hash| cost(hash));
    if let Some(costliest) = costliest
        && own.as_ref().is_none_or(|own| cost(own) < cost(&costliest))
    {
        std::hint::black_box(is_right(&given.password, &costliest));
    }
    match own {
        None => Checked::NoUser,
        Some(own) if is_right(&given.password, &own) => Checked::Granted,
        Some(_) => Checked::Denied,
    }
}

/// Compares what a client has made of its password with the hash that a file has.
pub fn prove(claim: &Claim) -> Proved {
    match std::fs::read(disk::path(&claim.file)) {
        Ok(text) => {
            let hash = realm_hash_of(&text, &claim.user, &claim.realm);
            claim.proof.weigh(hash.as_deref())
        }
        Err(error) => Proved::not(Checked::Failed(disk::os_error(&error))),
    }
}

/// How much work a hash is, as a rank.
fn cost(hash: &[u8]) -> u32 {
    match hash {
        // bcrypt doubles with each step of its cost, "$2y$10$".
        [b'$', b'2', _, b'$', tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => {
            100 + u32::from(tens - b'0') * 10 + u32::from(ones - b'0')
        }
        [b'$', b'6', b'$', ..] => 60,
        [b'$', b'5', b'$', ..] => 50,
        [b'$', ..] => 40,
        [b'{', ..] => 0,
        _ => 1,
    }
}

/// Is this the password that the hash was made from? A hash of no known kind, a password
/// in clear included, is nobody's, as with httpd on Unix.
fn is_right(password: &[u8], hash: &[u8]) -> bool {
    if let Some(sha) = hash.strip_prefix(b"{SHA}") {
        return same(STANDARD.encode(Sha1::digest(password)).as_bytes(), sha);
    }
    let Ok(text) = std::str::from_utf8(hash) else { return false };
    // Chosen here: the library's own choice does not know hashes without "rounds=".
    match hash {
        [b'$', b'2', ..] => crypt::bcrypt::verify(password, text),
        [b'$', b'a', b'p', b'r', b'1', b'$', ..] => crypt::apr1::verify(password, text),
        [b'$', b'1', b'$', ..] => crypt::md5::verify(password, text),
        [b'$', b'5', b'$', ..] => crypt::sha256::verify(password, text),
        [b'$', b'6', b'$', ..] => crypt::sha512::verify(password, text),
        [b'_', ..] => crypt::bsdi::verify(password, text),
        _ => crypt::unix::verify(password, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind, as htpasswd, openssl and mkpasswd make them for "bar".
    const USERS: &str = "\
        md5:$apr1$h7E7a0oU$YWFMrKe.X2aYyntTxwNKb0\n\
        sha:{SHA}Ys23Ag/5IOWqZCw9QGaVDdHwH00=\n\
        bcrypt:$2y$04$.oKOyBlS1WDar47wZeS1FOYKadi0XUXsNlhgiHM9mQaENkC/CSMtO\n\
        des:ab9VHpu2/1Qrs\n\
        sha256:$5$saltsalt$/CnP1OkUPI/YYxBjMGRYh.bV5VNRz1I7OKD4GRMrHm4\n\
        sha512:$6$saltsalt$13ZWs86TCGWlKvPnoiZ5uGRk0I6FWQWsoBjy.0NUb9IUt/pnMWcsVBWPeXm2zbrm\
        1/3NvnFsJFn2dIliX8SAJ/\n\
        clear:bar\n";

    fn check_in(text: &str, user: &str, password: &str) -> Checked {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let path = Bytes::from(file.path().to_str().unwrap().to_owned());
        let given = Credentials {
            user: Bytes::from(user.to_owned()),
            password: Bytes::from(password.to_owned()),
        };
        check(&path, &given)
    }

    #[test]
    fn every_kind_of_hash_is_known() {
        for user in ["md5", "sha", "bcrypt", "des", "sha256", "sha512"] {
            assert_eq!(check_in(USERS, user, "bar"), Checked::Granted, "{user}");
            assert_eq!(check_in(USERS, user, "baz"), Checked::Denied, "{user}");
        }
        assert_eq!(check_in(USERS, "clear", "bar"), Checked::Denied);
        assert_eq!(check_in(USERS, "nobody", "bar"), Checked::NoUser);
    }

    #[test]
    fn a_file_that_is_not_there_is_no_answer() {
        let path = Bytes::from_static(b"/nonexistent/users");
        let given = Credentials { user: "a".into(), password: "b".into() };
        assert!(matches!(check(&path, &given), Checked::Failed(_)));
    }
}
