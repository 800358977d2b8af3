//! The request that is asked about.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::Snapshot;
use crate::bundle::Files;
use crate::modules::ssl::Security;
use crate::request::{Connection, Head, Request};

/// A request that nobody sent.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// Path and query as a client would send them.
    pub target: Bytes,
    /// Host, and port where it is not the scheme's.
    pub host: String,
    /// `https`.
    pub secure: bool,
    /// The port that the client connects to.
    pub port: u16,
    /// The fields; `Host` among them.
    pub headers: HeaderMap,
    /// The client's address.
    pub client: IpAddr,
    /// The address that the client connects to; chosen from the host if not said.
    pub local: Option<IpAddr>,
}

impl Question {
    /// From a method, an absolute URL, and fields as `Name: value`. The error is a
    /// sentence.
    pub fn new(method: &str, url: &str, fields: &[String]) -> Result<Question, String> {
        let bad = |what: &str| format!("{what} in {url}");
        let (secure, rest) = match url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(format!("{url} is no URL of the form http://host/path")),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, target) = rest.split_at(end);
        let target = target.split('#').next().unwrap_or_default();
        let target = if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        };
        let named_port = match host.rsplit_once(':') {
            Some((name, port)) if !name.is_empty() && !port.contains(']') => {
                Some(port.parse().map_err(|_| bad("there is no port number"))?)
            }
            _ => None,
        };
        let mut headers = HeaderMap::new();
        let host_value = HeaderValue::from_str(host).map_err(|_| bad("no host"))?;
        headers.insert(http::header::HOST, host_value);
        for field in fields {
            let (name, value) = field
                .split_once(':')
                .ok_or(format!("{field} is no field `Name: value`"))?;
            let name = HeaderName::from_bytes(name.trim().as_bytes());
            let name = name.map_err(|_| format!("{field} has no field's name"))?;
            let value = HeaderValue::from_bytes(value.trim().as_bytes());
            let value = value.map_err(|_| format!("{field} has no field's value"))?;
            if name == http::header::HOST {
                headers.insert(name, value);
            } else {
                headers.append(name, value);
            }
        }
        Ok(Question {
            method: method.parse().map_err(|_| format!("{method} is no method"))?,
            target: target.into(),
            host: host.to_owned(),
            secure,
            port: named_port.unwrap_or(if secure { 443 } else { 80 }),
            headers,
            client: IpAddr::from([127, 0, 0, 1]),
            local: None,
        })
    }

    /// `GET http://host/path`.
    pub fn shown(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let target = String::from_utf8_lossy(&self.target);
        format!("{} {scheme}://{}{target}", self.method, self.host)
    }

    /// An address that a virtual host names, if the client's host leads there.
    fn local(&self, snapshot: &Snapshot, files: &dyn Files) -> IpAddr {
        let named: Vec<IpAddr> =
            snapshot.by_address.iter().filter_map(|(ip, ..)| *ip).collect();
        let name = self.host.rsplit_once(':').map_or(&self.host[..], |(name, _)| name);
        let literal = name.trim_matches(['[', ']']).parse().ok();
        let mut found =
            literal.into_iter().chain(if named.is_empty() || literal.is_some() {
                Vec::new()
            } else {
                files.resolve(name)
            });
        found.find(|ip| named.contains(ip)).unwrap_or(IpAddr::from([127, 0, 0, 1]))
    }

    pub(super) fn request(
        &self,
        snapshot: &Arc<Snapshot>,
        files: &Arc<dyn Files>,
        time: i64,
    ) -> Box<Request> {
        let local = self.local.unwrap_or_else(|| self.local(snapshot, &**files));
        let head = Head {
            method: self.method.clone(),
            target: self.target.clone(),
            version: 11,
            headers: self.headers.clone(),
        };
        let connection = Connection {
            client: SocketAddr::from((self.client, 40_000)),
            local: SocketAddr::from((local, self.port)),
            reported: None,
            secure: self.secure,
            security: Security::Plain,
            keepalives: 0,
            id: 1,
        };
        let connection = Arc::new(connection);
        let mut r = Request::new(snapshot.clone(), files.clone(), connection, head, time);
        r.explained = true;
        r
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let of = |url| Question::new("GET", url, &[]).map(|q| (q.host, q.port, q.target));
        let port = |url| of(url).expect("a URL").1;
        assert_eq!(
            of("http://a.example:8080/x?y#z"),
            Ok(("a.example:8080".into(), 8080, "/x?y".into()))
        );
        assert_eq!(of("https://a"), Ok(("a".into(), 443, "/".into())));
        assert_eq!(of("http://a?q=/"), Ok(("a".into(), 80, "/?q=/".into())));
        assert_eq!((port("http://[::1]/"), port("http://[::1]:81/")), (80, 81));
        assert!(of("/x").is_err() && of("http://a:b/").is_err());
        assert!(Question::new("GET", "http://a/", &["no field".into()]).is_err());
    }
}
