//! mod_info: `server-info`, the modules of this server and the directives of its
//! configuration. Who may see it is said by `Require`; what it must not show, nobody sees.

mod record;

use std::fmt::Write as _;

use bytes::Bytes;
use http::Method;

pub use record::{Line, is_wanted, record};

use super::MODULES;
use super::core::Listen;
use super::status::{number::html, page};
use crate::merge::Merge;
use crate::phase::{DECLINED, OK, Phase, Verdict, on};
use crate::reply::Body;
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Set};
use crate::version::{self, Tokens};

/// Settings of a section: none.
pub type Dir = ();

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    /// What is said beside modules: their names, and the texts.
    more: Vec<(Bytes, Bytes)>,
}

impl Merge for Server {
    fn merge(main: &Server, own: &Server) -> Server {
        Server { more: main.more.iter().chain(&own.more).cloned().collect() }
    }
}

static ADD_MODULE_INFO: Directive = Directive {
    name: "AddModuleInfo",
    syntax: "module-name string",
    context: Context::SERVERS,
    summary: "a module name and additional information on that module",
    docs: r#"
A text, HTML, beside a module on the page of the handler `server-info`.

## Example
    AddModuleInfo mod_deflate.c "see <a href=\"http://www.example.org/\">our notes</a>"
"#,
    set: Set::Two(|at, name, text| {
        at.server.info().more.push((name.bytes.clone(), text.bytes.clone()));
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_info.c",
    id: "info_module",
    directives: &[&ADD_MODULE_INFO],
    hooks: &[on(Phase::Handle, handle).of_handlers(&[b"server-info"])],
};

/// `display_info`.
fn handle(r: &mut Request) -> Verdict {
    if r.handler.as_deref() != Some(b"server-info") {
        return DECLINED;
    }
    crate::content::allow_methods(r, &[Method::GET]);
    if !matches!(r.method, Method::GET | Method::HEAD) {
        return DECLINED;
    }
    let args = r.args.clone().unwrap_or_default();
    let mut body = String::from("<header><h1>Apache Server Information</h1></header>\n");
    match &args[..] {
        b"" => {
            server(r, &mut body);
            for module in MODULES {
                about(r, module, &mut body);
            }
            configuration(r, &mut body);
        }
        b"server" => server(r, &mut body),
        b"config" => configuration(r, &mut body),
        b"list" => {
            body += "<h2>Modules</h2>\n<ul>\n";
            for module in MODULES {
                let _ = writeln!(body, "<li><a href=\"?{0}\">{0}</a></li>", module.name);
            }
            body += "</ul>\n";
        }
        name => match MODULES.iter().find(|module| module.name.as_bytes() == name) {
            Some(module) => about(r, module, &mut body),
            None => body += "<p>No such module</p>\n",
        },
    }
    r.headers_out.set("Cache-Control", "no-store");
    r.headers_out.set("Content-Security-Policy", page::POLICY);
    r.content_type = Some(Bytes::from_static(b"text/html; charset=utf-8"));
    r.body = Body::Bytes(page::page("Server Information", &body).into());
    OK
}

/// What runs, and where.
fn server(r: &Request, body: &mut String) {
    let core = &r.snapshot.process.core;
    let listen: Vec<String> = core.listen.iter().map(Listen::shown).collect();
    let facts = [
        ("Server Version", version::server(Tokens::Full)),
        ("Server Root", String::from_utf8_lossy(&r.snapshot.server_root).into_owned()),
        ("Listening on", listen.join(", ")),
        ("Virtual hosts", (r.snapshot.servers.len() - 1).to_string()),
        ("Timeout", format!("{} seconds", r.server.config.core.timeout().as_secs())),
    ];
    *body += "<h2>Server</h2>\n<dl class=\"httpd card\">\n";
    for (name, value) in facts {
        let _ = writeln!(body, "<dt>{name}: {}</dt>", html(&value));
    }
    *body += "</dl>\n";
}

/// One module: what it knows, what this configuration says of it, and what somebody added.
fn about(r: &Request, module: &Module, body: &mut String) {
    let _ = writeln!(body, "<h2 id=\"{0}\">{0}</h2>\n<div class=\"card\">", module.name);
    let names: Vec<String> = module.directives.iter().map(|d| html(d.shown())).collect();
    if !names.is_empty() {
        let _ = writeln!(body, "<p>Directives: {}</p>", names.join(", "));
    }
    let own: Vec<&Line> =
        r.snapshot.recorded.iter().filter(|line| line.module == module.name).collect();
    if !own.is_empty() {
        *body += "<pre>";
        for line in own {
            let _ = writeln!(
                body,
                "{}:{}: {}",
                html(&line.file),
                line.line,
                html(&line.text)
            );
        }
        *body += "</pre>\n";
    }
    for (name, text) in &r.server.config.info.more {
        if name.eq_ignore_ascii_case(module.name.as_bytes()) {
            let _ = writeln!(body, "<p>{}</p>", String::from_utf8_lossy(text));
        }
    }
    *body += "</div>\n";
}

/// The directives that hold, file by file.
fn configuration(r: &Request, body: &mut String) {
    *body += "<h2>Configuration</h2>\n";
    let lines = &r.snapshot.recorded;
    if lines.is_empty() {
        *body += "<p>It is recorded only if SetHandler or AddHandler in the server's own files \
                  names server-info.</p>\n";
    }
    let mut file = None;
    for line in lines {
        if file != Some(&line.file) {
            let end = if file.is_some() { "</pre>\n" } else { "" };
            let _ = write!(body, "{end}<h3>{}</h3>\n<pre>", html(&line.file));
            file = Some(&line.file);
        }
        let indent = "    ".repeat(line.depth);
        let _ = writeln!(body, "{:5}: {indent}{}", line.line, html(&line.text));
    }
    if file.is_some() {
        *body += "</pre>\n";
    }
}
