//! `Upgrade: h2c` (RFC 7540, 3.2): a client that began with HTTP/1.1 asks to go on with
//! HTTP/2, and its request becomes the first stream. See `core_upgrade_handler` and
//! `h2_protocol_propose`.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::Method;

use crate::modules::core::Protocol;
use crate::phase::{DECLINED, OK, Verdict};
use crate::reply::Body;
use crate::request::Request;
use crate::response::has_token;

/// A setting's number and value, bytes.
const SETTING: usize = 6;
/// More settings than this nobody has.
const MOST_SETTINGS: usize = 64;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Answers with 101 where the client asks for it and may: behind the phases that decide
/// whether it may have what it asks for, in the place of the handler.
pub fn answer(r: &mut Request) -> Verdict {
    if !r.snapshot.speaks_h2c || !may_change(r) {
        return DECLINED;
    }
    let Some(settings) = settings(r) else { return DECLINED };
    r.status = 101;
    r.body = Body::Http2(settings);
    OK
}

/// Is this a request that can become a stream, at a server that lets it?
fn may_change(r: &Request) -> bool {
    let is_first = r.version == 11 && r.main.is_none() && r.prev.is_none();
    let asks = |r: &Request| {
        r.header("upgrade").is_some_and(|offers| {
            offers.split(|byte| *byte == b',').any(|offer| offer.trim_ascii() == b"h2c")
        })
    };
    let has_body = |r: &Request| match r.header("content-length") {
        Some(length) => &length[..] != b"0",
        None => r.header("transfer-encoding").is_some(),
    };
    is_first
        && !r.connection.secure
        && r.gateway.is_none()
        && r.method != Method::CONNECT
        && r.method != Method::TRACE
        && r.dir.http2.upgrade.unwrap_or(true)
        && r.server.config.core.protocols().contains(&Protocol::H2c)
        && asks(r)
        && !has_body(r)
}

/// What the client says of itself: the payload of a SETTINGS frame. `None` unless there is
/// one, whole and by the rules: nothing may be changed to then (RFC 7540, 3.2.1).
fn settings(r: &Request) -> Option<Bytes> {
    let connection = r.header("connection")?;
    if !has_token(&connection, b"upgrade") || !has_token(&connection, b"http2-settings") {
        return None;
    }
    let mut fields = r.headers_in.get_all("http2-settings").iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let settings = BASE64.decode(field.as_bytes()).ok()?;
    let is_whole = settings.len().is_multiple_of(SETTING)
        && settings.len() <= MOST_SETTINGS * SETTING;
    (is_whole && settings.chunks_exact(SETTING).all(is_allowed)).then(|| settings.into())
}

/// May a setting have this value? RFC 9113, 6.5.2.
fn is_allowed(setting: &[u8]) -> bool {
    let (name, value) = setting.split_at(2);
    let value = value.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
    match name {
        // ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, ENABLE_CONNECT_PROTOCOL.
        [0, 2 | 8] => value <= 1,
        [0, 4] => i32::try_from(value).is_ok(),
        [0, 5] => (1 << 14..1 << 24).contains(&value),
        _ => true,
    }
}
