//! mod_remoteip: the client's address as a proxy in front reports it, in a field of the
//! request or before the first one (the PROXY protocol).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::authz_host::{Address, NoAddress};
use crate::compile::Scope;
use crate::log::Level;
use crate::merge_options;
use crate::phase::{DECLINED, OK, Phase, Verdict, first};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Problem, Result, Set, Word};
use crate::syntax::Span;

/// A proxy that is believed.
#[derive(Clone, Copy, Debug)]
struct Proxy {
    range: Address,
    /// It may report any address, private ones among them.
    is_internal: bool,
}

/// Settings of a section: none.
pub type Dir = ();

/// A field's name, and as it is written in the configuration.
#[derive(Clone, Debug)]
struct Field {
    name: HeaderName,
    written: String,
}

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    header: Option<Field>,
    proxies_header: Option<HeaderName>,
    proxies: Option<Vec<Proxy>>,
    proxy_protocol: Option<bool>,
    exceptions: Option<Vec<Address>>,
}

merge_options!(Server { header, proxies_header, proxies, proxy_protocol, exceptions });

impl Server {
    /// Is this the field in which proxies report their clients?
    pub fn is_field(&self, name: &HeaderName) -> bool {
        self.header.as_ref().is_some_and(|field| field.name == *name)
    }

    /// Does a client from this address have to begin with a PROXY header?
    pub fn wants_proxy_header(&self, client: IpAddr) -> bool {
        let is_exception =
            || self.exceptions.iter().flatten().any(|range| range.contains(client));
        self.proxy_protocol == Some(true) && !is_exception()
    }
}

/// The addresses that a word stands for: one, a range, or those of a host.
fn addresses(at: &Scope, text: &str, span: Span) -> Result<Vec<Address>> {
    let name = at.cmd.name;
    let fail = |message: String| Err(Problem::from(message).at(span));
    match Address::parse(text) {
        Ok(address) => Ok(vec![address]),
        Err(NoAddress::Other) => {
            if let Some((_, mask)) = text.split_once('/') {
                return fail(format!(
                    "RemoteIP: Error parsing IP {text} the subnet /{mask} is invalid for {name}"
                ));
            }
            let found = at.files().resolve(text);
            let found =
                found.iter().filter_map(|ip| Address::parse(&ip.to_string()).ok());
            let found: Vec<Address> = found.collect();
            if found.is_empty() {
                return fail(format!(
                    "RemoteIP: Error parsing IP {text} (Name or service not known error) for {name}"
                ));
            }
            Ok(found)
        }
        Err(why) => {
            let why = why.sentence().unwrap_or("no address");
            fail(format!("RemoteIP: Error parsing IP {text} ({why} error) for {name}"))
        }
    }
}

fn add(at: &mut Scope, text: &str, span: Span, is_internal: bool) -> Result {
    let ranges = addresses(at, text, span)?;
    let list = at.server.remoteip().proxies.get_or_insert_default();
    list.extend(ranges.into_iter().map(|range| Proxy { range, is_internal }));
    Ok(())
}

/// Addresses from a file, one on each line; `#` begins a comment.
fn add_file(at: &mut Scope, word: &Word, is_internal: bool) -> Result {
    let path = at.file_path(word)?;
    let bytes = at.files().read(&path).map_err(|error| {
        let shown = String::from_utf8_lossy(&path).into_owned();
        let message = format!("{}: Could not open file {shown}: ", at.cmd.name);
        Problem::from(message + &error.text).at(word.span)
    })?;
    for line in String::from_utf8_lossy(&bytes).lines() {
        let text = line.trim();
        if !text.is_empty() && !text.starts_with('#') {
            add(at, text, word.span, is_internal)?;
        }
    }
    Ok(())
}

fn field_name(word: &Word) -> Result<HeaderName> {
    HeaderName::from_bytes(&word.bytes)
        .map_err(|_| Problem::from("this is no name of a header field").at(word.span))
}

