//! What two servers may say differently without meaning anything else: dates, names of
//! programs, ports, paths of temporary directories.

use std::io::Read;

use crate::http::Response;
use crate::root::Root;

/// Fields that are left out of comparisons.
const LEFT_OUT: [&str; 2] = ["date", "server"];

/// A response as text, without what is its server's own. Names of fields are compared
/// without their case, and fields of different names without their order.
pub fn response(response: &Response, root: &Root) -> String {
    let unpacked = unpacked(response);
    let packed = unpacked.is_some() || response.framing == "none" && is_packed(response);
    let response = unpacked.as_ref().unwrap_or(response);
    let mut fields: Vec<String> = response
        .headers
        .iter()
        .filter(|(name, _)| !LEFT_OUT.contains(&name.to_ascii_lowercase().as_str()))
        .map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let mut value = text(value, root);
            if name == "etag" && value.contains(';') && !value.ends_with('"') {
                // httpd 2.4 forgets the end of a negotiated response's tag.
                value.push('"');
            }
            if name == "allow" {
                // Their order is that of a hash.
                let mut methods: Vec<&str> = value.split(',').collect();
                methods.sort_unstable();
                value = methods.join(",");
            }
            format!("{name}: {value}")
        })
        .collect();
    fields.sort_by(|a, b| a.split(':').next().cmp(&b.split(':').next()));
    let mut out = format!("{} {}\n", response.status, response.reason);
    for field in fields {
        // The length of a page with a server's name in it says nothing, nor does one with
        // boundaries, which are random and not even equally long.
        // A packed body is as long as the packer makes it.
        let says_nothing =
            is_own_page(response) || boundary(response).is_some() || packed;
        if field.starts_with("content-length: ") && says_nothing {
            continue;
        }
        out += &field;
        out.push('\n');
    }
    out += &format!("({})\n\n", response.framing);
    out += &text(&response.text(), root);
    if let Some(boundary) = boundary(response) {
        out = out.replace(boundary, "{boundary}");
    }
    for (name, value) in &response.trailers {
        out += &format!("trailer {}: {value}\n", name.to_ascii_lowercase());
    }
    out
}

fn is_packed(response: &Response) -> bool {
    response
        .header("content-encoding")
        .is_some_and(|e| e.ends_with("gzip") || e.ends_with("br"))
}

/// A packed response with its body unpacked; `None` if it is not packed. What is no gzip
/// although it says so stays as it came.
fn unpacked(response: &Response) -> Option<Response> {
    let mut body = Vec::new();
    let encoding = response.header("content-encoding")?.to_ascii_lowercase();
    match encoding.rsplit(',').next()?.trim() {
        "gzip" => flate2::read::GzDecoder::new(&response.body[..])
            .read_to_end(&mut body)
            .ok()?,
        "br" => brotli::Decompressor::new(&response.body[..], 4096)
            .read_to_end(&mut body)
            .ok()?,
        _ => return None,
    };
    Some(Response { body, ..response.clone() })
}

/// An answer without what says where it ends: httpd sends in pieces what it writes in
/// pieces.
pub fn without_framing(answer: &str) -> String {
    let (head, body) = answer.split_once("\n\n").unwrap_or((answer, ""));
    let is_framing = |line: &str| {
        line.starts_with("content-length: ")
            || line.starts_with("transfer-encoding: ")
            || line.starts_with('(')
    };
    let head: Vec<&str> = head.lines().filter(|line| !is_framing(line)).collect();
    format!("{}\n\n{body}", head.join("\n"))
}

/// The random line between the parts of a multipart body.
fn boundary(response: &Response) -> Option<&str> {
    response.header("content-type")?.split_once("boundary=").map(|(_, boundary)| boundary)
}

fn is_own_page(response: &Response) -> bool {
    response.text().contains("<address>")
}

/// Text without paths, ports and names of servers.
pub fn text(text: &str, root: &Root) -> String {
    let mut text = text
        .replace(&root.path().display().to_string(), "{root}")
        .replace(&format!(":{}", root.port), ":{port}")
        .replace(&format!("Port {}", root.port), "Port {port}")
        .replace("fcgi-httpd Apache", "Apache");
    for (name, port) in root.named_ports() {
        text = text.replace(&format!(":{port}"), &format!(":{{{name}}}"));
    }
    for (from, to) in [("fcgi-httpd/", " "), ("Apache/", " ")] {
        while let Some(start) = text.find(from) {
            // `fcgi-httpd/0.1.0 Apache/2.4.71 (Unix)` and `Apache/2.4.71 (Debian)`.
            let rest = &text[start..];
            let end = rest.find([' ', '<', '\n']).unwrap_or(rest.len());
            let mut end = start + end;
            if let Some(extra) = text[end..].strip_prefix(" (") {
                end += 2 + extra.find(')').map_or(0, |i| i + 1);
            }
            text.replace_range(start..end, if to == " " { "{server}" } else { to });
        }
    }
    text.replace("{server} {server}", "{server}")
}

/// What a server says about a configuration.
pub fn check(said: &str, root: &Root) -> String {
    let lines = said.lines().map(|line| {
        let line = line.strip_prefix("apache2: ").unwrap_or(line);
        let line = line.strip_prefix("fcgi-httpd: ").unwrap_or(line);
        // `[time] [module:level] [process] message`.
        match line.splitn(4, "] ").collect::<Vec<_>>()[..] {
            [_, level, _, message] if line.starts_with('[') => {
                format!("{level}] {message}")
            }
            _ => line.to_owned(),
        }
    });
    text(&lines.collect::<Vec<_>>().join("\n"), root)
}

/// The lines of an access log. They are written once the client has its answer, by as
/// many as there are connections: their order says nothing.
pub fn access_log(log: &str, root: &Root) -> Vec<String> {
    let mut lines: Vec<String> = log.lines().map(|line| text(line, root)).collect();
    lines.sort_unstable();
    lines
}

/// The lines of an error log that are about requests: module, level and message.
pub fn error_log(log: &str, root: &Root) -> Vec<String> {
    log.lines().filter_map(|line| error_line(line, root)).collect()
}

fn error_line(line: &str, root: &Root) -> Option<String> {
    let mut rest = line;
    let mut groups = Vec::new();
    while let Some(inner) = rest.strip_prefix('[') {
        let end = inner.find(']')?;
        groups.push(&inner[..end]);
        rest = inner[end + 1..].trim_start_matches(' ');
        // At trace levels httpd says which of its source files speaks.
        if rest.starts_with("mod_")
            && let Some(colon) = rest.find(": [client ")
        {
            rest = &rest[colon + 2..];
        }
        // The system's error stands before the client.
        if rest.starts_with('(')
            && let Some(bracket) = rest.find(" [client ")
        {
            rest = &rest[bracket + 1..];
        }
    }
    let is_request = groups.iter().any(|group| group.starts_with("client "));
    // About httpd's own bookkeeping.
    if !is_request || rest.contains("setting lastsub to rule") {
        return None;
    }
    let rest = without_number(&without_number(rest, "/sid#"), "[rid#");
    Some(format!("{}: {}", groups.get(1).unwrap_or(&""), text(&rest, root)))
}

/// The hexadecimal number behind `mark` is an address or a count.
fn without_number(line: &str, mark: &str) -> String {
    let Some(at) = line.find(mark) else { return line.to_owned() };
    let rest = &line[at + mark.len()..];
    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    format!("{}{mark}N{}", &line[..at], &rest[end..])
}
