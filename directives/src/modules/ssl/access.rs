//! What a request may need of its connection, and what is told of it.

use super::variables::Name;
use super::{Options, SniPolicy};
use crate::diagnostic::codes;
use crate::schema::{Compat, Context, Directive, Override, Problem, Set};

pub static OPTIONS: Directive = Directive {
    name: "SSLOptions",
    syntax: "[+|-]option ...",
    context: Context::ANYWHERE,
    overrides: Override::OPTIONS,
    summary: "Set one or more options to configure the SSL engine('[+-]option[=value] ...' - \
              see manual)",
    docs: r"
`StdEnvVars` puts mod_ssl's variables into the environment of applications, `ExportCertData`
the certificates, too. `FakeBasicAuth` makes the subject of the client's certificate a user's
name for `AuthType Basic`, with the password `password`, if the certificate was verified. With `StrictRequire` a request that
`SSLRequireSSL` or `SSLRequire` forbids is forbidden, whatever `Satisfy Any` says.
`LegacyDNStringFormat` writes names as `/C=de/CN=x`. `OptRenegotiate` says nothing: no
handshake is made twice.

## Example
    <Files ~ '\.php$'>
        SSLOptions +StdEnvVars
    </Files>
",
    compat: Compat::Differs("FakeBasicAuth wants a certificate that was verified"),
    set: Set::Words(|at, words| {
        let dir = at.dir.ssl();
        for word in words {
            let text = word.lossy();
            let (sign, name) = match text.as_bytes().first() {
                Some(sign @ (b'+' | b'-')) => (*sign, &text[1..]),
                _ => (b' ', text.as_str()),
            };
            if sign == b' ' {
                dir.options = Options::default();
                dir.mentioned = Options {
                    std_env_vars: true,
                    export_cert_data: true,
                    fake_basic_auth: true,
                    strict_require: true,
                    legacy_dn: true,
                };
            }
            let field: fn(&mut Options) -> &mut bool =
                match name.to_ascii_lowercase().as_str() {
                    "stdenvvars" => |o| &mut o.std_env_vars,
                    "exportcertdata" => |o| &mut o.export_cert_data,
                    "fakebasicauth" => |o| &mut o.fake_basic_auth,
                    "strictrequire" => |o| &mut o.strict_require,
                    "legacydnstringformat" => |o| &mut o.legacy_dn,
                    "optrenegotiate" => continue,
                    "exportcb64data" => {
                        let message =
                            "SSLOptions ExportCB64Data is refused: it is not built in";
                        return Err(Problem::new(&codes::REFUSED, message).at(word.span));
                    }
                    _ => {
                        let message = format!("SSLOptions: Illegal option '{name}'");
                        return Err(Problem::from(message).at(word.span));
                    }
                };
            *field(&mut dir.options) = sign != b'-';
            *field(&mut dir.mentioned) = true;
        }
        Ok(())
    }),
    ..Directive::EXACT
};

pub static REQUIRE_SSL: Directive = Directive {
    name: "SSLRequireSSL",
    syntax: "",
    context: Context::PER_DIRECTORY,
    overrides: Override::AUTH_CONFIG,
    summary: "Require the SSL protocol for the per-directory context (no arguments)",
    docs: r"
Requests without TLS are answered 403.

## Example
    <Location /intern>
        SSLRequireSSL
    </Location>
",
    set: Set::None(|at| {
        at.dir.ssl().require_ssl = true;
        Ok(())
    }),
    ..Directive::EXACT
};

pub static USER_NAME: Directive = Directive {
    name: "SSLUserName",
    syntax: "varname",
    context: Context::ANYWHERE,
    overrides: Override::AUTH_CONFIG,
    summary: "Set user name to SSL variable value",
    docs: r"
The variable whose value becomes the user's name, REMOTE_USER, for a request over TLS.
Variables of the client's certificate count only if that was verified: with
`SSLVerifyClient optional_no_ca` anybody could call himself what he likes.

## Example
    SSLUserName SSL_CLIENT_S_DN_CN
",
    compat: Compat::Differs("a certificate that was not verified names nobody"),
    set: Set::One(|at, word| {
        let name = Name::parse(&word.lossy()).filter(|name| *name != Name::Nothing);
        let Some(name) = name else {
            let message = format!("SSLUserName: there is no variable {}", word.lossy());
            return Err(Problem::from(message).at(word.span));
        };
        at.dir.ssl().user_name = Some(name);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static STRICT_SNI: Directive = Directive {
    name: "SSLStrictSNIVHostCheck",
    syntax: "on|off",
    context: Context::SERVERS,
    default: "off",
    summary: "Strict SNI virtual host checking",
    docs: r"
Clients that name no host in the handshake do not get this one; on the first host of an
address, they get none of its hosts.

## Example
    SSLStrictSNIVHostCheck on
",
    set: Set::Flag(|at, on| {
        at.server.ssl().strict_sni = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static SNI_POLICY: Directive = Directive {
    name: "SSLVHostSNIPolicy",
    syntax: "strict|secure|authonly|insecure",
    context: Context::SERVER,
    default: "secure",
    summary: "SSL VirtualHost SNI compatibility policy setting",
    docs: r"
May a request name another virtual host than its handshake did? With `secure` the hosts
have to agree in all that a handshake is made with, with `authonly` in what they ask clients
for; `strict` allows none, `insecure` any. What is not allowed is answered 421, and a
browser asks again on a connection of its own.

## Example
    SSLVHostSNIPolicy strict
",
    set: Set::One(|at, word| {
        let policy = match word.lossy().to_ascii_lowercase().as_str() {
            "strict" => SniPolicy::Strict,
            "secure" => SniPolicy::Secure,
            "authonly" => SniPolicy::AuthOnly,
            "insecure" => SniPolicy::Insecure,
            _ => {
                let message =
                    format!("Invalid SSLVhostSNIPolicy argument '{}'", word.lossy());
                return Err(Problem::from(message).at(word.span));
            }
        };
        at.process().ssl.sni_policy = policy;
        Ok(())
    }),
    ..Directive::EXACT
};
