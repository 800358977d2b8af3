//! `<Proxy>`, `<ProxyMatch>`, `ProxySet` and `BalancerMember`: settings for what goes to an
//! upstream, and of the upstream itself. `proxysection`, `set_proxy_param`, `add_member`,
//! `proxy_walk`.

use std::sync::Arc;

use super::balancer::Balancer;
use super::define::{self, Target};
use super::pass::location;
use super::url;
use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::fnmatch::{self, Rules};
use crate::modules::DirPart;
use crate::modules::ssl::Proxied;
use crate::pattern::Groups;
use crate::phase::{DECLINED, OK, Verdict};
use crate::request::Request;
use crate::run::remember;
use crate::schema::{Context, Directive, Problem, Result, Set, Word};
use crate::section::{Kind, Matcher, Section};
use crate::syntax::Text;

fn section(at: &mut Scope, args: &Text, regex: bool) -> Result {
    if at.place.container.is_some_and(|container| container != "<VirtualHost") {
        let message = format!("{}> cannot occur within a section", at.cmd.name);
        return Err(Problem::new(&codes::CONTEXT, message).at(at.cmd.item.name_span));
    }
    // Without a name it is for everything.
    let all = if at.no_words(args)? { Vec::new() } else { at.section_words(args)? };
    let mut words = all.into_iter();
    let span = at.cmd.item.name_span;
    let mut name =
        words.next().unwrap_or(Word { bytes: bytes::Bytes::new(), span, quoted: false });
    name.bytes = define::bare(&name.bytes);
    let is_glob = fnmatch::is_glob(&name.bytes);
    let matcher = if regex {
        Matcher::Regex(at.pattern(&name.bytes, false).map_err(|why| {
            Problem::from("Regex could not be compiled").at(name.span).help(why)
        })?)
    } else {
        Matcher::plain(name.bytes.clone())
    };
    let params: Vec<Word> = words.collect();
    if let Some(first) = params.first() {
        let refused = if regex {
            Some("Multiple <ProxyMatch> arguments not (yet) supported.")
        } else if is_glob {
            Some("<Proxy> arguments are not supported for wildchar url.")
        } else if !name.bytes.contains(&b':') {
            Some("<Proxy> arguments are not supported for non url.")
        } else {
            None
        };
        if let Some(message) = refused {
            return Err(Problem::from(message).at(first.span));
        }
        let target = target(at, &name)?;
        set_all(at, &target, &params, ("Proxy", "<Proxy "), &name)?;
    }
    let mut part = DirPart::default();
    at.body(Some(&name.bytes), &mut part);
    let section = at.section(Kind::Proxy, matcher, part);
    at.server.proxy().sections.push(section);
    Ok(())
}

/// What a name stands for, defined if it is not yet.
fn target(at: &mut Scope, name: &Word) -> Result<Target> {
    if Balancer::is_url(&name.bytes) {
        return Ok(Target::Balancer(define::balancer(at, &name.bytes)));
    }
    match known(at, name) {
        Some(target) => Ok(target),
        None => define::worker(at, name, false, false),
    }
}

/// An upstream that was defined before.
fn known(at: &mut Scope, name: &Word) -> Option<Target> {
    let workers = &at.server.proxy().workers;
    let found = super::worker::shared(workers, &name.bytes, false)?;
    workers.iter().position(|worker| worker.name == found.name).map(Target::Worker)
}

fn set_all(
    at: &mut Scope,
    target: &Target,
    words: &[Word],
    (what, who): (&str, &str),
    name: &Word,
) -> Result {
    for word in words {
        let Some(pair) = define::split(word) else {
            let message = format!(
                "Invalid {what} parameter. Parameter must be in the form 'key=value'"
            );
            return Err(Problem::from(message).at(word.span));
        };
        define::set(at, target, &[pair], who).map_err(|problem| {
            let message =
                format!("{} {}; {}", problem.message, word.lossy(), name.lossy());
            Problem { message, ..problem }
        })?;
    }
    Ok(())
}

