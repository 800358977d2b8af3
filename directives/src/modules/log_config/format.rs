//! A log format: parsed once, then rendered into one buffer for each request.

use bytes::Bytes;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use crate::modules::ssl;
use crate::request::{Lookup, Request};

/// What became of a response.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// Bytes of the body that were sent.
    pub body: u64,
    /// All bytes that were sent.
    pub total: u64,
    /// All bytes that were received.
    pub received: u64,
    /// When the response was finished, microseconds since 1970.
    pub finished: i64,
    /// Local time's distance from UTC, seconds.
    pub utc_offset: i32,
    /// The process that served it.
    pub pid: u32,
    /// The thread.
    pub tid: u64,
    /// The connection broke before the response was complete.
    pub aborted: bool,
    /// The connection goes on.
    pub kept: bool,
}

/// Which request of a chain of internal redirects is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    First,
    Last,
}

#[derive(Clone, Debug)]
struct Item {
    what: What,
    argument: String,
    which: Which,
    /// Shown only for these statuses, or for all but these.
    statuses: Vec<u16>,
    except: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    RemoteHost,
    RemoteAddr,
    PeerAddr,
    LocalAddr,
    BodyBytes,
    BodyBytesClf,
    Cookie,
    DurationMicros,
    Duration,
    Env,
    Filename,
    RequestHeader,
    RequestTrailer,
    ResponseHeader,
    ResponseTrailer,
    Note,
    Protocol,
    Received,
    Total,
    Both,
    Keepalives,
    Logname,
    LogId,
    Method,
    Port,
    Process,
    Query,
    RequestLine,
    Handler,
    Status,
    Time,
    User,
    Uri,
    ServerName,
    CanonicalName,
    Connection,
    Ssl(Option<ssl::Name>),
    /// A variable of mod_ssl under an old name, such as `%{version}c`, that has no value.
    Nothing,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Bytes),
    Item(Item),
}

/// A parsed format.
#[derive(Clone, Debug, Default)]
pub struct Format(Vec<Piece>);

impl Format {
    /// Parses a format; the error is httpd's sentence. See `parse_log_string`.
    pub fn parse(text: &[u8]) -> Result<Format, String> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut i = 0;
        while i < text.len() {
            match text[i] {
                b'%' if text.get(i + 1) == Some(&b'%') => {
                    plain.push(b'%');
                    i += 2;
                }
                b'%' => {
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
                    }
                    let (item, after) = parse_item(text, i + 1)?;
                    pieces.push(Piece::Item(item));
                    i = after;
                }
                b'\\' => {
                    let (byte, length) = match text.get(i + 1) {
                        Some(b'r') => (b'\r', 2),
                        Some(b'n') => (b'\n', 2),
                        Some(b't') => (b'\t', 2),
                        Some(b'\\') => (b'\\', 2),
                        Some(b'"') => (b'"', 2),
                        _ => (b'\\', 1),
                    };
                    plain.push(byte);
                    i += length;
                }
                byte => {
                    plain.push(byte);
                    i += 1;
                }
            }
        }
        plain.push(b'\n');
        pieces.push(Piece::Text(plain.into()));
        Ok(Format(pieces))
    }

    /// The line of a finished request, its end included.
    pub fn render(&self, r: &Request, sent: &Sent) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let first = r.first();
        let r = r.failed.as_deref().unwrap_or(r);
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Item(item) => {
                    let listed = item.statuses.contains(&r.status);
                    if !item.statuses.is_empty() && listed == item.except {
                        out.push(b'-');
                        continue;
                    }
                    let of = if item.which == Which::First { first } else { r };
                    if item.render(of, r, sent, &mut out).is_none() {
                        out.push(b'-');
                    }
                }
            }
        }
        out
    }
}

fn parse_item(text: &[u8], mut i: usize) -> Result<(Item, usize), String> {
    let mut item = Item {
        what: What::Status,
        argument: String::new(),
        which: Which::Last,
        statuses: Vec::new(),
        except: false,
    };
    let mut which = None;
    let mut braced = false;
    while let Some(&byte) = text.get(i) {
        i += 1;
        match byte {
            b'!' => item.except = !item.except,
            b'<' => which = Some(Which::First),
            b'>' => which = Some(Which::Last),
            b',' => {}
            b'{' => {
                let end =
                    text[i..].iter().position(|&b| b == b'}').unwrap_or(text.len() - i);
                item.argument = String::from_utf8_lossy(&text[i..i + end]).into_owned();
                braced = true;
                i = (i + end + 1).min(text.len());
            }
            b'0'..=b'9' => {
                let digits =
                    text[i - 1..].iter().take_while(|b| b.is_ascii_digit()).count();
                let number = String::from_utf8_lossy(&text[i - 1..i - 1 + digits]);
                item.statuses.push(number.parse().unwrap_or(0));
                i += digits - 1;
            }
            b'^' => {
                let name = text.get(i..i + 2).unwrap_or_default();
                i += 2;
                item.what = match name {
                    b"ti" => What::RequestTrailer,
                    b"to" => What::ResponseTrailer,
                    b"FB" => What::DurationMicros,
                    _ => {
                        let shown = String::from_utf8_lossy(name);
                        return Err(format!(
                            "Unrecognized LogFormat directive %^{shown}"
                        ));
                    }
                };
                item.which = which.unwrap_or(Which::Last);
                return Ok((item, i));
            }
            letter => {
                let (what, default) = meaning(letter, &item.argument, braced)
                    .ok_or_else(|| {
                        format!(
                            "Unrecognized LogFormat directive %{}",
                            char::from(letter)
                        )
                    })?;
                item.what = what;
                item.which = which.unwrap_or(default);
                return Ok((item, i));
            }
        }
    }
    Err("Ran off end of LogFormat parsing args to some directive".to_owned())
}

