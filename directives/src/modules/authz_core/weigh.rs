//! Conditions and how they add up: `apply_authz_sections`.

use std::sync::Arc;

use http::Method;

use super::provider::Provider;
use crate::expr::Want;
use crate::modules::authnz_fcgi;
use crate::modules::core::Limited;
use crate::request::Request;

/// A condition, or a container of some.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What holds or does not.
    pub what: What,
    /// `not`, and `<RequireNone>`.
    pub negated: bool,
    /// For which methods. Of a container nothing but its parts' is asked.
    pub limited: Limited,
}

/// What a rule is about.
#[derive(Clone, Debug)]
pub enum What {
    /// One condition.
    One(Arc<Provider>),
    /// Several.
    Many(Logic, Vec<Rule>),
}

/// How the parts of a container add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logic {
    /// `<RequireAll>`.
    All,
    /// `<RequireAny>` and `<RequireNone>`, and conditions without a container.
    Any,
}

/// What conditions come to: httpd's `authz_status`, and what has to be known first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Granted,
    /// It does not.
    Denied,
    /// It says nothing.
    Neutral,
    /// Cannot be said without a user.
    NoUser,
    /// Cannot be said without the client's host name.
    NoName,
    /// Cannot be said before something else is known.
    Wants(Want),
    /// Cannot be said before an application is asked.
    Asks(Arc<authnz_fcgi::Provider>),
    /// Cannot be said at all; the log has the reason.
    Error,
}

impl Rule {
    /// A container around rules.
    pub fn many(logic: Logic, rules: Vec<Rule>) -> Rule {
        let what = What::Many(logic, rules);
        Rule { what, negated: false, limited: Limited::default() }
    }

    /// Is it about requests of this method?
    fn covers(&self, method: &Method) -> bool {
        match &self.what {
            What::One(_) => self.limited.covers(method),
            What::Many(_, rules) => {
                rules.is_empty() || rules.iter().any(|rule| rule.covers(method))
            }
        }
    }

    /// What it comes to for a request, within a container of the given logic.
    pub fn weigh(&self, r: &mut Request, around: Logic) -> Outcome {
        if !self.covers(&r.method) {
            return match around {
                Logic::All => Outcome::Granted,
                Logic::Any => Outcome::Denied,
            };
        }
        let outcome = match &self.what {
            What::One(provider) => provider.ask(r),
            What::Many(logic, rules) => combine(r, *logic, rules),
        };
        if !self.negated {
            return outcome;
        }
        match outcome {
            Outcome::Granted => Outcome::Denied,
            // A condition that does not hold is, negated, no reason to let anybody in.
            Outcome::Denied | Outcome::NoUser => Outcome::Neutral,
            other => other,
        }
    }
}

fn combine(r: &mut Request, logic: Logic, rules: &[Rule]) -> Outcome {
    let (final_word, other) = match logic {
        Logic::All => (Outcome::Denied, Outcome::Granted),
        Logic::Any => (Outcome::Granted, Outcome::Denied),
    };
    let mut result = Outcome::Neutral;
    for rule in rules {
        let outcome = rule.weigh(r, logic);
        match outcome {
            Outcome::NoName | Outcome::Wants(_) | Outcome::Asks(_) | Outcome::Error => {
                return outcome;
            }
            Outcome::Neutral => {}
            outcome if outcome == final_word => return outcome,
            // A user may turn it.
            Outcome::NoUser if result == Outcome::Neutral || result == other => {
                result = outcome;
            }
            outcome if result == Outcome::Neutral => result = outcome,
            _ => {}
        }
    }
    result
}
