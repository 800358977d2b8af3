//! `fcgi-conf request`: one FastCGI request to an application, as the server would send it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::BytesMut;
use directives::fcgi::params::Opening;
use directives::fcgi::record::{Decoder, MAX_CONTENT, Record, header, kind};
use lexopt::Parser;

use crate::options::{self, Problem};

/// What a request is made of.
struct Asked {
    address: String,
    role: u16,
    params: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    data: Option<Vec<u8>>,
    timeout: Duration,
}

/// FastCGI's roles.
const ROLES: [(&str, u16); 3] = [("responder", 1), ("authorizer", 2), ("filter", 3)];

/// The command.
pub fn run(parser: &mut Parser) -> Result<bool, Problem> {
    let (mut address, mut role, mut timeout) = (None, 1, 30);
    let (mut given, mut body, mut data, mut bare) = (Vec::new(), None, None, false);
    while let Some(word) = options::next(parser)? {
        match word.option() {
            "--app" => address = Some(options::text(parser)?),
            "--role" => {
                let name = options::text(parser)?;
                let found = ROLES.iter().find(|(known, _)| *known == name);
                role = match found {
                    Some((_, number)) => *number,
                    None => return options::usage(format!("there is no role {name}")),
                };
            }
            "--param" => given.push(pair(&options::text(parser)?)?),
            "--params" => {
                let file = read(&options::text(parser)?)?;
                for line in String::from_utf8_lossy(&file).lines() {
                    if !line.trim().is_empty() {
                        given.push(pair(line.trim_start())?);
                    }
                }
            }
            "--bare" => bare = true,
            "--body" => body = Some(read(&options::text(parser)?)?),
            "--data" => data = Some(read(&options::text(parser)?)?),
            "--timeout" => timeout = options::number(parser)?,
            _ => return word.unexpected(),
        }
    }
    let Some(address) = address else { return options::usage("--app is wanted") };
    if data.is_some() && role != 3 {
        return options::usage("--data is a filter's");
    }
    let mut params =
        if bare { Vec::new() } else { usual(body.as_deref(), data.as_deref(), role) };
    for (name, value) in given {
        params.retain(|(known, _)| *known != name);
        params.push((name, value));
    }
    let timeout = Duration::from_secs(timeout);
    ask(Asked { address, role, params, body, data, timeout })
}

fn pair(text: &str) -> Result<(String, String), Problem> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => options::usage(format!("{text} is no NAME=value")),
    }
}

/// A file; `-` is standard input.
fn read(name: &str) -> Result<Vec<u8>, Problem> {
    let read = if name == "-" {
        let mut all = Vec::new();
        std::io::stdin().read_to_end(&mut all).map(|_| all)
    } else {
        std::fs::read(name)
    };
    read.map_err(|error| Problem::Failed(format!("{name}: {error}")))
}