static REMOTE_IP_HEADER: Directive = Directive {
    name: "RemoteIPHeader",
    syntax: "header-field",
    context: Context::SERVERS,
    summary: "Specifies a request header to trust as the client IP, e.g. X-Forwarded-For",
    docs: r"
The field in which proxies report the client's address, the nearest proxy's report last.
It replaces the address of the connection for `Require ip`, for logs (`%a`, `%h`) and for
applications; `%{c}a` is still the proxy's.

Without a list of proxies everybody who can connect is believed, but private addresses are
not: name yours with `RemoteIPInternalProxy` or `RemoteIPTrustedProxy`.

## Example
    RemoteIPHeader X-Forwarded-For
    RemoteIPInternalProxy 10.0.2.0/24
",
    set: Set::One(|at, word| {
        let field = Field { name: field_name(word)?, written: word.lossy() };
        at.server.remoteip().header = Some(field);
        Ok(())
    }),
    ..Directive::EXACT
};

static REMOTE_IP_PROXIES_HEADER: Directive = Directive {
    name: "RemoteIPProxiesHeader",
    syntax: "header-field",
    context: Context::SERVERS,
    summary: "Specifies a request header to record proxy IP's, e.g. X-Forwarded-By; if not given \
              then do not record",
    docs: r"
A field in which applications find the proxies that were believed, internal ones left out.

## Example
    RemoteIPHeader X-Forwarded-For
    RemoteIPProxiesHeader X-Forwarded-By
",
    set: Set::One(|at, word| {
        at.server.remoteip().proxies_header = Some(field_name(word)?);
        Ok(())
    }),
    ..Directive::EXACT
};

macro_rules! lists {
    ($($name:ident, $file_name:ident: $spelling:literal, $file_spelling:literal, $internal:literal, $summary:literal, $file_summary:literal, $docs:literal, $file_docs:literal;)*) => {
        $(static $name: Directive = Directive {
            name: $spelling,
            syntax: "proxy-ip|proxy-ip/subnet|hostname ...",
            context: Context::SERVERS,
            summary: $summary,
            docs: $docs,
            set: Set::Each(|at, word| add(at, &word.lossy(), word.span, $internal)),
            ..Directive::EXACT
        };
        static $file_name: Directive = Directive {
            name: $file_spelling,
            syntax: "filename",
            context: Context::SERVERS,
            summary: $file_summary,
            docs: $file_docs,
            set: Set::One(|at, word| add_file(at, word, $internal)),
            ..Directive::EXACT
        };)*
    };
}

lists! {
    REMOTE_IP_INTERNAL_PROXY, REMOTE_IP_INTERNAL_PROXY_LIST:
        "RemoteIPInternalProxy", "RemoteIPInternalProxyList", true,
        "Specifies one or more internal (transparent) proxy IP addresses which can present \
         IP headers of the origin",
        "The filename to read the list of internal proxies, see the RemoteIPInternalProxy \
         directive",
        r"
Proxies that are believed whatever address they report, private ones among them.

## Example
    RemoteIPInternalProxy 10.0.2.0/24 127.0.0.1
", r"
A file with proxies for `RemoteIPInternalProxy`, one on each line; `#` begins a comment.

## Example
    RemoteIPInternalProxyList /dev/null
";
    REMOTE_IP_TRUSTED_PROXY, REMOTE_IP_TRUSTED_PROXY_LIST:
        "RemoteIPTrustedProxy", "RemoteIPTrustedProxyList", false,
        "Specifies one or more proxies which are trusted to present IP headers",
        "The filename to read the list of trusted proxies, see the RemoteIPTrustedProxy \
         directive",
        r"
Proxies that are believed, but for private addresses.

## Example
    RemoteIPTrustedProxy 192.0.2.7
", r"
A file with proxies for `RemoteIPTrustedProxy`, one on each line; `#` begins a comment.

## Example
    RemoteIPTrustedProxyList /dev/null
";
}

