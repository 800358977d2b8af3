//! The table of directives, but for those that have files of their own.

use std::time::Duration;

use super::reverse::Reverse;
use super::{Via, pass, section};
use crate::compile::Scope;
use crate::schema::{Compat, Context, Directive, Problem, Result, Set, Word};

use pass::{location, not_in_directories};

/// All of the module's directives.
pub static ALL: &[&Directive] = &[
    &pass::PROXY_PASS,
    &pass::PROXY_PASS_MATCH,
    &PROXY_PASS_REVERSE,
    &PROXY_PASS_REVERSE_COOKIE_DOMAIN,
    &PROXY_PASS_REVERSE_COOKIE_PATH,
    &PROXY_PRESERVE_HOST,
    &PROXY_ERROR_OVERRIDE,
    &PROXY_ADD_HEADERS,
    &PROXY_100_CONTINUE,
    &section::PROXY,
    &section::PROXY_MATCH,
    &section::PROXY_SET,
    &section::BALANCER_MEMBER,
    &PROXY_TIMEOUT,
    &PROXY_VIA,
    &PROXY_MAX_FORWARDS,
    &PROXY_BAD_HEADER,
    &PROXY_BLOCK,
    &PROXY_PASS_INHERIT,
    &PROXY_REQUESTS,
    &PROXY_PASS_INTERPOLATE_ENV,
    &PROXY_STATUS,
    &PROXY_IO_BUFFER_SIZE,
    &PROXY_RECEIVE_BUFFER_SIZE,
    &NO_PROXY,
    &PROXY_DOMAIN,
    &BALANCER_INHERIT,
    &BALANCER_GROWTH,
    &BALANCER_PERSIST,
];

fn no_interpolation(name: &str, word: Option<&Word>) -> Result {
    match word {
        Some(word) if word.is("interpolate") => {
            let message = format!(
                "{name}: interpolate is not done here; use mod_rewrite or Header edit"
            );
            Err(Problem::from(message).at(word.span))
        }
        _ => Ok(()),
    }
}

fn pass_reverse(
    at: &mut Scope,
    first: &Word,
    second: Option<&Word>,
    third: Option<&Word>,
) -> Result {
    not_in_directories(at)?;
    let name = at.cmd.name;
    let reverse = match (location(at), second) {
        (None, Some(real)) => {
            no_interpolation(name, Some(real))?;
            no_interpolation(name, third)?;
            Reverse { fake: first.bytes.clone(), real: real.bytes.clone() }
        }
        (None, None) => {
            return Err(
                "ProxyPassReverse needs a path when not defined in a location".into()
            );
        }
        (Some(path), second) => {
            no_interpolation(name, second)?;
            if let Some(word) = second {
                let message =
                    "ProxyPassReverse can not have a path when defined in a location";
                return Err(Problem::from(message).at(word.span));
            }
            Reverse { fake: path, real: first.bytes.clone() }
        }
    };
    at.dir.proxy().reverses.push(reverse);
    Ok(())
}

static PROXY_PASS_REVERSE: Directive = Directive {
    name: "ProxyPassReverse",
    syntax: "[path] url",
    context: Context::CONFIG,
    summary: "a virtual path and a URL for reverse proxy behaviour",
    docs: r"
URLs of an upstream in the fields `Location`, `Content-Location`, `URI` and `Destination`
of its answers become URLs of this server. In a `<Location>` the path is the section's.

## Example
    ProxyPass /app/ http://127.0.0.1:8080/
    ProxyPassReverse /app/ http://127.0.0.1:8080/
",
    compat: Compat::Differs("there is no interpolate"),
    set: Set::UpToThree(pass_reverse),
    ..Directive::EXACT
};

static PROXY_PASS_REVERSE_COOKIE_PATH: Directive = Directive {
    name: "ProxyPassReverseCookiePath",
    syntax: "internal-path public-path",
    context: Context::CONFIG,
    summary: "Path rewrite rule for proxying cookies",
    docs: r"
The path of an upstream's cookies, if it begins so, becomes another.

## Example
    ProxyPassReverseCookiePath / /app/
",
    compat: Compat::Differs("there is no interpolate"),
    set: Set::TwoOrThree(|at, from, to, third| {
        no_interpolation(at.cmd.name, third)?;
        let reverse = Reverse { fake: from.bytes.clone(), real: to.bytes.clone() };
        at.dir.proxy().cookie_paths.push(reverse);
        Ok(())
    }),
    ..Directive::EXACT
};

