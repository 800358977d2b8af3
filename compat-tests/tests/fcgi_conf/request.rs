//! `fcgi-conf request` with applications that were not written with our records.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use anyhow::{Result, ensure};
use compat_tests::application::{Address, Application, program};
use compat_tests::root::Root;
use compat_tests::site::bytes;

use crate::tool::{run, text};

#[test]
fn a_responder_answers() -> Result<()> {
    let root = Root::new()?;
    let _probe = Application::probe(&root, "probe", &[])?;
    let app = format!("unix:{}", root.join("run/probe").display());
    let output = run(&[
        "request",
        "--app",
        &app,
        "--param",
        "QUERY_STRING=stderr=hush&env",
        "--param",
        "A=1=2",
    ]);
    let out = text(&output);
    ensure!(output.status.code() == Some(0), "{out}");
    for line in ["A=1=2", "REQUEST_METHOD=GET", "SERVER_NAME=localhost", "SERVER_PORT=80"]
    {
        ensure!(out.lines().any(|found| found == line), "{line}\n{out}");
    }
    ensure!(String::from_utf8_lossy(&output.stderr).contains("hush"));
    let output =
        run(&["request", "--app", &app, "--bare", "--param", "QUERY_STRING=env"]);
    ensure!(
        text(&output).ends_with("\n\nQUERY_STRING=env\n")
            || text(&output).ends_with("\r\n\r\nQUERY_STRING=env\n"),
        "{}",
        text(&output)
    );
    Ok(())
}

/// More than a record holds, both ways; an authorizer has none.
#[test]
fn bodies_of_any_size() -> Result<()> {
    let root = Root::new()?;
    let _probe = Application::probe(&root, "probe", &[])?;
    let app = format!("unix:{}", root.join("run/probe").display());
    let body = bytes(300_000);
    let file = root.write("body", &body)?.display().to_string();
    let output =
        run(&["request", "--app", &app, "--body", &file, "--param", "QUERY_STRING=echo"]);
    ensure!(output.status.code() == Some(0) && output.stdout.ends_with(&body));
    let output = run(&[
        "request",
        "--app",
        &app,
        "--role",
        "authorizer",
        "--param",
        "QUERY_STRING=status=403 No&records",
    ]);
    ensure!(output.status.code() == Some(1), "a denial: {}", text(&output));
    ensure!(
        !text(&output).contains("5:"),
        "an authorizer has no body: {}",
        text(&output)
    );
    Ok(())
}

/// A filter's data is a stream of its own, behind the body's; the probe does not read it.
#[test]
fn a_filter_gets_both() -> Result<()> {
    let root = Root::new()?;
    let path = root.join("run/filter");
    let listener = UnixListener::bind(&path)?;
    let heard = std::thread::spawn(move || -> Result<Vec<(u8, Vec<u8>)>> {
        let (mut stream, _) = listener.accept()?;
        let mut records = Vec::new();
        loop {
            let mut head = [0; 8];
            stream.read_exact(&mut head)?;
            let mut content =
                vec![0; usize::from(u16::from_be_bytes([head[4], head[5]]))];
            stream.read_exact(&mut content)?;
            let ended = head[1] == 8 && content.is_empty();
            records.push((head[1], content));
            if ended {
                break;
            }
        }
        stream.write_all(&[1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        Ok(records)
    });
    let (body, data) = (root.write("body", b"body")?, root.write("data", b"data")?);
    let (body, data) = (body.display().to_string(), data.display().to_string());
    let app = format!("unix:{}", path.display());
    let output = run(&[
        "request", "--app", &app, "--role", "filter", "--body", &body, "--data", &data,
    ]);
    ensure!(output.status.code() == Some(0));
    let records = heard.join().expect("a listener")?;
    let kinds: Vec<u8> = records.iter().map(|(kind, _)| *kind).collect();
    ensure!(kinds == [1, 4, 4, 5, 5, 8, 8], "{kinds:?}");
    ensure!(
        records[0].1[..2] == [0, 3] && records[3].1 == b"body" && records[5].1 == b"data"
    );
    let length = b"\x10\x01FCGI_DATA_LENGTH4";
    ensure!(records[1].1.windows(length.len()).any(|w| w == length));
    Ok(())
}

#[test]
fn what_is_no_answer_is_an_error() -> Result<()> {
    let root = Root::new()?;
    let _probe = Application::probe(&root, "probe", &[])?;
    let app = format!("unix:{}", root.join("run/probe").display());
    let said = |args: &[&str]| {
        let output = run(&[&["request", "--app", &app], args].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, words) = said(&["--param", "QUERY_STRING=text=half&close"]);
    ensure!(code == Some(1) && words.contains("ended before the request did"), "{words}");
    let (code, words) = said(&["--timeout", "1", "--param", "QUERY_STRING=sleep=3000"]);
    ensure!(code == Some(1) && !words.is_empty(), "{words}");
    let (code, words) = said(&["--param", "QUERY_STRING=raw=0906000100000000"]);
    ensure!(code == Some(1) && words.contains("invalid version"), "{words}");
    let gone = format!("unix:{}", root.join("run/nobody").display());
    ensure!(run(&["request", "--app", &gone]).status.code() == Some(1));
    Ok(())
}

#[test]
fn a_c_program_answers() -> Result<()> {
    let root = Root::new()?;
    let port = compat_tests::root::free_port()?;
    let wrapper = program("/usr/sbin/fcgiwrap", "fcgiwrap")?;
    let script = root
        .write("cgi", b"#!/bin/sh\necho Content-Type: text/plain\necho\necho $NAME\n")?;
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755))?;
    let _app = Application::spawn_fcgi(&root, Address::Tcp(port), &[&wrapper])?;
    let script = format!("SCRIPT_FILENAME={}", script.display());
    let output = run(&[
        "request",
        "--app",
        &format!("127.0.0.1:{port}"),
        "--param",
        &script,
        "--param",
        "NAME=some words",
    ]);
    ensure!(text(&output).ends_with("some words\n"), "{}", text(&output));
    Ok(())
}
