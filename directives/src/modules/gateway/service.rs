//! Which servers ask us, in which dialect, and whom of them we believe.

use std::sync::Arc;

use bytes::Bytes;

use crate::compile::Scope;
use crate::modules::authz_host::Address;
use crate::modules::ssl::Policy;
use crate::schema::{Context, Directive, Problem, Result, Set, Word};

/// How a caller describes the original request, and what it understands for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// nginx's `auth_request`.
    Nginx,
    /// Traefik's ForwardAuth, Caddy's `forward_auth`.
    Forward,
    /// Envoy's `ext_authz` filter with an HTTP service.
    Envoy,
    /// The same with a gRPC service.
    Grpc,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 4] =
        [Dialect::Nginx, Dialect::Forward, Dialect::Envoy, Dialect::Grpc];

    /// As the directive, the log and the metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Nginx => "nginx",
            Dialect::Forward => "forward",
            Dialect::Envoy => "envoy",
            Dialect::Grpc => "grpc",
        }
    }

    /// Does the caller hand the body of a refusal on to the client?
    pub fn takes_body(self) -> bool {
        self != Dialect::Nginx
    }
}

/// `GatewayService`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The dialect.
    pub dialect: Dialect,
    /// What Envoy puts before the original path (`path_prefix`); empty for none.
    pub prefix: Bytes,
}

/// Who asked, for a request that was made from a caller's description.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The dialect.
    pub dialect: Dialect,
    /// Fields of a consent that go with the answer (`GatewayPassHeader`).
    pub passed: Vec<(Bytes, Bytes)>,
    /// The request is the one that it describes, and not its call any more.
    pub described: bool,
    /// What its own handshake asked of it, where it came over TLS.
    pub handshake: Option<Arc<Policy>>,
}

pub(super) static GATEWAY_SERVICE: Directive = Directive {
    name: "GatewayService",
    syntax: "nginx|forward|envoy|grpc [path-prefix]",
    context: Context::CONFIG,
    summary: "the dialect in which another server asks whether a request may be made, and for \
              envoy the path_prefix of its configuration",
    docs: include_str!("service.md"),
    set: Set::OneOrTwo(service),
    ..Directive::EXACT
};

fn service(at: &mut Scope, word: &Word, prefix: Option<&Word>) -> Result {
    if at.place.context == Context::DIRECTORY
        && !at.place.container.is_some_and(|name| name.starts_with("<Location"))
    {
        let message =
            "GatewayService belongs to a server, a virtual host or a <Location>";
        return Err(message.into());
    }
    let named = |dialect: &Dialect| word.is(dialect.name());
    let Some(dialect) = Dialect::ALL.into_iter().find(named) else {
        let message = format!("GatewayService: unknown dialect \"{}\"", word.lossy());
        let mut problem = Problem::from(message).at(word.span);
        if word.is("traefik") || word.is("caddy") {
            problem = problem.help("Traefik and Caddy speak the dialect \"forward\"");
        }
        return Err(problem);
    };
    if dialect == Dialect::Grpc && at.place.context == Context::DIRECTORY {
        let message = "GatewayService grpc belongs to a server or a virtual host: what is \
                       called has a path of its own";
        return Err(Problem::from(message).at(word.span));
    }
    let prefix = match prefix {
        None => Bytes::new(),
        Some(prefix) if dialect != Dialect::Envoy => {
            let message = "GatewayService: only envoy has a path prefix";
            return Err(Problem::from(message).at(prefix.span));
        }
        Some(prefix) if prefix.bytes.first() != Some(&b'/') => {
            let message = "GatewayService: a path prefix begins with a slash";
            return Err(Problem::from(message).at(prefix.span));
        }
        Some(prefix) => {
            let end = prefix.bytes.strip_suffix(b"/").unwrap_or(&prefix.bytes).len();
            prefix.bytes.slice(..end)
        }
    };
    at.process().gateway.is_used = true;
    at.dir.gateway().service = Some(Service { dialect, prefix });
    Ok(())
}

pub(super) static GATEWAY_TRUST: Directive = Directive {
    name: "GatewayTrust",
    syntax: "address [address] ...",
    context: Context::CONFIG,
    summary: "addresses or networks of the servers whose word about the original request is taken",
    docs: r"
The servers that may ask a `GatewayService`, as addresses or networks in the forms of `Require
ip`. Whoever else asks is answered 403, and the error log names the address. Without the
directive that is everybody. An inner section's list replaces the outer one.

What a trusted server says about the original request is believed: name only servers that set
these header fields themselves, whatever their own clients send.

## Example
    GatewayTrust 127.0.0.1 ::1 192.0.2.0/28
",
    set: Set::Each(|at, word| {
        let address = Address::of_word("GatewayTrust", word)?;
        at.dir.gateway().trust.get_or_insert_default().push(address);
        Ok(())
    }),
    ..Directive::EXACT
};

pub(super) static GATEWAY_PREFLIGHT: Directive = Directive {
    name: "GatewayPreflight",
    syntax: "On|Off",
    context: Context::CONFIG,
    default: "Off",
    docs: r"
With On the gateway lets preflight requests of browsers pass without asking anybody: OPTIONS with
Origin and Access-Control-Request-Method. They carry no credentials, so that a section that
wants a user refuses them otherwise. The original request's section says it.

## Example
    FastCgiExternalServer /virtual/auth -host 127.0.0.1:9009
    <Location /api>
        GatewayPreflight On
        FastCgiAuthorizer /virtual/auth
    </Location>
",
    set: Set::Flag(|at, on| {
        at.dir.gateway().preflight = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};