static PROXY_PASS_REVERSE_COOKIE_DOMAIN: Directive = Directive {
    name: "ProxyPassReverseCookieDomain",
    syntax: "internal-domain public-domain",
    context: Context::CONFIG,
    summary: "Domain rewrite rule for proxying cookies",
    docs: r"
The domain of an upstream's cookies, if it begins so, becomes another.

## Example
    ProxyPassReverseCookieDomain backend.example.org www.example.org
",
    compat: Compat::Differs("there is no interpolate"),
    set: Set::TwoOrThree(|at, from, to, third| {
        no_interpolation(at.cmd.name, third)?;
        let reverse = Reverse { fake: from.bytes.clone(), real: to.bytes.clone() };
        at.dir.proxy().cookie_domains.push(reverse);
        Ok(())
    }),
    ..Directive::EXACT
};

static PROXY_PRESERVE_HOST: Directive = Directive {
    name: "ProxyPreserveHost",
    syntax: "On|Off",
    context: Context::CONFIG,
    default: "Off",
    summary: "on if we should preserve host header while proxying",
    docs: r"
Does an upstream get the `Host` that the client sent, instead of its own?

## Example
    ProxyPreserveHost On
",
    set: Set::Flag(|at, on| Ok(at.dir.proxy().preserve_host = Some(on))),
    ..Directive::EXACT
};

static PROXY_ERROR_OVERRIDE: Directive = Directive {
    name: "ProxyErrorOverride",
    syntax: "On|Off [code ...]",
    context: Context::CONFIG,
    default: "Off",
    summary: "use our error handling pages instead of the servers' we are proxying",
    docs: r"
Errors of upstreams get this server's pages and `ErrorDocument`s: all from 400 on, or those
of the codes.

## Example
    ProxyErrorOverride On 404 500 502
",
    set: Set::Each(error_override),
    ..Directive::EXACT
};

fn error_override(at: &mut Scope, word: &Word) -> Result {
    let dir = at.dir.proxy();
    if let Some(on) = word.flag() {
        dir.error_override = Some(on);
        return Ok(());
    }
    let problem = |message: &str| Err(Problem::from(message).at(word.span));
    match dir.error_override {
        None => problem("ProxyErrorOverride first parameter must be one of: off | on"),
        Some(_) if !word.bytes.first().is_some_and(u8::is_ascii_digit) => {
            problem("ProxyErrorOverride: status codes to intercept must be numeric")
        }
        Some(false) => {
            problem("ProxyErrorOverride: status codes must follow a value of 'on'")
        }
        Some(true) => match u16::try_from(word.atoi()) {
            Ok(code @ 400..=599) => {
                dir.error_codes.push(code);
                Ok(())
            }
            _ => problem(
                "ProxyErrorOverride: status codes to intercept must be valid HTTP Status Codes \
                 >=400 && <600",
            ),
        },
    }
}

static PROXY_ADD_HEADERS: Directive = Directive {
    name: "ProxyAddHeaders",
    syntax: "On|Off",
    context: Context::CONFIG,
    default: "On",
    summary: "on if X-Forwarded-* headers should be added or completed",
    docs: r"
Is an upstream told by `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Server` who
asked whom? What the client sent of these stands before; take it out with `RequestHeader`
where the upstream believes it.

## Example
    RequestHeader unset X-Forwarded-For early
    ProxyAddHeaders On
",
    set: Set::Flag(|at, on| Ok(at.dir.proxy().add_headers = Some(on))),
    ..Directive::EXACT
};

static PROXY_100_CONTINUE: Directive = Directive {
    name: "Proxy100Continue",
    syntax: "On|Off",
    context: Context::CONFIG,
    default: "On",
    summary: "on if 100-Continue should be forwarded to the origin server, off if the proxy \
              should handle it by itself",
    docs: r"
Is a client that waits to be told to send its body (`Expect: 100-continue`) told so only
when the upstream says it?

## Example
    Proxy100Continue Off
",
    set: Set::Flag(|at, on| Ok(at.dir.proxy().forward_100 = Some(on))),
    ..Directive::EXACT
};

