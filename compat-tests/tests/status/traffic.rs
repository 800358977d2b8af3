//! A site with an application of each kind, all of them the probe, and its status.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use compat_tests::application::{Address, Application};
use serde_json::Value;

use compat_tests::site::Site;

/// How long numbers may take to be what they should be.
const PATIENCE: Duration = Duration::from_secs(10);

const CONF: &str = "
FastCgiServer {root}/htdocs/static -processes 2 -init-start-delay 0 -restart-delay 0 \
    -initial-env SECRET=hush
FastCgiConfig -initial-env SECRET=hush
<Directory {root}/htdocs/cgi>
    SetHandler fastcgi-script
    Options +ExecCGI
</Directory>
<Location /server-status>
    SetHandler server-status
</Location>
<Location /fastcgi-status>
    SetHandler fastcgi-status
    Require local
</Location>
<Location /closed>
    SetHandler fastcgi-status
    Require all denied
</Location>
";

/// The site, and its external application.
pub struct Probed {
    pub site: Site,
    _external: Application,
}

/// Serves it, with some more configuration.
pub fn probed(more: &str) -> Result<Probed> {
    let mut site = Site::new()?;
    let root = &site.root;
    let probe = env!("CARGO_BIN_EXE_probe");
    std::fs::create_dir(root.join("htdocs/cgi"))?;
    for name in ["static", "cgi/dynamic"] {
        std::fs::copy(probe, root.join("htdocs").join(name))?;
    }
    root.write("htdocs/a.txt", &[b'a'; 3000])?;
    let path = root.join("run/external.sock");
    let mut command = std::process::Command::new(probe);
    command.arg(format!("unix:{}", path.display()));
    let external = Application::start(root, Address::Unix(path.clone()), &mut command)?;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666))?;
    let address = external.address.option();
    // A body is passed on as it comes: -flush.
    site.serve(&format!(
        "{CONF}FastCgiExternalServer {{root}}/htdocs/external {address} -flush\n{more}"
    ))?;
    Ok(Probed { site, _external: external })
}

impl Probed {
    /// The report as JSON.
    pub fn report(&self) -> Result<Value> {
        let answer = self.site.get("/fastcgi-status?json")?;
        serde_json::from_slice(&answer.body).with_context(|| answer.to_string())
    }

    /// The report once `is_so` holds for it: what is counted when a response has gone may
    /// come after it.
    pub fn report_when(&self, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let report = self.report()?;
            if is_so(&report) {
                return Ok(report);
            }
            if Instant::now() > deadline {
                bail!("it stays {report:#}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// An application of a report, by the end of its path.
pub fn app<'a>(report: &'a Value, name: &str) -> &'a Value {
    let all = report["applications"].as_array().map_or(&[][..], Vec::as_slice);
    let is_it =
        |app: &&Value| app["path"].as_str().is_some_and(|path| path.ends_with(name));
    all.iter().find(is_it).unwrap_or(&Value::Null)
}
