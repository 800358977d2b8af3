//! Certificates and keys of the server itself. They are read while the configuration is,
//! by whoever reads it: root, where root starts the server.

use std::sync::Arc;

use bytes::Bytes;

use super::Given;
use crate::bundle::Secret;
use crate::compile::Scope;
use crate::schema::{Context, Directive, Problem, Result, Set, Word};
use crate::syntax::Span;

/// A private key's file.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its path.
    pub path: Bytes,
    /// What is in it.
    pub secret: Secret,
    /// Where the directive's argument stands.
    pub span: Span,
    /// The line of the directive.
    pub line: u32,
}

/// `ssl_cmd_check_file`, and what is in the file.
pub(super) fn file(at: &Scope, word: &Word) -> Result<Given> {
    let path = at.file_path(word)?;
    let bytes = at.files().read(&path).ok().filter(|bytes| !bytes.is_empty());
    let bytes = bytes.ok_or_else(|| missing(at, &path, word))?;
    Ok(Given { path, bytes, span: word.span, line: at.cmd.item.line })
}

/// The same for a file that has a private key in it.
pub(super) fn secret(at: &Scope, word: &Word) -> Result<Key> {
    let path = at.file_path(word)?;
    let secret =
        at.files().secret(&path).ok().filter(|secret| !secret.bytes().is_empty());
    let secret = secret.ok_or_else(|| missing(at, &path, word))?;
    Ok(Key { path, secret, span: word.span, line: at.cmd.item.line })
}

fn missing(at: &Scope, path: &[u8], word: &Word) -> Problem {
    let (name, path) = (at.cmd.name, String::from_utf8_lossy(path));
    Problem::from(format!("{name}: file '{path}' does not exist or is empty"))
        .at(word.span)
}

pub static CERTIFICATE_FILE: Directive = Directive {
    name: "SSLCertificateFile",
    syntax: "file-path",
    context: Context::SERVERS,
    summary: "SSL Server Certificate file ('/path/to/file' - PEM or DER encoded)",
    docs: r"
The server's certificate, and behind it in the same file those of its issuers, up to but
without the root. The private key may stand in it, too. Given more than once, with another
kind of key each, clients get the first one that they can check.

## Example
    SSLCertificateFile /etc/ssl/certs/ssl-cert-snakeoil.pem
    SSLCertificateKeyFile /etc/ssl/private/ssl-cert-snakeoil.key
",
    set: Set::One(|at, word| {
        let given = file(at, word)?;
        at.server.ssl().certificates.push(given);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CERTIFICATE_KEY_FILE: Directive = Directive {
    name: "SSLCertificateKeyFile",
    syntax: "file-path",
    context: Context::SERVERS,
    summary: "SSL Server Private Key file ('/path/to/file' - PEM or DER encoded)",
    docs: r"
The private key of the `SSLCertificateFile` in the same position. It must not be encrypted:
`openssl pkey -in old.key -out new.key` takes the pass phrase away. Only the parent reads
the file; the serving process is handed the key, and is not dumped when it crashes.

## Example
    SSLCertificateFile /etc/ssl/certs/ssl-cert-snakeoil.pem
    SSLCertificateKeyFile /etc/ssl/private/ssl-cert-snakeoil.key
",
    set: Set::One(|at, word| {
        let key = secret(at, word)?;
        at.server.ssl().keys.push(key);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CERTIFICATE_CHAIN_FILE: Directive = Directive {
    name: "SSLCertificateChainFile",
    syntax: "file-path",
    context: Context::SERVERS,
    summary: "SSL Server CA Certificate Chain file ('/path/to/file' - PEM encoded)",
    docs: r"
The certificates of the issuers, for a `SSLCertificateFile` that has none of its own. They
may stand in `SSLCertificateFile` as well.

## Example
    SSLCertificateChainFile /etc/ssl/certs/chain.pem
",
    set: Set::One(|at, word| {
        let given = file(at, word)?;
        at.server.ssl().chain = Some(given);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The files of a directory whose names OpenSSL's `c_rehash` gives: eight digits of a hash,
/// then `middle`, then a number.
pub(super) fn hashed(at: &Scope, word: &Word, middle: &str) -> Result<Vec<Given>> {
    let path = at.file_path(word)?;
    let shown = String::from_utf8_lossy(&path).into_owned();
    let Ok(mut names) = at.files().list(&path) else {
        let message = format!("{}: directory '{shown}' does not exist", at.cmd.name);
        return Err(Problem::from(message).at(word.span));
    };
    names.sort();
    let is_hash = |name: &[u8]| {
        let rest = name
            .split_at_checked(8)
            .filter(|(hash, _)| hash.iter().all(u8::is_ascii_hexdigit));
        let number = rest.and_then(|(_, rest)| rest.strip_prefix(middle.as_bytes()));
        number.is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit))
    };
    let mut all = Vec::new();
    for name in names.iter().filter(|name| is_hash(name)) {
        let path = Bytes::from([&path[..], b"/", name].concat());
        // What cannot be read is passed over, as OpenSSL does when it looks for a hash.
        if let Ok(bytes) = at.files().read(&path) {
            let line = at.cmd.item.line;
            all.push(Given { path, bytes: Arc::clone(&bytes), span: word.span, line });
        }
    }
    Ok(all)
}
