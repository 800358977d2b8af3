//! `ScriptLog`: what apache2 and we write into it about scripts that fail.

use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};
use compat_tests::http::Client;
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server};

const SCRIPTS: [(&str, &str); 4] = [
    (
        "bad",
        "cat > /dev/null\nprintf 'X-Good: 1\\nthis is no header\\nX: y\\n\\nmore\\nand more\\n'\n\
         echo complaint >&2\n",
    ),
    ("none", "cat > /dev/null\necho complaint >&2\nexit 1\n"),
    ("good", "printf 'Content-Type: text/plain\\n\\nbody\\n'\necho complaint >&2\n"),
    ("quiet", "printf 'Content-Type: text/plain\\n\\nbody\\n'\n"),
];

const REQUESTS: [(&str, &str, usize); 9] = [
    ("POST", "/cgi-bin/bad?q", 20),
    ("GET", "/cgi-bin/bad", 0),
    ("PUT", "/cgi-bin/bad", 4),
    ("DELETE", "/cgi-bin/bad", 4),
    ("POST", "/cgi-bin/none", 100_000),
    ("GET", "/cgi-bin/none", 0),
    ("POST", "/cgi-bin/good", 3),
    ("GET", "/cgi-bin/quiet", 0),
    ("GET", "/cgi-bin/missing", 0),
];

/// The entries, without their times, in an order that does not depend on that of descriptors.
fn entries(kind: Kind, lines: &str) -> Result<Vec<String>> {
    let root = Root::new()?;
    // apache2's children open the log themselves.
    std::fs::set_permissions(root.join("logs"), PermissionsExt::from_mode(0o777))?;
    for (name, text) in SCRIPTS {
        let text = format!("#!/bin/sh\n{text}sleep 0.1\n");
        let path = root.write(&format!("cgi-bin/{name}"), text.as_bytes())?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))?;
    }
    let conf = include_str!("../side-by-side/preamble.conf").to_owned()
        + "LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so\n\
           ScriptAlias /cgi-bin/ \"{root}/cgi-bin/\"\nScriptLog logs/script_log\n\
           <Directory \"{root}/cgi-bin\">\nRequire all granted\n</Directory>\n"
        + lines;
    root.write("conf/httpd.conf", root.fill(&conf).as_bytes())?;
    let server = Server::start(kind, &root)?;
    for (method, target, length) in REQUESTS {
        let mut client = Client::connect(root.port)?;
        let body: String = ('a'..='z').cycle().take(length).collect();
        let framing = match length {
            0 => String::new(),
            _ => format!("Content-Length: {length}\r\n"),
        };
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: a\r\nX-A: b\r\n{framing}");
        client.send(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())?;
        client.response(method)?;
    }
    server.stop()?;
    let log =
        root.log("script_log").replace(&root.path().display().to_string(), "{root}");
    let mut entries: Vec<String> = log
        .split("%% [")
        .skip(1)
        .map(|entry| entry.split_once("] ").map_or(entry, |(_, rest)| rest).to_owned())
        .collect();
    entries.sort();
    Ok(entries)
}

#[test]
fn entries_are_those_of_apache() -> Result<()> {
    for (lines, most) in [
        ("", "abcdefghijklmnopqrst\n"),
        ("ScriptLogBuffer 10\n", "\nabcdefghij\n"),
        ("ScriptLogBuffer 0\n", ""),
    ] {
        let (theirs, ours) = (entries(Kind::Apache, lines)?, entries(Kind::Ours, lines)?);
        ensure!(theirs == ours, "{lines}apache2:\n{theirs:#?}\nours:\n{ours:#?}");
        ensure!(ours.len() > 8, "{ours:#?}");
        let all = ours.concat();
        ensure!(all.contains(most) && all.contains("%stdout\n"), "{lines}{all}");
    }
    // A log that is longer than it may be is not added to.
    let ours = entries(Kind::Ours, "ScriptLogLength 1\n")?;
    let theirs = entries(Kind::Apache, "ScriptLogLength 1\n")?;
    ensure!(ours.len() == 1 && theirs.len() == 1, "{ours:?} {theirs:?}");
    Ok(())
}
