//! mod_expires: how long a response may be kept.

use std::collections::HashMap;

use bytes::Bytes;

use crate::compile::Scope;
use crate::content::conditions::http_date;
use crate::merge::Merge;
use crate::phase::{DECLINED, Phase, Verdict, on};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Problem, Result, Set, Word};

/// How long, from when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lifetime {
    /// From the file's change rather than from the request.
    since_change: bool,
    seconds: i64,
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    active: Option<bool>,
    default: Option<Lifetime>,
    by_type: HashMap<Bytes, Lifetime>,
}

impl Merge for Dir {
    // See merge_expires_dir_configs.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let mut by_type = outer.by_type.clone();
        by_type.extend(inner.by_type.iter().map(|(kind, time)| (kind.clone(), *time)));
        Dir {
            active: inner.active.or(outer.active),
            default: inner.default.or(outer.default),
            by_type,
        }
    }
}

/// Settings of a server: none of its own.
pub type Server = ();

/// Reads a time: `A600`, `M600`, or `access plus 1 month 2 days`. See `check_code`.
fn lifetime(at: &Scope, before: &str, word: &Word) -> Result<Lifetime> {
    let text = word.lossy();
    let line = format!("{} {before}{text}", at.cmd.name);
    let fail = |why: String| {
        Err(Problem::from(format!("'{line}': bad expires code, {why}")).at(word.span))
    };
    if let Some(digits) = text.strip_prefix(['A', 'M']) {
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let seconds = digits[..end].parse().unwrap_or(0);
        return Ok(Lifetime { since_change: text.starts_with('M'), seconds });
    }
    let mut words = text.split_ascii_whitespace().peekable();
    let base = words.next().unwrap_or_default().to_ascii_lowercase();
    let since_change = match base.as_str() {
        "now" | "access" => false,
        "modification" => true,
        _ => return fail(format!("unrecognised <base> '{base}'")),
    };
    words.next_if(|word| word.eq_ignore_ascii_case("plus"));
    let mut seconds: i64 = 0;
    while let Some(number) = words.next() {
        let Ok(count) = number.parse::<i64>() else {
            return fail(format!("numeric value expected <num> '{number}'"));
        };
        let Some(unit) = words.next() else {
            return fail("missing <type>".to_owned());
        };
        let unit = unit.to_ascii_lowercase();
        let factor = match unit.trim_end_matches('s') {
            "year" => 365 * 24 * 3600,
            "month" => 30 * 24 * 3600,
            "week" => 7 * 24 * 3600,
            "day" => 24 * 3600,
            "hour" => 3600,
            "minute" => 60,
            "second" => 1,
            _ => return fail(format!("unrecognised <type>'{unit}'")),
        };
        seconds = seconds.saturating_add(count.saturating_mul(factor));
    }
    Ok(Lifetime { since_change, seconds })
}

static EXPIRES_ACTIVE: Directive = Directive {
    name: "ExpiresActive",
    syntax: "On|Off",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    default: "Off",
    summary: "Limited to 'on' or 'off'",
    docs: r"
Do responses say how long they may be kept, in Expires and in Cache-Control's max-age?

## Example
    ExpiresActive On
    ExpiresDefault A600
",
    set: Set::Flag(|at, on| {
        at.dir.expires().active = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

static EXPIRES_BY_TYPE: Directive = Directive {
    name: "ExpiresByType",
    syntax: "MIME-type <code>seconds",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    summary: "a MIME type followed by an expiry date code",
    docs: r#"
How long responses of a type may be kept: `A` (from the request) or `M` (from the file's
change) and seconds, or words: `access plus 1 month 2 days`. `image/*` is every image.

## Example
    ExpiresActive On
    ExpiresByType image/png "access plus 1 month"
    ExpiresByType text/html M604800
"#,
    set: Set::Two(|at, kind, time| {
        let time = lifetime(at, &format!("{} ", kind.lossy()), time)?;
        let kind = kind.bytes.to_ascii_lowercase().into();
        at.dir.expires().by_type.insert(kind, time);
        Ok(())
    }),
    ..Directive::EXACT
};

static EXPIRES_DEFAULT: Directive = Directive {
    name: "ExpiresDefault",
    syntax: "<code>seconds",
    context: Context::ANYWHERE,
    overrides: Override::INDEXES,
    summary: "an expiry date code",
    docs: r#"
How long responses of all other types may be kept; see `ExpiresByType`.

## Example
    ExpiresDefault "access plus 1 day"
"#,
    set: Set::One(|at, time| {
        at.dir.expires().default = Some(lifetime(at, "", time)?);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_expires.c",
    id: "expires_module",
    directives: &[&EXPIRES_ACTIVE, &EXPIRES_BY_TYPE, &EXPIRES_DEFAULT],
    hooks: &[
        on(Phase::Respond, respond).where_set(|at| at.dir.expires.active == Some(true))
    ],
};

/// `expires_filter`.
fn respond(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    let config = &dir.expires;
    let is_error = r.status >= 400;
    if config.active != Some(true) || is_error {
        return DECLINED;
    }
    if r.headers_out.has("Expires") || r.err_headers_out.has("Expires") {
        return DECLINED;
    }
    let Some(time) = config.of(r.content_type.as_deref()) else { return DECLINED };
    let now = r.request_time / 1_000_000;
    let base = match (time.since_change, r.finfo) {
        (false, _) => now,
        (true, Some(meta)) => meta.mtime,
        // What is no file was never changed.
        (true, None) => return DECLINED,
    };
    let left = base.saturating_add(time.seconds).saturating_sub(now).max(0);
    r.headers_out.merge("Cache-Control", format!("max-age={left}").as_bytes());
    r.headers_out.set("Expires", http_date(now.saturating_add(left)));
    DECLINED
}

impl Dir {
    fn of(&self, kind: Option<&[u8]>) -> Option<Lifetime> {
        let by_type = kind.and_then(|kind| {
            let end = kind.iter().position(|&b| b == b';').unwrap_or(kind.len());
            let kind = kind[..end].trim_ascii_end().to_ascii_lowercase();
            let slash = kind.iter().position(|&b| b == b'/')?;
            let whole = self.by_type.get(&kind[..]);
            whole.or_else(|| self.by_type.get(&[&kind[..slash], b"/*"].concat()[..]))
        });
        by_type.copied().or(self.default)
    }
}
