//! mod_status: `server-status` as httpd has it, and `fastcgi-status` about applications.
//! What is shown comes as one [`Report`] from whoever serves; who may see it is said by
//! `Require`, as for everything.

mod apps;
mod auto;
mod chart;
mod choose;
mod connections;
mod metrics;
pub(super) mod number;
pub(super) mod page;
mod report;
mod server;
mod values;

use bytes::Bytes;

use crate::effect::{Answer, Effect};
use crate::phase::{DECLINED, OK, Phase, Verdict, on};
use crate::reply::Body;
use crate::request::Request;
use crate::schema::Module;

pub use choose::{Form, choose};
pub use report::*;

/// Settings of a section: none; who may look is authorization's business.
pub type Dir = ();
/// Settings of a server: none.
pub type Server = ();

/// The module.
pub static MODULE: Module = Module {
    name: "mod_status.c",
    id: "status_module",
    directives: &[],
    hooks: &[on(Phase::Handle, handle).of_handlers(HANDLERS)],
};

/// The handlers: httpd's by name and type, and that of applications.
const HANDLERS: &[&[u8]] =
    &[b"server-status", b"application/x-httpd-status", FASTCGI_STATUS];
const FASTCGI_STATUS: &[u8] = b"fastcgi-status";

/// `status_handler`, for both handlers.
fn handle(r: &mut Request) -> Verdict {
    if !r.has_handler(HANDLERS) {
        return DECLINED;
    }
    let then =
        if r.has_handler(&[FASTCGI_STATUS]) { fastcgi_status } else { server_status };
    r.allowed = vec![http::Method::GET];
    match r.method {
        http::Method::GET | http::Method::HEAD => Verdict::Ask(Effect::Status, then),
        _ => DECLINED,
    }
}

fn server_status(r: &mut Request, answer: Answer) -> Verdict {
    let Answer::Status(report) = answer else { return Verdict::Status(500) };
    // httpd looks for its options anywhere in the query.
    let args = r.args.clone().unwrap_or_default();
    let at = |option: &[u8]| args.windows(option.len()).position(|found| found == option);
    let asked = Asked {
        server: r.server_name().into_owned(),
        address: r.connection.local.ip().to_canonical().to_string(),
        extended: r.snapshot.process.core.extended_status,
        table: at(b"notable").is_none(),
        refresh: at(b"refresh")
            .map(|start| choose::seconds(&args[start + b"refresh".len()..])),
    };
    let (form, text) = match at(b"auto") {
        Some(_) => (Form::Auto, auto::text(&report, &asked)),
        None => (Form::Html, server::page(&report, &asked)),
    };
    show(r, form, asked.refresh, text)
}

fn fastcgi_status(r: &mut Request, answer: Answer) -> Verdict {
    let Answer::Status(report) = answer else { return Verdict::Status(500) };
    let args = r.args.clone().unwrap_or_default();
    let form = choose(&args, &r.header("accept").unwrap_or_default());
    let refresh = choose::refresh(&args);
    r.headers_out.merge("Vary", b"Accept");
    let text = fastcgi(&report, form, &r.server_name(), refresh);
    show(r, form, refresh, text)
}

/// `fastcgi-status` in a form that it has; `server` is the name that the client used.
pub fn fastcgi(
    report: &Report,
    form: Form,
    server: &str,
    refresh: Option<u32>,
) -> String {
    match form {
        Form::Json => format!("{}\n", values::json(report)),
        Form::Metrics | Form::OpenMetrics => metrics::text(report, form),
        Form::Html | Form::Auto => apps::page(report, server, refresh),
    }
}

/// `server-status`: the page, or with `auto` the lines for programs.
pub fn httpd(report: &Report, form: Form, asked: &Asked) -> String {
    match form {
        Form::Auto => auto::text(report, asked),
        _ => server::page(report, asked),
    }
}

fn show(r: &mut Request, form: Form, refresh: Option<u32>, text: String) -> Verdict {
    if let Some(seconds) = refresh {
        r.headers_out.set("Refresh", seconds.to_string());
    }
    r.headers_out.set("Cache-Control", "no-store");
    if form == Form::Html {
        r.headers_out.set("Content-Security-Policy", page::POLICY);
    }
    r.content_type = Some(Bytes::from_static(form.content_type()));
    r.body = Body::Bytes(text.into());
    OK
}
