//! The variables of expressions: `%{REMOTE_ADDR}` and the like.

use bytes::Bytes;

use super::eval::{Context, Want};
use crate::bundle::Who;
use crate::modules::ssl;
use crate::request::Lookup;

macro_rules! variables {
    ($($id:ident = $name:literal,)*) => {
        /// A variable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Variable {
            $(#[doc = concat!("`", $name, "`.")] $id,)*
            /// One of mod_ssl's: `SSL_PROTOCOL` and the like.
            Ssl(ssl::Name),
        }

        impl Variable {
            /// The variable of a name, without regard to case.
            pub fn named(name: &str) -> Option<Variable> {
                $(if name.eq_ignore_ascii_case($name) {
                    return Some(Variable::$id);
                })*
                ssl::Name::parse(name).map(Variable::Ssl)
            }
        }
    };
}

variables! {
    TimeYear = "TIME_YEAR",
    TimeMonth = "TIME_MON",
    TimeDay = "TIME_DAY",
    TimeHour = "TIME_HOUR",
    TimeMinute = "TIME_MIN",
    TimeSecond = "TIME_SEC",
    TimeWeekday = "TIME_WDAY",
    Time = "TIME",
    ServerSoftware = "SERVER_SOFTWARE",
    ApiVersion = "API_VERSION",
    UserAgent = "HTTP_USER_AGENT",
    ProxyConnection = "HTTP_PROXY_CONNECTION",
    Referer = "HTTP_REFERER",
    Cookie = "HTTP_COOKIE",
    Forwarded = "HTTP_FORWARDED",
    Host = "HTTP_HOST",
    Accept = "HTTP_ACCEPT",
    RequestMethod = "REQUEST_METHOD",
    RequestScheme = "REQUEST_SCHEME",
    RequestUri = "REQUEST_URI",
    RequestFilename = "REQUEST_FILENAME",
    RemoteHost = "REMOTE_HOST",
    RemoteIdent = "REMOTE_IDENT",
    RemoteUser = "REMOTE_USER",
    ServerAdmin = "SERVER_ADMIN",
    ServerName = "SERVER_NAME",
    ServerPort = "SERVER_PORT",
    ServerProtocol = "SERVER_PROTOCOL",
    ScriptFilename = "SCRIPT_FILENAME",
    PathInfo = "PATH_INFO",
    QueryString = "QUERY_STRING",
    IsSubreq = "IS_SUBREQ",
    DocumentRoot = "DOCUMENT_ROOT",
    AuthType = "AUTH_TYPE",
    TheRequest = "THE_REQUEST",
    ContentType = "CONTENT_TYPE",
    Handler = "HANDLER",
    RequestLogId = "REQUEST_LOG_ID",
    ScriptUser = "SCRIPT_USER",
    ScriptGroup = "SCRIPT_GROUP",
    DocumentUri = "DOCUMENT_URI",
    LastModified = "LAST_MODIFIED",
    ContextPrefix = "CONTEXT_PREFIX",
    ContextDocumentRoot = "CONTEXT_DOCUMENT_ROOT",
    RequestStatus = "REQUEST_STATUS",
    RemoteAddr = "REMOTE_ADDR",
    RemotePort = "REMOTE_PORT",
    Https = "HTTPS",
    Ipv6 = "IPV6",
    ConnLogId = "CONN_LOG_ID",
    ConnRemoteAddr = "CONN_REMOTE_ADDR",
    Http2 = "HTTP2",
}

/// The magic number of httpd 2.4's module interface.
const API_VERSION: &str = "20120211";

