//! A server that speaks TLS on its second port, and curl in front of it.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use compat_tests::http::{Client, Response};
use compat_tests::root::Root;
use compat_tests::server::{Kind, Server};

use crate::authority;

/// What every configuration of these tests begins with.
const PREAMBLE: &str = include_str!("../../side-by-side/preamble.conf");
/// What only some tests of the pages need.
const MODULES: [&str; 5] = ["socache_shmcb", "ssl", "http2", "headers", "log_config"];

/// What proxying needs in apache2.
pub const PROXY: &str = "\
    LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so\n\
    LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so\n\
    LoadModule proxy_wstunnel_module /usr/lib/apache2/modules/mod_proxy_wstunnel.so\n\
    LoadModule proxy_fcgi_module /usr/lib/apache2/modules/mod_proxy_fcgi.so\n\
    LoadModule proxy_balancer_module /usr/lib/apache2/modules/mod_proxy_balancer.so\n\
    LoadModule slotmem_shm_module /usr/lib/apache2/modules/mod_slotmem_shm.so\n\
    LoadModule lbmethod_byrequests_module /usr/lib/apache2/modules/mod_lbmethod_byrequests.so\n";

/// A running server.
pub struct Site {
    /// The server; it ends before its root goes.
    pub server: Server,
    /// Where everything is.
    pub root: Root,
}

/// What curl made of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// curl's own exit code.
    pub code: i32,
    /// The status; 0 if there was no answer.
    pub status: u16,
    /// The version of HTTP: `2` or `1.1`.
    pub version: String,
    /// Heads and body.
    pub text: String,
}

impl Said {
    /// A field's value.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A connection that is kept.
pub struct Open {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Open {
    /// Says something.
    pub fn say(&mut self, bytes: &[u8]) -> Result<()> {
        self.input.write_all(bytes)?;
        Ok(self.input.flush()?)
    }

    /// Reads until a text has come.
    pub fn until(&mut self, text: &str) -> Result<()> {
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&said).contains(text) {
            let n = self.output.read(&mut buffer)?;
            let so_far = String::from_utf8_lossy(&said);
            anyhow::ensure!(n > 0, "the end, and no {text}: {so_far}");
            said.extend_from_slice(&buffer[..n]);
        }
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The configuration of two hosts: `{ca}` is where certificates are, `extra` goes into the
/// first one.
pub fn hosts(extra: &str) -> String {
    format!(
        "<VirtualHost *:{{port2}}>\nServerName one.test\nServerAlias www.one.test\n\
         SSLEngine on\nSSLCertificateFile {{ca}}/one.pem\n\
         SSLCertificateKeyFile {{ca}}/one.key\n{extra}</VirtualHost>\n\
         <VirtualHost *:{{port2}}>\nServerName two.test\nSSLEngine on\n\
         SSLCertificateFile {{ca}}/two.pem\nSSLCertificateKeyFile {{ca}}/two.key\n\
         </VirtualHost>\n"
    )
}

/// A root with a configuration that has the preamble before it.
pub fn configured(kind: Kind, conf: &str) -> Result<Root> {
    let root = Root::new()?;
    std::fs::create_dir(root.join("virtual"))?;
    root.write("htdocs/a.txt", b"hello\n")?;
    write(&root, kind, conf)?;
    Ok(root)
}

/// Writes a configuration.
pub fn write(root: &Root, kind: Kind, conf: &str) -> Result<()> {
    let modules: String = MODULES
        .iter()
        .filter(|name| **name != "log_config" || kind == Kind::Ours)
        .map(|name| {
            format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
        })
        .collect();
    let own = match kind {
        Kind::Ours => "FastCgiIpcDir {root}/run/fcgi\n",
        Kind::Apache => "",
    };
    let listen = "Listen 127.0.0.1:{port2} https\n";
    let all = [PREAMBLE, &modules, own, listen, conf].concat();
    let ca = authority::directory().display().to_string();
    root.write("conf/httpd.conf", root.fill(&all.replace("{ca}", &ca)).as_bytes())?;
    Ok(())
}

impl Site {
    /// Starts a server.
    pub fn start(kind: Kind, conf: &str) -> Result<Site> {
        let root = configured(kind, conf)?;
        Ok(Site { server: Server::start(kind, &root)?, root })
    }

    /// Asks for a URL of a host at the port without TLS.
    pub fn plain(&self, host: &str, path: &str, more: &str) -> Result<Response> {
        let mut client = Client::connect(self.root.port)?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}");
        client.send(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
        client.response("GET")
    }

    /// Asks for a URL of a host at the port of TLS, with further arguments for curl.
    pub fn curl(&self, host: &str, path: &str, args: &[&str]) -> Result<Said> {
        let port = self.root.other_port;
        let ca = authority::directory();
        let output = Command::new("/usr/bin/curl")
            .current_dir(ca)
            .args(["--silent", "--include", "--max-time", "20", "--cacert", "ca.pem"])
            .args(["--write-out", "\n%{http_code} %{http_version}"])
            .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
            .args(args)
            .arg(format!("https://{host}:{port}{path}"))
            .stdin(Stdio::null())
            .output()
            .context("running curl")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (text, last) = text.rsplit_once('\n').context("curl wrote nothing")?;
        let (status, version) = last.split_once(' ').context("curl wrote no status")?;
        Ok(Said {
            code: output.status.code().unwrap_or(-1),
            status: status.parse()?,
            version: version.to_owned(),
            text: text.to_owned(),
        })
    }

    /// A connection over `openssl s_client` that is kept.
    pub fn s_client_open(&self, host: &str) -> Result<Open> {
        let mut child = Command::new("/usr/bin/openssl")
            .args(["s_client", "-quiet", "-connect"])
            .arg(format!("127.0.0.1:{}", self.root.other_port))
            .args(["-servername", host])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("running openssl")?;
        let input = child.stdin.take().context("no pipe")?;
        let output = child.stdout.take().context("no pipe")?;
        Ok(Open { child, input, output })
    }

    /// What `openssl s_client` says of a handshake with a host.
    pub fn handshake(&self, host: &str, args: &[&str]) -> Result<String> {
        self.s_client(host, args, b"")
    }

    /// The same, with a request behind the handshake.
    pub fn handshake_with(&self, host: &str, args: &[&str]) -> Result<String> {
        let request =
            format!("GET /a.txt HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        self.s_client(host, args, request.as_bytes())
    }

    fn s_client(&self, host: &str, args: &[&str], input: &[u8]) -> Result<String> {
        let mut child = Command::new("/usr/bin/openssl")
            .current_dir(authority::directory())
            .args(["s_client", "-connect"])
            .arg(format!("127.0.0.1:{}", self.root.other_port))
            .args(["-servername", host, "-CAfile", "ca.pem"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("running openssl")?;
        // A handshake that failed leaves nobody to read it.
        let _ = child.stdin.take().context("no pipe")?.write_all(input);
        let output = child.wait_with_output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&said).into_owned())
    }
}
