//! The same configuration, files and requests for apache2 and for ours: equal answers,
//! equal lines in the error log.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use compat_tests::http::Client;
use compat_tests::normal;
use compat_tests::page::{self, Section};
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> std::process::ExitCode {
    let args = Arguments::from_args();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("side-by-side");
    let mut trials = Vec::new();
    for path in pages(&directory) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("a page");
        let sections =
            page::sections(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        for section in sections {
            let title = format!("{name}: {}", section.title);
            trials.push(Trial::test(title, move || {
                compare(&section).map_err(|error| Failed::from(format!("{error:#}")))
            }));
        }
    }
    libtest_mimic::run(&args, trials).exit_code()
}

fn pages(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the pages");
    let mut pages: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

/// What one server answers.
struct Heard {
    answers: Vec<String>,
    log: Vec<String>,
}

fn compare(section: &Section) -> Result<()> {
    let apache = listen(section, Kind::Apache).context("apache2")?;
    let ours = listen(section, Kind::Ours).context("ours")?;
    let mut differences = Vec::new();
    let requests = requests(section)?;
    ensure!(!requests.is_empty(), "there are no requests");
    for (i, request) in requests.iter().enumerate() {
        let (theirs, ours) = (&apache.answers[i], &ours.answers[i]);
        match (&request.differs, theirs == ours) {
            (None, false) => {
                differences.push(format!(
                    "{}\n{}",
                    request.line,
                    difference(theirs, ours)
                ));
            }
            (Some(why), true) => {
                differences.push(format!(
                    "{}\ndoes not differ any more ({why})\n",
                    request.line
                ));
            }
            _ => {}
        }
    }
    let with_log = !section.blocks.iter().any(|block| block.has("no-log"));
    if with_log && apache.log != ours.log {
        let log = difference(&apache.log.join("\n"), &ours.log.join("\n"));
        differences.push(format!("error log\n{log}"));
    }
    if !differences.is_empty() {
        bail!("{}", differences.join("\n"));
    }
    Ok(())
}

/// The lines that only one of them has.
fn difference(apache: &str, ours: &str) -> String {
    let only = |a: &str, b: &str, sign: &str| {
        let known: Vec<&str> = b.lines().collect();
        let lines = a.lines().filter(|line| !known.contains(line));
        lines.map(|line| format!("  {sign} {line}\n")).collect::<String>()
    };
    let lines = only(apache, ours, "apache2:") + &only(ours, apache, "ours:   ");
    if lines.is_empty() { format!("  in another order: {ours:?}\n") } else { lines }
}

fn requests(section: &Section) -> Result<Vec<page::Request>> {
    let blocks = section.blocks.iter().filter(|block| block.kind == "requests");
    let all: Result<Vec<_>> = blocks.map(|block| page::requests(&block.text)).collect();
    Ok(all?.into_iter().flatten().collect())
}

fn listen(section: &Section, kind: Kind) -> Result<Heard> {
    let root = Root::new()?;
    let mut conf = include_str!("../side-by-side/preamble.conf").to_owned();
    for block in &section.blocks {
        match block.kind.as_str() {
            "apache" => conf += &block.text,
            "file" => {
                let name = block.value("name").context("a file without a name")?;
                let path = root.write(name, root.fill(&block.text).as_bytes())?;
                if let Some(mode) = block.value("mode") {
                    let mode = u32::from_str_radix(mode, 8)?;
                    use std::os::unix::fs::PermissionsExt;
                    std::fs::set_permissions(
                        &path,
                        std::fs::Permissions::from_mode(mode),
                    )?;
                }
                // Entity tags hold the time.
                let time =
                    std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
                std::fs::File::options().append(true).open(&path)?.set_modified(time)?;
            }
            "links" => {
                for line in block.text.lines() {
                    let (name, target) =
                        line.split_once(" -> ").context("name -> target")?;
                    std::os::unix::fs::symlink(root.fill(target), root.join(name))?;
                }
            }
            "requests" => {}
            other => bail!("line {}: what is a block {other:?}?", block.line),
        }
    }
    root.write("conf/httpd.conf", root.fill(&conf).as_bytes())?;
    let server = Server::start(kind, &root)?;
    let mut answers = Vec::new();
    for request in requests(section)? {
        let mut client = Client::connect(root.port)?;
        let bytes = String::from_utf8(request.bytes())?;
        client.send(root.fill(&bytes).as_bytes())?;
        let response = client.response(&request.method);
        let response = response.with_context(|| request.line.clone())?;
        answers.push(normal::response(&response, &root));
    }
    server.stop()?;
    let log = normal::error_log(&root.log("error_log"), &root);
    Ok(Heard { answers, log })
}
