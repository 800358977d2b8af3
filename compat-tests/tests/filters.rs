//! Content filters on bodies of applications, and what side by side cannot show: pieces,
//! time, large files, request bodies.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat_tests::application::{Address, Application};
use compat_tests::guarded::Guarded;
use compat_tests::http::{Client, Response};
use compat_tests::site::{Site, bytes, variable};
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};

const GZIP: &str = "Accept-Encoding: gzip";

/// A site with the probe at `/probe`, and at `/flushed` with `-flush`.
struct Probed {
    site: Site,
    _probes: [Application; 2],
}

fn probed(conf: &str) -> Result<Probed> {
    let mut site = Site::new()?;
    let start = |site: &Site| -> Result<Application> {
        let Address::Tcp(port) = Site::tcp()? else {
            unreachable!("a port was asked for")
        };
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_probe"));
        let command = command.arg(format!("127.0.0.1:{port}"));
        Application::start(&site.root, Address::Tcp(port), command)
    };
    let probes = [start(&site)?, start(&site)?];
    let text = format!(
        "FastCgiExternalServer {{root}}/htdocs/probe {}\n\
         FastCgiExternalServer {{root}}/htdocs/flushed {} -flush\n{conf}",
        probes[0].address.option(),
        probes[1].address.option(),
    );
    site.serve(&text)?;
    Ok(Probed { site, _probes: probes })
}

fn unpacked(response: &Response) -> Result<Vec<u8>> {
    ensure!(
        response.header("content-encoding") == Some("gzip"),
        "not packed: {response}"
    );
    let mut body = Vec::new();
    GzDecoder::new(&response.body[..]).read_to_end(&mut body)?;
    Ok(body)
}

fn packed(body: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    GzEncoder::new(body, Compression::default()).read_to_end(&mut out)?;
    Ok(out)
}

#[test]
fn an_applications_output_is_packed() -> Result<()> {
    let probed = probed("AddOutputFilterByType DEFLATE text/plain\n")?;
    let plain = probed.site.get("/probe?header=ETag:+%22x%22&size=300000")?;
    ensure!(plain.header("vary") == Some("Accept-Encoding"), "{plain}");
    let target =
        "GET /probe?header=ETag:+%22x%22&header=Content-Length:+300000&size=300000";
    let answer = probed.site.ask(target, &[GZIP], b"")?;
    ensure!(answer.header("content-length") != Some("300000"), "{answer}");
    ensure!(answer.header("etag") == Some("\"x-gzip\""), "{answer}");
    ensure!(unpacked(&answer)? == plain.body, "other bytes");
    ensure!(answer.body.len() < plain.body.len());
    let noise = bytes(100_000);
    let long = probed.site.ask("POST /probe?echo", &[GZIP], &noise)?;
    ensure!(long.framing == "chunked" && unpacked(&long)? == noise);
    // Short ones are sent with their length.
    let short = probed.site.ask("GET /probe?text=hello", &[GZIP], b"")?;
    ensure!(short.framing == "length" && unpacked(&short)? == b"hello");
    // What is packed already, of another type, or no success, is left alone.
    for query in [
        "header=Content-Encoding:+br&text=x",
        "header=Content-Type:+image/png&text=x",
        "status=404&text=x",
    ] {
        let answer = probed.site.ask(&format!("GET /probe?{query}"), &[GZIP], b"")?;
        ensure!(answer.text() == "x", "{query}: {answer}");
    }
    let head = probed.site.ask("HEAD /probe?size=1000", &[GZIP], b"")?;
    ensure!(head.body.is_empty() && head.header("content-length").is_none(), "{head}");
    Ok(())
}

