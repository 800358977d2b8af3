//! `fcgi-conf convert --to mod_fcgid|mod_proxy_fcgi`: the difference that is shown makes
//! files that apache2 takes, with nothing dropped in silence.

use std::process::Command;

use anyhow::{Result, ensure};
use compat_tests::application::{Application, program};
use compat_tests::front::ask;
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server, built};

/// The configuration as it would be with all edits: the lines of the difference that stay
/// and those that come. Files are short enough to be in it whole.
fn changed(root: &Root, to: &str) -> Result<(String, String)> {
    let before = std::fs::read_to_string(root.join("conf/httpd.conf"))?;
    let output = Command::new(built("fcgi-conf"))
        .args(["convert", "-f", "conf/httpd.conf", "--to", to, "-d"])
        .arg(root.path())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout)?;
    ensure!(
        std::fs::read_to_string(root.join("conf/httpd.conf"))? == before,
        "it was changed"
    );
    // Lines outside of the difference stay as they are.
    let old: Vec<&str> = before.lines().collect();
    let (mut out, mut at) = (String::new(), 0);
    for line in shown.lines() {
        if let Some(hunk) = line.strip_prefix("@@ -") {
            let start: usize =
                hunk.split([',', ' ']).next().unwrap_or_default().parse()?;
            old[at..start - 1].iter().for_each(|line| out += &format!("{line}\n"));
            at = start - 1;
        } else if line.starts_with("+++")
            || line.starts_with("---")
            || line.starts_with('#')
        {
        } else if let Some(new) = line.strip_prefix('+') {
            out += &format!("{new}\n");
        } else if line.starts_with('-') {
            at += 1;
        } else if let Some(same) = line.strip_prefix(' ') {
            out += &format!("{same}\n");
            at += 1;
        }
    }
    old[at..].iter().for_each(|line| out += &format!("{line}\n"));
    Ok((out, shown))
}

#[test]
fn to_mod_proxy_fcgi() -> Result<()> {
    let root = Root::new()?;
    let _probe = Application::probe(&root, "probe", &[])?;
    root.write("htdocs/secret/page", b"x")?;
    let modules: String = ["mpm_event", "authz_core", "access_compat", "alias", "dir", "proxy", "proxy_fcgi"]
        .map(|name| {
            format!("<IfModule !{name}_module>\nLoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n</IfModule>\n")
        })
        .concat();
    let conf = format!(
        "{modules}ServerRoot {{root}}\nListen 127.0.0.1:{{port}}\nServerName www.example.org\n\
         PidFile run/pid\nErrorLog logs/error_log\nUser www-data\nGroup www-data\n\
         DocumentRoot {{root}}/htdocs\n<Directory />\nRequire all granted\n</Directory>\n\
         FastCgiIpcDir {{root}}/run\n\
         FastCgiExternalServer {{root}}/virtual/app -socket {{root}}/run/probe -idle-timeout 60\n\
         Alias /app {{root}}/virtual/app\n\
         <Directory {{root}}/htdocs/secret>\n    FastCgiAccessChecker {{root}}/virtual/app\n</Directory>\n"
    );
    root.write("conf/httpd.conf", root.fill(&conf).as_bytes())?;
    let (text, shown) = changed(&root, "mod_proxy_fcgi")?;
    for line in [
        "-Alias /app ",
        "+ProxyPass /app ",
        "+# FastCgiIpcDir ",
        "+    # Not carried over: ",
    ] {
        ensure!(shown.contains(&format!("\n{line}")), "{line}\n{shown}");
    }
    ensure!(!text.lines().any(|line| line.trim_start().starts_with("FastCgi")), "{text}");
    let more = root.fill("DefaultRuntimeDir {root}/run\nMutex file:{root}/run\n");
    root.write(
        "conf/httpd.conf",
        (text.replacen("ServerName", &format!("{more}ServerName"), 1)).as_bytes(),
    )?;
    let _apache = Server::start(Kind::Apache, &root)?;
    let answer = ask(root.port, "GET /app/x?text=hello", &[])?;
    ensure!(answer.status == 200 && answer.text().contains("hello"), "{answer}");
    // What an application decided is decided by nobody: it stays closed.
    ensure!(ask(root.port, "GET /secret/page", &[])?.status == 403);
    Ok(())
}