fn meaning(letter: u8, argument: &str, braced: bool) -> Option<(What, Which)> {
    use Which::{First, Last};
    Some(match letter {
        b'h' => (What::RemoteHost, Last),
        b'a' => (if argument == "c" { What::PeerAddr } else { What::RemoteAddr }, Last),
        b'A' => (What::LocalAddr, Last),
        b'B' => (What::BodyBytes, Last),
        b'b' => (What::BodyBytesClf, Last),
        b'C' => (What::Cookie, Last),
        b'D' => (What::DurationMicros, First),
        b'T' => (What::Duration, First),
        b'e' => (What::Env, Last),
        b'f' => (What::Filename, Last),
        b'i' => (What::RequestHeader, Last),
        b'o' => (What::ResponseHeader, Last),
        b'n' => (What::Note, Last),
        b'H' => (What::Protocol, Last),
        b'I' => (What::Received, Last),
        b'O' => (What::Total, Last),
        b'S' => (What::Both, Last),
        b'k' => (What::Keepalives, Last),
        b'l' => (What::Logname, Last),
        b'L' => (What::LogId, Last),
        b'm' => (What::Method, Last),
        b'p' => (What::Port, Last),
        b'P' => (What::Process, Last),
        b'q' => (What::Query, Last),
        b'r' => (What::RequestLine, First),
        b'R' => (What::Handler, Last),
        b's' => (What::Status, First),
        b't' => (What::Time, Last),
        b'u' => (What::User, Last),
        b'U' => (What::Uri, First),
        b'v' => (What::CanonicalName, Last),
        b'V' => (What::ServerName, Last),
        b'X' => (What::Connection, Last),
        b'x' if braced => (What::Ssl(ssl::Name::parse(argument)), Last),
        b'c' if braced => (old_name(argument), Last),
        _ => return None,
    })
}

/// `ssl_var_log_handler_c`.
fn old_name(argument: &str) -> What {
    let name = match argument {
        "version" => "SSL_PROTOCOL",
        "cipher" => "SSL_CIPHER",
        "subjectdn" | "clientcert" => "SSL_CLIENT_S_DN",
        "issuerdn" | "cacert" => "SSL_CLIENT_I_DN",
        _ => return What::Nothing,
    };
    What::Ssl(ssl::Name::parse(name))
}

