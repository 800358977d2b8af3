//! What a request may cost: lengths, ranges, redirects, TRACE.

use super::Server;
use crate::schema::{Compat, Context, Directive, Override, Problem, Result, Set, Word};

/// `TraceEnable`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trace {
    /// 405.
    Off,
    /// Without a body.
    #[default]
    On,
    /// With one.
    Extended,
}

impl Server {
    /// Bytes of a request line.
    pub fn limit_request_line(&self) -> u64 {
        self.limit_request_line.unwrap_or(8190)
    }

    /// Header fields; 0 is no limit.
    pub fn limit_request_fields(&self) -> u64 {
        self.limit_request_fields.unwrap_or(100)
    }

    /// Bytes of a header field.
    pub fn limit_request_field_size(&self) -> u64 {
        self.limit_request_field_size.unwrap_or(8190)
    }

    /// Internal redirects of one request.
    pub fn limit_internal_redirects(&self) -> u32 {
        self.limit_internal_recursion.map_or(10, |(redirects, _)| redirects)
    }

    /// Nested sub-requests.
    pub fn limit_internal_subrequests(&self) -> u32 {
        self.limit_internal_recursion.map_or(10, |(_, subrequests)| subrequests)
    }

    /// Is TRACE answered?
    pub fn traces(&self) -> bool {
        self.trace.unwrap_or_default() != Trace::Off
    }

    /// With a body?
    pub fn traces_body(&self) -> bool {
        self.trace == Some(Trace::Extended)
    }
}

fn limit(word: &Word, name: &str) -> Result<u64> {
    match word.integer() {
        Some(number) if number >= 0 => Ok(number as u64),
        Some(_) => {
            let message =
                format!("{name} \"{}\" must be a non-negative integer", word.lossy());
            Err(Problem::from(message).at(word.span))
        }
        None => {
            Err(Problem::from(format!("{name} requires a numerical argument"))
                .at(word.span))
        }
    }
}