impl Variable {
    /// The header field that it stands for.
    fn field(self) -> Option<&'static str> {
        Some(match self {
            Variable::UserAgent => "User-Agent",
            Variable::ProxyConnection => "Proxy-Connection",
            Variable::Referer => "Referer",
            Variable::Cookie => "Cookie",
            Variable::Forwarded => "Forwarded",
            Variable::Host => "Host",
            Variable::Accept => "Accept",
            _ => return None,
        })
    }

    /// Its value for a request. See `request_var_fn` and its neighbours.
    pub fn value(self, at: &mut Context<'_>) -> Result<Bytes, Want> {
        if let Some(field) = self.field() {
            return Ok(at.header(field.as_bytes()));
        }
        let r = &*at.r;
        let copy = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        let on = |is: bool| Bytes::from_static(if is { b"on" } else { b"off" });
        let core = &r.server.config.core;
        let filename =
            || if r.filename.is_empty() { copy(&r.uri) } else { copy(&r.filename) };
        Ok(match self {
            Variable::TimeYear => at.time(r.request_time, "%Y"),
            Variable::TimeMonth => at.time(r.request_time, "%m"),
            Variable::TimeDay => at.time(r.request_time, "%d"),
            Variable::TimeHour => at.time(r.request_time, "%H"),
            Variable::TimeMinute => at.time(r.request_time, "%M"),
            Variable::TimeSecond => at.time(r.request_time, "%S"),
            Variable::TimeWeekday => at.time(r.request_time, "%w"),
            Variable::Time => at.time(r.request_time, "%Y%m%d%H%M%S"),
            Variable::ServerSoftware => r.snapshot.process.core.banner().clone(),
            Variable::ApiVersion => Bytes::from_static(API_VERSION.as_bytes()),
            Variable::RequestMethod => copy(r.method.as_str().as_bytes()),
            Variable::RequestScheme => copy(r.scheme().as_bytes()),
            Variable::RequestUri => copy(&r.uri),
            Variable::RequestFilename | Variable::ScriptFilename => filename(),
            Variable::RemoteHost => match &r.remote_host {
                Lookup::Known(name) => copy(name.as_bytes()),
                Lookup::Unknown => copy(r.useragent_ip.to_string().as_bytes()),
                Lookup::Unasked if r.looks_up_names() => return Err(Want::Name),
                Lookup::Unasked => copy(r.useragent_ip.to_string().as_bytes()),
            },
            // There is no ident here; httpd without mod_ident says the same.
            Variable::RemoteIdent => Bytes::new(),
            Variable::RemoteUser => r.user.clone().unwrap_or_default(),
            Variable::ServerAdmin => {
                copy(core.server_admin.as_deref().unwrap_or("").as_bytes())
            }
            Variable::ServerName => copy(r.server_name().as_bytes()),
            Variable::ServerPort => copy(r.server_port().to_string().as_bytes()),
            Variable::ServerProtocol => copy(r.protocol().as_bytes()),
            Variable::PathInfo => copy(&r.path_info),
            Variable::QueryString => r.args.clone().unwrap_or_default(),
            Variable::IsSubreq => {
                Bytes::from_static(if r.main.is_some() { b"true" } else { b"false" })
            }
            Variable::DocumentRoot => r.document_root().clone(),
            Variable::AuthType => r.auth_type.clone().unwrap_or_default(),
            Variable::TheRequest => r.the_request().into(),
            Variable::ContentType => r.content_type.clone().unwrap_or_default(),
            Variable::Handler => r.handler.clone().unwrap_or_default(),
            // httpd makes these numbers for `ErrorLogFormat` only.
            Variable::RequestLogId | Variable::ConnLogId => Bytes::new(),
            Variable::ScriptUser => {
                let user = r.finfo.and_then(|meta| r.files.user(Who::Id(meta.uid)));
                copy(user.map_or(String::new(), |user| user.name).as_bytes())
            }
            Variable::ScriptGroup => {
                let group = r.finfo.and_then(|meta| r.files.group(Who::Id(meta.gid)));
                copy(group.map_or(String::new(), |group| group.name).as_bytes())
            }
            Variable::DocumentUri => {
                r.env.get(b"DOCUMENT_URI").cloned().unwrap_or_else(|| copy(&r.uri))
            }
            Variable::LastModified => {
                let modified = r.finfo.map_or(0, |meta| meta.mtime * 1_000_000);
                at.time(modified, "%Y%m%d%H%M%S")
            }
            Variable::ContextPrefix => r.context_prefix.clone(),
            Variable::ContextDocumentRoot => r
                .context_document_root
                .clone()
                .unwrap_or_else(|| r.document_root().clone()),
            Variable::RequestStatus => copy(r.status.to_string().as_bytes()),
            Variable::RemoteAddr => copy(r.useragent_ip.to_string().as_bytes()),
            Variable::RemotePort => {
                copy(r.connection.client.port().to_string().as_bytes())
            }
            Variable::Ssl(name) => ssl::variable(r, name).unwrap_or_default(),
            Variable::Https => on(r.connection.secure),
            Variable::Ipv6 => on(r.connection.client.ip().to_canonical().is_ipv6()),
            Variable::ConnRemoteAddr => {
                copy(r.connection.client.ip().to_canonical().to_string().as_bytes())
            }
            Variable::Http2 => on(r.version >= 20),
            Variable::UserAgent
            | Variable::ProxyConnection
            | Variable::Referer
            | Variable::Cookie
            | Variable::Forwarded
            | Variable::Host
            | Variable::Accept => Bytes::new(),
        })
    }
}
