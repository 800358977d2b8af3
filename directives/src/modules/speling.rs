//! mod_speling: names that are almost right.

use std::borrow::Cow;

use bytes::Bytes;
use http::Method;

use crate::log::Level;
use crate::merge::Merge;
use crate::path::{self, escape_html, escape_uri};
use crate::phase::{DECLINED, OK, Phase, Verdict, last};
use crate::request::Request;
use crate::schema::{Context, Directive, Module, Override, Set};

/// Settings of a section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dir {
    enabled: Option<bool>,
    case_only: Option<bool>,
    basename: Option<bool>,
}

impl Merge for Dir {
    // httpd merges nothing here: a section that says something says everything.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        if *inner == Dir::default() { outer.clone() } else { inner.clone() }
    }
}

/// Settings of a server: none.
pub type Server = ();

macro_rules! flags {
    ($($name:ident: $spelling:literal, $field:ident, $default:literal, $summary:literal, $docs:literal;)*) => {
        $(static $name: Directive = Directive {
            name: $spelling,
            syntax: "On|Off",
            context: Context::ANYWHERE,
            overrides: Override::OPTIONS,
            default: $default,
            summary: $summary,
            docs: $docs,
            set: Set::Flag(|at, on| {
                at.dir.speling().$field = Some(on);
                Ok(())
            }),
            ..Directive::EXACT
        };)*
    };
}

flags! {
    CHECK_SPELLING: "CheckSpelling", enabled, "Off",
        "whether or not to fix miscapitalized/misspelled requests", r"
Is a client that asks for what is not there sent to a file whose name is almost the same:
another case, two letters exchanged, one missing, one too many, or a wrong one? If several
files are as near, it gets a list of them (300). Such a list shows names: leave it off
where names are secret.

## Example
    CheckSpelling On
";
    CHECK_CASE_ONLY: "CheckCaseOnly", case_only, "Off",
        "whether or not to fix only miscapitalized requests", r"
Does `CheckSpelling` look for names of another case only?

## Example
    CheckCaseOnly On
";
    CHECK_BASENAME_MATCH: "CheckBasenameMatch", basename, "On",
        "whether or not to fix files with the same base name", r"
Does `CheckSpelling` offer files with the same name and another extension?

## Example
    CheckBasenameMatch Off
";
}

/// The module.
pub static MODULE: Module = Module {
    name: "mod_speling.c",
    id: "speling_module",
    directives: &[&CHECK_SPELLING, &CHECK_CASE_ONLY, &CHECK_BASENAME_MATCH],
    hooks: &[
        last(Phase::Fixups, check).where_set(|at| at.dir.speling.enabled == Some(true))
    ],
};

/// How a name differs from the one that was asked for, from near to far: `sp_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Miscapitalized,
    Transposition,
    MissingChar,
    ExtraChar,
    SimpleTypo,
    VeryDifferent,
}

impl Reason {
    /// For people.
    fn text(self) -> &'static str {
        match self {
            Reason::Miscapitalized => "miscapitalized",
            Reason::Transposition => "transposed characters",
            Reason::MissingChar => "character missing",
            Reason::ExtraChar => "extra character",
            Reason::SimpleTypo => "mistyped character",
            Reason::VeryDifferent => "common basename",
        }
    }
}

/// How far one typing error takes `wanted` from `name`: `spdist`.
fn distance(wanted: &[u8], name: &[u8]) -> Reason {
    let same =
        wanted.iter().zip(name).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    match (&wanted[same..], &name[same..]) {
        ([], []) => Reason::Miscapitalized,
        ([first, second, ours @ ..], [other, next, theirs @ ..])
            if first.eq_ignore_ascii_case(next)
                && second.eq_ignore_ascii_case(other)
                && ours.eq_ignore_ascii_case(theirs) =>
        {
            Reason::Transposition
        }
        ([_, s @ ..], [_, t @ ..]) if s.eq_ignore_ascii_case(t) => Reason::SimpleTypo,
        ([_, s @ ..], t) if s.eq_ignore_ascii_case(t) => Reason::ExtraChar,
        (s, [_, t @ ..]) if s.eq_ignore_ascii_case(t) => Reason::MissingChar,
        _ => Reason::VeryDifferent,
    }
}

