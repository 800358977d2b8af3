//! Plays a page's test to one server and writes down what it says. Blocks are taken in
//! their order: with the first requests the server starts, and files behind them change
//! under its eyes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::application::{Address, Application};
use crate::digest::Digests;
use crate::http::Client;
use crate::normal;
use crate::page::{self, Block, Request, Section};
use crate::root::Root;
use crate::server::{Kind, Server, built};
use crate::upstream::Upstream;

/// When all files were changed, since 1970; `later=` of a file adds seconds.
const MADE: Duration = Duration::from_secs(1_600_000_000);

/// A zone that is not that of most machines: both servers show local time.
const ZONE: [(&str, &str); 1] = [("TZ", "Asia/Kathmandu")];

/// What one server answers, and writes to its logs.
pub struct Heard {
    /// For each request.
    pub answers: Vec<String>,
    /// The error log's lines about requests.
    pub log: Vec<String>,
    /// The lines of `logs/access_log`.
    pub access_log: Vec<String>,
}

/// All requests and checks of a test, in the order of their answers.
pub fn requests(section: &Section) -> Result<Vec<Request>> {
    let mut all = Vec::new();
    for block in &section.blocks {
        match block.kind.as_str() {
            "requests" => all.extend(page::requests(&block.text)?),
            "checks" => all.extend(page::checks(&block.text)),
            _ => {}
        }
    }
    Ok(all)
}

/// Starts a server after the page's preamble and the test's blocks, and asks it.
pub fn play(section: &Section, kind: Kind) -> Result<Heard> {
    let root = Root::new()?;
    let mut conf = include_str!("../side-by-side/preamble.conf").to_owned();
    let mut server = None;
    let mut helpers: Vec<Helper> = Vec::new();
    let mut answers = Vec::new();
    let mut digests = Digests::default();
    for block in &section.blocks {
        match block.kind.as_str() {
            "apache" if server.is_none() => conf += &block.text,
            "file" => file(block, &root)?,
            "links" => links(block, &root)?,
            "upstream" | "probe" | "nobody" => helpers.extend(helper(block, &root)?),
            "ends" => helpers.retain(|helper| !block.has(&helper.name)),
            "requests" => {
                if server.is_none() {
                    root.write("conf/httpd.conf", root.fill(&conf).as_bytes())?;
                    age(&root.join("htdocs"))?;
                    server = Some(Server::start_with(kind, &root, &[], &ZONE)?);
                }
                for request in page::requests(&block.text)? {
                    let answer = ask(request.clone(), &root, &mut digests);
                    let answer = answer.with_context(|| request.line.clone())?;
                    let framed = !block.has("any-framing");
                    answers.push(if framed {
                        answer
                    } else {
                        normal::without_framing(&answer)
                    });
                }
            }
            "checks" => {
                for check in page::checks(&block.text) {
                    let text = format!("{conf}{}\n", check.line);
                    root.write("conf/httpd.conf", root.fill(&text).as_bytes())?;
                    answers.push(normal::check(&Server::check(kind, &root)?, &root));
                }
            }
            other => bail!("line {}: what is a block {other:?} here?", block.line),
        }
    }
    if let Some(server) = server {
        settle(&root);
        server.stop()?;
    }
    let log = normal::error_log(&root.log("error_log"), &root);
    let log = log.iter().map(|line| digests.named(line)).collect();
    let access_log = normal::access_log(&root.log("access_log"), &root);
    Ok(Heard { answers, log, access_log })
}

/// Waits until the access log, if there is one, does not grow any more: httpd's children
/// end without writing about requests they have just answered.
fn settle(root: &Root) {
    let mut written = None;
    for _ in 0..25 {
        if !root.join("logs/access_log").exists() {
            break;
        }
        let now = Some(root.log("access_log").len());
        if now == written && now > Some(0) {
            break;
        }
        written = now;
        std::thread::sleep(Duration::from_millis(80));
    }
}

/// Something behind the server, by the name of its port or socket.
struct Helper {
    name: String,
    _runs: Box<dyn std::any::Any>,
}

/// Starts what a block names: `upstream name` (a port, or `socket` for `run/name.sock`),
/// `probe name` the same as a FastCGI application, `nobody name` a port where none is.
fn helper(block: &Block, root: &Root) -> Result<Option<Helper>> {
    let name = block.words.first().context("a name")?.clone();
    let known = root.named_ports().into_iter().find(|(known, _)| *known == name);
    let port = match known {
        Some((_, port)) => port,
        None => root.port_named(&name)?,
    };
    let socket = root.join(&format!("run/{name}.sock"));
    let directives: Vec<&str> = block.text.lines().collect();
    let runs: Box<dyn std::any::Any> = match (block.kind.as_str(), block.has("socket")) {
        ("upstream", false) => Box::new(Upstream::start(&name, port)?),
        ("upstream", true) => Box::new(Upstream::start_unix(&name, &socket)?),
        ("probe", true) => {
            Box::new(Application::probe(root, &format!("{name}.sock"), &directives)?)
        }
        ("probe", false) => {
            let mut command = Command::new(built("probe"));
            command.arg(format!("127.0.0.1:{port}")).args(directives);
            Box::new(Application::start(root, Address::Tcp(port), &mut command)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(Helper { name, _runs: runs }))
}

/// Gives the directories below one, and itself, the time of the files: listings show it.
fn age(directory: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            age(&entry.path())?;
        }
    }
    Ok(std::fs::File::open(directory)?.set_modified(UNIX_EPOCH + MADE)?)
}

fn file(block: &Block, root: &Root) -> Result<()> {
    let name = block.value("name").context("a file without a name")?;
    let path = root.write(name, root.fill(&block.text).as_bytes())?;
    // Entity tags hold the time.
    let later = block.value("later").map_or(Ok(0), str::parse)?;
    let time = UNIX_EPOCH + MADE + Duration::from_secs(later);
    std::fs::File::options().append(true).open(&path)?.set_modified(time)?;
    own(block, &path)?;
    if let Some(mode) = block.value("mode") {
        let mode = u32::from_str_radix(mode, 8)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn links(block: &Block, root: &Root) -> Result<()> {
    for line in block.text.lines() {
        let (name, target) = line.split_once(" -> ").context("name -> target")?;
        let path = root.join(name);
        std::os::unix::fs::symlink(root.fill(target), &path)?;
        own(block, &path)?;
    }
    Ok(())
}

/// Gives a file or link to the user `owner=` of its block.
fn own(block: &Block, path: &Path) -> Result<()> {
    if let Some(owner) = block.value("owner") {
        std::os::unix::fs::lchown(path, Some(owner.parse()?), None)?;
    }
    Ok(())
}

fn ask(mut request: Request, root: &Root, digests: &mut Digests) -> Result<String> {
    let said = digests.say(&mut request)?;
    let mut client = match &request.to {
        Some(to) => Client::connect_to(root.fill(to).parse()?)?,
        None => Client::connect(root.port)?,
    };
    let bytes = String::from_utf8(request.bytes())?;
    client.send(root.fill(&bytes).as_bytes())?;
    let heard = client.response(&request.method)?;
    digests.hear(&heard);
    let mut answer = digests.checked(&normal::response(&heard, root), said.as_ref());
    // Several requests may have been sent over the connection.
    while request.raw.is_some() && !client.is_at_end()? {
        answer += &normal::response(&client.response("GET")?, root);
    }
    Ok(answer)
}