static REMOTE_IP_PROXY_PROTOCOL: Directive = Directive {
    name: "RemoteIPProxyProtocol",
    syntax: "On|Off",
    context: Context::SERVERS,
    default: "Off",
    summary: "Enable PROXY protocol handling ('on', 'off')",
    docs: r"
Do connections begin with a PROXY header, version 1 or 2, that says who the client is? One
without is closed. It holds for all hosts of an address and port, as the first of them says.

## Example
    RemoteIPProxyProtocol On
    RemoteIPProxyProtocolExceptions 127.0.0.1 10.0.0.0/8
",
    set: Set::Flag(|at, on| {
        at.server.remoteip().proxy_protocol = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

static REMOTE_IP_PROXY_PROTOCOL_EXCEPTIONS: Directive = Directive {
    name: "RemoteIPProxyProtocolExceptions",
    syntax: "address|range [address|range] ...",
    context: Context::SERVERS,
    summary: "Disable PROXY protocol handling for this list of networks in CIDR format",
    docs: r"
Clients that do not begin with a PROXY header.

## Example
    RemoteIPProxyProtocolExceptions 127.0.0.1 10.0.0.0/8
",
    set: Set::Words(|at, words| {
        for word in words {
            let text = word.lossy();
            // Names of hosts are none here, unlike with the lists of proxies.
            let is_name = matches!(Address::parse(&text), Err(NoAddress::Other));
            if is_name && !text.contains('/') {
                let message = format!("ip address '{text}' appears to be invalid");
                return Err(Problem::from(message).at(word.span));
            }
            let ranges = addresses(at, &text, word.span)?;
            at.server.remoteip().exceptions.get_or_insert_default().extend(ranges);
        }
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_remoteip.c",
    id: "remoteip_module",
    directives: &[
        &REMOTE_IP_HEADER,
        &REMOTE_IP_INTERNAL_PROXY,
        &REMOTE_IP_INTERNAL_PROXY_LIST,
        &REMOTE_IP_PROXIES_HEADER,
        &REMOTE_IP_PROXY_PROTOCOL,
        &REMOTE_IP_PROXY_PROTOCOL_EXCEPTIONS,
        &REMOTE_IP_TRUSTED_PROXY,
        &REMOTE_IP_TRUSTED_PROXY_LIST,
    ],
    hooks: &[first(Phase::Received, modify)
        .where_set(|at| at.server.config.remoteip.header.is_some())],
};

/// Addresses that nobody beyond an internal proxy can have: RFC 1918 and its like, and
/// everything of IPv6 but global unicast.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.octets()[0] & 0xe0 != 0x20,
    }
}

/// `remoteip_modify_request`.
fn modify(r: &mut Request) -> Verdict {
    let server = r.server.clone();
    let config = &server.config.remoteip;
    // What a PROXY header said counts; a redirected request knows its client.
    let Some(header) = config.header.as_ref().filter(|_| r.prev.is_none()) else {
        return DECLINED;
    };
    let Field { name, written } = header;
    if r.connection.reported.is_some() {
        return OK;
    }
    let Some(field) = r.header(name).map(Cow::into_owned) else { return OK };
    let mut rest = Some(&field[..]);
    let mut client = r.useragent_ip;
    let mut is_internal = false;
    let mut passed: Vec<String> = Vec::new();
    let mut any = false;
    while let Some(text) = rest {
        if let Some(proxies) = &config.proxies {
            match proxies.iter().find(|proxy| proxy.range.contains(client)) {
                Some(proxy) => is_internal = proxy.is_internal,
                None => break,
            }
        }
        let (before, last) = match text.iter().rposition(|&byte| byte == b',') {
            Some(comma) => (Some(&text[..comma]), text[comma + 1..].trim_ascii()),
            None => (None, text.trim_ascii()),
        };
        if last.is_empty() {
            break;
        }
        let shown = String::from_utf8_lossy(last).into_owned();
        let Ok(ip) = shown.parse::<IpAddr>() else {
            let text = format!(
                "RemoteIP: Header {written} value of {shown} cannot be parsed as a client IP"
            );
            r.log(Level::Debug, "remoteip", 1568, text);
            break;
        };
        let ip = ip.to_canonical();
        if !is_internal && is_private(ip) {
            let text = format!(
                "RemoteIP: Header {written} value of {shown} appears to be a private IP or \
                 nonsensical.  Ignored"
            );
            r.log(Level::Debug, "remoteip", 1569, text);
            break;
        }
        if !is_internal {
            passed.push(client.to_string());
        }
        (client, any, rest) = (ip, true, before);
    }
    if !any {
        return OK;
    }
    r.useragent_ip = client;
    let left = rest.map(Bytes::copy_from_slice);
    let fields = Arc::make_mut(&mut r.headers_in);
    fields.remove(name);
    if let Some(value) = left.and_then(|left| HeaderValue::from_maybe_shared(left).ok()) {
        fields.insert(name.clone(), value);
    }
    if !passed.is_empty() {
        let passed = passed.join(", ");
        if let Some(name) = &config.proxies_header
            && let Ok(value) = HeaderValue::from_str(&passed)
        {
            fields.insert(name.clone(), value);
        }
        r.notes.set("remoteip-proxy-ip-list", passed);
    }
    OK
}
