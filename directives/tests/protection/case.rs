//! A combination: what is configured, what the client sends, what the applications say.

use bytes::Bytes;
use directives::Answer;
use directives::bundle::OsError;
use directives::effect::Failure;

/// The three phases, in the order in which they come.
pub const PHASES: [Phase; 3] =
    [Phase::AccessChecker, Phase::Authenticator, Phase::Authorizer];

/// A phase that an application decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    AccessChecker,
    Authenticator,
    Authorizer,
}

/// What becomes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `Status: 200`.
    Consent,
    /// No status at all, which is as much.
    WithoutStatus,
    /// `Location`, no status: consent, or with `-pass-response` a redirect.
    LocationOnly,
    /// `Status: 401`.
    Unauthorized,
    /// `Status: 403`.
    Forbidden,
    /// `Status: 302` and where to.
    Redirect,
    /// A line that is no field, behind a status of 200.
    Malformed,
    /// Nobody listens.
    NoConnection,
    /// Nothing comes.
    IdleTimeout,
    /// The end comes before the end of the head.
    EndInHead,
    /// A head that consents, and then no end of the response.
    FailsBehindConsent,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 11] = [
        Outcome::Consent,
        Outcome::WithoutStatus,
        Outcome::LocationOnly,
        Outcome::Unauthorized,
        Outcome::Forbidden,
        Outcome::Redirect,
        Outcome::Malformed,
        Outcome::NoConnection,
        Outcome::IdleTimeout,
        Outcome::EndInHead,
        Outcome::FailsBehindConsent,
    ];

    /// What the application answers.
    pub fn answer(self) -> Answer {
        let failed = |failure| Answer::Failed { failure, received: 0 };
        Answer::Head(Bytes::from_static(match self {
            Outcome::Consent | Outcome::FailsBehindConsent => {
                b"Status: 200 OK\nVariable-LEVEL: 1\n\n"
            }
            Outcome::WithoutStatus => b"Variable-LEVEL: 2\n\n",
            Outcome::LocationOnly => b"Location: http://login.example.org/\n\n",
            Outcome::Unauthorized => b"Status: 401 No\nX-Denied: yes\n\n",
            Outcome::Forbidden => b"Status: 403 No\nX-Denied: yes\n\n",
            Outcome::Redirect => {
                b"Status: 302 Found\nLocation: http://login.example.org/\nX-Denied: yes\n\n"
            }
            Outcome::Malformed => b"Status: 200 OK\nthis is no field\n\n",
            Outcome::NoConnection => {
                let text = "Connection refused".to_owned();
                return failed(Failure::Connect(OsError { code: 111, text: text.into() }));
            }
            Outcome::IdleTimeout => return failed(Failure::Idle(30)),
            Outcome::EndInHead => return failed(Failure::Incomplete),
        }))
    }

    /// Is it no consent, whatever the configuration?
    pub fn refuses(self) -> bool {
        use Outcome::{Consent, LocationOnly, WithoutStatus};
        !matches!(self, Consent | WithoutStatus | LocationOnly)
    }

    /// What comes of reading the rest of the response.
    pub fn rest(self) -> Answer {
        Answer::Finished(match self {
            Outcome::FailsBehindConsent => Err(Failure::Idle(30)),
            _ => Ok(()),
        })
    }
}

/// What stands beside the applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Require {
    Nothing,
    AllGranted,
    AllDenied,
    ValidUser,
    /// Another user than the client's.
    OtherUser,
}

/// What the client sends of `user`, whose password mod_auth_basic and mod_auth_digest know
/// as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    Nothing,
    RightPassword,
    WrongPassword,
}

/// Whether an application is configured for a phase, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    Absent,
    Authoritative,
    NotAuthoritative,
}

/// All but the answers.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// By phase.
    pub settings: [Setting; 3],
    /// `-pass-response` at every application.
    pub pass_response: bool,
    /// `Satisfy Any` rather than `All`.
    pub satisfy_any: bool,
    /// `AuthType`, rather than none.
    pub typed: bool,
    /// That is `Digest` rather than `Basic`.
    pub digest: bool,
    pub require: Require,
    pub credentials: Credentials,
}

impl Case {
    /// The configuration. It is the same whatever the client sends.
    pub fn configuration(&self) -> String {
        let mut servers = String::from(
            "LogLevel notice\n\
             FastCgiExternalServer /srv/htdocs/app -host 127.0.0.1:9000\n",
        );
        let mut section = String::new();
        for (phase, setting) in PHASES.iter().zip(self.settings) {
            let (option, switch) = match (self.pass_response, setting) {
                (_, Setting::Absent) => continue,
                (true, Setting::Authoritative) => (" -pass-response", "On"),
                (true, Setting::NotAuthoritative) => (" -pass-response", "Off"),
                (false, Setting::Authoritative) => ("", "On"),
                (false, Setting::NotAuthoritative) => ("", "Off"),
            };
            let port = 9001 + *phase as u16;
            servers += &format!(
                "FastCgiExternalServer /virtual/{phase:?} -host 127.0.0.1:{port}\n"
            );
            section += &format!("FastCgi{phase:?} /virtual/{phase:?}{option}\n");
            section += &format!("FastCgi{phase:?}Authoritative {switch}\n");
        }
        if self.typed {
            let kind = if self.digest { "Digest" } else { "Basic" };
            section +=
                &format!("AuthType {kind}\nAuthName realm\nAuthUserFile conf/users\n");
        }
        section += match self.require {
            Require::Nothing => "",
            Require::AllGranted => "Require all granted\n",
            Require::AllDenied => "Require all denied\n",
            Require::ValidUser => "Require valid-user\n",
            Require::OtherUser => "Require user other\n",
        };
        section += if self.satisfy_any { "Satisfy Any\n" } else { "Satisfy All\n" };
        format!("{servers}<Location />\n{section}</Location>\n")
    }
}