pub static LIMIT_REQUEST_LINE: Directive = Directive {
    name: "LimitRequestLine",
    syntax: "bytes",
    context: Context::SERVERS,
    default: "8190",
    summary: "Limit on maximum size of an HTTP request line",
    docs: r"
A longer request line is answered 414.

## Example
    LimitRequestLine 16380
",
    set: Set::One(|at, word| {
        at.server.core().limit_request_line = Some(limit(word, "LimitRequestLine")?);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static LIMIT_REQUEST_FIELDS: Directive = Directive {
    name: "LimitRequestFields",
    syntax: "number",
    context: Context::SERVERS,
    default: "100",
    summary: "Limit (0 = unlimited) on max number of header fields in a request message",
    docs: r"
More header fields are answered 400.

## Example
    LimitRequestFields 50
",
    set: Set::One(|at, word| {
        at.server.core().limit_request_fields = Some(limit(word, "LimitRequestFields")?);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static LIMIT_REQUEST_FIELD_SIZE: Directive = Directive {
    name: "LimitRequestFieldsize",
    syntax: "bytes",
    context: Context::SERVERS,
    default: "8190",
    summary: "Limit on maximum size of an HTTP request header field",
    docs: r"
A longer header field is answered 400.

## Example
    LimitRequestFieldSize 16380
",
    set: Set::One(|at, word| {
        at.server.core().limit_request_field_size =
            Some(limit(word, "LimitRequestFieldsize")?);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static LIMIT_REQUEST_BODY: Directive = Directive {
    name: "LimitRequestBody",
    syntax: "bytes",
    context: Context::ANYWHERE,
    overrides: Override::ALL,
    default: "1073741824",
    summary: "Limit (in bytes) on maximum size of request message body",
    docs: r"
A longer request body is answered 413; 0 is no limit. It also bounds what is spooled of
a body whose length the client did not announce.

## Example
    LimitRequestBody 104857600
",
    set: Set::One(|at, word| {
        let is_number = word.bytes.iter().all(u8::is_ascii_digit);
        let Some(value) = word.integer().filter(|_| is_number) else {
            let message = if is_number && !word.bytes.is_empty() {
                "LimitRequestBody argument is not parsable."
            } else {
                "LimitRequestBody requires a non-negative integer."
            };
            return Err(Problem::from(message).at(word.span));
        };
        let value = value as u64;
        at.dir.core().limit_request_body = Some(value);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static LIMIT_XML_REQUEST_BODY: Directive = Directive {
    name: "LimitXMLRequestBody",
    syntax: "bytes",
    context: Context::ANYWHERE,
    overrides: Override::ALL,
    default: "1000000",
    summary: "Limit (in bytes) on maximum size of an XML-based request body",
    docs: r"
Accepted without effect: nothing here reads XML bodies.

## Example
    LimitXMLRequestBody 1000000
",
    compat: Compat::Ignored("nothing here reads XML bodies"),
    set: Set::One(|_, _| Ok(())),
    ..Directive::EXACT
};

/// `none`, `unlimited`, `default` or a number.
fn range_limit(at: &mut crate::compile::Scope, index: usize, word: &Word) -> Result {
    let value = if word.is("none") {
        Some(Some(0))
    } else if word.is("unlimited") {
        Some(None)
    } else if word.is("default") {
        None
    } else {
        match word.integer() {
            Some(number) if number >= 0 => Some(Some(number as u64)),
            _ => {
                let message = format!(
                    "{} requires 'none', 'default', 'unlimited' or a positive integer",
                    at.cmd.name
                );
                return Err(Problem::from(message).at(word.span));
            }
        }
    };
    at.dir.core().max_ranges[index] = value;
    Ok(())
}

pub static MAX_RANGES: Directive = Directive {
    name: "MaxRanges",
    syntax: "default|unlimited|none|number-of-ranges",
    context: Context::CONFIG,
    default: "200",
    summary: "Maximum number of Ranges in a request before returning the entire resource, or 0 \
              for unlimited",
    docs: r"
A request for more ranges gets the whole file.

## Example
    MaxRanges 50
",
    set: Set::One(|at, word| range_limit(at, 0, word)),
    ..Directive::EXACT
};

pub static MAX_RANGE_OVERLAPS: Directive = Directive {
    name: "MaxRangeOverlaps",
    syntax: "default|unlimited|none|number-of-ranges",
    context: Context::CONFIG,
    default: "20",
    summary: "Maximum number of overlaps in Ranges in a request before returning the entire \
              resource, or 0 for unlimited",
    docs: r"
A request with more ranges that overlap gets the whole file.

## Example
    MaxRangeOverlaps 5
",
    set: Set::One(|at, word| range_limit(at, 1, word)),
    ..Directive::EXACT
};

pub static MAX_RANGE_REVERSALS: Directive = Directive {
    name: "MaxRangeReversals",
    syntax: "default|unlimited|none|number-of-ranges",
    context: Context::CONFIG,
    default: "20",
    summary: "Maximum number of reversals in Ranges in a request before returning the entire \
              resource, or 0 for unlimited",
    docs: r"
A request with more ranges out of order gets the whole file.

## Example
    MaxRangeReversals 5
",
    set: Set::One(|at, word| range_limit(at, 2, word)),
    ..Directive::EXACT
};

pub static LIMIT_INTERNAL_RECURSION: Directive = Directive {
    name: "LimitInternalRecursion",
    syntax: "number [number]",
    context: Context::SERVERS,
    default: "10",
    summary: "maximum recursion depth of internal redirects and subrequests",
    docs: r"
How many internal redirects, and how many nested sub-requests, one request may cause.

## Example
    LimitInternalRecursion 5
",
    set: Set::OneOrTwo(|at, redirects, subrequests| {
        let positive = |word: &Word, what: &str| match word.integer() {
            Some(number) if number > 0 => Ok(number as u32),
            _ => Err(Problem::from(format!(
                "The recursion limit must be greater than zero: {what}"
            ))
            .at(word.span)),
        };
        let first = positive(redirects, "redirects")?;
        let second = match subrequests {
            Some(word) => positive(word, "subrequests")?,
            None => first,
        };
        at.server.core().limit_internal_recursion = Some((first, second));
        Ok(())
    }),
    ..Directive::EXACT
};

pub static TRACE_ENABLE: Directive = Directive {
    name: "TraceEnable",
    syntax: "on|off|extended",
    context: Context::SERVERS,
    default: "on",
    summary: "'on' (default), 'off' or 'extended' to trace request body content",
    docs: r"
Is TRACE answered? Off gives 405.

## Example
    TraceEnable off
",
    set: Set::One(|at, word| {
        at.server.core().trace = Some(match word.flag() {
            Some(true) => Trace::On,
            Some(false) => Trace::Off,
            None if word.is("extended") => Trace::Extended,
            None => {
                let message = "TraceEnable must be one of 'on', 'off', or 'extended'";
                return Err(Problem::from(message).at(word.span));
            }
        });
        Ok(())
    }),
    ..Directive::EXACT
};