static PROXY_TIMEOUT: Directive = Directive {
    name: "ProxyTimeout",
    syntax: "seconds",
    context: Context::SERVERS,
    default: "the value of Timeout",
    summary: "Set the timeout (in seconds) for a proxied connection. This overrides the server \
              timeout",
    docs: r"
How long an upstream may stay silent, and how long connecting may take, unless its own
settings say otherwise.

## Example
    ProxyTimeout 300
",
    set: Set::One(|at, word| {
        let seconds = word.atoi();
        if seconds < 1 {
            return Err(
                Problem::from("Proxy Timeout must be at least 1 second.").at(word.span)
            );
        }
        at.server.proxy().timeout = Some(Duration::from_secs(seconds as u64));
        Ok(())
    }),
    ..Directive::EXACT
};

static PROXY_VIA: Directive = Directive {
    name: "ProxyVia",
    syntax: "On|Off|Full|Block",
    context: Context::SERVERS,
    default: "Off",
    summary: "Configure Via: proxy header header to one of: on | off | block | full",
    docs: r"
Does the field `Via` of requests and answers say that they came by here? `Full` says the
version too, `Block` takes it out of requests.

## Example
    ProxyVia On
",
    set: Set::One(|at, word| {
        let via = match word.lossy().to_ascii_lowercase().as_str() {
            "off" => Via::Off,
            "on" => Via::On,
            "full" => Via::Full,
            "block" => Via::Block,
            _ => {
                let message = "ProxyVia must be one of: off | on | full | block";
                return Err(Problem::from(message).at(word.span));
            }
        };
        at.server.proxy().via = Some(via);
        Ok(())
    }),
    ..Directive::EXACT
};

static PROXY_MAX_FORWARDS: Directive = Directive {
    name: "ProxyMaxForwards",
    syntax: "number",
    context: Context::SERVERS,
    default: "-1",
    summary: "The maximum number of proxies a request may be forwarded through.",
    docs: r"
The `Max-Forwards` of a request that has none; -1 gives it none.

## Example
    ProxyMaxForwards 15
",
    set: Set::One(|at, word| Ok(at.server.proxy().max_forwards = Some(word.atoi()))),
    ..Directive::EXACT
};

static PROXY_BAD_HEADER: Directive = Directive {
    name: "ProxyBadHeader",
    syntax: "IsError|Ignore|StartBody",
    context: Context::SERVERS,
    default: "IsError",
    summary: "How to handle bad header line in response: IsError | Ignore | StartBody",
    docs: r"
What a line of an answer's head that is no field comes to: 502, or nothing.

## Example
    ProxyBadHeader Ignore
",
    compat: Compat::Differs(
        "StartBody is refused: what was a field would be shown to the client",
    ),
    set: Set::One(|at, word| {
        let ignore = match word.lossy().to_ascii_lowercase().as_str() {
            "iserror" => false,
            "ignore" => true,
            "startbody" => {
                let message = "ProxyBadHeader StartBody is refused: what stands behind a bad line \
                               would be shown to the client; use Ignore";
                return Err(Problem::from(message).at(word.span));
            }
            _ => {
                let message =
                    "ProxyBadHeader must be one of: IsError | Ignore | StartBody";
                return Err(Problem::from(message).at(word.span));
            }
        };
        at.server.proxy().ignore_bad_headers = Some(ignore);
        Ok(())
    }),
    ..Directive::EXACT
};

static PROXY_BLOCK: Directive = Directive {
    name: "ProxyBlock",
    syntax: "*|text [text ...]",
    context: Context::SERVERS,
    summary: "A list of names, hosts or domains to which the proxy will not connect",
    docs: r"
Requests for an upstream whose host has one of these in its name are answered 403.

## Example
    ProxyBlock internal.example.org
",
    set: Set::Each(|at, word| {
        at.server.proxy().blocked.push(word.bytes.clone());
        Ok(())
    }),
    ..Directive::EXACT
};

static PROXY_PASS_INHERIT: Directive = Directive {
    name: "ProxyPassInherit",
    syntax: "On|Off",
    context: Context::SERVERS,
    default: "On",
    summary: "on if this server should inherit all ProxyPass directives defined in the main server",
    docs: r"
Do the `ProxyPass` lines of the main server hold in a virtual host too, before its own?

## Example
    ProxyPassInherit Off
",
    compat: Compat::Differs(
        "Off takes the lines of the main server out; httpd leaves them",
    ),
    set: Set::Flag(|at, on| Ok(at.server.proxy().inherit = Some(on))),
    ..Directive::EXACT
};

