//! Servers of others before ours: nginx and Caddy, who ask us whether a request may be made.

use std::process::Command;

use anyhow::Result;

use crate::application::{Address, Application, program};
use crate::family::{Process, below, process};
use crate::http::{Client, Response};
use crate::root::{Root, free_port};

/// nginx's call of the auth service on the root's other port: `auth_request /_auth`.
const NGINX_CALL: &str = "
    location = /_auth {
        internal;
        proxy_pass http://127.0.0.1:{port2};
        proxy_pass_request_body off;
        proxy_set_header Content-Length \"\";
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Original-URI $request_uri;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Real-IP $remote_addr;
    }
";

/// One of them, on a port of its own.
pub struct Front {
    program: Application,
    /// Where it listens.
    pub port: u16,
}

impl Front {
    /// nginx with one server; `server` is what stands in it besides the call of `/_auth`.
    pub fn nginx(root: &Root, server: &str) -> Result<Front> {
        Front::nginx_that_says(root, server, NGINX_CALL)
    }

    /// The same without one of the fields of the call.
    pub fn nginx_without(root: &Root, server: &str, field: &str) -> Result<Front> {
        let says = |line: &&str| !line.contains(&format!("proxy_set_header {field} "));
        let call: Vec<&str> = NGINX_CALL.lines().filter(says).collect();
        Front::nginx_that_says(root, server, &call.join("\n"))
    }

    fn nginx_that_says(root: &Root, server: &str, call: &str) -> Result<Front> {
        let port = free_port()?;
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("    {kind}_temp_path {{root}}/tmp/nginx-{kind};\n"))
            .collect();
        let conf = format!(
            "daemon off;\nworker_processes 1;\npid {{root}}/run/nginx.pid;\n\
             error_log {{root}}/logs/nginx;\nevents {{}}\nhttp {{\n\
             access_log off;\n{temporary}\
             server {{\n    listen 127.0.0.1:{port};\n{call}{server}\n}}\n}}\n"
        );
        let conf = root.write("conf/nginx.conf", root.fill(&conf).as_bytes())?;
        let mut command = Command::new(program("/usr/sbin/nginx", "nginx-light")?);
        command.arg("-p").arg(root.path()).arg("-e").arg(root.join("logs/nginx"));
        command.arg("-c").arg(conf);
        Front::start(root, port, &mut command)
    }

    /// Caddy with one site; `site` is what stands in it.
    pub fn caddy(root: &Root, site: &str) -> Result<Front> {
        let port = free_port()?;
        let conf = format!(
            "{{\n    admin off\n    auto_https off\n}}\n\
             http://:{port} {{\n    bind 127.0.0.1\n{site}\n}}\n"
        );
        let conf = root.write("conf/Caddyfile", root.fill(&conf).as_bytes())?;
        let mut command = Command::new(program("/usr/bin/caddy", "caddy")?);
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(conf);
        command.env("HOME", root.join("tmp")).env("XDG_DATA_HOME", root.join("tmp"));
        command.env("XDG_CONFIG_HOME", root.join("tmp"));
        Front::start(root, port, &mut command)
    }

    fn start(root: &Root, port: u16, command: &mut Command) -> Result<Front> {
        let program = Application::start(root, Address::Tcp(port), command)?;
        Ok(Front { program, port })
    }

    /// Its processes.
    pub fn processes(&self) -> Vec<Process> {
        let pid = self.program.pid();
        process(pid).into_iter().chain(below(pid)).collect()
    }

    /// Asks it as a client does.
    pub fn ask(&self, line: &str, fields: &[&str]) -> Result<Response> {
        ask(self.port, line, fields)
    }
}

/// Sends a request without a body, `METHOD target`, to a port. The fields name the host if
/// it is another than `www.example.org`.
pub fn ask(port: u16, line: &str, fields: &[&str]) -> Result<Response> {
    let mut head = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    if !fields.iter().any(|field| field.starts_with("Host: ")) {
        head += "Host: www.example.org\r\n";
    }
    for field in fields {
        head += &format!("{field}\r\n");
    }
    let mut client = Client::connect(port)?;
    client.send((head + "\r\n").as_bytes())?;
    client.response(line.split(' ').next().unwrap_or_default())
}