/// What programs count on being told, whatever the request is.
fn usual(body: Option<&[u8]>, data: Option<&[u8]>, role: u16) -> Vec<(String, String)> {
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut params: Vec<(String, String)> = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_SOFTWARE", "fcgi-conf"),
        ("SERVER_NAME", "localhost"),
        ("SERVER_ADDR", "127.0.0.1"),
        ("SERVER_PORT", "80"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_PORT", "40000"),
        ("REQUEST_METHOD", method),
        ("REQUEST_URI", "/"),
        ("SCRIPT_NAME", "/"),
        ("QUERY_STRING", ""),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if let Some(body) = body.filter(|_| role != 2) {
        params.push(("CONTENT_LENGTH".to_owned(), body.len().to_string()));
    }
    if let Some(data) = data {
        params.push(("FCGI_DATA_LENGTH".to_owned(), data.len().to_string()));
    }
    params
}

/// Both ends of a connection.
type Ends = (Box<dyn Read>, Box<dyn Write + Send>);

/// Connects to `unix:path` or `host:port`.
pub fn connect(address: &str, timeout: Duration) -> std::io::Result<Ends> {
    if let Some(path) = address.strip_prefix("unix:") {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        return Ok((Box::new(stream.try_clone()?), Box::new(stream)));
    }
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.set_nodelay(true)?;
    Ok((Box::new(stream.try_clone()?), Box::new(stream)))
}

fn ask(asked: Asked) -> Result<bool, Problem> {
    let address = asked.address.clone();
    let said = |what: &str| Problem::Failed(format!("{address}: {what}"));
    let (mut input, mut output) =
        connect(&address, asked.timeout).map_err(|error| said(&error.to_string()))?;
    let mut opening = Opening::new(asked.role, false, Vec::new());
    for (name, value) in &asked.params {
        opening.pair(name.as_bytes(), value.as_bytes());
    }
    let mut bytes = opening.finish();
    // An authorizer has no body (6.3 of the FastCGI specification).
    if asked.role != 2 {
        stream(kind::STDIN, asked.body.as_deref().unwrap_or_default(), &mut bytes);
    }
    if asked.role == 3 {
        stream(kind::DATA, asked.data.as_deref().unwrap_or_default(), &mut bytes);
    }
    // An application may answer before it has read everything, and then not read at all.
    let writer = std::thread::spawn(move || {
        let _ = output.write_all(&bytes).and_then(|()| output.flush());
        output
    });
    let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::new());
    let (mut head, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    let ended = 'read: loop {
        loop {
            match decoder.next(&mut buffer).map_err(|why| said(&why))? {
                None => break,
                Some(Record::End) => break 'read true,
                Some(Record::Stdout(bytes)) => {
                    if head.len() < MAX_CONTENT {
                        head.extend_from_slice(&bytes);
                    }
                    let _ = std::io::stdout().write_all(&bytes);
                }
                Some(Record::Stderr(bytes)) => {
                    let _ = std::io::stderr().write_all(&bytes);
                }
            }
        }
        match input.read(&mut piece) {
            Ok(0) => break false,
            Ok(count) => buffer.extend_from_slice(&piece[..count]),
            Err(error) => return Err(said(&error.to_string())),
        }
    };
    let _ = std::io::stdout().flush();
    if !ended {
        return Err(said("the connection ended before the request did"));
    }
    drop(writer.join());
    Ok(status(&head).is_none_or(|status| status < 400))
}

/// A stream's records, with the empty one that ends it.
fn stream(of: u8, content: &[u8], out: &mut Vec<u8>) {
    for piece in content.chunks(MAX_CONTENT) {
        out.extend_from_slice(&header(of, piece.len() as u16));
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(&header(of, 0));
}

/// The status that a response's head says.
fn status(head: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(head);
    let lines = text.lines().take_while(|line| !line.is_empty());
    let mut status = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("status").then(|| value.trim().to_owned())
    });
    status.next()?.get(..3)?.parse().ok()
}

/// The page.
pub const USAGE: &str = "\
Usage: fcgi-conf request --app unix:path|host:port [--role responder|authorizer|filter]
                         [--param NAME=value]... [--params file] [--bare]
                         [--body file] [--data file] [--timeout seconds]
Sends one FastCGI request to an application as the server would, and shows its answer: its
standard output on this one's, its standard error on this one's.
  --app              : where the application listens
  --role             : responder unless given
  --param NAME=value : a variable; in place of the usual one of that name
  --params file      : a line NAME=value each; - is standard input. The parameters that
                       `fcgi-conf explain` shows can be sent so
  --bare             : without the usual variables: REQUEST_METHOD and the like
  --body file        : the request's body; - is standard input. The method is then POST
  --data file        : what a filter is to filter; - is standard input
  --timeout seconds  : how long the application may be silent; 30 unless given
Exit status: 0, 1 if there was no whole answer or its status is 400 or more, 2 if the
command line is wrong.
";
