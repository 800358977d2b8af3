//! The probe: what no real program would do.

use anyhow::{Result, ensure};
use compat_tests::application::{Address, Application};
use compat_tests::family::until;

use crate::site::{Site, variable};

/// A site with a probe of its own.
struct Probed {
    site: Site,
    probe: Application,
}

fn probed(
    address: impl FnOnce(&Site) -> Result<Address>,
    options: &str,
) -> Result<Probed> {
    let mut site = Site::new()?;
    let address = address(&site)?;
    let probe = Application::probe_at(&site.root, address, &[], &[])?;
    site.serve(&format!(
        "FastCgiExternalServer {{root}}/htdocs/probe {} {options}\n",
        probe.address.option()
    ))?;
    Ok(Probed { site, probe })
}

fn unix(site: &Site) -> Result<Address> {
    Ok(site.unix("probe.sock"))
}

#[test]
fn variables_of_a_request() -> Result<()> {
    let probed = probed(unix, "-pass-header Authorization")?;
    let fields = [
        "X-One: 1",
        "X-One: 2",
        "X_Two: spoofed",
        "Proxy: http://evil.example.org/",
        "Authorization: Basic Zm9vOmJhcg==",
        "Content-Type: text/x-test",
    ];
    let answer = probed.site.ask("POST /probe/a%20b/c?env", &fields, b"12345")?;
    let text = answer.text();
    let root = probed.site.root.path().display();
    let expected = [
        ("REQUEST_METHOD", "POST".to_owned()),
        ("REQUEST_URI", "/probe/a%20b/c?env".to_owned()),
        ("SCRIPT_NAME", "/probe".to_owned()),
        ("SCRIPT_FILENAME", format!("{root}/htdocs/probe")),
        ("PATH_INFO", "/a b/c".to_owned()),
        ("PATH_TRANSLATED", format!("{root}/htdocs/a b/c")),
        ("QUERY_STRING", "env".to_owned()),
        ("CONTENT_LENGTH", "5".to_owned()),
        ("CONTENT_TYPE", "text/x-test".to_owned()),
        ("HTTP_X_ONE", "1, 2".to_owned()),
        ("HTTP_AUTHORIZATION", "Basic Zm9vOmJhcg==".to_owned()),
        ("SERVER_NAME", "www.example.org".to_owned()),
        ("SERVER_PROTOCOL", "HTTP/1.1".to_owned()),
        ("GATEWAY_INTERFACE", "CGI/1.1".to_owned()),
        ("REMOTE_ADDR", "127.0.0.1".to_owned()),
        ("DOCUMENT_ROOT", format!("{root}/htdocs")),
    ];
    for (name, value) in expected {
        ensure!(
            variable(&text, name) == Some(&value),
            "{name}={value} is not in\n{text}"
        );
    }
    for name in ["HTTP_X_TWO", "HTTP_PROXY", "FCGI_ROLE", "HTTP_CONTENT_LENGTH"] {
        ensure!(variable(&text, name).is_none(), "{name} is in\n{text}");
    }
    Ok(())
}

#[test]
fn records_of_a_request() -> Result<()> {
    let probed = probed(|_| Site::tcp(), "")?;
    let answer = probed.site.ask("POST /probe?records", &[], &vec![b'x'; 100_000])?;
    let text = answer.text();
    ensure!(text.starts_with("id=1 role=1 flags=0 1:8 4:"), "{text}");
    let records: Vec<&str> = text.split_whitespace().skip(3).collect();
    ensure!(records.iter().filter(|record| **record == "4:0").count() == 1, "{text}");
    ensure!(records.last() == Some(&"5:0"), "{text}");
    let stdin = records
        .iter()
        .filter_map(|record| record.strip_prefix("5:")?.parse::<usize>().ok());
    ensure!(stdin.sum::<usize>() == 100_000, "{text}");
    Ok(())
}