impl Item {
    /// Writes the value; `None` if there is none, which is not the same as an empty one.
    fn render(
        &self,
        of: &Request,
        last: &Request,
        sent: &Sent,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let mut number = |n: u64| out.extend_from_slice(n.to_string().as_bytes());
        match self.what {
            What::BodyBytes => number(sent.body),
            What::BodyBytesClf if sent.body == 0 => return None,
            What::BodyBytesClf => number(sent.body),
            What::Received => number(sent.received),
            What::Total => number(sent.total),
            What::Both => number(sent.total + sent.received),
            // httpd counts when it decides that the connection goes on.
            What::Keepalives => {
                let before = u64::from(of.connection.keepalives);
                number(before.saturating_sub(u64::from(!sent.kept)));
            }
            What::Status => number(u64::from(of.status)),
            What::DurationMicros => number(elapsed(of, sent)),
            What::Duration => number(match self.argument.as_str() {
                "ms" => elapsed(of, sent) / 1000,
                "us" => elapsed(of, sent),
                _ => elapsed(of, sent) / 1_000_000,
            }),
            What::Process => number(match self.argument.as_str() {
                "tid" | "hextid" => sent.tid,
                _ => u64::from(sent.pid),
            }),
            What::Port => number(u64::from(match self.argument.as_str() {
                "" | "canonical" => of.canonical_port(),
                "local" => of.connection.local.port(),
                "remote" => of.connection.client.port(),
                other => {
                    text(other, out);
                    return Some(());
                }
            })),
            What::RemoteHost => match &last.remote_host {
                Lookup::Known(name) => escape(name.as_bytes(), out),
                _ => text(&of.useragent_ip.to_string(), out),
            },
            What::RemoteAddr => text(&of.useragent_ip.to_string(), out),
            What::PeerAddr => {
                text(&of.connection.client.ip().to_canonical().to_string(), out);
            }
            What::LocalAddr => {
                text(&of.connection.local.ip().to_canonical().to_string(), out);
            }
            What::Cookie => escape(&cookie(of, &self.argument)?, out),
            What::Env => escape(of.env.get(self.argument.as_bytes())?, out),
            What::Note => escape(of.notes.get(self.argument.as_bytes())?, out),
            What::Filename if of.filename.is_empty() => return None,
            What::Filename => escape(&of.filename, out),
            What::RequestHeader => {
                let name = http::HeaderName::from_bytes(self.argument.as_bytes()).ok()?;
                escape(&of.header(name)?, out);
            }
            What::RequestTrailer => {
                escape(of.first().trailers_in.get(&self.argument)?.as_bytes(), out);
            }
            // Nothing here sends any.
            What::ResponseTrailer => return None,
            What::ResponseHeader => {
                let value = last.headers_out.get(&self.argument)?;
                let kind = self.argument.eq_ignore_ascii_case("content-type");
                // `ap_field_noparam`.
                let end = value.iter().position(|&b| kind && b == b';');
                escape(value[..end.unwrap_or(value.len())].trim_ascii_end(), out);
            }
            What::Protocol => text(of.protocol(), out),
            What::Method => text(of.method.as_str(), out),
            What::Logname | What::Nothing => return None,
            What::Ssl(name) => escape(&ssl::variable(of, name?)?, out),
            What::LogId if self.argument == "c" => text(&of.connection.log_id(), out),
            What::LogId => text(&of.log_id(), out),
            What::Query => {
                if let Some(args) = &of.args {
                    out.push(b'?');
                    escape(args, out);
                }
            }
            What::RequestLine
                if of.refused_line.as_ref().is_some_and(Bytes::is_empty) =>
            {
                return None;
            }
            What::RequestLine => escape(&of.the_request(), out),
            What::Handler if of.handler_by_type => return None,
            What::Handler => escape(of.handler.as_ref()?, out),
            What::Time => self.time(of, sent, out),
            What::User => match last.user.as_deref()? {
                b"" => text("\"\"", out),
                user => escape(user, out),
            },
            What::Uri => escape(&of.uri, out),
            What::CanonicalName => {
                let name = of.server.config.core.server_name.as_deref().unwrap_or("-");
                text(name, out);
            }
            What::ServerName => text(&of.server_name(), out),
            What::Connection => out.push(match (sent.aborted, sent.kept) {
                (true, _) => b'X',
                (false, true) => b'+',
                (false, false) => b'-',
            }),
        }
        Some(())
    }

    /// `%t`, with the formats that `mod_log_config` knows beside strftime's.
    fn time(&self, of: &Request, sent: &Sent, out: &mut Vec<u8>) {
        let (micros, format) = match self.argument.split_once(':') {
            Some(("begin", format)) => (of.request_time, format),
            Some(("end", format)) => (sent.finished, format),
            _ => match self.argument.as_str() {
                "begin" => (of.request_time, ""),
                "end" => (sent.finished, ""),
                format => (of.request_time, format),
            },
        };
        match format {
            "sec" => return text(&(micros / 1_000_000).to_string(), out),
            "msec" => return text(&(micros / 1000).to_string(), out),
            "usec" => return text(&micros.to_string(), out),
            "msec_frac" => return text(&format!("{:03}", micros / 1000 % 1000), out),
            "usec_frac" => return text(&format!("{:06}", micros % 1_000_000), out),
            _ => {}
        }
        let format = if format.is_empty() { "[%d/%b/%Y:%H:%M:%S %z]" } else { format };
        if let Some(time) = zoned(micros, sent.utc_offset) {
            let shown = jiff::fmt::strtime::format(format, &time);
            text(&shown.unwrap_or_default(), out);
        }
    }
}

/// A time on a clock that is `offset` seconds from UTC.
pub fn zoned(micros: i64, offset: i32) -> Option<Zoned> {
    let offset = Offset::from_seconds(offset).ok()?;
    let time = Timestamp::from_microsecond(micros).ok()?;
    Some(time.to_zoned(TimeZone::fixed(offset)))
}

fn elapsed(of: &Request, sent: &Sent) -> u64 {
    sent.finished.saturating_sub(of.request_time).max(0) as u64
}

fn cookie(r: &Request, name: &str) -> Option<Vec<u8>> {
    let field = r.header(http::header::COOKIE)?;
    field.split(|&b| b == b';').map(<[u8]>::trim_ascii).find_map(|pair| {
        let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(value.to_vec())
    })
}

fn text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
}

/// `ap_escape_logitem`: what a client sent cannot forge a line.
pub fn escape(value: &[u8], out: &mut Vec<u8>) {
    for &byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x0b => out.extend_from_slice(b"\\v"),
            0x20..=0x7e => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_checked() {
        assert!(
            Format::parse(br#"%h %l %u %t \"%r\" %>s %b %{Referer}i %!200,304s"#).is_ok()
        );
        assert!(Format::parse(b"%Z").is_err());
        assert!(Format::parse(b"%").is_err());
        assert!(Format::parse(b"100%%").is_ok());
    }

    #[test]
    fn control_bytes_are_escaped() {
        let mut out = Vec::new();
        escape(b"a\"\n\x01\xff", &mut out);
        assert_eq!(out, br#"a\"\n\x01\xff"#);
    }
}
