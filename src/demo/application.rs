//! The demonstration's application: a FastCGI responder on descriptor 0, one thread and
//! one request at a time, as small applications are.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use directives::path::escape_html;

use crate::fcgi::record::{HEADER, MAX_CONTENT, header, kind};

/// The most that is read of a body: a form's.
const MAX_BODY: usize = 64 * 1024;

/// Answers requests until it is told to end.
pub fn run() -> Result<ExitCode> {
    let listener = io::stdin().as_fd().try_clone_to_owned()?;
    for stream in UnixListener::from(listener).incoming() {
        // A caller that leaves early is no reason to end.
        let _ = serve(&stream?);
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(stream: &UnixStream) -> Result<()> {
    let mut input = BufReader::new(stream);
    let mut params = Vec::new();
    let mut body = Vec::new();
    loop {
        let (kind, content) = record(&mut input)?;
        match kind {
            kind::PARAMS => params.extend(content),
            kind::STDIN if content.is_empty() => break,
            kind::STDIN if body.len() + content.len() > MAX_BODY => bail!("too much"),
            kind::STDIN => body.extend(content),
            _ => {}
        }
    }
    let mut answer = Answer { stream };
    respond(&pairs(&params)?, &body, &mut answer)?;
    answer.end()
}

/// One record's type and content.
fn record(input: &mut impl Read) -> Result<(u8, Vec<u8>)> {
    let mut head = [0; HEADER];
    input.read_exact(&mut head)?;
    let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
    let mut content = vec![0; length + usize::from(head[6])];
    input.read_exact(&mut content)?;
    content.truncate(length);
    Ok((head[1], content))
}

/// The name-value pairs, sorted by name.
fn pairs(mut bytes: &[u8]) -> Result<BTreeMap<String, String>> {
    let mut pairs = BTreeMap::new();
    while !bytes.is_empty() {
        let lengths = [length(&mut bytes)?, length(&mut bytes)?];
        let [name, value] = lengths.map(|n| {
            let (part, rest) = bytes.split_at_checked(n)?;
            bytes = rest;
            Some(String::from_utf8_lossy(part).into_owned())
        });
        pairs.insert(name.context("a name is cut off")?, value.context("a value")?);
    }
    Ok(pairs)
}

fn length(bytes: &mut &[u8]) -> Result<usize> {
    if let Some((long, rest)) = bytes.split_first_chunk::<4>()
        && long[0] >= 0x80
    {
        *bytes = rest;
        return Ok((u32::from_be_bytes(*long) & 0x7fff_ffff) as usize);
    }
    let (short, rest) = bytes.split_first().context("a length is missing")?;
    *bytes = rest;
    Ok(usize::from(*short))
}

/// The way back.
struct Answer<'a> {
    stream: &'a UnixStream,
}

impl Answer<'_> {
    fn end(&mut self) -> Result<()> {
        self.stream.write_all(&header(kind::STDOUT, 0))?;
        self.stream.write_all(&header(kind::END_REQUEST, 8))?;
        self.stream.write_all(&[0; 8])?;
        Ok(())
    }
}

impl Write for Answer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(MAX_CONTENT)];
        self.stream.write_all(&header(kind::STDOUT, piece.len() as u16))?;
        self.stream.write_all(piece)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn respond(
    params: &BTreeMap<String, String>,
    body: &[u8],
    out: &mut Answer<'_>,
) -> Result<()> {
    if params.get("FCGI_APACHE_ROLE").is_some_and(|role| role == "AUTHENTICATOR") {
        return authenticate(params, out);
    }
    let path = params.get("PATH_INFO").map_or("", String::as_str);
    match path.split('/').nth(1).unwrap_or_default() {
        "form" => form(body, out),
        "slow" => slow(out),
        "exit" => std::process::exit(3),
        "not-found" => {
            let url = params.get("REDIRECT_URL").map_or("it", String::as_str);
            let url = escape(url);
            let words = format!(
                "<p>There is no <code>{url}</code> here. The application \
                made this page, since the configuration says ErrorDocument 404.</p>"
            );
            page(out, "Status: 404 Not Found\r\n", "Not found", &(words + &table(params)))
        }
        _ => {
            let greeting = params.get("GREETING").cloned();
            let greeting = greeting.or_else(|| std::env::var("GREETING").ok());
            let words = format!(
                "<p>{}! Process {} answers. It was told:</p>",
                escape(&greeting.unwrap_or_default()),
                std::process::id()
            );
            page(out, "", "Request variables", &(words + &table(params)))
        }
    }
}

/// As an authorizer: who comes in, and what the page behind is told.
fn authenticate(params: &BTreeMap<String, String>, out: &mut Answer<'_>) -> Result<()> {
    let is_guest = |name: &str| params.get(name).is_some_and(|value| value == "guest");
    let answer = if is_guest("REMOTE_USER") && is_guest("REMOTE_PASSWD") {
        "Status: 200\r\nVariable-GREETING: Welcome, guest\r\n\r\n"
    } else {
        "Status: 401\r\n\r\n"
    };
    Ok(out.write_all(answer.as_bytes())?)
}

fn form(body: &[u8], out: &mut Answer<'_>) -> Result<()> {
    let heard = if body.is_empty() {
        String::new()
    } else {
        let text = escape(&String::from_utf8_lossy(body));
        format!("<p>The application read {} bytes: <code>{text}</code></p>", body.len())
    };
    let form =
        "<form method=post><input name=words autofocus> <button>Send</button></form>";
    page(out, "", "A form", &(heard + form))
}

fn slow(out: &mut Answer<'_>) -> Result<()> {
    write!(out, "Content-Type: text/plain\r\n\r\n")?;
    for i in 1..=5 {
        writeln!(out, "line {i} of 5")?;
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

fn page(out: &mut Answer<'_>, status: &str, title: &str, content: &str) -> Result<()> {
    let page = format!(
        "{status}Content-Type: text/html; charset=utf-8\r\n\r\n<!DOCTYPE html>\n\
         <html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n\
         <h1>{title}</h1>\n{content}\n<p><a href=\"/\">Back</a></p></html>\n"
    );
    Ok(out.write_all(page.as_bytes())?)
}

fn table(params: &BTreeMap<String, String>) -> String {
    let row = |(name, value): (&String, &String)| {
        format!("<tr><td>{}<td>{}\n", escape(name), escape(value))
    };
    format!("<table>\n{}</table>", params.iter().map(row).collect::<String>())
}

fn escape(text: &str) -> String {
    String::from_utf8_lossy(&escape_html(text.as_bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fcgi::params::Opening;

    #[test]
    fn reads_what_the_server_writes() {
        let long = "v".repeat(70_000);
        let mut opening = Opening::new(1, false, Vec::new());
        opening.pair(b"A", b"1");
        opening.pair(b"LONG", long.as_bytes());
        let bytes = opening.finish();
        let mut input = &bytes[..];
        let mut params = Vec::new();
        while !input.is_empty() {
            let (kind, content) = record(&mut input).unwrap();
            if kind == kind::PARAMS {
                params.extend(content);
            }
        }
        let pairs = pairs(&params).unwrap();
        assert_eq!(pairs["A"], "1");
        assert_eq!(pairs["LONG"], long);
    }

    #[test]
    fn a_pair_that_is_cut_off_is_an_error() {
        assert!(pairs(&[5, 0, b'A']).is_err());
        assert!(pairs(&[0x80, 0]).is_err());
    }
}
