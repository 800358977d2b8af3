//! The dialect of Envoy's `grpc_service`: a unary call of gRPC, whose message describes the
//! original request and whose answer's message is the decision.
//!
//! HTTP's status is 200 only with such a message: whatever else becomes of a call is an
//! HTTP status that gRPC has a code for, and that no caller of another dialect takes for consent.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use prost::Message;

use super::message::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValueOption,
    HealthCheckRequest, HealthCheckResponse, HttpRequest, HttpStatus, OkHttpResponse,
    Status,
};
use super::original::{Original, address, admit, is_service, refused, replace};
use super::service::Dialect;
use crate::effect::{Answer, Effect};
use crate::phase::{DONE, Verdict};
use crate::reply::{Body, Headers, Reply};
use crate::request::Request;
use crate::response::has_token;

/// The methods that are called.
const CHECK: &[u8] = b"/envoy.service.auth.v3.Authorization/Check";
const HEALTH: &[u8] = b"/grpc.health.v1.Health/Check";
/// The service whose health somebody may ask for by name.
const SERVICE: &str = "envoy.service.auth.v3.Authorization";

/// The most that a call's message may be, bytes; what gRPC's own servers take unless they
/// are told otherwise.
const MOST: u64 = 4 << 20;
/// A flag and a length stand before each message.
const PREFIX: usize = 5;

/// The end of an answer with a message.
const TRAILERS: &[(&str, &str)] = &[("grpc-status", "0")];

/// gRPC's codes for decisions.
const PERMISSION_DENIED: i32 = 7;
const UNAUTHENTICATED: i32 = 16;

/// Fields of a refusal that are about the answer itself, and not for the client.
const OF_THE_ANSWER: [&str; 7] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "transfer-encoding",
    "upgrade",
];

/// What is needed to know what a call of this dialect is about; `None` for all other
/// requests. An error is the status of a refusal.
pub(crate) fn opens(r: &mut Request) -> Option<Result<Effect, u16>> {
    let is_grpc = |r: &Request| {
        let service = r.dir.gateway.service.as_ref();
        service.is_some_and(|service| service.dialect == Dialect::Grpc)
    };
    (is_grpc(r) && is_service(r)).then(|| open(r))
}

fn open(r: &mut Request) -> Result<Effect, u16> {
    admit(r)?;
    let is_grpc = r.version >= 20
        && r.header("content-type").is_some_and(|kind| {
            let rest = kind.strip_prefix(b"application/grpc");
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
        })
        && r.header("te").is_some_and(|te| has_token(&te, b"trailers"));
    if !is_grpc {
        refused(r, "it is no gRPC over HTTP/2");
        return Err(415);
    }
    if r.method != Method::POST || ![CHECK, HEALTH].contains(&&r.unparsed_uri[..]) {
        refused(r, "there is no such method");
        return Err(404);
    }
    Ok(Effect::Body { most: MOST })
}

/// Goes on with a call whose message is here: `None` if it is the original request's turn.
pub(crate) fn called(r: &mut Request, answer: Answer) -> Option<Verdict> {
    let Answer::Body(Ok(body)) = answer else {
        return Some(Verdict::Status(refused(r, "its message did not come")));
    };
    let Some(message) = message(&body) else {
        return Some(Verdict::Status(refused(r, "it is not one message as it is")));
    };
    if r.unparsed_uri[..] == *HEALTH {
        // It is about nobody's request.
        r.gateway = None;
        let asked = HealthCheckRequest::decode(message).unwrap_or_default();
        if !["", SERVICE].contains(&&asked.service[..]) {
            return Some(Verdict::Status(404));
        }
        return Some(Verdict::Ask(Effect::Ready, healthy));
    }
    let read = CheckRequest::decode(message).map_err(|why| why.to_string());
    match read.and_then(|said| describe(&said)) {
        Ok((original, said)) => {
            replace(r, original, &said);
            None
        }
        Err(why) => Some(Verdict::Status(refused(r, &why))),
    }
}

fn healthy(r: &mut Request, answer: Answer) -> Verdict {
    let is_ready = matches!(answer, Answer::Ready(true));
    say(r, &HealthCheckResponse { status: if is_ready { 1 } else { 2 } });
    DONE
}