#[test]
fn flushed_output_arrives_piece_by_piece() -> Result<()> {
    let probed = probed("SetOutputFilter DEFLATE\n")?;
    let mut client = Client::connect(probed.site.root.port)?;
    let head = format!(
        "GET /flushed?text=first&sleep=3000&text=second HTTP/1.1\r\n\
         Host: www.example.org\r\n{GZIP}\r\nConnection: close\r\n\r\n"
    );
    let begun = Instant::now();
    client.send(head.as_bytes())?;
    client.until(b"\r\n\r\n")?;
    let size = String::from_utf8(client.until(b"\r\n")?)?;
    let size = usize::from_str_radix(&size, 16).context("a chunk's size")?;
    let mut chunk = client.until(b"\r\n")?;
    while chunk.len() < size {
        chunk.extend(b"\r\n");
        chunk.extend(client.until(b"\r\n")?);
    }
    ensure!(
        begun.elapsed() < Duration::from_secs(2),
        "the first piece waits for the second"
    );
    let mut first = [0; 5];
    GzDecoder::new(&chunk[..]).read_exact(&mut first)?;
    ensure!(&first == b"first", "{first:?}");
    Ok(())
}

#[test]
fn a_cut_application_cuts_the_packed_body() -> Result<()> {
    let probed = probed("SetOutputFilter DEFLATE\n")?;
    for query in ["size=200000", "text=short", "text="] {
        let target = format!("GET /probe?{query}&sleep=300&raw=0206000100000000");
        let answer = probed.site.ask(&target, &[GZIP], b"");
        ensure!(
            answer.is_err(),
            "{query}: a body without its end looks like a whole one"
        );
    }
    probed.site.logged_times("protocol error: invalid version: 2", 3)
}

#[test]
fn large_files_are_packed_and_plain_ones_stay_as_they_were() -> Result<()> {
    let mut site = Site::new()?;
    let text: Vec<u8> =
        bytes(40_000).iter().flat_map(|b| format!("{b:02x} ").into_bytes()).collect();
    let text = text.repeat(20);
    site.root.write("htdocs/large.txt", &text)?;
    site.root.write("htdocs/large.bin", &text)?;
    site.serve(
        "AddOutputFilter DEFLATE .txt\nAddOutputFilter INFLATE;BROTLI_COMPRESS .bin\n",
    )?;
    let answer = site.ask("GET /large.txt", &[GZIP], b"")?;
    ensure!(unpacked(&answer)? == text && answer.framing == "chunked");
    let plain = site.get("/large.txt")?;
    ensure!(plain.body == text && plain.framing == "length");
    let part = site.ask("GET /large.txt", &["Range: bytes=5-9"], b"")?;
    ensure!(part.status == 206 && part.body == text[5..10]);
    let brotli = site.ask("GET /large.bin", &["Accept-Encoding: br"], b"")?;
    let mut body = Vec::new();
    brotli::Decompressor::new(&brotli.body[..], 4096).read_to_end(&mut body)?;
    ensure!(body == text, "other bytes");
    Ok(())
}

#[test]
fn request_bodies_are_unpacked() -> Result<()> {
    let probed = probed(
        "SetInputFilter DEFLATE\nDeflateInflateLimitRequestBody 1000000\n\
         <Location /flushed>\nSetInputFilter None\n</Location>\n",
    )?;
    let encoding = "Content-Encoding: gzip";
    let body = bytes(200_000);
    let small = packed(&body)?;
    let echoed = probed.site.ask("POST /probe?echo", &[encoding], &small)?;
    ensure!(echoed.body == body, "other bytes");
    let env = probed.site.ask("POST /probe?env", &[encoding], &small)?.text();
    ensure!(variable(&env, "CONTENT_LENGTH") == Some("200000"), "{env}");
    ensure!(variable(&env, "HTTP_CONTENT_ENCODING").is_none(), "{env}");
    ensure!(env.matches("CONTENT_LENGTH=").count() == 1, "{env}");
    // What is not packed, or not to be unpacked, goes as it is.
    let plain = probed.site.ask("POST /probe?echo", &[], &small)?;
    ensure!(plain.body == small);
    let other = probed.site.ask("POST /flushed?echo", &[encoding], &small)?;
    ensure!(other.body == small);
    // No gzip, half a gzip, too much, and a bomb.
    let broken = probed.site.ask("POST /probe?echo", &[encoding], b"no gzip at all")?;
    ensure!(broken.status == 400, "{broken}");
    let half =
        probed.site.ask("POST /probe?echo", &[encoding], &small[..small.len() / 2])?;
    ensure!(half.status == 400, "{half}");
    let large = packed(&bytes(1_100_000))?;
    ensure!(probed.site.ask("POST /probe?echo", &[encoding], &large)?.status == 413);
    let bomb = packed(&vec![0; 900_000])?;
    ensure!(probed.site.ask("POST /probe?echo", &[encoding], &bomb)?.status == 413);
    Ok(())
}

