//! May the path open? The rules in their own words, without a look at the phases' code:
//! whom no clear consent lets in stays outside, unless the configuration leaves the
//! decision to others.

use crate::case::{Case, Credentials, Outcome, Phase, Require, Setting};

/// What one application contributes.
#[derive(PartialEq, Eq)]
enum Voice {
    Consents,
    Refuses,
    /// It is not there, or leaves the decision to others.
    Silent,
}

/// Does a request get to the handler, if the applications say this?
pub fn opens(case: &Case, outcomes: [Outcome; 3]) -> bool {
    let voice = |phase: Phase| {
        let consents = match outcomes[phase as usize] {
            Outcome::Consent | Outcome::WithoutStatus => true,
            // Where the client is passed what applications say, it is a redirect.
            Outcome::LocationOnly => !case.pass_response,
            _ => false,
        };
        match case.settings[phase as usize] {
            Setting::Absent => Voice::Silent,
            _ if consents => Voice::Consents,
            Setting::Authoritative => Voice::Refuses,
            Setting::NotAuthoritative => Voice::Silent,
        }
    };
    // Nobody else decides about access, so silence lets in.
    let access = voice(Phase::AccessChecker) != Voice::Refuses;
    // An authenticator checks passwords, which Digest does not send.
    let authenticator =
        if case.digest { Voice::Silent } else { voice(Phase::Authenticator) };
    let user = user_may(case, &authenticator, &voice(Phase::Authorizer));
    if case.satisfy_any { access || user } else { access && user }
}

fn user_may(case: &Case, authenticator: &Voice, authorizer: &Voice) -> bool {
    let has = |phase: Phase| case.settings[phase as usize] != Setting::Absent;
    match case.require {
        // These say it without knowing the user, and before anybody asks for one.
        Require::AllGranted => return true,
        Require::AllDenied => return false,
        // Nothing is protected: neither by a condition nor by an application for users.
        Require::Nothing if !has(Phase::Authenticator) && !has(Phase::Authorizer) => {
            // A kind of authentication without anything to authenticate for is a mistake.
            return !case.typed;
        }
        _ => {}
    }
    // An authorizer alone, where no kind of authentication is set, finds out by itself.
    let needs_no_user = case.require == Require::Nothing
        && !case.typed
        && !has(Phase::Authenticator)
        && has(Phase::Authorizer);
    let is_known = case.typed
        && case.credentials != Credentials::Nothing
        && match authenticator {
            Voice::Consents => true,
            Voice::Refuses => false,
            // mod_auth_basic's turn, or mod_auth_digest's.
            Voice::Silent => case.credentials == Credentials::RightPassword,
        };
    if !is_known && !needs_no_user {
        return false;
    }
    match authorizer {
        Voice::Consents => true,
        Voice::Refuses => false,
        Voice::Silent => match case.require {
            Require::ValidUser => true,
            // Whom the authenticator or mod_auth_basic knows; an authorizer that is there
            // has to say yes.
            Require::Nothing => !has(Phase::Authorizer),
            _ => false,
        },
    }
}
