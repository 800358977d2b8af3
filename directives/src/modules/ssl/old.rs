//! What would have to be done differently, and is not: refused where it is asked for.

use crate::diagnostic::codes;
use crate::schema::{Compat, Context, Directive, Problem, Set};

pub static PASS_PHRASE_DIALOG: Directive = Directive {
    name: "SSLPassPhraseDialog",
    syntax: "type",
    context: Context::SERVER,
    default: "builtin",
    summary: "SSL dialog mechanism for the pass phrase query ('builtin', \
              '|/path/to/pipe_program', or 'exec:/path/to/cgi_program')",
    docs: r"
Accepted without effect: nobody is asked for a pass phrase. A private key that is encrypted
is an error; `openssl pkey -in old.key -out new.key` takes the pass phrase away.

## Example
    SSLPassPhraseDialog exec:/usr/share/apache2/ask-for-passphrase
",
    compat: Compat::Ignored("private keys must not be encrypted"),
    set: Set::One(|_, _| Ok(())),
    ..Directive::EXACT
};

pub static FIPS: Directive = Directive {
    name: "SSLFIPS",
    syntax: "on|off",
    context: Context::SERVER,
    default: "off",
    summary: "Enable FIPS-140 mode (`on', `off')",
    docs: r"
On is refused: the cryptography that is built in has no such certificate.

## Example
    SSLFIPS off
",
    set: Set::Flag(|_, on| {
        let message = "SSLFIPS on is refused: the cryptography here is not certified";
        if on { Err(Problem::new(&codes::REFUSED, message)) } else { Ok(()) }
    }),
    ..Directive::EXACT
};

pub static OCSP_ENABLE: Directive = Directive {
    name: "SSLOCSPEnable",
    syntax: "on|leaf|off",
    context: Context::SERVERS,
    default: "off",
    summary: "Enable use of OCSP to verify certificate revocation mode ('on', 'leaf', 'off')",
    docs: r"
On and leaf are refused: nobody is asked whether a client's certificate has been revoked.
`SSLCARevocationFile` can say so.

## Example
    SSLOCSPEnable off
",
    set: Set::One(|_, word| {
        if word.is("off") {
            return Ok(());
        }
        let message =
            "SSLOCSPEnable is refused: no responder is asked; use SSLCARevocationFile";
        Err(Problem::new(&codes::REFUSED, message).at(word.span))
    }),
    ..Directive::EXACT
};
