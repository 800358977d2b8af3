//! `<If>`, `<ElseIf>`, `<Else>`: sections that apply if an expression holds.

use std::sync::Arc;

use bytes::Bytes;

use crate::compile::Scope;
use crate::effect::{Answer, Effect};
use crate::expr::{self, Condition, Want};
use crate::log::Level;
use crate::merge::Merged;
use crate::modules::DirPart;
use crate::phase::{DECLINED, Lookup, Verdict};
use crate::request::Request;
use crate::schema::{Context, Directive, Override, Problem, Result, Set};
use crate::section::{Kind, Matcher, Section};
use crate::syntax::Text;

/// A section and when it applies.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Only if no branch before it applied.
    is_else: bool,
    /// `None` for `<Else>`.
    condition: Option<Arc<Condition>>,
    section: Arc<Section>,
}

fn branch(at: &mut Scope, args: &Text, is_else: bool, conditional: bool) -> Result {
    super::sections::not_within(at, &[])?;
    let condition = if conditional {
        let words = at.section_words(args)?;
        if let Some(extra) = words.get(1) {
            let message = format!("Multiple {}> arguments not supported.", at.cmd.name);
            let help = "an expression with blanks needs quotes around it";
            return Err(Problem::from(message).at(extra.span).help(help));
        }
        let parsed =
            Condition::parse(&words[0].bytes, at.condition_rules()).map_err(|why| {
                Problem::from(format!("Cannot parse condition clause: {why}"))
                    .at(words[0].span)
            })?;
        Some(Arc::new(parsed))
    } else {
        None
    };
    if !conditional && !at.no_words(args)? {
        return Err("<Else> does not take an argument".into());
    }
    if is_else
        && at.dir.core().branches.last().is_none_or(|last| last.condition.is_none())
    {
        return Err(
            "<Else> or <ElseIf> section without previous <If> or <ElseIf> section in \
                    same scope"
                .into(),
        );
    }
    let mut part = DirPart::default();
    at.body(Some(&Bytes::from_static(b"*If")), &mut part);
    let matcher = Matcher::Literal(Bytes::new());
    let section = at.section(Kind::If, matcher, part);
    at.dir.core().branches.push(Branch { is_else, condition, section });
    Ok(())
}

macro_rules! sections {
    ($($id:ident: $name:literal, $syntax:literal, $is_else:literal, $conditional:literal, $summary:literal, $docs:literal;)*) => {
        $(pub static $id: Directive = Directive {
            name: $name,
            syntax: $syntax,
            context: Context::ANYWHERE,
            overrides: Override::ALL,
            summary: $summary,
            docs: $docs,
            set: Set::Section(|at, args| branch(at, args, $is_else, $conditional)),
            ..Directive::EXACT
        };)*
    };
}

sections! {
    IF: "<If", "expression", false, true,
        "Container for directives to be conditionally applied", r#"
Directives for requests that an expression holds for; they are merged after all others.
It is looked at before the URL becomes a file name and again behind that, always before
authentication: `REMOTE_USER` and the like are not known in it.

## Example
    <If "%{HTTP_HOST} == 'example.org' && %{REQUEST_METHOD} in { 'GET', 'HEAD' }">
        SetEnv OLD_NAME 1
    </If>
"#;
    ELSE_IF: "<ElseIf", "expression", true, true,
        "Container for directives to be conditionally applied", r#"
As `<If>`, unless a section before it, up to the nearest `<If>`, applied.

## Example
    <If "-R '10.0.0.0/8'">
        SetEnv PLACE inside
    </If>
    <ElseIf "-R '192.0.2.0/24'">
        SetEnv PLACE office
    </ElseIf>
"#;
    ELSE: "<Else", "", true, false,
        "Container for directives to be conditionally applied", r#"
Applies if no section before it, up to the nearest `<If>`, did.

## Example
    <If "-R '10.0.0.0/8'">
        SetEnv PLACE inside
    </If>
    <Else>
        SetEnv PLACE outside
    </Else>
"#;
}

/// Lays the sections whose condition holds over the request's configuration:
/// `ap_if_walk`.
pub fn walk(r: &mut Request) -> Verdict {
    if r.dir.core.branches.is_empty() {
        return DECLINED;
    }
    let before = r.dir.clone();
    match apply(r, &before.core.branches) {
        Ok(()) => DECLINED,
        Err(want) => {
            r.dir = before;
            expr_wants(r, want, walk)
        }
    }
}

/// Asks for what an expression wants, and runs the hook again.
pub fn expr_wants(
    r: &mut Request,
    want: Want,
    hook: fn(&mut Request) -> Verdict,
) -> Verdict {
    r.resume = Some(hook);
    match want {
        Want::Lookup(lookup) => Verdict::Look(lookup, looked_up),
        Want::Name => {
            let ask = Effect::Resolve { ip: r.useragent_ip, confirm: false };
            Verdict::Ask(ask, named)
        }
        Want::Addresses(name) => {
            r.asked_host.clone_from(&name);
            Verdict::Ask(Effect::Addresses { name }, found)
        }
    }
}

fn resume(r: &mut Request) -> Verdict {
    match r.resume.take() {
        Some(hook) => hook(r),
        None => Verdict::Status(500),
    }
}

fn looked_up(r: &mut Request, lookup: &Lookup, found: Box<Request>) -> Verdict {
    expr::looked_up(r, lookup, &found);
    resume(r)
}

fn named(r: &mut Request, answer: Answer) -> Verdict {
    r.remember_name(answer);
    resume(r)
}

fn found(r: &mut Request, answer: Answer) -> Verdict {
    let addresses = match answer {
        Answer::Addresses(addresses) => addresses,
        _ => Vec::new(),
    };
    let name = std::mem::take(&mut r.asked_host);
    r.addresses.insert(name, addresses);
    resume(r)
}

fn apply(r: &mut Request, branches: &[Branch]) -> std::result::Result<(), Want> {
    let mut applied = false;
    for branch in branches {
        if branch.is_else && applied {
            continue;
        }
        applied = match &branch.condition {
            None => true,
            Some(condition) => match condition.holds(r)? {
                Ok(holds) => holds,
                Err(why) => {
                    let text = format!("Failed to evaluate <If > condition: {why}");
                    r.log(Level::Error, "core", 39, text);
                    false
                }
            },
        };
        if applied {
            let merged: Arc<Merged> = r.dir.then(&branch.section);
            r.dir = merged;
            if let Some(core) = &branch.section.part.core {
                apply(r, &core.branches)?;
            }
        }
    }
    Ok(())
}