#[test]
fn heads_of_answers() -> Result<()> {
    let probed = probed(unix, "")?;
    let site = &probed.site;
    let answer = site.get("/probe?status=404+Gone+Fishing&header=X-A:+b&text=words")?;
    ensure!((answer.status, &*answer.reason) == (404, "Gone Fishing"), "{answer}");
    ensure!(answer.header("X-A") == Some("b") && answer.body == b"words", "{answer}");

    // One byte a record.
    let answer = site.get("/probe?chop=1&header=X-A:+b&text=words")?;
    ensure!(answer.status == 200 && answer.body == b"words", "{answer}");

    let answer = site.get("/probe?headers=1000+Set-Cookie:+c%3d&text=.")?;
    let cookies: Vec<&str> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "Set-Cookie")
        .map(|(_, value)| value.as_str())
        .collect();
    let expected: Vec<String> = (0..1000).map(|i| format!("c={i}")).collect();
    ensure!(cookies == expected, "{} cookies, {}", cookies.len(), answer.status);

    let answer = site.get("/probe?header=no+colon&text=words")?;
    ensure!(answer.status == 500, "{answer}");
    site.logged("error parsing headers: malformed header 'no colon'")?;
    let answer = site.get("/probe?stdout=X-A:+b%0a")?;
    ensure!(answer.status == 500, "{answer}");
    site.logged("incomplete headers (7 bytes) received from server")?;
    Ok(())
}

#[test]
fn bodies_of_answers() -> Result<()> {
    let probed = probed(|_| Site::tcp(), "")?;
    let site = &probed.site;
    for length in [0, 1, 65535, 65536, 3_000_000] {
        let answer = site.get(&format!("/probe?size={length}"))?;
        ensure!(answer.body.len() == length, "{} of {length}", answer.body.len());
        let period = b"abcdefghijklmnopqrstuvwABCDEFGH";
        let good = answer.body.chunks(period.len()).all(|part| period.starts_with(part));
        ensure!(good, "{length} bytes came in disorder");
    }
    let sent = crate::site::bytes(300_000);
    let answer = site.ask("POST /probe?echo", &[], &sent)?;
    ensure!(answer.body == sent, "{} bytes came back", answer.body.len());
    let answer = site.ask("HEAD /probe?size=100000", &[], b"")?;
    ensure!(answer.status == 200 && answer.body.is_empty(), "{answer}");
    Ok(())
}

#[test]
fn lines_for_the_error_log() -> Result<()> {
    let probed = probed(unix, "")?;
    let answer =
        probed.site.get("/probe?stderr=first%0asecond&text=words&stderr=+half%0a")?;
    ensure!(answer.body == b"words", "{answer}");
    let probe = probed.site.root.join("htdocs/probe");
    for line in ["first", "second half"] {
        probed
            .site
            .logged(&format!("FastCGI: server \"{}\" stderr: {line}", probe.display()))?;
    }
    Ok(())
}

#[test]
fn ends_that_are_none() -> Result<()> {
    let probed = probed(unix, "")?;
    let site = &probed.site;
    // Without END_REQUEST what came is the answer.
    let answer = site.get("/probe?text=words&close")?;
    ensure!(answer.status == 200 && answer.body == b"words", "{answer}");
    let answer = site.get("/probe?text=words&exit=3")?;
    ensure!(answer.status == 200 && answer.body == b"words", "{answer}");
    Ok(())
}

#[test]
fn ends_without_an_answer() -> Result<()> {
    let probed = probed(unix, "")?;
    let site = &probed.site;
    let answer = site.get("/probe?close")?;
    ensure!(answer.status == 500, "{answer}");
    site.logged("incomplete headers (0 bytes) received from server")?;
    let answer = site.get("/probe?stdout=&end=0,2")?;
    ensure!(answer.status == 500, "{answer}");
    site.logged("invalid FCGI_END_REQUEST status: 2 != FCGI_REQUEST_COMPLETE(0)")?;
    // The exit code of a program is nothing to the server.
    let answer = site.get("/probe?text=words&end=7,0")?;
    ensure!(answer.status == 200 && answer.body == b"words", "{answer}");
    let answer = site.get("/probe?raw=0206000100000000")?;
    ensure!(answer.status == 500, "{answer}");
    site.logged("protocol error: invalid version: 2 != FCGI_VERSION(1)")?;
    Ok(())
}