/// `check_speling`.
fn check(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    let config = &dir.speling;
    if config.enabled != Some(true)
        || !matches!(r.method, Method::GET | Method::HEAD)
        || r.finfo.is_some()
        || r.main.is_some()
        || r.filename.first() != Some(&b'/')
        || r.uri == b"/"
    {
        return DECLINED;
    }
    let bad = path::base_name(&r.filename).to_vec();
    let directory = path::dir_name(&r.filename).to_vec();
    let rest = [&bad[..], &r.path_info].concat();
    let Some(url) = r.uri.strip_suffix(&rest[..]).map(<[u8]>::to_vec) else {
        return DECLINED;
    };
    let Ok(names) = r.files.list(&directory) else { return DECLINED };
    if names.contains(&bad) {
        // A link that leads nowhere: sending the client there again would not end.
        return OK;
    }
    let base =
        |name: &[u8]| name.split(|&b| b == b'.').next().unwrap_or_default().to_vec();
    let mut found: Vec<(Reason, Vec<u8>)> = Vec::new();
    for name in names {
        let reason = distance(&bad, &name);
        let near = match reason {
            Reason::Miscapitalized => true,
            Reason::VeryDifferent => false,
            _ => config.case_only != Some(true),
        };
        if near {
            found.push((reason, name));
        } else if config.basename.unwrap_or(true)
            && base(&bad).eq_ignore_ascii_case(&base(&name))
        {
            found.push((Reason::VeryDifferent, name));
        }
    }
    found.sort_unstable();
    let Some((nearest, name)) = found.first() else { return OK };
    let is_clear = found.get(1).is_none_or(|(second, _)| second != nearest);
    if *nearest != Reason::VeryDifferent && is_clear {
        let fixed = [&url[..], name, &r.path_info].concat();
        return redirect(r, &fixed);
    }
    offer(r, &url, &found)
}

/// Sends the client to the one that it must mean.
fn redirect(r: &mut Request, path: &[u8]) -> Verdict {
    let mut target = escape_uri(path);
    if let Some(args) = &r.args {
        target.push(b'?');
        target.extend_from_slice(args);
    }
    let location = r.construct_url(&target);
    r.headers_out.set("Location", location);
    let referer = r.header(http::header::REFERER);
    let text = [b"Fixed spelling: ", &r.uri[..], b" to ", &target].concat();
    match referer {
        Some(from) => {
            r.log(Level::Info, "speling", 3224, [&text[..], b" from ", &from].concat());
        }
        None => r.log(Level::Info, "speling", 3225, text),
    }
    Verdict::Status(301)
}

/// Lets the client choose.
fn offer(r: &mut Request, url: &[u8], found: &[(Reason, Vec<u8>)]) -> Verdict {
    let mut page = b"The document name you requested (<code>".to_vec();
    page.extend_from_slice(&escape_html(&r.uri));
    page.extend_from_slice(
        b"</code>) could not be found on this server.\nHowever, we found documents with names \
          similar to the one you requested.<p>Available documents:\n<ul>\n",
    );
    let mut variants: Vec<Vec<u8>> = Vec::new();
    for (i, (reason, name)) in found.iter().enumerate() {
        let mut to = [url, name, &r.path_info].concat();
        if let Some(args) = &r.args {
            to.push(b'?');
            to.extend_from_slice(args);
        }
        let escaped = escape_uri(&to);
        let reason_text = reason.text().as_bytes();
        variants.push([b"\"", &escaped[..], b"\";\"", reason_text, b"\""].concat());
        let shown = escape_html(&to);
        let line = [
            b"<li><a href=\"",
            &escaped[..],
            b"\">",
            &shown,
            b"</a> (",
            reason_text,
            b")\n",
        ];
        page.extend_from_slice(&line.concat());
        let ends_near = *reason != Reason::VeryDifferent
            && found.get(i + 1).is_some_and(|(next, _)| *next == Reason::VeryDifferent);
        if i > 0 && ends_near {
            page.extend_from_slice(
                b"</ul>\nFurthermore, the following related documents were found:\n<ul>\n",
            );
        }
    }
    page.extend_from_slice(b"</ul>\n");
    let referer = r.header(http::header::REFERER).map(Cow::into_owned);
    if let Some(from) = &referer {
        page.extend_from_slice(
            b"Please consider informing the owner of the referring page <tt>",
        );
        page.extend_from_slice(&escape_html(from));
        page.extend_from_slice(b"</tt> about the broken link.\n");
    }
    r.notes.set("variant-list", page);
    r.env.set("VARIANTS", Bytes::from(variants.join(&b","[..])));
    let text = [
        b"Spelling fix: ",
        &r.uri[..],
        b": ",
        found.len().to_string().as_bytes(),
        b" candidates",
    ]
    .concat();
    match referer {
        Some(from) => {
            r.log(Level::Info, "speling", 3226, [&text[..], b" from ", &from].concat());
        }
        None => r.log(Level::Info, "speling", 3227, text),
    }
    Verdict::Status(300)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_typing_error_is_found() {
        let cases = [
            ("Index", "index", Reason::Miscapitalized),
            ("idnex", "index", Reason::Transposition),
            ("ndex", "index", Reason::MissingChar),
            ("inddex", "index", Reason::ExtraChar),
            ("indes", "index", Reason::SimpleTypo),
            ("inde", "index", Reason::MissingChar),
            ("indexx", "index", Reason::ExtraChar),
            ("xedni", "index", Reason::VeryDifferent),
        ];
        for (wanted, name, reason) in cases {
            assert_eq!(distance(wanted.as_bytes(), name.as_bytes()), reason, "{wanted}");
        }
    }
}