#[test]
fn pages_include_applications() -> Result<()> {
    let probed = probed(
        "AddOutputFilter INCLUDES .shtml\nAddOutputFilterByType SUBSTITUTE text/plain\n\
         <Location /probe>\nSubstitute s/hello/goodbye/\n</Location>\n\
         <Directory {root}/htdocs>\nOptions +Includes\n</Directory>\n",
    )?;
    let root = &probed.site.root;
    root.write(
        "htdocs/page.shtml",
        b"<!--#set var=\"WHO\" value=\"page\" -->[<!--#include virtual=\"/probe?text=hello\" -->|\
          <!--#include virtual=\"/flushed?size=100000\" -->|\
          <!--#include virtual=\"/probe/more?env\" -->|\
          <!--#include virtual=\"/probe?status=404&text=gone\" -->|\
          <!--#include virtual=\"/probe?stdout=no+head&close\" -->]",
    )?;
    for (line, body) in
        [("GET /page.shtml?q", &b""[..]), ("POST /page.shtml?q", b"a body")]
    {
        let page = probed.site.ask(line, &[], body)?;
        let text = page.text();
        let parts: Vec<&str> = text.split('|').collect();
        ensure!(parts.len() == 5 && parts[0] == "[goodbye", "{line}: {parts:?}");
        ensure!(parts[1].len() == 100_000, "{line}");
        let env = parts[2];
        ensure!(variable(env, "SERVER_PROTOCOL") == Some("INCLUDED"), "{env}");
        ensure!(variable(env, "REQUEST_METHOD") == Some("GET"), "{env}");
        ensure!(variable(env, "QUERY_STRING") == Some("env"), "{env}");
        ensure!(variable(env, "WHO") == Some("page"), "{env}");
        ensure!(variable(env, "CONTENT_LENGTH").is_none(), "{env}");
        ensure!(parts[3] == "gone", "{}", parts[3]);
        ensure!(parts[4] == "[an error occurred while processing this directive]]");
    }
    probed.site.logged_times("subrequest returned 500", 2)?;
    Ok(())
}

/// A page gets no more than its client may have.
#[test]
fn what_is_guarded_is_not_included() -> Result<()> {
    for (answer, options) in [
        ("status=402+Pay&text=pay", "-pass-response"),
        ("status=200", "-pass-response"),
        ("status=402+Pay&text=pay", ""),
        ("status=302+Go&header=Location:+https://login.example.org/", "-pass-response"),
        ("stdout=nothing&close", ""),
    ] {
        let is_consent = answer.starts_with("status=200");
        let mut guarded = Guarded::new()?;
        guarded.gate("gate", answer, "-idle-timeout 1")?;
        guarded.site.root.write("htdocs/locked/a.txt", b"a secret\n")?;
        guarded.site.root.write(
            "htdocs/page.shtml",
            b"[<!--#include virtual=\"/locked/a.txt\" -->|<!--#include file=\"locked/a.txt\" -->\
              |<!--#fsize virtual=\"/locked/a.txt\" -->]",
        )?;
        guarded.serve(&format!(
            "AddOutputFilter INCLUDES .shtml\n<Directory {{root}}/htdocs>\nOptions +Includes\n\
             </Directory>\n<Directory {{root}}/htdocs/locked>\n\
             FastCgiAccessChecker {{root}}/virtual/gate {options}\n</Directory>\n"
        ))?;
        let page = guarded.site.get("/page.shtml")?;
        let error = "[an error occurred while processing this directive]";
        let expected = if is_consent {
            "[a secret\n|a secret\n|  9 ]".to_owned()
        } else {
            format!("[{error}|{error}|{error}]")
        };
        ensure!(page.text() == expected, "{answer} {options}: {page}");
    }
    Ok(())
}