/// An answer and what is no FastCGI, in one piece: nothing of it has been sent yet, and nothing
/// is.
#[test]
fn an_answer_that_is_wrong_at_once_is_an_error() -> Result<()> {
    let probed = probed(unix, "")?;
    let record = |kind: u8, content: &[u8]| {
        [&[1, kind, 0, 1, 0, content.len() as u8, 0, 0][..], content].concat()
    };
    let begin = [
        record(6, b"Content-Type: text/plain\n\nwords"),
        record(7, b"said before\n"),
        record(6, b" and more"),
    ]
    .concat();
    let end = |status| record(3, &[0, 0, 0, 0, status, 0, 0, 0]);
    let hex = |bytes: &[u8]| -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    for (last, status, line) in [
        (end(0), 200, "stderr: said before"),
        (record(2, b""), 200, "stderr: said before"),
        (end(1), 500, "invalid FCGI_END_REQUEST status: 1"),
        (record(3, b"abc"), 500, "invalid FCGI_END_REQUEST size: 3"),
        (record(12, b""), 500, "invalid type: 12"),
    ] {
        let site = &probed.site;
        let answer = [&begin[..], &last].concat();
        let answer = site.get(&format!("/probe?raw={}&close", hex(&answer)))?;
        ensure!(answer.status == status, "{line}: {answer}");
        ensure!(
            (answer.text() == "words and more") == (status == 200),
            "{line}: {answer}"
        );
        site.logged(line)?;
    }
    // Everything that was said counts, as with the original.
    probed.site.logged_times("incomplete headers (40 bytes) received from server", 3)
}

/// What came goes out, however little it is; then the connection is cut.
#[test]
fn an_answer_that_breaks_off_goes_as_far_as_it_came() -> Result<()> {
    let probed = probed(unix, "")?;
    for length in [10, 8191, 8192, 100_000] {
        let mut client = compat_tests::http::Client::connect(probed.site.root.port)?;
        let target = format!("/probe?size={length}&sleep=300&raw=0206000100000000");
        client.send(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes())?;
        let came = client.everything()?;
        let end = came.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(came.len());
        ensure!(came.len() == end + 4 + length, "{} bytes of {length}", came.len());
    }
    Ok(())
}

#[test]
fn an_answer_that_breaks_off_is_not_a_complete_one() -> Result<()> {
    let probed = probed(unix, "")?;
    let result = probed.site.get("/probe?size=100000&sleep=300&raw=0206000100000000");
    let error = match result {
        Ok(answer) => anyhow::bail!("it looks complete: {} bytes", answer.body.len()),
        Err(error) => format!("{error:#}"),
    };
    ensure!(error.contains("ended after") || error.contains("reset"), "{error}");
    probed.site.logged("protocol error: invalid version: 2")
}

#[test]
fn a_silent_application_is_left_after_its_time() -> Result<()> {
    let probed = probed(|_| Site::tcp(), "-idle-timeout 1")?;
    let begin = std::time::Instant::now();
    let answer = probed.site.get("/probe?sleep=4000")?;
    ensure!(answer.status == 500, "{answer}");
    ensure!(begin.elapsed() < std::time::Duration::from_secs(3), "{:?}", begin.elapsed());
    probed.site.logged("aborted: idle timeout (1 sec)")?;
    probed.site.logged("incomplete headers (0 bytes) received from server")
}

#[test]
fn a_program_that_is_not_there() -> Result<()> {
    let probed = probed(unix, "")?;
    ensure!(probed.site.get("/probe?text=words")?.status == 200);
    // The process ends in the middle of a request; then nobody listens, once all that it had
    // open is closed.
    ensure!(probed.site.get("/probe?exit=3")?.status == 500);
    let patience = std::time::Duration::from_secs(10);
    until("nobody listens", patience, || !probed.probe.address.answers())?;
    ensure!(probed.site.get("/probe?text=words")?.status == 500);
    probed.site.logged("failed to connect to server")?;
    Ok(())
}