#[test]
fn to_mod_fcgid() -> Result<()> {
    let root = Root::new()?;
    let conf = "ServerName h\nFastCgiIpcDir {root}/run\n\
        FastCgiConfig -maxProcesses 20 -idle-timeout 90 -processSlack 3\n\
        FastCgiServer /bin/true -processes 3 -idle-timeout 60 -initial-env A=b -flush\n\
        FastCgiExternalServer {root}/app -host 127.0.0.1:9\n\
        <Directory {root}/htdocs>\n    SetHandler fastcgi-script\n    \
        FastCgiAuthorizer /bin/true -compat\n    FastCgiAuthorizerAuthoritative Off\n</Directory>\n";
    root.write("conf/httpd.conf", root.fill(conf).as_bytes())?;
    let (text, shown) = changed(&root, "mod_fcgid")?;
    for line in [
        "FcgidMaxProcesses 20\n",
        "# Not carried over: -processslack 3 has no like\n",
        "FcgidIOTimeout 90\n",
        "FcgidCmdOptions /bin/true IOTimeout 60 InitialEnv A=b MinProcesses 3 MaxProcesses 3\n",
        "# Not carried over: -flush has no like\n",
        "    SetHandler fcgid-script\n",
        "    FcgidAuthorizer /bin/true\n",
        "    FcgidAuthorizerAuthoritative Off\n",
        "# Not carried over: mod_fcgid connects to no application that somebody else runs\n# FastCgiExternalServer ",
    ] {
        ensure!(text.contains(line), "{line}\n{shown}");
    }
    ensure!(!text.lines().any(|line| line.trim_start().starts_with("FastCgi")), "{text}");
    is_taken(&root, &text)
}

/// apache2 with mod_fcgid takes a configuration.
fn is_taken(root: &Root, text: &str) -> Result<()> {
    let directory = "/usr/lib/apache2/modules";
    program(&format!("{directory}/mod_fcgid.so"), "libapache2-mod-fcgid")?;
    let modules: String = ["mpm_event", "authn_core", "authz_core", "alias", "fcgid"]
        .map(|name| format!("LoadModule {name}_module {directory}/mod_{name}.so\n"))
        .concat();
    let more = root.fill("DefaultRuntimeDir {root}/run\nMutex file:{root}/run\n");
    root.write("conf/httpd.conf", format!("{modules}{more}{text}").as_bytes())?;
    let said = Server::check(Kind::Apache, root)?;
    ensure!(said.starts_with("taken\n"), "{said}\n{text}");
    Ok(())
}

/// An application that mod_fcgid starts from what was made answers as it does with us.
#[test]
fn mod_fcgid_starts_it() -> Result<()> {
    let root = Root::new()?;
    let probe = root.join("htdocs/app.fcgi");
    std::fs::copy(built("probe"), &probe)?;
    let conf = "Listen 127.0.0.1:{port}\nServerName www.example.org\nPidFile run/pid\n\
        ErrorLog logs/error_log\nUser www-data\nGroup www-data\nDocumentRoot {root}/htdocs\n\
        FastCgiIpcDir {root}/run/fcgi\nFastCgiServer {root}/htdocs/app.fcgi -initial-env WHO=me\n\
        <Directory />\nRequire all granted\nOptions ExecCGI FollowSymLinks\n</Directory>\n\
        <Files app.fcgi>\nSetHandler fastcgi-script\n</Files>\n";
    root.write("conf/httpd.conf", root.fill(conf).as_bytes())?;
    let target = "GET /app.fcgi/info?text=hello";
    let ours = Server::start(Kind::Ours, &root)?;
    let answer = ask(root.port, target, &[])?;
    ensure!(answer.status == 200 && answer.text() == "hello", "{answer}");
    ours.stop()?;
    let (text, shown) = changed(&root, "mod_fcgid")?;
    ensure!(text.contains("FcgidCmdOptions "), "{shown}");
    // Its sockets and its table of processes are where it has no say.
    let more = "FcgidIPCDir {root}/run\nFcgidProcessTableFile {root}/run/table\n";
    is_taken(&root, &(root.fill(more) + &text))?;
    let _apache = Server::start(Kind::Apache, &root)?;
    let answer = ask(root.port, target, &[])?;
    let log = root.log("error_log");
    ensure!(answer.status == 200 && answer.text() == "hello", "{answer}\n{log}");
    Ok(())
}