/// A page that an application makes, piece by piece.
#[test]
fn pages_come_in_pieces() -> Result<()> {
    let probed = probed(
        "SetOutputFilter INCLUDES\n<Location />\nOptions +Includes\n</Location>\n",
    )?;
    let page = "a%3C!--%23if+expr%3D%22true%22+--%3Eb%3C!--%23echo+var%3D%22GATEWAY_INTERFACE%22\
                +--%3E%3C!--%23else+--%3Ec%3C!--%23endif+--%3Ed";
    for chop in [1, 2, 3, 7, 100] {
        for target in ["probe", "flushed"] {
            let answer =
                probed.site.get(&format!("/{target}?chop={chop}&text={page}"))?;
            ensure!(answer.text() == "abCGI/1.1d", "{target} {chop}: {answer}");
        }
    }
    Ok(())
}

/// An element without an end is given up before the page is all in memory.
#[test]
fn elements_have_an_end() -> Result<()> {
    let mut site = Site::new()?;
    let text =
        [b"before <!--#echo var=\"", &b"x".repeat(3 << 20)[..], b"\" -->behind"].concat();
    site.root.write("htdocs/page.shtml", &text)?;
    site.serve(
        "AddOutputFilter INCLUDES .shtml\n<Directory {root}/htdocs>\nOptions +Includes\n\
         </Directory>\n",
    )?;
    let page = site.get("/page.shtml")?.text();
    ensure!(page.starts_with("before [an error occurred"), "{}", &page[..60]);
    ensure!(page.ends_with("behind") && page.len() < text.len());
    site.logged("AH01372: SSI directive was not properly finished")
}

#[test]
fn rates_are_kept() -> Result<()> {
    let mut site = Site::alone()?;
    site.root.write("htdocs/slow", &bytes(60 * 1024))?;
    site.serve(
        "SetOutputFilter RATE_LIMIT\nSetEnvIf X-Slow . rate-limit=40\n\
         SetEnvIf X-Slow . rate-initial-burst=20\n",
    )?;
    let took = |fields: &[&str]| -> Result<(Duration, Response)> {
        let begun = Instant::now();
        let answer = site.ask("GET /slow", fields, b"")?;
        ensure!(answer.body == bytes(60 * 1024) || answer.status == 206, "other bytes");
        ensure!(answer.framing == "length");
        Ok((begun.elapsed(), answer))
    };
    // Twenty at once, forty each second.
    let (slow, _) = took(&["X-Slow: 1"])?;
    ensure!(slow > Duration::from_millis(600), "{slow:?}");
    ensure!(slow < Duration::from_secs(4), "{slow:?}");
    let (fast, _) = took(&[])?;
    ensure!(fast < Duration::from_millis(500), "{fast:?}");
    let (_, part) = took(&["X-Slow: 1", "Range: bytes=1-4"])?;
    ensure!(part.status == 206 && part.body == bytes(60 * 1024)[1..5]);
    Ok(())
}

/// Bytes are packed as they come, whoever else wants the thread.
#[test]
fn packing_a_large_file_leaves_others_their_turn() -> Result<()> {
    let mut site = Site::alone()?;
    site.root.write("htdocs/large.txt", &bytes(32 << 20))?;
    site.serve("AddOutputFilter DEFLATE .txt\n")?;
    let port = site.root.port;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = std::net::TcpStream::connect(("127.0.0.1", port))?;
        write!(client, "GET /large.txt HTTP/1.1\r\nHost: x\r\n{GZIP}\r\n\r\n")?;
        clients.push(std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            let mut left = 1 << 24;
            while left > 0 {
                match client.read(&mut buffer) {
                    Ok(n) if n > 0 => left -= n.min(left),
                    _ => return,
                }
            }
        }));
    }
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let begun = Instant::now();
        ensure!(site.get("/page")?.status == 200);
        longest = longest.max(begun.elapsed());
    }
    drop(site.server.take());
    for client in clients {
        client.join().expect("a client");
    }
    ensure!(longest < Duration::from_secs(2), "{longest:?}");
    Ok(())
}
