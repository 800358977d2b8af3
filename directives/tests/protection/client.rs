//! Whatever header fields a client sends: what only the server or a phase may say is
//! said by them, and every variable's name comes once.

use std::collections::BTreeSet;

use bytes::Bytes;
use directives::Answer;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::case::Phase;
use crate::exchange::{Asked, Exchange, Server, Variables, password, variables};

/// The responder behind, in turn, an authorizer alone, the same with `-compat`, and all
/// three phases.
const CONFIGURATIONS: [&str; 3] = [
    "FastCgiExternalServer /srv/htdocs/app -host 127.0.0.1:9000 -pass-header X-User
FastCgiExternalServer /virtual/Authorizer -host 127.0.0.1:9001
<Location />
FastCgiAuthorizer /virtual/Authorizer
</Location>
",
    "FastCgiExternalServer /srv/htdocs/app -host 127.0.0.1:9000
FastCgiExternalServer /virtual/Authorizer -host 127.0.0.1:9001
<Location />
FastCgiAuthorizer /virtual/Authorizer -compat
</Location>
",
    "FastCgiExternalServer /srv/htdocs/app -host 127.0.0.1:9000
FastCgiExternalServer /virtual/AccessChecker -host 127.0.0.1:9001
FastCgiExternalServer /virtual/Authenticator -host 127.0.0.1:9002
FastCgiExternalServer /virtual/Authorizer -host 127.0.0.1:9003
<Location />
AuthType Basic
AuthName realm
FastCgiAccessChecker /virtual/AccessChecker
FastCgiAuthenticator /virtual/Authenticator
FastCgiAuthorizer /virtual/Authorizer
Require valid-user
</Location>
",
];

/// Requests to each of them.
const REQUESTS: usize = 3000;

/// What every phase says to consent: names in several spellings, two that become one.
const CONSENT: &[u8] = b"Status: 200
Variable-Shib-Session-ID: phase 1
Variable-HTTP_X_USER: phase 2
Variable-REMOTE_USER: phase 3
variable-http-x-mail: phase 4
Variable-X.Group: phase 5
Variable-Mail-Address: phase 6
Variable-Mail_Address: phase 7
Variable-REMOTE_PASSWD: phase 8
Variable-FCGI_APACHE_ROLE: phase 9
HTTP_X_ROLE: phase 10

";

/// What clients try. Random names are tried beside these.
const NAMES: [&str; 54] = [
    "REMOTE_USER",
    "Remote-User",
    "Remote.User",
    "HTTP_REMOTE_USER",
    "Variable-REMOTE_USER",
    "Variable-Remote-User",
    "HTTP_X_USER",
    "HTTP-X-User",
    "X-User",
    "X_User",
    "X.User",
    "Variable-HTTP_X_USER",
    "X-Mail",
    "X_Mail",
    "HTTP-X-Mail",
    "X-Group",
    "X.Group",
    "X-Role",
    "X_Role",
    "HTTP_X_ROLE",
    "Shib-Session-ID",
    "Shib_Session_ID",
    "Shib.Session.ID",
    "HTTP_Shib_Session_ID",
    "HTTP-Shib-Session-ID",
    "Variable-Shib-Session-ID",
    "Mail-Address",
    "Mail_Address",
    "FCGI_APACHE_ROLE",
    "FCGI-Apache-Role",
    "REMOTE_PASSWD",
    "Remote-Passwd",
    "AUTH_TYPE",
    "Auth-Type",
    "SCRIPT_FILENAME",
    "DOCUMENT_ROOT",
    "PATH_INFO",
    "REDIRECT_STATUS",
    "Proxy",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Content-Type",
    "Content_Type",
    "Content-Length",
    "Content_Length",
    "Content-Encoding",
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Upgrade",
    "Transfer-Encoding",
    "Cookie",
    "X-Forwarded-For",
];

/// Variables that no client's field may become: they would pass for what a phase says,
/// or libraries take them for their own settings.
const NEVER: [&str; 8] = [
    "HTTP_X_MAIL",
    "HTTP_SHIB_SESSION_ID",
    "HTTP_REMOTE_USER",
    "HTTP_X_GROUP",
    "HTTP_MAIL_ADDRESS",
    "HTTP_PROXY",
    "HTTP_AUTHORIZATION",
    "HTTP_PROXY_AUTHORIZATION",
];

