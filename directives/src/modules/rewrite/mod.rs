//! mod_rewrite: rules that make other URLs of URLs.

mod cond;
mod cookie;
mod flags;
mod hooks;
mod map;
mod program;
mod rule;
mod table;
mod text;
mod uri;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use cond::Cond;
use map::Map;
pub(crate) use program::Told;
pub use program::{Account, Program, programs};
use rule::Rule;

use crate::compile::Scope;
use crate::log::Level;
use crate::merge::Merge;
use crate::phase::{Phase, first, last};
use crate::request::Request;
use crate::schema::{Compat, Context, Directive, Module, Override, Problem, Set, Word};
use crate::syntax::Text;

/// `RewriteOptions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Options {
    inherit: bool,
    inherit_before: bool,
    /// The outer section wants its rules inherited.
    inherit_down: bool,
    inherit_down_before: bool,
    ignore_inherit: bool,
    allow_no_slash: bool,
    allow_any_uri: bool,
    merge_base: bool,
    ignore_context_info: bool,
}

impl Options {
    fn or(self, other: Options) -> Options {
        Options {
            inherit: self.inherit || other.inherit,
            inherit_before: self.inherit_before || other.inherit_before,
            inherit_down: self.inherit_down || other.inherit_down,
            inherit_down_before: self.inherit_down_before || other.inherit_down_before,
            ignore_inherit: self.ignore_inherit || other.ignore_inherit,
            allow_no_slash: self.allow_no_slash || other.allow_no_slash,
            allow_any_uri: self.allow_any_uri || other.allow_any_uri,
            merge_base: self.merge_base || other.merge_base,
            ignore_context_info: self.ignore_context_info || other.ignore_context_info,
        }
    }

    /// Does a virtual host with these options have the main server's rules and maps?
    fn inherits(self, above: Options) -> bool {
        let down = above.inherit_down || above.inherit_down_before;
        self.inherit || self.inherit_before || down && !self.ignore_inherit
    }

    /// The rules of an inner section, with those of the outer one if they are inherited.
    fn rules(
        self,
        outer: (Options, &[Arc<Rule>]),
        inner: &[Arc<Rule>],
    ) -> Vec<Arc<Rule>> {
        let (above, outer) = outer;
        let down = above.inherit_down && !self.ignore_inherit;
        let down_before = above.inherit_down_before && !self.ignore_inherit;
        let join =
            |a: &[Arc<Rule>], b: &[Arc<Rule>]| a.iter().chain(b).cloned().collect();
        if self.inherit || down {
            join(inner, outer)
        } else if self.inherit_before || down_before {
            join(outer, inner)
        } else {
            inner.to_vec()
        }
    }
}

/// Settings of a section.
#[derive(Debug, Default)]
pub struct Dir {
    state: Option<bool>,
    options: Options,
    base: Option<Bytes>,
    rules: Vec<Arc<Rule>>,
    /// The directory that the rules are for, with its final slash.
    directory: Bytes,
    pending: Vec<Cond>,
}

impl Dir {
    fn is_on(&self) -> bool {
        self.state.unwrap_or(false)
    }
}

impl Merge for Dir {
    // See config_perdir_merge.
    fn merge(outer: &Dir, inner: &Dir) -> Dir {
        let merges_base = inner.options.merge_base || outer.options.merge_base;
        Dir {
            state: inner.state.or(outer.state),
            options: inner.options.or(outer.options),
            base: inner
                .base
                .clone()
                .or_else(|| outer.base.clone().filter(|_| merges_base)),
            rules: inner.options.rules((outer.options, &outer.rules), &inner.rules),
            directory: inner.directory.clone(),
            pending: Vec::new(),
        }
    }
}

/// Settings of a server.
#[derive(Debug, Default)]
pub struct Server {
    state: Option<bool>,
    options: Options,
    rules: Vec<Arc<Rule>>,
    maps: HashMap<Bytes, Arc<Map>>,
    pending: Vec<Cond>,
    is_host: bool,
}

impl Server {
    /// These are the settings of a virtual host, which inherits no rules unasked.
    pub fn of_host(&mut self) {
        self.is_host = true;
    }

    fn is_on(&self) -> bool {
        self.state.unwrap_or(false)
    }

    /// Is one of the maps a program?
    fn asks_programs(&self) -> bool {
        self.maps.values().any(|map| matches!(**map, Map::Program(_)))
    }
}

