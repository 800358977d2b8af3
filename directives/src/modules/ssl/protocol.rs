//! How TLS is spoken: versions, cipher suites, groups.

use super::suites::{self, Chosen};
use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::schema::{Compat, Context, Directive, Override, Problem, Result, Set, Word};

/// A group for key exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// X25519.
    X25519,
    /// P-256.
    P256,
    /// P-384.
    P384,
}

pub static ENGINE: Directive = Directive {
    name: "SSLEngine",
    syntax: "on|off",
    context: Context::SERVERS,
    default: "off",
    summary: "SSL switch for the protocol engine ('on', 'off')",
    docs: r"
Is TLS spoken? The first virtual host of an address decides for all of them. On a port of
`Listen ... https` (443 without being told) a host with a certificate speaks TLS unless it
says `off`.

## Example
    <VirtualHost *:443>
        SSLEngine on
        SSLCertificateFile /etc/ssl/certs/ssl-cert-snakeoil.pem
        SSLCertificateKeyFile /etc/ssl/private/ssl-cert-snakeoil.key
    </VirtualHost>
",
    set: Set::One(|at, word| {
        if word.is("optional") {
            let message =
                "SSLEngine optional is refused: no connection becomes TLS later";
            return Err(Problem::new(&codes::REFUSED, message).at(word.span));
        }
        let on = word.flag();
        let on =
            on.ok_or_else(|| Problem::from("Argument must be On or Off").at(word.span))?;
        at.server.ssl().engine = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

/// What `SSLProtocol` counts with.
const SSL3: u8 = 1;
const TLS10: u8 = 2;
const TLS11: u8 = 4;
const TLS12: u8 = 8;
const TLS13: u8 = 16;

pub static PROTOCOL: Directive = Directive {
    name: "SSLProtocol",
    syntax: "[+|-]protocol ...",
    context: Context::SERVERS,
    default: "all",
    summary: "Enable or disable various SSL protocols ('[+-][TLSv1|TLSv1.1|TLSv1.2] ...' - \
              see manual)",
    docs: r"
Which versions are spoken, of TLS 1.2 and 1.3. Older ones are not spoken here at all: a
configuration that would leave nothing else is an error.

## Example
    SSLProtocol -all +TLSv1.3
",
    compat: Compat::Differs("there is nothing older than TLS 1.2"),
    set: Set::Words(protocol),
    ..Directive::EXACT
};

fn protocol(at: &mut Scope, words: &[Word]) -> Result {
    let chosen = versions(at, words)?;
    at.server.ssl().protocols = Some(chosen);
    Ok(())
}

/// TLS 1.2 and TLS 1.3, as far as they are chosen: `ssl_cmd_protocol_parse`.
pub(super) fn versions(at: &mut Scope, words: &[Word]) -> Result<(bool, bool)> {
    let own = at.cmd.name;
    let all = TLS10 | TLS11 | TLS12 | TLS13;
    let mut chosen = 0;
    for word in words {
        let text = word.lossy();
        let (sign, name) = match text.as_bytes().first() {
            Some(sign @ (b'+' | b'-')) => (*sign, &text[1..]),
            _ => (b' ', text.as_str()),
        };
        let meant = match name.to_ascii_lowercase().as_str() {
            "sslv2" if sign == b'-' => continue,
            "sslv2" => {
                let message = format!("{own}: SSLv2 is no longer supported");
                return Err(Problem::from(message).at(word.span));
            }
            "sslv3" => SSL3,
            "tlsv1" => TLS10,
            "tlsv1.1" => TLS11,
            "tlsv1.2" => TLS12,
            "tlsv1.3" => TLS13,
            "all" => all,
            _ => {
                let message = format!("{}: Illegal protocol '{name}'", at.cmd.name);
                return Err(Problem::from(message).at(word.span));
            }
        };
        match sign {
            b'-' => chosen &= !meant,
            b'+' => chosen |= meant,
            _ => {
                if chosen != 0 {
                    let message = format!(
                        "{}: Protocol '{text}' overrides already set parameter(s). Check if \
                         a +/- prefix is missing.",
                        at.cmd.name
                    );
                    at.note(Problem::new(&codes::SSL_PROTOCOL, message).at(word.span));
                }
                chosen = meant;
            }
        }
    }
    if chosen & (TLS12 | TLS13) == 0 {
        let message =
            format!("{own} leaves nothing: this server speaks TLSv1.2 and TLSv1.3 only");
        let help = format!("write {own} all");
        return Err(Problem::new(&codes::REFUSED, message).help(help));
    }
    // Who writes `all` has not asked for the old ones by name.
    let by_name = |word: &Word| {
        let name = word.lossy().to_ascii_lowercase();
        matches!(name.trim_start_matches('+'), "sslv3" | "tlsv1" | "tlsv1.1")
    };
    if let Some(word) = words.iter().find(|word| by_name(word)) {
        let message =
            format!("versions before TLSv1.2 are not spoken here, whatever {own} says");
        at.note(Problem::new(&codes::IGNORED, message).at(word.span));
    }
    Ok((chosen & TLS12 != 0, chosen & TLS13 != 0))
}

pub static CIPHER_SUITE: Directive = Directive {
    name: "SSLCipherSuite",
    syntax: "[protocol] cipher-spec",
    context: Context::ANYWHERE,
    overrides: Override::AUTH_CONFIG,
    default: "DEFAULT",
    summary: "Colon-delimited list of permitted SSL Ciphers, optional preceded by protocol \
              identifier ('XXX:...:XXX' - see manual)",
    docs: r"
Which cipher suites may be used, in OpenSSL's language: for TLS 1.2, or behind `TLSv1.3`
for that. There are ECDHE with AES-GCM and ChaCha20-Poly1305, and TLS 1.3's three suites;
others are left out with a warning, and a list that selects none is an error. In a section
it is refused: the handshake is over by then.

## Example
    SSLCipherSuite HIGH:!aNULL
    SSLCipherSuite TLSv1.3 TLS_AES_256_GCM_SHA384
",
    compat: Compat::Differs("there are only suites with ECDHE and AEAD"),
    set: Set::OneOrTwo(|at, first, second| {
        if !Context::SERVERS.allows(at.place.context) {
            let message = "SSLCipherSuite in a section is refused: the handshake is over by \
                           then, and is not made again; SSLRequire can look at %{SSL_CIPHER}";
            return Err(Problem::new(&codes::REFUSED, message));
        }
        match suites_of(at, first, second)? {
            (true, ids) => at.server.ssl().suites13 = Some(ids),
            (false, ids) => at.server.ssl().suites12 = Some(ids),
        }
        Ok(())
    }),
    ..Directive::EXACT
};

/// The suites that a directive's words choose, and whether they are TLS 1.3's.
pub(super) fn suites_of(
    at: &mut Scope,
    first: &Word,
    second: Option<&Word>,
) -> Result<(bool, Vec<u16>)> {
    let Some(list) = second else {
        let chosen = suites::select(&first.lossy());
        return Ok((false, taken(at, first, chosen)?));
    };
    match first.lossy().to_ascii_lowercase().as_str() {
        "ssl" => {
            let chosen = suites::select(&list.lossy());
            Ok((false, taken(at, list, chosen)?))
        }
        "tlsv1.3" => {
            let chosen = suites::select13(&list.lossy());
            Ok((true, taken(at, list, chosen)?))
        }
        _ => {
            let message = format!("procotol '{}' not supported", first.lossy());
            Err(Problem::from(message).at(first.span))
        }
    }
}

/// What a list selects; what it names and is not here is told.
fn taken(at: &mut Scope, word: &Word, chosen: Chosen) -> Result<Vec<u16>> {
    if chosen.ids.is_empty() {
        let message = format!(
            "{} selects none of the suites that there are: Unable to configure permitted SSL \
             ciphers",
            at.cmd.name
        );
        let help = "write HIGH, or name suites with ECDHE and GCM or CHACHA20-POLY1305";
        return Err(Problem::from(message).at(word.span).help(help));
    }
    if !chosen.missing.is_empty() {
        let names = chosen.missing.join(", ");
        let own = at.cmd.name;
        let message = format!("{own} names suites that there are not: {names}");
        at.note(Problem::new(&codes::SSL_CIPHERS, message).at(word.span));
    }
    Ok(chosen.ids)
}

pub static HONOR_CIPHER_ORDER: Directive = Directive {
    name: "SSLHonorCipherOrder",
    syntax: "on|off",
    context: Context::SERVERS,
    default: "off",
    summary: "Use the server's cipher ordering preference",
    docs: r"
Whose order of cipher suites counts: the server's (on), or the client's.

## Example
    SSLHonorCipherOrder on
",
    set: Set::Flag(|at, on| {
        at.server.ssl().honor_order = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static OPENSSL_CONF_CMD: Directive = Directive {
    name: "SSLOpenSSLConfCmd",
    syntax: "command-name command-value",
    context: Context::SERVERS,
    summary: "OpenSSL configuration command",
    docs: r"
`Curves` and `Groups` say for which groups keys are exchanged: X25519, P-256 and P-384 are
there. Other commands are OpenSSL's own, and are refused.

## Example
    SSLOpenSSLConfCmd Groups X25519:P-256
",
    compat: Compat::Differs("only Curves and Groups are known"),
    set: Set::Two(|at, command, value| {
        if !command.is("curves") && !command.is("groups") {
            let name = command.lossy();
            let message = format!(
                "SSLOpenSSLConfCmd {name} is refused: this server is not made with OpenSSL"
            );
            return Err(Problem::new(&codes::REFUSED, message).at(command.span));
        }
        let text = value.lossy();
        let named = |name: &str| {
            Some(
                match name.trim_start_matches(['?', '*']).to_ascii_lowercase().as_str() {
                    "x25519" => Group::X25519,
                    "p-256" | "prime256v1" | "secp256r1" => Group::P256,
                    "p-384" | "secp384r1" => Group::P384,
                    _ => return None,
                },
            )
        };
        let mut groups: Vec<Group> = Vec::new();
        for group in text.split([':', '/']).filter_map(named) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        if groups.is_empty() {
            let message =
                format!("SSLOpenSSLConfCmd: there is none of the groups {text}");
            return Err(Problem::from(message).at(value.span));
        }
        at.server.ssl().groups = Some(groups);
        Ok(())
    }),
    ..Directive::EXACT
};
