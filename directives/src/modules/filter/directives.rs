//! The directives of mod_filter.

use bytes::Bytes;

use super::smart::{Protocol, Provider, Smart, Test};
use crate::compile::Scope;
use crate::expr::{Condition, Rules};
use crate::filter::Kind;
use crate::schema::{Compat, Context, Directive, Override, Problem, Result, Set, Word};

/// All of them.
pub(super) static ALL: &[&Directive] = &[
    &ADD_OUTPUT_FILTER_BY_TYPE,
    &FILTER_DECLARE,
    &FILTER_PROVIDER,
    &FILTER_CHAIN,
    &FILTER_PROTOCOL,
    &FILTER_TRACE,
];

/// httpd's `AP_FTYPE_RESOURCE`.
const RESOURCE: u8 = 10;

fn provider(word: &Word, name: &[u8]) -> Result<Kind> {
    Kind::named(name).ok_or_else(|| {
        let name = String::from_utf8_lossy(name);
        let help = "known are INCLUDES, SUBSTITUTE, INFLATE, DEFLATE, BROTLI_COMPRESS and \
                    RATE_LIMIT";
        Problem::from(format!("Unknown filter provider {name}")).at(word.span).help(help)
    })
}

/// Adds a provider to a filter of this section, which it declares if need be: `add_filter`.
fn add(at: &mut Scope, name: Bytes, kind: Kind, test: Test) {
    let dir = at.dir.filter();
    if dir.live(&name).is_none() {
        dir.declare(smart(name.clone(), kind.place()));
    }
    if let Some(smart) = dir.live(&name) {
        let protocol = Protocol::default();
        smart.providers.insert(0, Provider { kind, test, protocol });
    }
}

fn smart(name: Bytes, place: u8) -> Smart {
    Smart {
        name,
        place,
        providers: Vec::new(),
        protocol: Protocol::default(),
        trace: false,
    }
}

static ADD_OUTPUT_FILTER_BY_TYPE: Directive = Directive {
    name: "AddOutputFilterByType",
    syntax: "filter[;filter...] media-type [media-type] ...",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "output filter name followed by one or more content-types",
    docs: r"
Sends responses of the named media types through filters; `SetOutputFilter` says which
there are. Only responses with the status 200 are filtered, unless the variable
`filter-errordocs` is set. What a response's own fields say of its type counts: it is
compared as it stands, up to a semicolon, case included. The types that an inner section
names for a filter take the place of those of the outer section.

## Example
    AddOutputFilterByType DEFLATE text/html text/css text/javascript
",
    set: Set::Words(|at, words| {
        let [filters, types @ ..] = words else {
            return Err("AddOutputFilterByType requires at least two arguments".into());
        };
        if types.is_empty() {
            let message = "AddOutputFilterByType requires at least two arguments";
            return Err(Problem::from(message).at(filters.span));
        }
        let types: Vec<Bytes> = types.iter().map(|word| word.bytes.clone()).collect();
        let names = filters.bytes.split(|&b| b == b';').filter(|name| !name.is_empty());
        for name in names {
            let kind = provider(filters, name)?;
            let name = Bytes::from([b"BYTYPE:", name].concat());
            let is_new = at.dir.filter().live(&name).is_none();
            add(at, name.clone(), kind, Test::Types(types.clone()));
            if is_new {
                at.dir.filter().chain.push(Some(name));
            }
        }
        Ok(())
    }),
    ..Directive::EXACT
};

static FILTER_DECLARE: Directive = Directive {
    name: "FilterDeclare",
    syntax: "filter-name [type]",
    context: Context::ANYWHERE,
    overrides: Override::OPTIONS,
    summary: "filter-name [filter-type]",
    docs: r"
A filter without a provider yet, and its place among the filters of a response: `RESOURCE`
(the default), `CONTENT_SET`, `TRANSCODE`, `PROTOCOL`, `CONNECTION` or `NETWORK`, from the
content to the client. A filter that is not declared has the place of its first provider.

## Example
    FilterDeclare compress CONTENT_SET
    FilterProvider compress DEFLATE true
    FilterChain compress
",
    set: Set::OneOrTwo(|at, name, place| {
        let place = match place.map(|word| word.lossy().to_ascii_uppercase()).as_deref() {
            Some("CONTENT_SET") => 20,
            Some("PROTOCOL") => 30,
            Some("TRANSCODE") => 40,
            Some("CONNECTION") => 50,
            Some("NETWORK") => 60,
            // httpd takes no notice of others.
            _ => RESOURCE,
        };
        at.dir.filter().declare(smart(name.bytes.clone(), place));
        Ok(())
    }),
    ..Directive::EXACT
};