impl Merge for Server {
    // See config_server_merge.
    fn merge(main: &Server, own: &Server) -> Server {
        // Merged with nothing the main server keeps its rules and maps; a host has none but
        // its own.
        let mut maps = if own.is_host && !own.options.inherits(main.options) {
            HashMap::new()
        } else {
            main.maps.clone()
        };
        maps.extend(own.maps.iter().map(|(name, map)| (name.clone(), map.clone())));
        let rules = if own.is_host {
            own.options.rules((main.options, &main.rules), &own.rules)
        } else {
            main.rules.clone()
        };
        Server {
            state: own.state.or(main.state),
            options: own.options.or(main.options),
            rules,
            maps,
            pending: Vec::new(),
            is_host: own.is_host,
        }
    }
}

/// A line for those who debug rules, in httpd's form: `do_rewritelog`.
fn trace(
    r: &mut Request,
    level: u8,
    per_dir: Option<&[u8]>,
    text: impl FnOnce(&Request) -> String,
) {
    if !r.logs(Level::Trace(level), "rewrite") {
        return;
    }
    let kind = match (&r.main, &r.prev) {
        (Some(_), _) => "subreq".to_owned(),
        (None, None) => "initial".to_owned(),
        (None, Some(_)) => format!("initial/redir#{}", r.depth),
    };
    let user = r.user.as_deref().map_or("-".into(), String::from_utf8_lossy);
    let place = match per_dir {
        Some(dir) => format!(" [perdir {}]", String::from_utf8_lossy(dir)),
        None => String::new(),
    };
    let line = format!(
        "{} - {user} [{}/sid#0][rid#{:x}/{kind}]{place} {}",
        r.useragent_ip,
        r.server_name(),
        r.connection.id,
        text(r)
    );
    r.log(Level::Trace(level), "rewrite", 0, line);
}

/// Is the directive in a section, and not in a server's own part?
fn in_section(at: &Scope) -> bool {
    at.place.allowed.is_some() || at.place.container.is_some_and(|c| c != "<VirtualHost")
}

/// The section's settings, which remember the directory they are for.
fn section<'a>(at: &'a mut Scope) -> &'a mut Dir {
    let directory = at.place.path.cloned().unwrap_or_default();
    let dir = at.dir.rewrite();
    if directory.ends_with(b"/") || directory.is_empty() {
        dir.directory = directory;
    } else {
        dir.directory = [&directory[..], b"/"].concat().into();
    }
    dir
}

/// The words of a rule or condition. Backslashes stay, since patterns need them; quotes of
/// either kind hold blanks together: `parseargline`.
fn words(args: &Text) -> Vec<Word> {
    let text = args.bytes();
    let mut words = Vec::new();
    let mut i = 0;
    while words.len() < 3 {
        while text.get(i).is_some_and(u8::is_ascii_whitespace) {
            i += 1;
        }
        let Some(&byte) = text.get(i) else { break };
        let quote = matches!(byte, b'"' | b'\'').then_some(byte);
        let start = i + usize::from(quote.is_some());
        i = start;
        while let Some(&byte) = text.get(i) {
            let ends = match quote {
                Some(quote) => byte == quote,
                None => byte.is_ascii_whitespace(),
            };
            if ends {
                break;
            }
            let next = text.get(i + 1);
            let skips = byte == b'\\'
                && next.is_some_and(|b| b.is_ascii_whitespace() || Some(*b) == quote);
            i += 1 + usize::from(skips);
        }
        let end = i.min(text.len());
        words.push(Word {
            bytes: Bytes::copy_from_slice(&text[start..end]),
            span: args.span(start..end),
            quoted: quote.is_some(),
        });
        i = end + usize::from(quote.is_some());
    }
    words
}

static REWRITE_ENGINE: Directive = Directive {
    name: "RewriteEngine",
    syntax: "on|off",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "off",
    summary: "On or Off to enable or disable (default) the whole rewriting engine",
    docs: r"
Are the rules of this server or section applied?

## Example
    RewriteEngine On
    RewriteRule ^/old/(.*)$ /new/$1 [R=301,L]
",
    set: Set::Flag(|at, on| {
        if in_section(at) {
            section(at).state = Some(on);
        } else {
            at.server.rewrite().state = Some(on);
        }
        Ok(())
    }),
    ..Directive::EXACT
};