/// The one message of a body.
fn message(body: &Bytes) -> Option<Bytes> {
    let (prefix, rest) = body.split_at_checked(PREFIX)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    let is_plain = prefix[0] == 0;
    (is_plain && rest.len() == length as usize).then(|| body.slice(PREFIX..))
}

fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut out = BytesMut::with_capacity(PREFIX + length);
    out.put_u8(0);
    out.put_u32(length as u32);
    out.extend_from_slice(&message.encode_to_vec());
    out.freeze()
}

/// The original request and its fields; the error says what is missing.
fn describe(said: &CheckRequest) -> Result<(Original, HeaderMap), String> {
    let attributes = said.attributes.as_ref().ok_or("there are no attributes")?;
    let source = attributes.source.as_ref().and_then(|peer| peer.address.as_ref());
    let source = source.and_then(|address| address.socket_address.as_ref());
    let client = source.and_then(|socket| address(socket.address.as_bytes()));
    let client = client.ok_or("source.address is none")?;
    let request = attributes.request.as_ref().and_then(|request| request.http.as_ref());
    let http = request.ok_or("request.http is missing")?;
    let method = Method::from_bytes(http.method.as_bytes());
    let method = method.map_err(|_| "the original method is none")?;
    let host = HeaderValue::from_str(&http.host).ok().filter(|host| !host.is_empty());
    let host = host.ok_or("request.http.host is none")?;
    let uri = Bytes::copy_from_slice(http.path.as_bytes());
    let scheme = http.scheme.as_bytes();
    Ok((Original::checked(method, uri, host, scheme, client)?, fields(http)?))
}

fn fields(http: &HttpRequest) -> Result<HeaderMap, String> {
    let mut fields = HeaderMap::new();
    let raw = http.header_map.iter().flat_map(|map| &map.headers);
    let raw = raw.map(|field| match &field.raw_value[..] {
        [] => (&field.key, field.value.as_bytes()),
        raw => (&field.key, raw),
    });
    let plain = http.headers.iter().map(|(name, value)| (name, value.as_bytes()));
    // HTTP/2's own are said in words of their own.
    for (name, value) in raw.chain(plain).filter(|(name, _)| !name.starts_with(':')) {
        let field = HeaderName::from_bytes(name.as_bytes()).ok();
        let value = HeaderValue::from_bytes(value).ok();
        let (Some(field), Some(value)) = (field, value) else {
            return Err(format!("the field {} is none", name.escape_debug()));
        };
        // A message has room for more of them than a table of fields.
        fields.try_append(field, value).map_err(|_| "there are too many fields")?;
    }
    Ok(fields)
}

/// A consent. The fields of the answer are those that the upstream is to get; others of
/// these names are `removed`.
pub(super) fn allow(r: &mut Request, removed: Vec<String>) {
    let told = std::mem::take(&mut r.headers_out);
    let passed = r.gateway.as_mut().map(|caller| std::mem::take(&mut caller.passed));
    let mut to_client = Headers::default();
    for (name, value) in passed.into_iter().flatten() {
        to_client.add(name, value);
    }
    let response = CheckResponse {
        status: Some(Status { code: 0 }),
        denied_response: None,
        ok_response: Some(OkHttpResponse {
            headers: told.iter().map(|field| option(field, false)).collect(),
            headers_to_remove: removed,
            response_headers_to_add: to_client.iter().map(|f| option(f, true)).collect(),
        }),
    };
    say(r, &response);
}

/// Is a reply a refusal that goes into a message, body and all? That is known when its
/// fields are final.
pub fn is_refusal(r: &Request) -> bool {
    let caller = r.gateway.as_ref();
    caller.is_some_and(|caller| caller.dialect == Dialect::Grpc && caller.described)
        && !r.decision.as_ref().is_some_and(|decision| decision.allowed)
}

