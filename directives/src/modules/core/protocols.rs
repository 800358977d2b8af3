//! Which protocols a server speaks, and how strictly: `Protocols`, `ProtocolsHonorOrder`,
//! `HttpProtocolOptions`.

use super::Server;
use crate::diagnostic::codes;
use crate::schema::{Compat, Context, Directive, Problem, Set};

/// A protocol of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/2 without.
    H2c,
    /// HTTP/1.1 and before.
    Http11,
}

impl Protocol {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::H2 => "h2",
            Protocol::H2c => "h2c",
            Protocol::Http11 => "http/1.1",
        }
    }
}

impl Server {
    /// `Protocols`, the preferred one first.
    pub fn protocols(&self) -> &[Protocol] {
        self.protocols.as_deref().unwrap_or(&[Protocol::Http11])
    }

    /// The protocol for a client that offers some in TLS's handshake; `None` if it offers
    /// none that is spoken, which leaves it with HTTP/1.1. See `ap_select_protocol`.
    pub fn select_protocol<'a>(
        &self,
        offered: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Protocol> {
        let mut spoken = self.protocols().to_vec();
        // HTTP/1.1 is spoken everywhere.
        if !spoken.contains(&Protocol::Http11) {
            spoken.push(Protocol::Http11);
        }
        let named = |name: &[u8]| {
            spoken
                .iter()
                .position(|own| *own != Protocol::H2c && own.name().as_bytes() == name)
        };
        let mut places = offered.filter_map(named);
        let place = if self.protocols_honor_order.unwrap_or(true) {
            places.min()
        } else {
            places.next()
        };
        place.map(|place| spoken[place])
    }
}

pub static PROTOCOL: Directive = Directive {
    name: "Protocol",
    syntax: "http|https",
    context: Context::SERVERS,
    summary: "Set the Protocol for httpd to use.",
    docs: r"
What a server or virtual host speaks, where `SSLEngine` does not say it: `https` is TLS, if
there is a certificate, and `http` is none. Without it the `Listen` directives say it. There
are no other protocols here.

## Example
    Protocol https
",
    compat: Compat::Differs("other protocols than HTTP are refused"),
    set: Set::One(|at, word| {
        at.server.core().is_https =
            Some(match word.lossy().to_ascii_lowercase().as_str() {
                "https" => true,
                "http" => false,
                other => {
                    let message =
                        format!("Protocol {other} is refused: HTTP is spoken here");
                    let help = "leave it out, or write http or https";
                    let problem = Problem::new(&codes::REFUSED, message).at(word.span);
                    return Err(problem.help(help));
                }
            });
        Ok(())
    }),
    ..Directive::EXACT
};

pub static MERGE_TRAILERS: Directive = Directive {
    name: "MergeTrailers",
    syntax: "On|Off",
    context: Context::SERVERS,
    default: "Off",
    summary: "merge request trailers into request headers or not",
    docs: r"
Are fields that come behind a request's body treated as if they had come before it? By then
nearly everything has been decided; access logs see them. Without it they are apart:
`%{Name}^ti` of `LogFormat`.

## Example
    MergeTrailers On
",
    set: Set::Flag(|at, on| {
        at.server.core().merge_trailers = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static PROTOCOLS: Directive = Directive {
    name: "Protocols",
    syntax: "protocol ...",
    context: Context::SERVERS,
    default: "http/1.1",
    summary: "Controls which protocols are allowed",
    docs: r"
What is spoken with clients: `h2`, HTTP/2 over TLS, where clients choose it in the
handshake; `h2c`, HTTP/2 without TLS, for clients that begin with it (`H2Direct`) or ask to
change to it (`H2Upgrade`); and `http/1.1`, which is always spoken.

## Example
    Protocols h2 http/1.1
",
    set: Set::Each(|at, word| {
        let protocol = match word.lossy().to_ascii_lowercase().as_str() {
            "h2" => Protocol::H2,
            "h2c" => Protocol::H2c,
            "http/1.1" => Protocol::Http11,
            _ => {
                let message = format!("there is no protocol {} here", word.lossy());
                at.note(Problem::new(&codes::IGNORED, message).at(word.span));
                return Ok(());
            }
        };
        at.server.core().protocols.get_or_insert_default().push(protocol);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static PROTOCOLS_HONOR_ORDER: Directive = Directive {
    name: "ProtocolsHonorOrder",
    syntax: "On|Off",
    context: Context::SERVERS,
    default: "On",
    summary: "'off' (default) or 'on' to respect given order of protocols, by default the \
              client specified order determines selection",
    docs: r"
Of several protocols that a client offers: is the first one of `Protocols` taken, or (Off)
the client's first one?

## Example
    ProtocolsHonorOrder Off
",
    set: Set::Flag(|at, on| {
        at.server.core().protocols_honor_order = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static HTTP_PROTOCOL_OPTIONS: Directive = Directive {
    name: "HttpProtocolOptions",
    syntax: "[Strict|Unsafe] [RegisteredMethods|LenientMethods] [Allow0.9|Require1.0]",
    context: Context::SERVERS,
    default: "Strict LenientMethods Require1.0",
    summary: "'Allow0.9' or 'Require1.0' (default); 'RegisteredMethods' or 'LenientMethods' \
              (default); 'Unsafe' or 'Strict' (default)",
    docs: r"
With `RegisteredMethods` a request whose method is neither one of httpd's own nor named by
`RegisterHttpMethod` is answered 501 before anything else looks at it; otherwise (the
default) applications may have methods of their own.

Requests are always read strictly, and HTTP/0.9 is not spoken: `Unsafe` and `Allow0.9`, which
is httpd's default, change nothing here. What they would let in is answered 400: lines that
end with LF alone, targets that are none. Beside that a version that does not exist, such as
HTTP/1.2, is answered 400. A field that is folded into several lines is unfolded (RFC 9112,
5.2), unless it is one of a request that comes right behind a request's body.

## Example
    HttpProtocolOptions Strict RegisteredMethods Require1.0
",
    set: Set::Each(|at, word| {
        let ignored = |why: &str| {
            let message = format!("HttpProtocolOptions {}: {why}", word.lossy());
            Problem::new(&codes::IGNORED, message).at(word.span)
        };
        match word.lossy().to_ascii_lowercase().as_str() {
            "strict" | "require1.0" => {}
            "registeredmethods" => at.server.core().registered_methods = Some(true),
            "lenientmethods" => at.server.core().registered_methods = Some(false),
            "unsafe" => at.note(ignored("requests are always read strictly")),
            "allow0.9" => at.note(ignored("HTTP/0.9 is not spoken")),
            _ => {
                let message = "HttpProtocolOptions accepts 'Unsafe' or 'Strict' (default), \
                               'RegisteredMethods' or 'LenientMethods' (default), and \
                               'Require1.0' or 'Allow0.9' (default)";
                return Err(Problem::from(message).at(word.span));
            }
        }
        Ok(())
    }),
    ..Directive::EXACT
};