static REWRITE_OPTIONS: Directive = Directive {
    name: "RewriteOptions",
    syntax: "option [option] ...",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "List of option strings to set",
    docs: r"
`Inherit`, `InheritBefore`: the rules of the enclosing section or the main server run too,
behind or before one's own. `InheritDown`, `InheritDownBefore`: the same, said by the
enclosing one; `IgnoreInherit` says no to that. `AllowNoSlash`: rules of a directory also
for its URL without the final slash. `AllowAnyURI`: also for request targets that are no
path. `MergeBase`: RewriteBase is inherited. `IgnoreContextInfo`: an Alias does not turn a
path back into a URL.

## Example
    RewriteOptions Inherit
",
    set: Set::Words(|at, words| {
        let mut options = Options::default();
        for word in words {
            let set = match word.lossy().to_ascii_lowercase().as_str() {
                "inherit" => &mut options.inherit,
                "inheritbefore" => &mut options.inherit_before,
                "inheritdown" => &mut options.inherit_down,
                "inheritdownbefore" => &mut options.inherit_down_before,
                "ignoreinherit" => &mut options.ignore_inherit,
                "allownoslash" => &mut options.allow_no_slash,
                "allowanyuri" => &mut options.allow_any_uri,
                "mergebase" => &mut options.merge_base,
                "ignorecontextinfo" => &mut options.ignore_context_info,
                // Of no effect since 2.2, or only about how long a URL may become.
                "legacyprefixdocroot" | "longurloptimization" => continue,
                text if text.starts_with("maxredirects=") => continue,
                _ => {
                    let message =
                        format!("RewriteOptions: unknown option '{}'", word.lossy());
                    return Err(Problem::from(message).at(word.span));
                }
            };
            *set = true;
        }
        let old = if in_section(at) {
            &mut section(at).options
        } else {
            &mut at.server.rewrite().options
        };
        *old = old.or(options);
        Ok(())
    }),
    ..Directive::EXACT
};

static REWRITE_BASE: Directive = Directive {
    name: "RewriteBase",
    syntax: "URL-path",
    context: Context::PER_DIRECTORY,
    overrides: Override::FILE_INFO,
    summary: "the base URL of the per-directory context",
    docs: r"
The URL path of the directory, where it cannot be told from the document root or an Alias:
what rules make a relative path of is put behind it.

## Example
    <Directory /srv/wiki>
        RewriteEngine On
        RewriteBase /wiki/
        RewriteRule ^page/(.*)$ index.php?title=$1
    </Directory>
",
    set: Set::One(|at, word| {
        if word.bytes.first() != Some(&b'/') {
            return Err(
                Problem::from("RewriteBase: argument is not a valid URL").at(word.span)
            );
        }
        section(at).base = Some(word.bytes.clone());
        Ok(())
    }),
    ..Directive::EXACT
};

static REWRITE_COND: Directive = Directive {
    name: "RewriteCond",
    syntax: "TestString CondPattern [flags]",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "an input string and a to be applied regexp-pattern",
    docs: r"
A condition of the next RewriteRule; all must hold unless the flag OR joins two. The text
may hold `%{VARIABLES}`, `$N` of the rule and `%N` of the condition before. It is compared
with a regular expression, with `=text`, `<text`, `>text`, as a number (`-eq`, `-lt`, ...),
or is a file: `-f`, `-d`, `-s`, `-l`, `-x`, `-F`, `-U`. `!` turns it round. `expr` and a
condition of httpd's expressions stands for all of this. Flags: NC, OR, NV.

## Example
    RewriteEngine On
    RewriteCond %{REQUEST_FILENAME} !-f
    RewriteCond %{HTTP_HOST} !^www\. [NC]
    RewriteRule ^ /index.php [L]
",
    set: Set::Raw(|at, args| {
        let words = words(args);
        let [input, pattern, rest @ ..] = &words[..] else {
            let shown = String::from_utf8_lossy(args.bytes()).into_owned();
            return Err(format!("RewriteCond: bad argument line '{shown}'").into());
        };
        let cond = cond::parse(at, input, pattern, rest.first())?;
        if in_section(at) {
            section(at).pending.push(cond);
        } else {
            at.server.rewrite().pending.push(cond);
        }
        Ok(())
    }),
    ..Directive::EXACT
};

