//! `RewriteMap prg:`: programs that answer keys with values, line by line.

use std::sync::Arc;

use bytes::Bytes;

use super::map::Map;
use super::text::Need;
use crate::bundle::Who;
use crate::compile::Scope;
use crate::effect::{Answer, Effect};
use crate::phase::{Hook, Verdict};
use crate::request::Request;
use crate::schema::{Problem, Result, Word};
use crate::snapshot::Snapshot;
use crate::syntax::lexer;

/// A program, which runs as long as its configuration is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its file, absolute, and its arguments.
    pub argv: Vec<Bytes>,
    /// Under whose name it runs if the server was started by root; otherwise as whoever
    /// started the server.
    pub account: Option<Account>,
}

/// A user and a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub user: String,
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// Reads the command line behind `prg:`, and `user:group`.
pub(super) fn parse(
    at: &Scope,
    name: &Word,
    word: &Word,
    line: &[u8],
    account: Option<&Word>,
) -> Result<Program> {
    let words = lexer::words(line);
    let mut argv: Vec<Bytes> = words.into_iter().map(|word| word.bytes.into()).collect();
    let named = argv.first().cloned().unwrap_or_default();
    let path =
        at.server_relative(&named).filter(|_| !named.is_empty()).ok_or_else(|| {
            let shown = String::from_utf8_lossy(&named);
            Problem::from(format!("RewriteMap: bad path to prg map: {shown}"))
                .at(word.span)
        })?;
    if at.files().stat(&path).is_err() {
        return Err(super::map::missing(name, word, &path));
    }
    argv[0] = path.into();
    Ok(Program {
        argv,
        account: account.map(|word| named_account(at, word)).transpose()?,
    })
}

/// `user:group`; without a group it is the user's.
fn named_account(at: &Scope, word: &Word) -> Result<Account> {
    let text = word.lossy();
    let mut names = text.split(':').filter(|name| !name.is_empty());
    let bad = |kind: &str, name: &str| {
        Problem::from(format!("RewriteMap: bad {kind} name {name}")).at(word.span)
    };
    let user = names.next().unwrap_or_default();
    let found = at.files().user(Who::Name(user)).ok_or_else(|| bad("user", user))?;
    let gid = match names.next() {
        None => found.gid,
        Some(group) => {
            let found = at.files().group(Who::Name(group));
            found.ok_or_else(|| bad("group", group))?.gid
        }
    };
    Ok(Account { user: found.name, uid: found.uid, gid })
}

/// The programs of a configuration, each once, in an order that depends on nothing but the
/// configuration. Those of servers whose engine is off are not started, as with httpd.
pub fn programs(snapshot: &Snapshot) -> Vec<Arc<Program>> {
    let mut programs: Vec<Arc<Program>> = Vec::new();
    for server in &snapshot.servers {
        let config = &server.config.rewrite;
        if !config.is_on() {
            continue;
        }
        let mut maps: Vec<_> = config.maps.iter().collect();
        maps.sort_by_key(|(name, _)| *name);
        for (_, map) in maps {
            if let Map::Program(program) = &**map
                && !programs.iter().any(|known| Arc::ptr_eq(known, program))
            {
                programs.push(program.clone());
            }
        }
    }
    programs
}

/// A key that a program is asked for.
#[derive(Clone, Debug)]
pub struct Question {
    program: Arc<Program>,
    key: Bytes,
}

/// What programs have said to the rules that are being run. These begin again behind every
/// answer, and are given the earlier ones in their order: a program may say something else
/// the next time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    said: Vec<(Question, Option<Bytes>)>,
    /// How many of them this run has heard.
    heard: usize,
    asked: Option<Question>,
}

/// Rules begin to run, or begin again.
pub(super) fn rewind(r: &mut Request) {
    if let Some(told) = &mut r.map_answers {
        told.heard = 0;
    }
}

/// The value for a key, or the need to ask: `lookup_map_program`.
pub(super) fn look_up(
    r: &mut Request,
    program: &Arc<Program>,
    key: &[u8],
) -> std::result::Result<Option<Vec<u8>>, Need> {
    // A key with a line end would be two, and every answer behind it another key's.
    if key.contains(&b'\n') || !r.server.config.rewrite.is_on() {
        return Ok(None);
    }
    let told = r.map_answers.get_or_insert_default();
    if let Some((question, value)) = told.said.get(told.heard)
        && Arc::ptr_eq(&question.program, program)
        && question.key == key
    {
        told.heard += 1;
        return Ok(value.as_deref().map(<[u8]>::to_vec));
    }
    told.said.truncate(told.heard);
    let key = Bytes::copy_from_slice(key);
    Err(Need::Program(Question { program: program.clone(), key }))
}

/// Asks a program; then `hook` begins again.
pub(super) fn ask(r: &mut Request, question: Question, hook: Hook) -> Verdict {
    r.resume = Some(hook);
    let effect = Effect::Map {
        program: question.program.clone(),
        key: question.key.clone(),
        time: r.server.config.core.timeout(),
    };
    r.map_answers.get_or_insert_default().asked = Some(question);
    Verdict::Ask(effect, answered)
}

fn answered(r: &mut Request, answer: Answer) -> Verdict {
    let told = r.map_answers.get_or_insert_default();
    if let (Some(question), Answer::Mapped(value)) = (told.asked.take(), answer) {
        // What httpd's programs say for a key that they do not know.
        let value = value.filter(|value| !value.eq_ignore_ascii_case(b"NULL"));
        told.said.push((question, value));
    }
    match r.resume.take() {
        Some(hook) => hook(r),
        None => Verdict::Status(500),
    }
}