fn proxy_set(at: &mut Scope, args: &Text) -> Result {
    let mut words = Word::all(args).into_iter();
    let in_section = at.place.container.is_some_and(|c| c.starts_with("<Proxy"));
    let (name, target) = if in_section {
        let bytes = at.place.path.cloned().unwrap_or_default();
        let name = Word { bytes, span: at.cmd.item.name_span, quoted: false };
        let target = target(at, &name)?;
        (name, target)
    } else {
        let Some(name) = words.next() else {
            return Err("ProxySet needs the name of an upstream".into());
        };
        let found = if Balancer::is_url(&name.bytes) {
            let wanted = Balancer::name_of(&name.bytes);
            let balancers = &at.server.proxy().balancers;
            balancers
                .iter()
                .position(|balancer| balancer.name == wanted)
                .map(Target::Balancer)
        } else {
            known(at, &name)
        };
        let Some(found) = found else {
            let kind = if Balancer::is_url(&name.bytes) { "Balancer" } else { "Worker" };
            let message = format!("ProxySet can not find '{}' {kind}.", name.lossy());
            return Err(Problem::from(message).at(name.span));
        };
        (name, found)
    };
    let words: Vec<Word> = words.collect();
    if url::split_socket(&name.bytes).is_none() {
        return Err("ProxySet uses an invalid \"unix:\" URL".into());
    }
    set_all(at, &target, &words, ("ProxySet", "ProxySet: "), &name)
}

fn balancer_member(at: &mut Scope, args: &Text) -> Result {
    let section = location(at);
    let (mut path, mut name) = (section.clone(), None);
    let mut params: Vec<(String, Word)> = Vec::new();
    for word in Word::all(args) {
        match define::split(&word) {
            Some(pair) => params.push(pair),
            None if path.is_none() => path = Some(word.bytes.clone()),
            None if name.is_none() => name = Some(word),
            None => {
                let message = if section.is_some() {
                    "BalancerMember can not have a balancer name when defined in a location"
                } else {
                    "Invalid BalancerMember parameter. Parameter must be in the form 'key=value'"
                };
                return Err(Problem::from(message).at(word.span));
            }
        }
    }
    let Some(path) = path else {
        let message =
            "BalancerMember must define balancer name when outside <Proxy > section";
        return Err(message.into());
    };
    let Some(name) = name else {
        return Err("BalancerMember must define remote proxy server".into());
    };
    if !Balancer::is_url(&path) {
        let message = format!("{} is no balancer://", String::from_utf8_lossy(&path));
        return Err(message.into());
    }
    let balancer = define::balancer(at, &path);
    let target = define::member(at, balancer, &name)?;
    define::set(at, &target, &params, "BalancerMember ")
}

/// Does a section apply to a URL? Plain names are prefixes, and a `*` of a glob also
/// matches slashes.
fn matches(matcher: &Matcher, url: &[u8]) -> Option<Groups> {
    let plain = Rules { path: false, period: false, ignore_case: false };
    match matcher {
        Matcher::Literal(start) => url.starts_with(start).then(Groups::default),
        Matcher::Glob(glob) => fnmatch::matches(glob, url, plain).then(Groups::default),
        Matcher::Regex(pattern) => pattern.captures(url),
    }
}

/// In the place of files and directories: the `<Proxy>` sections of the URL.
pub fn map(r: &mut Request) -> Verdict {
    if !r.proxyreq {
        return DECLINED;
    }
    let Some(url) = super::url_of(r) else { return DECLINED };
    let server = r.server.clone();
    for section in &server.config.proxy.sections {
        if let Some(groups) = matches(&section.matcher, &url) {
            r.dir = r.dir.then(section);
            remember(&mut r.env, section, &groups, &url);
        }
    }
    OK
}