#[test]
fn redirects_of_an_application() -> Result<()> {
    let probed = probed(unix, "")?;
    let site = &probed.site;
    site.root.write("htdocs/a.txt", b"a file\n")?;
    let answer = site.ask("POST /probe?header=Location:+/a.txt", &[], b"12345")?;
    ensure!(answer.status == 200 && answer.body == b"a file\n", "{answer}");
    let answer = site.get("/probe?header=Location:+http://www.example.com/x")?;
    ensure!(answer.status == 302, "{answer}");
    ensure!(answer.header("Location") == Some("http://www.example.com/x"), "{answer}");
    let answer = site.get("/probe?header=Location:+/probe%3fenv")?;
    let text = answer.text();
    ensure!(variable(&text, "REDIRECT_STATUS") == Some("200"), "{text}");
    ensure!(variable(&text, "REDIRECT_URL") == Some("/probe"), "{text}");
    Ok(())
}

/// A static application of the server: the probe on descriptor 0, twice, and again after
/// an exit.
#[test]
fn a_static_application_is_started_again() -> Result<()> {
    let mut site = Site::new()?;
    std::fs::copy(env!("CARGO_BIN_EXE_probe"), site.root.join("htdocs/probe"))?;
    site.serve(
        "FastCgiServer {root}/htdocs/probe -processes 1 -restart-delay 1 \
         -init-start-delay 0 -initial-env PROBE=yes\n",
    )?;
    ensure!(site.get("/probe?text=words")?.body == b"words");
    ensure!(site.get("/probe?exit=3")?.status == 500);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        // While nobody accepts, the request waits in the socket's queue.
        let answer = site.get("/probe?text=again")?;
        if answer.body == b"again" {
            break;
        }
        ensure!(std::time::Instant::now() < deadline, "{answer}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    site.logged("terminated by calling exit with status '3'")
}

/// Without its FastCgiServer, a program goes on as one that requests start.
#[test]
fn a_static_application_becomes_a_dynamic_one() -> Result<()> {
    let mut site = Site::new()?;
    std::fs::copy(env!("CARGO_BIN_EXE_probe"), site.root.join("htdocs/probe"))?;
    site.serve(
        "FastCgiServer {root}/htdocs/probe -init-start-delay 0\n\
         <Files probe>\nSetHandler fastcgi-script\nOptions +ExecCGI\n</Files>\n",
    )?;
    ensure!(site.get("/probe?text=words")?.body == b"words");
    let conf = std::fs::read_to_string(site.root.join("conf/httpd.conf"))?;
    let conf = conf.replace("FastCgiServer ", "# FastCgiServer ");
    site.root.write("conf/httpd.conf", conf.as_bytes())?;
    let server = site.server.as_ref().expect("a server");
    server.signal(nix::sys::signal::Signal::SIGUSR1)?;
    // The old processes end when no request has the old configuration any more.
    site.logged("terminated due to uncaught signal '15'")?;
    let answer = site.get("/probe?text=again")?;
    ensure!(answer.body == b"again", "{answer}");
    site.logged("FastCGI: (dynamic) server")
}

/// On a port: descriptor 0 is a socket of the other family.
#[test]
fn a_static_application_on_a_port() -> Result<()> {
    let mut site = Site::new()?;
    std::fs::copy(env!("CARGO_BIN_EXE_probe"), site.root.join("htdocs/probe"))?;
    site.serve(
        "FastCgiServer {root}/htdocs/probe -port {port2} -processes 2 -init-start-delay 0\n",
    )?;
    for _ in 0..10 {
        ensure!(site.get("/probe?text=words")?.body == b"words");
    }
    // Another than the server may ask, too.
    ensure!(std::net::TcpStream::connect(("127.0.0.1", site.root.other_port)).is_ok());
    Ok(())
}
