//! `?auto` beside apache2's: the same names in the same order, and the same values where
//! they do not depend on the machine.

use std::time::Duration;

use anyhow::{Result, ensure};
use compat_tests::http::{Client, Response};
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server};

const PREAMBLE: &str = include_str!("../../side-by-side/preamble.conf");
const CONF: &str = "
LoadModule status_module /usr/lib/apache2/modules/mod_status.so
<Location /server-status>
    SetHandler server-status
</Location>
";

/// A server that has answered 25 requests, and lived for more than a second.
struct Busy {
    root: Root,
    _server: Server,
}

impl Busy {
    fn new(kind: Kind, more: &str) -> Result<Busy> {
        let root = Root::new()?;
        root.write("htdocs/a.txt", &[b'a'; 4096])?;
        let conf = root.fill(&format!("{PREAMBLE}{CONF}{more}"));
        root.write("conf/httpd.conf", conf.as_bytes())?;
        let server = Server::start(kind, &root)?;
        let busy = Busy { root, _server: server };
        for _ in 0..25 {
            ensure!(busy.get("/a.txt")?.status == 200);
        }
        std::thread::sleep(Duration::from_millis(2200));
        Ok(busy)
    }

    fn get(&self, target: &str) -> Result<Response> {
        let mut client = Client::connect(self.root.port)?;
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: www.example.org\r\nConnection: close\r\n\r\n"
        );
        client.send(head.as_bytes())?;
        client.response("GET")
    }
}

/// Names and values, without what depends on how fast a machine is.
fn values(answer: &Response) -> Vec<(String, String)> {
    let text = answer.text();
    let lines = text.lines().map(|line| line.split_once(": ").unwrap_or((line, "")));
    // It is there only once a hundredth of a second was used.
    let lines = lines.filter(|(name, _)| *name != "CPULoad");
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn value<'a>(values: &'a [(String, String)], name: &str) -> &'a str {
    values.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
}

fn compare(more: &str, equal: &[&str]) -> Result<()> {
    let (apache, ours) = (Busy::new(Kind::Apache, more)?, Busy::new(Kind::Ours, more)?);
    for target in ["/server-status?auto", "/server-status?refresh=7&auto"] {
        let (theirs, ours) = (apache.get(target)?, ours.get(target)?);
        for field in ["Content-Type", "Refresh"] {
            let (theirs, ours) = (theirs.header(field), ours.header(field));
            ensure!(theirs == ours, "{field}: {theirs:?} and {ours:?}");
        }
        let (theirs, ours) = (values(&theirs), values(&ours));
        let names = |values: &[(String, String)]| -> Vec<String> {
            values.iter().map(|(name, _)| name.clone()).collect()
        };
        ensure!(names(&theirs) == names(&ours), "{theirs:#?}\n{ours:#?}");
        ensure!(theirs.len() > 20, "{theirs:#?}");
        if !target.contains("refresh") {
            if more.is_empty() {
                let kilobytes = |values| value(values, "Total kBytes").parse::<i32>();
                let (theirs, ours) = (kilobytes(&theirs)?, kilobytes(&ours)?);
                // Heads are counted, and those are not quite the same.
                ensure!(theirs > 100 && (theirs - ours).abs() < 5, "{theirs} and {ours}");
            }
            for name in equal {
                let (theirs, ours) = (value(&theirs, name), value(&ours, name));
                ensure!(
                    !ours.is_empty() && theirs == ours,
                    "{name}: {theirs} and {ours}"
                );
            }
        }
        for name in ["CurrentTime", "RestartTime"] {
            // `Saturday, 21-Nov-2026 14:26:05 UTC`: only the digits differ.
            let form = |values| {
                value(values, name)
                    .split_once(' ')
                    .map(|(_, time)| time.replace(|c: char| c.is_ascii_digit(), "9"))
            };
            ensure!(form(&theirs) == form(&ours), "{theirs:#?}\n{ours:#?}");
        }
        let idle: u32 = value(&ours, "IdleWorkers").parse()?;
        let scoreboard = value(&ours, "Scoreboard");
        ensure!(
            scoreboard.matches('_').count() == idle as usize && idle > 0,
            "{ours:#?}"
        );
        ensure!(scoreboard.matches('W').count() == 1, "{ours:#?}");
    }
    Ok(())
}

#[test]
fn the_names_and_values_of_apache2() -> Result<()> {
    let totals = ["Total Accesses"];
    let always =
        ["ServerMPM", "ParentServerConfigGeneration", "ParentServerMPMGeneration"];
    let now = ["BusyWorkers", "GracefulWorkers", "Stopping"];
    compare("", &[&totals[..], &always, &now].concat())
}

#[test]
fn without_extended_status() -> Result<()> {
    compare("ExtendedStatus Off\n", &["ServerMPM", "BusyWorkers"])
}

/// The page: apache2's lines at the top, but for their numbers.
#[test]
fn the_lines_of_the_page() -> Result<()> {
    let words = |kind| -> Result<Vec<String>> {
        let page = Busy::new(kind, "")?.get("/server-status")?.text();
        ensure!(page.contains("<title>Apache Status</title>"), "{page}");
        let title = page.lines().find(|line| line.contains("<h1>")).unwrap_or_default();
        ensure!(
            title.contains(
                "<h1>Apache Server Status for www.example.org (via 127.0.0.1)</h1>"
            ),
            "{title}"
        );
        let lines = page.split("<dt>").skip(1);
        let named = lines.map(|line| {
            let line = line.split("</dt>").next().unwrap_or_default();
            let end = line.find(|c: char| c == ':' || c.is_ascii_digit()).unwrap_or(0);
            line[..end].to_owned()
        });
        Ok(named.collect())
    };
    let (theirs, ours) = (words(Kind::Apache)?, words(Kind::Ours)?);
    ensure!(theirs == ours && theirs.len() > 10, "{theirs:#?}\n{ours:#?}");
    Ok(())
}