static PROXY_REQUESTS: Directive = Directive {
    name: "ProxyRequests",
    syntax: "Off",
    context: Context::SERVERS,
    default: "Off",
    summary: "on if the true proxy requests should be accepted",
    docs: r"
`On` would make this server a proxy that clients reach any host through; it is refused.

## Example
    ProxyRequests Off
",
    compat: Compat::Differs("On is refused"),
    set: Set::Flag(|_, on| {
        if !on {
            return Ok(());
        }
        let message = "ProxyRequests On is refused: this server is no proxy for clients to reach \
                       other hosts through";
        let help = "ProxyPass needs no ProxyRequests; for a forward proxy run squid or tinyproxy";
        Err(Problem::from(message).help(help))
    }),
    ..Directive::EXACT
};

static PROXY_PASS_INTERPOLATE_ENV: Directive = Directive {
    name: "ProxyPassInterpolateEnv",
    syntax: "Off",
    context: Context::CONFIG,
    default: "Off",
    summary: "Interpolate Env Vars in reverse Proxy",
    docs: r"
`On`, for variables in `ProxyPass`, is refused; `RewriteRule` with `[P]` does it.

## Example
    RewriteRule ^/(.*)$ http://%{ENV:BACKEND}/$1 [P]
",
    compat: Compat::Differs("On is refused"),
    set: Set::Flag(|_, on| {
        if !on {
            return Ok(());
        }
        let message =
            "ProxyPassInterpolateEnv On is refused: ProxyPass takes no variables here";
        Err(Problem::from(message).help("use RewriteRule with [P] and %{ENV:NAME}"))
    }),
    ..Directive::EXACT
};

macro_rules! ignored {
    ($($id:ident: $name:literal, $syntax:literal, $summary:literal, $why:literal, $check:expr;)*) => {
        $(static $id: Directive = Directive {
            name: $name,
            syntax: $syntax,
            context: Context::SERVERS,
            summary: $summary,
            docs: concat!("\nAccepted without effect.\n\n## Example\n    ", $name, " ", $syntax, "\n"),
            compat: Compat::Ignored($why),
            set: $check,
            ..Directive::EXACT
        };)*
    };
}

fn size(at: &mut Scope, word: &Word) -> Result {
    if word.atoi() < 512 && word.atoi() != 0 {
        let name = at.cmd.name;
        let message = format!("{name} must be >= 512 bytes, or 0 for system default.");
        return Err(Problem::from(message).at(word.span));
    }
    Ok(())
}

ignored! {
    PROXY_STATUS: "ProxyStatus", "On",
        "Configure Status: proxy status to one of: on | off | full",
        "the status pages show applications, and no upstreams",
        Set::One(|_, word| match word.lossy().to_ascii_lowercase().as_str() {
            "on" | "off" | "full" => Ok(()),
            _ => Err("ProxyStatus must be one of: off | on | full".into()),
        });
    PROXY_IO_BUFFER_SIZE: "ProxyIOBufferSize", "8192",
        "IO buffer size for outgoing HTTP and FTP connections in bytes",
        "buffers grow with what passes through them", Set::One(size);
    PROXY_RECEIVE_BUFFER_SIZE: "ProxyReceiveBufferSize", "0",
        "Receive buffer size for outgoing HTTP and FTP connections in bytes",
        "the system chooses the sizes of sockets' buffers", Set::One(size);
    NO_PROXY: "NoProxy", ".example.org",
        "A list of domains, hosts, or subnets to which the proxy will connect directly",
        "upstreams are always connected to directly", Set::Each(|_, _| Ok(()));
    PROXY_DOMAIN: "ProxyDomain", ".example.org",
        "The default intranet domain name (in absence of a domain in the URL)",
        "only a forward proxy's requests can lack one",
        Set::One(|_, word| match word.bytes.first() {
            Some(b'.') => Ok(()),
            _ => Err("ProxyDomain: domain name must start with a dot.".into()),
        });
    BALANCER_INHERIT: "BalancerInherit", "Off",
        "on if this server should inherit Balancers and Workers defined in the main server",
        "it is for balancer-manager, which there is not", Set::Flag(|_, _| Ok(()));
    BALANCER_GROWTH: "BalancerGrowth", "5",
        "Number of additional Balancers that can be added post-config",
        "it is for balancer-manager, which there is not", Set::One(|_, _| Ok(()));
    BALANCER_PERSIST: "BalancerPersist", "Off",
        "on if the balancer should persist changes on reboot/restart made via the Balancer Manager",
        "it is for balancer-manager, which there is not", Set::Flag(|_, _| Ok(()));
}
