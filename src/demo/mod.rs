//! The built-in demonstration: a site in a temporary directory, with an application that
//! is this very program under another name.

mod application;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

pub use application::run as application;

/// The name under which this program is the demonstration's application.
const APPLICATION: &str = "demo.fcgi";
/// The port that is tried before any free one.
const PORT: u16 = 8080;
/// The name of nobody in particular, where there is no `www-data`.
const NOBODY: &str = "#65534";

/// Was this program started as the demonstration's application?
pub fn is_application(program: &OsStr) -> bool {
    Path::new(program).file_name() == Some(OsStr::new(APPLICATION))
}

/// Serves the demonstration until a signal ends it. The only argument is a port; without
/// it, 8080 or any free one.
pub fn serve(args: &[OsString]) -> Result<ExitCode> {
    let port = match args {
        [] => free_port()?,
        [port] => {
            port.to_str().and_then(|port| port.parse().ok()).context("which port?")?
        }
        _ => bail!("usage: fcgi-httpd demo [PORT]"),
    };
    let root = tempfile::Builder::new()
        .prefix("fcgi-httpd-demo-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()?;
    let conf = lay_out(root.path(), port)?;
    let mut words = String::new();
    write!(words, "Open http://127.0.0.1:{port}/ in a browser; Ctrl-C ends it.\n\n")?;
    writeln!(words, "  configuration  {}", conf.display())?;
    writeln!(words, "  error log      {}", root.path().join("logs/error_log").display())?;
    crate::parent::say(&words);
    let args = ["-DFOREGROUND", "-d"].map(OsString::from);
    let args = args.into_iter().chain([root.path().into(), "-f".into(), conf.into()]);
    crate::parent::main(args.collect(), false)
}

fn free_port() -> Result<u16> {
    let wished = TcpListener::bind(("127.0.0.1", PORT));
    let listener = wished.or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    Ok(listener.local_addr()?.port())
}

/// Writes the site. The answer is the configuration's path.
fn lay_out(root: &Path, port: u16) -> Result<std::path::PathBuf> {
    for directory in ["conf", "htdocs", "bin", "logs", "run"] {
        fs::create_dir(root.join(directory))?;
    }
    let is_root = nix::unistd::geteuid().is_root();
    let user = match users::get_user_by_name("www-data") {
        _ if !is_root => String::new(),
        Some(_) => "User www-data\nGroup www-data\n".to_owned(),
        None => format!("User {NOBODY}\nGroup {NOBODY}\n"),
    };
    let root_text =
        root.to_str().context("the temporary directory's name is not text")?;
    let conf = include_str!("httpd.conf")
        .replace("{root}", root_text)
        .replace("{port}", &port.to_string())
        .replace("{user}", &user);
    fs::write(root.join("htdocs/index.html"), include_str!("index.html"))?;
    fs::write(root.join("htdocs/style.css"), include_str!("style.css"))?;
    // A copy: the user that it runs as may not be able to reach where this one is.
    let program = root.join("bin").join(APPLICATION);
    fs::copy("/proc/self/exe", &program).context("copying the application")?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    let path = root.join("conf/httpd.conf");
    fs::write(&path, conf)?;
    Ok(path)
}