#[test]
fn no_field_says_what_a_phase_says() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    for configuration in CONFIGURATIONS {
        let server = Server::new(configuration);
        let (usual, usual_calls) = ask(&server, &Vec::new());
        let usual = usual.handler.expect("an open path");
        for name in ["HTTP_X_USER", "HTTP_x_mail", "REMOTE_USER", "Shib_Session_ID"] {
            let is_set = usual
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
            assert!(is_set, "{name} is not set: {usual:?}");
        }
        for _ in 0..REQUESTS {
            let fields = fields(&mut random);
            let (exchange, calls) = ask(&server, &fields);
            let got = exchange.handler.expect("an open path");
            check(&fields, &usual, &got);
            for name in NEVER {
                assert_eq!(value(&got, name.as_bytes()), None, "{name}: {fields:?}");
            }
            assert_eq!(calls.len(), usual_calls.len());
            for (usual, got) in usual_calls.iter().zip(&calls) {
                check(&fields, usual, got);
            }
        }
    }
}

/// Names and values as they are sent.
type Fields = Vec<(String, String)>;

/// The exchange, and what the phases' applications got.
fn ask(server: &Server, fields: &Fields) -> (Exchange, Vec<Variables>) {
    let mut headers = HeaderMap::new();
    let credentials = HeaderValue::from_static("Basic dXNlcjpwYXNzd29yZA==");
    headers.insert("authorization", credentials);
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a field's name");
        headers.append(name, HeaderValue::from_str(value).expect("a field's value"));
    }
    let mut calls = Vec::new();
    let exchange = server.get(&headers, |question| match question {
        Asked::Phase(phase, call, r) => {
            let sent = variables(call, r);
            let role = match phase {
                Phase::AccessChecker => "ACCESS_CHECKER",
                Phase::Authenticator => "AUTHENTICATOR",
                Phase::Authorizer => "AUTHORIZER",
            };
            let said = value(&sent, b"FCGI_APACHE_ROLE");
            assert_eq!(said, Some(role.as_bytes()), "the role of {phase:?}");
            calls.push(sent);
            Answer::Head(Bytes::from_static(CONSENT))
        }
        Asked::Rest(_) => Answer::Finished(Ok(())),
        Asked::Password => password(false),
        Asked::Response | Asked::Nonce => unreachable!("Digest is not configured"),
    });
    (exchange, calls)
}

/// Compares variables with those of a request without the client's fields.
fn check(fields: &Fields, usual: &Variables, got: &Variables) {
    let mut seen = BTreeSet::new();
    for (name, value) in got {
        let shown = name.escape_ascii();
        assert!(seen.insert(name), "{shown} comes twice: {fields:?}");
        let good = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        assert!(name.iter().all(good), "{shown} is no name: {fields:?}");
        if self::value(usual, name).is_none() {
            let expected = expected(fields, name);
            assert_eq!(
                expected.as_deref().map(str::as_bytes),
                Some(&value[..]),
                "{shown}"
            );
        }
    }
    for (name, value) in usual {
        let got = self::value(got, name);
        assert_eq!(got, Some(&value[..]), "{}: {fields:?}", name.escape_ascii());
    }
}

fn value<'a>(variables: &'a Variables, name: &[u8]) -> Option<&'a [u8]> {
    let found = variables.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| &value[..])
}

/// The only value that a variable of the client's fields may have: what CGI says of its
/// name, and of fields of one name.
fn expected(fields: &Fields, variable: &[u8]) -> Option<String> {
    let variable = std::str::from_utf8(variable).expect("a name");
    let name = match variable {
        "CONTENT_TYPE" | "CONTENT_LENGTH" => variable,
        _ => variable.strip_prefix("HTTP_")?,
    };
    let name = name.replace('_', "-");
    let same: Vec<&str> = fields
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(&name))
        .map(|(_, value)| &value[..])
        .collect();
    (!same.is_empty()).then(|| same.join(", "))
}

/// Some fields, each with a value of its own.
fn fields(random: &mut Random) -> Fields {
    let mut fields: Fields = Vec::new();
    for n in 0..random.below(12) {
        let mut name = match random.below(8) {
            0 => random.name(),
            1 if !fields.is_empty() => fields[random.below(fields.len())].0.clone(),
            _ => NAMES[random.below(NAMES.len())].to_owned(),
        };
        match random.below(4) {
            0 => name.make_ascii_uppercase(),
            1 => name.make_ascii_lowercase(),
            _ => {}
        }
        fields.push((name, format!("client {n}")));
    }
    fields
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    /// A token of HTTP's, often near to a name that matters.
    fn name(&mut self) -> String {
        const CHARACTERS: &[u8] = b"abXZ059-_.!#$%&'*+^`|~";
        let start = ["", "HTTP_", "Variable-", "Shib-", "X-User"][self.below(5)];
        let mut name = start.to_owned();
        for _ in 0..=self.below(5) {
            name.push(char::from(CHARACTERS[self.below(CHARACTERS.len())]));
        }
        name
    }
}
