//! Certificates that clients show: who may have issued them, and which are revoked.

use super::certificates::{file, hashed};
use super::{Revocation, Verify};
use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::schema::{Compat, Context, Directive, Override, Problem, Result, Set, Word};

pub static CA_CERTIFICATE_FILE: Directive = Directive {
    name: "SSLCACertificateFile",
    syntax: "file-path",
    context: Context::SERVERS,
    summary: "SSL CA Certificate file ('/path/to/file' - PEM encoded)",
    docs: r"
The authorities whose certificates clients may show: one file with all of them.

## Example
    SSLVerifyClient require
    SSLCACertificateFile /etc/ssl/clients.pem
",
    set: Set::One(|at, word| {
        let given = file(at, word)?;
        at.server.ssl().authorities.push(given);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CA_CERTIFICATE_PATH: Directive = Directive {
    name: "SSLCACertificatePath",
    syntax: "directory-path",
    context: Context::SERVERS,
    summary: "SSL CA Certificate path ('/path/to/dir' - contains PEM encoded files)",
    docs: r"
The same, one file for each authority, under the names that `openssl rehash` makes. The
directory is read with the configuration: what is added to it needs a reload.

## Example
    SSLCACertificatePath /etc/ssl/clients/
",
    compat: Compat::Differs("files that are added later are seen after a reload"),
    set: Set::One(|at, word| {
        let mut given = hashed(at, word, ".")?;
        at.server.ssl().authorities.append(&mut given);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CADN_REQUEST_FILE: Directive = Directive {
    name: "SSLCADNRequestFile",
    syntax: "file-path",
    context: Context::SERVERS,
    summary: "SSL CA Distinguished Name file ('/path/to/file' - PEM encoded to derive \
              acceptable CA names to request)",
    docs: r"
The authorities that clients are told about when they are asked for a certificate, where
these are others than `SSLCACertificateFile`'s.

## Example
    SSLCADNRequestFile /etc/ssl/names.pem
",
    set: Set::One(|at, word| {
        let given = file(at, word)?;
        at.server.ssl().asked_names.push(given);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CADN_REQUEST_PATH: Directive = Directive {
    name: "SSLCADNRequestPath",
    syntax: "directory-path",
    context: Context::SERVERS,
    summary: "SSL CA Distinguished Name path ('/path/to/dir' - symlink hashes to PEM of \
              acceptable CA names to request)",
    docs: r"
The same, a directory as `openssl rehash` makes it.

## Example
    SSLCADNRequestPath /etc/ssl/names/
",
    set: Set::One(|at, word| {
        let mut given = hashed(at, word, ".")?;
        at.server.ssl().asked_names.append(&mut given);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CA_REVOCATION_FILE: Directive = Directive {
    name: "SSLCARevocationFile",
    syntax: "file-path",
    context: Context::SERVERS,
    summary: "SSL CA Certificate Revocation List (CRL) file ('/path/to/file' - PEM encoded)",
    docs: r"
Lists of certificates that are not good any more. They are used where
`SSLCARevocationCheck` says so, and read with the configuration: a new list needs a reload.

## Example
    SSLCARevocationCheck leaf
    SSLCARevocationFile /etc/ssl/revoked.pem
",
    set: Set::One(|at, word| {
        let given = file(at, word)?;
        at.server.ssl().revoked.push(given);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CA_REVOCATION_PATH: Directive = Directive {
    name: "SSLCARevocationPath",
    syntax: "directory-path",
    context: Context::SERVERS,
    summary: "SSL CA Certificate Revocation List (CRL) path ('/path/to/dir' - contains PEM \
              encoded files)",
    docs: r"
The same, one file for each list, under the names that `openssl rehash` makes.

## Example
    SSLCARevocationPath /etc/ssl/revoked/
",
    set: Set::One(|at, word| {
        let mut given = hashed(at, word, ".r")?;
        at.server.ssl().revoked.append(&mut given);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CA_REVOCATION_CHECK: Directive = Directive {
    name: "SSLCARevocationCheck",
    syntax: "chain|leaf|none [flags ...]",
    context: Context::SERVERS,
    default: "none",
    summary: "SSL CA Certificate Revocation List (CRL) checking mode",
    docs: r"
Are lists of revoked certificates looked at: for the client's own certificate (`leaf`), or
for those of its issuers, too (`chain`)? An authority without a list has nobody let in,
unless `no_crl_for_cert_ok` stands behind it.

## Example
    SSLCARevocationCheck chain no_crl_for_cert_ok
",
    set: Set::OneOrTwo(|at, word, flags| {
        at.server.ssl().revocation = Some(revocation(at, word, flags)?);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static VERIFY_CLIENT: Directive = Directive {
    name: "SSLVerifyClient",
    syntax: "none|optional|require|optional_no_ca",
    context: Context::ANYWHERE,
    overrides: Override::AUTH_CONFIG,
    default: "none",
    summary: "SSL Client verify type ('none', 'optional', 'require', 'optional_no_ca')",
    docs: r"
Are clients asked for a certificate, and must they show one? With `optional_no_ca` nobody
looks who issued it; that is for applications that look themselves.

In a section it says what a request needs: `require` lets in whoever has shown a good
certificate in the handshake. There is no second handshake, so the virtual host has to ask
for a certificate already (`optional`); without that it is an error, and in `.htaccess`
nobody is let in.

## Example
    <VirtualHost *:443>
        SSLEngine on
        SSLVerifyClient optional
        SSLCACertificateFile /etc/ssl/clients.pem
        <Location /intern>
            SSLVerifyClient require
        </Location>
    </VirtualHost>
",
    compat: Compat::Differs("in a section it does not make a new handshake"),
    set: Set::One(|at, word| {
        let verify = verify(at, word)?;
        let line = at.cmd.item.line;
        if is_of_server(at.place.context) {
            at.server.ssl().verify = Some(verify);
        } else {
            at.server.ssl().sections.push((verify, at.cmd.item.name_span, line));
            at.dir.ssl().verify = Some(verify);
        }
        Ok(())
    }),
    ..Directive::EXACT
};

pub static VERIFY_DEPTH: Directive = Directive {
    name: "SSLVerifyDepth",
    syntax: "number",
    context: Context::ANYWHERE,
    overrides: Override::AUTH_CONFIG,
    default: "1",
    summary: "SSL Client verify depth ('N' - number of intermediate certificates)",
    docs: r"
How many certificates may stand above the client's own one; with 1 it has to come from an
authority itself. In a section it is refused: the handshake is over by then.

## Example
    SSLVerifyDepth 3
",
    compat: Compat::Differs("not in sections"),
    set: Set::One(|at, word| {
        let depth = depth(at, word)?;
        if !is_of_server(at.place.context) {
            let message = "SSLVerifyDepth in a section is refused: the handshake is over by \
                           then, and is not made again; put it into the virtual host";
            return Err(Problem::new(&codes::REFUSED, message));
        }
        at.server.ssl().depth = Some(depth);
        Ok(())
    }),
    ..Directive::EXACT
};

pub(super) fn depth(at: &Scope, word: &Word) -> Result<u32> {
    let problem = |_| Problem::from(format!("{}: Invalid argument", at.cmd.name));
    u32::try_from(word.atoi()).map_err(problem).map_err(|problem| problem.at(word.span))
}

/// `ssl_cmd_verify_parse`.
pub(super) fn verify(at: &Scope, word: &Word) -> Result<Verify> {
    Ok(match word.lossy().to_ascii_lowercase().as_str() {
        "none" | "off" => Verify::None,
        "optional" => Verify::Optional,
        "require" | "on" => Verify::Require,
        "optional_no_ca" => Verify::OptionalNoCa,
        _ => {
            let message = format!("{}: Invalid argument '{}'", at.cmd.name, word.lossy());
            return Err(Problem::from(message).at(word.span));
        }
    })
}

/// `ssl_cmd_crlcheck_parse`.
pub(super) fn revocation(
    at: &Scope,
    word: &Word,
    flags: Option<&Word>,
) -> Result<Revocation> {
    let (leaf, chain) = match word.lossy().to_ascii_lowercase().as_str() {
        "none" => (false, false),
        "leaf" => (true, false),
        "chain" => (true, true),
        _ => {
            let message = format!("{}: Invalid argument '{}'", at.cmd.name, word.lossy());
            return Err(Problem::from(message).at(word.span));
        }
    };
    let no_list_is_ok = match flags {
        None => false,
        Some(flag) if flag.is("no_crl_for_cert_ok") => true,
        Some(flag) => {
            let message = format!("{}: Invalid argument '{}'", at.cmd.name, flag.lossy());
            return Err(Problem::from(message).at(flag.span));
        }
    };
    Ok(Revocation { leaf, chain, no_list_is_ok })
}

/// The main server or a virtual host, outside of sections.
fn is_of_server(context: Context) -> bool {
    Context::SERVERS.allows(context)
}