static FILTER_PROVIDER: Directive = Directive {
    name: "FilterProvider",
    syntax: "filter-name provider-name expression",
    context: Context::ANYWHERE,
    overrides: Override::OPTIONS,
    summary: "filter-name provider-name match-expression",
    docs: r#"
What a filter of `FilterChain` is for a response that the expression holds for: a filter that
`SetOutputFilter` could name. Of several providers the one counts that was named last. The
expression is looked at when the response's head is known, and knows its fields. Only
responses with the status 200 are filtered, unless the variable `filter-errordocs` is set.

## Example
    FilterProvider compress DEFLATE "%{CONTENT_TYPE} =~ m#^text/#"
    FilterProvider compress BROTLI_COMPRESS "%{HTTP:Accept-Encoding} =~ /br/"
    FilterChain compress
"#,
    set: Set::Words(|at, words| {
        let [name, filter, expression] = words else {
            let message = "FilterProvider takes three arguments, filter-name provider-name \
                           match-expression";
            return Err(message.into());
        };
        let kind = provider(filter, &filter.bytes)?;
        let restricted = at.place.context == Context::HTACCESS;
        let rules = Rules { restricted, ..Rules::default() };
        let condition = Condition::parse(&expression.bytes, rules).map_err(|why| {
            let message = format!("Error parsing FilterProvider expression:{why}");
            Problem::from(message).at(expression.span)
        })?;
        add(at, name.bytes.clone(), kind, Test::Expr(condition));
        Ok(())
    }),
    ..Directive::EXACT
};

static FILTER_CHAIN: Directive = Directive {
    name: "FilterChain",
    syntax: "[+=-@!]filter-name ...",
    context: Context::ANYWHERE,
    overrides: Override::OPTIONS,
    summary: "list of filter names with optional [+-=!@]",
    docs: r"
The filters of responses, in order among those of one place: `name` and `+name` put one at the
end, `@name` at the beginning, `-name` takes it out again, `=name` has it alone, and `!` none,
also of the enclosing sections. The chain of an inner section stands behind that of the outer
one; a filter that is in both is there twice.

## Example
    FilterProvider compress DEFLATE true
    FilterChain compress
    <Location /images>
        FilterChain !
    </Location>
",
    set: Set::Each(|at, word| {
        let chain = &mut at.dir.filter().chain;
        let (sign, rest) = match word.bytes.first() {
            Some(sign @ (b'+' | b'@' | b'-' | b'!' | b'=')) => {
                (*sign, word.bytes.slice(1..))
            }
            _ => (b'+', word.bytes.clone()),
        };
        match sign {
            b'@' => chain.insert(0, Some(rest)),
            b'-' => chain.retain(|name| {
                name.as_ref().is_none_or(|name| !name.eq_ignore_ascii_case(&rest))
            }),
            b'!' => *chain = vec![None],
            b'=' => *chain = vec![None, Some(rest)],
            _ => chain.push(Some(rest)),
        }
        Ok(())
    }),
    ..Directive::EXACT
};

static FILTER_PROTOCOL: Directive = Directive {
    name: "FilterProtocol",
    syntax: "filter-name [provider-name] proto-flags",
    context: Context::ANYWHERE,
    overrides: Override::OPTIONS,
    summary: "filter-name [provider-name] protocol-args",
    docs: r#"
What a filter does, as far as it matters to caches and clients; the filters that there are do
what is right by themselves. Of a provider: `change=yes` takes ETag, Content-MD5 and
Content-Length away, `change=1:1` all but the length; `byteranges=no` says that there are no
parts to ask for; `cache=no` forbids to keep the response; `proxy=no` leaves an upstream's
responses alone, `proxy=transform` those that are not to be transformed. Of the filter as a
whole: `proxy=` is the same for all providers, and with `change=yes` or `byteranges=no` the
client's `Range` is not looked at.

## Example
    FilterProvider words SUBSTITUTE "%{CONTENT_TYPE} =~ m#^text/#"
    FilterProtocol words SUBSTITUTE "change=yes cache=no"
    FilterChain words
"#,
    compat: Compat::Differs(
        "what is said of a provider holds for this filter, and not for all that have the \
         provider",
    ),
    set: Set::TwoOrThree(|at, name, second, third| {
        let Some(smart) = at.dir.filter().live(&name.bytes) else {
            return Err(Problem::from("FilterProtocol: No such filter").at(name.span));
        };
        let Some(flags) = third else {
            smart.protocol = Protocol::parse(&second.bytes);
            return Ok(());
        };
        let kind = Kind::named(&second.bytes);
        let provider =
            smart.providers.iter_mut().find(|provider| Some(provider.kind) == kind);
        let Some(provider) = provider else {
            let message = "FilterProtocol: No such provider for this filter";
            return Err(Problem::from(message).at(second.span));
        };
        provider.protocol = Protocol::parse(&flags.bytes);
        Ok(())
    }),
    ..Directive::EXACT
};

static FILTER_TRACE: Directive = Directive {
    name: "FilterTrace",
    syntax: "filter-name level",
    context: Context::CONFIG,
    summary: "filter-name debug-level",
    docs: r"
With level 1 the log says of each response that goes through a filter so.

## Example
    FilterProvider compress DEFLATE true
    FilterChain compress
    FilterTrace compress 1
",
    compat: Compat::Differs(
        "the line comes once for a response, and nothing is said of its pieces",
    ),
    set: Set::Two(|at, name, level| {
        let Some(smart) = at.dir.filter().live(&name.bytes) else {
            let message = format!("Undeclared smart filter {}", name.lossy());
            return Err(Problem::from(message).at(name.span));
        };
        smart.trace = level.atoi() == 1;
        Ok(())
    }),
    ..Directive::EXACT
};