/// A refusal in the words of the dialect; `body` is what the client is to see.
pub fn refusal(mut reply: Reply, body: &[u8]) -> Reply {
    let fields = std::mem::take(&mut reply.headers);
    reply.headers.set("Cache-Control", "no-store");
    reply.reason = None;
    if reply.status >= 500 || reply.status < 300 {
        // There is no decision: gRPC's code for that is UNAVAILABLE.
        (reply.status, reply.body) = (503, Body::None);
        return reply;
    }
    let mut headers: Vec<HeaderValueOption> = Vec::new();
    for field in fields.iter() {
        let is_own = |own: &str| field.0.eq_ignore_ascii_case(own.as_bytes());
        if OF_THE_ANSWER.iter().any(|own| is_own(own)) {
            continue;
        }
        let name = String::from_utf8_lossy(&field.0).to_ascii_lowercase();
        let before = headers.iter().filter_map(|option| option.header.as_ref());
        let is_further = before.into_iter().any(|header| header.key == name);
        headers.push(option(field, is_further));
    }
    let code = if reply.status == 401 { UNAUTHENTICATED } else { PERMISSION_DENIED };
    let response = CheckResponse {
        status: Some(Status { code }),
        denied_response: Some(DeniedHttpResponse {
            status: Some(HttpStatus { code: reply.status.into() }),
            headers,
            body: String::from_utf8_lossy(body).into_owned(),
        }),
        ok_response: None,
    };
    reply.headers.set("Content-Type", "application/grpc");
    (reply.status, reply.trailers) = (200, TRAILERS);
    reply.body = Body::Bytes(framed(&response));
    reply
}

fn say(r: &mut Request, message: &impl Message) {
    r.status = 200;
    r.content_type = Some(Bytes::from_static(b"application/grpc"));
    r.headers_out.set("Cache-Control", "no-store");
    r.body = Body::Bytes(framed(message));
    r.trailers = TRAILERS;
}

/// Names are in lower case with HTTP/2.
fn option((name, value): &(Bytes, Bytes), append: bool) -> HeaderValueOption {
    let header = super::message::HeaderValue {
        key: String::from_utf8_lossy(name).to_ascii_lowercase(),
        value: String::from_utf8_lossy(value).into_owned(),
        raw_value: Vec::new(),
    };
    HeaderValueOption { header: Some(header), append: Some(append) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_as_it_is() {
        let of = |bytes: &'static [u8]| message(&Bytes::from_static(bytes));
        assert_eq!(of(b"\0\0\0\0\x02ab"), Some(Bytes::from_static(b"ab")));
        for wrong in [&b""[..], b"\0\0\0\0", b"\x01\0\0\0\x01a", b"\0\0\0\0\x02a"] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
        assert_eq!(of(b"\0\0\0\0\x01ab"), None, "a second one begins");
    }

    #[test]
    fn what_is_in_neither_order_nor_word_is_refused() {
        let said = |address: &str, method: &str, path: &str, host: &str, scheme: &str| {
            let socket = super::super::message::SocketAddress { address: address.into() };
            let address = super::super::message::Address { socket_address: Some(socket) };
            let http = HttpRequest {
                method: method.into(),
                path: path.into(),
                host: host.into(),
                scheme: scheme.into(),
                ..HttpRequest::default()
            };
            let attributes = super::super::message::AttributeContext {
                source: Some(super::super::message::Peer { address: Some(address) }),
                request: Some(super::super::message::Request { http: Some(http) }),
            };
            describe(&CheckRequest { attributes: Some(attributes) }).is_ok()
        };
        assert!(said("192.0.2.1", "GET", "/a?b", "h", "https"));
        assert!(!said("", "GET", "/a", "h", "https"));
        assert!(!said("192.0.2.1", "G T", "/a", "h", "https"));
        assert!(!said("192.0.2.1", "GET", "a", "h", "https"));
        assert!(!said("192.0.2.1", "GET", "/a#b", "h", "https"));
        assert!(!said("192.0.2.1", "GET", "/a", "", "https"));
        assert!(!said("192.0.2.1", "GET", "/a", "h", ""));
        assert!(describe(&CheckRequest::default()).is_err());
    }

    #[test]
    fn more_fields_than_a_request_has_room_for_are_refused() {
        let with = |count: usize| {
            let headers = (0..count).map(|i| (format!("x-{i}"), String::new()));
            let http =
                HttpRequest { headers: headers.collect(), ..HttpRequest::default() };
            fields(&http).map(|fields| fields.len())
        };
        assert_eq!(with(1000), Ok(1000));
        assert_eq!(with(40_000), Err("there are too many fields".to_owned()));
    }
}