/// The TLS of the upstream that was chosen: the request's own sections say it, and for a
/// member of a balancer also the member's, which have the last word.
pub(super) fn secured(r: &Request) -> Option<Arc<Proxied>> {
    let own = r.dir.ssl.proxied.clone();
    if !r.attempt.as_ref().is_some_and(|attempt| attempt.is_balanced()) {
        return own;
    }
    let url = super::url_of(r)?;
    let sections = r.server.config.proxy.sections.iter();
    let of = |section: &Section| section.part.ssl.as_ref()?.proxied.clone();
    let fitting = sections.filter(|section| matches(&section.matcher, &url).is_some());
    fitting
        .filter_map(|section| of(section))
        .fold(own, |outer, inner| Proxied::over(outer.as_ref(), Some(&inner)))
}

pub static PROXY: Directive = Directive {
    name: "<Proxy",
    syntax: "url|glob [key=value ...]",
    context: Context::SERVERS,
    summary: "Container for directives affecting resources located in the proxied location",
    docs: r#"
Directives for requests that go to a URL that begins so, or that a glob matches; in them
`<Directory>` and `<Files>` have no say. Named by the URL of an upstream, or of a
`balancer://`, the section and its opening tag may also change that one's settings
(`ProxySet`, `BalancerMember`).

## Example
    <Proxy "unix:/run/php/site.sock|fcgi://site/">
        ProxySet timeout=300 enablereuse=on
    </Proxy>
"#,
    set: Set::Section(|at, args| section(at, args, false)),
    ..Directive::EXACT
};

pub static PROXY_MATCH: Directive = Directive {
    name: "<ProxyMatch",
    syntax: "regex",
    context: Context::SERVERS,
    summary: "Container for directives affecting resources located in the proxied location, in \
              regular expression syntax",
    docs: r#"
As `<Proxy>`, for URLs that a regular expression matches.

## Example
    <ProxyMatch "^https?://192\.0\.2\.">
        Require ip 10.0.0.0/8
    </ProxyMatch>
"#,
    set: Set::Section(|at, args| section(at, args, true)),
    ..Directive::EXACT
};

pub static PROXY_SET: Directive = Directive {
    name: "ProxySet",
    syntax: "[url] key=value [key=value ...]",
    context: Context::CONFIG,
    summary: "A balancer or worker name with list of params",
    docs: r"
Settings of an upstream or a balancer: of the one that the section around it names, or of
one that was defined before. For upstreams see `ProxyPass`; balancers have `lbmethod`,
`stickysession`, `stickysessionsep`, `scolonpathdelim`, `nofailover`, `maxattempts`,
`timeout`, `failonstatus`, `failontimeout`, `forcerecovery`.

## Example
    <Proxy balancer://cluster>
        BalancerMember http://192.0.2.1:8080 route=one
        BalancerMember http://192.0.2.2:8080 route=two
        ProxySet stickysession=ROUTE lbmethod=bybusyness
    </Proxy>
",
    set: Set::Raw(proxy_set),
    ..Directive::EXACT
};

pub static BALANCER_MEMBER: Directive = Directive {
    name: "BalancerMember",
    syntax: "[balancer-url] url [key=value ...]",
    context: Context::CONFIG,
    summary: "A balancer name and scheme with list of params",
    docs: r"
An upstream of a balancer, with the settings of `ProxyPass` and its own: `loadfactor` (its
share), `route` and `redirect` (for sticky sessions), `lbset` (a higher set is asked when
nobody of a lower one can), `status` (`D` and `S` nothing goes there, `H` only when nobody
else can, `R` instead of one that cannot, `N` only sessions, `I` errors change nothing).

## Example
    BalancerMember balancer://cluster http://192.0.2.1:8080 loadfactor=3
    BalancerMember balancer://cluster http://192.0.2.9:8080 status=+H
",
    set: Set::Raw(balancer_member),
    ..Directive::EXACT
};