static REWRITE_RULE: Directive = Directive {
    name: "RewriteRule",
    syntax: "Pattern Substitution [flags]",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "an URL-applied regexp-pattern and a substitution URL",
    docs: r"
What the URL path becomes if the pattern matches it. In a directory or `.htaccess` file the
pattern sees the path below that directory, without a slash before it. `-` leaves the URL
as it is. `$N` are the pattern's groups, `%N` those of the last condition, `${map:key|default}`
asks a RewriteMap. Flags: B, BCTLS, BNE, BNP, C, CO, DPI, E, END, F, G, H, L, N, NC, NE, NS, P,
PT, QSA, QSD, QSL, R, S, T, UnsafeAllow3F, UnsafePrefixStat.
`LogLevel rewrite:trace3` shows what happens.

## Example
    RewriteEngine On
    RewriteRule ^/shop/([0-9]+)$ /shop.php?item=$1 [L,QSA]
",
    set: Set::Raw(|at, args| {
        let words = words(args);
        let [pattern, output, rest @ ..] = &words[..] else {
            let shown = String::from_utf8_lossy(args.bytes()).into_owned();
            return Err(format!("RewriteRule: bad argument line '{shown}'").into());
        };
        let conds = if in_section(at) {
            std::mem::take(&mut section(at).pending)
        } else {
            std::mem::take(&mut at.server.rewrite().pending)
        };
        let rule = Rule::parse(at, pattern, output, rest.first(), conds)?;
        if in_section(at) {
            section(at).rules.push(Arc::new(rule));
        } else {
            at.server.rewrite().rules.push(Arc::new(rule));
        }
        Ok(())
    }),
    ..Directive::EXACT
};

static REWRITE_MAP: Directive = Directive {
    name: "RewriteMap",
    syntax: "MapName MapType:MapSource [user:group]",
    context: Context::SERVERS,
    summary: "a mapname and a filename and options",
    docs: r"
A table that rules take values from, as `${name:key|default}`: `txt:` and a file of lines
with key and value, `rnd:` with alternatives between bars, `int:` and tolower, toupper,
escape or unescape. A change of the file is seen by the next request. A virtual host has its
own maps; the main server's only with `RewriteOptions Inherit`.

`prg:` and a command line is a program that the server's parent starts with the
configuration, in the directory of its file and with an empty environment, if the engine is on
for the server whose map it is. It reads a key on a line from its standard input and writes
the value on a line, at once and without more; `NULL` means that there is none. It runs as
whoever started the server unless `user:group` follows; what it says to its standard error
goes into the main error log. It is asked for one key at a time, others wait. A key with a
line end in it has no value. A program that dies, says nothing for as long as `Timeout` or
more than 64 KiB gives no value and a line in the log, and is started again, not more often
than once a second.

## Example
    RewriteMap lower int:tolower
    RewriteRule ^/(.*[A-Z].*)$ /${lower:$1} [R=301,L]
    RewriteMap users prg:/usr/bin/users
    RewriteRule ^/u/([a-z]+)$ /home/${users:$1|nobody}
",
    compat: Compat::Differs(
        "httpd waits for a program without end; one that died is not started again, and its \
         values are empty and not the default. dbm: and dbd: are refused",
    ),
    set: Set::TwoOrThree(|at, name, source, account| {
        let map = Arc::new(map::parse(at, name, source, account)?);
        at.server.rewrite().maps.insert(name.bytes.clone(), map);
        Ok(())
    }),
    ..Directive::EXACT
};

/// The module.
pub static MODULE: Module = Module {
    name: "mod_rewrite.c",
    id: "rewrite_module",
    directives: &[
        &REWRITE_ENGINE,
        &REWRITE_OPTIONS,
        &REWRITE_BASE,
        &REWRITE_COND,
        &REWRITE_RULE,
        &REWRITE_MAP,
    ],
    hooks: &[
        first(Phase::Translate, hooks::translate_name)
            .where_set(|at| at.server.config.rewrite.is_on()),
        first(Phase::Fixups, hooks::fixup).where_set(|at| at.dir.rewrite.is_on()),
        last(Phase::Fixups, hooks::types),
        first(Phase::Handle, hooks::handle).of_handlers(&[hooks::HANDLER]),
    ],
};
