//! How files are described and handled: `SetHandler`, `ForceType`, `AddDefaultCharset`,
//! `AcceptPathInfo`, `FileETag`.

use bytes::Bytes;

use crate::content::{self, etag::Components};
use crate::filter;
use crate::modules::proxy;
use crate::phase::{DECLINED, OK, Verdict};
use crate::request::Request;
use crate::schema::{Compat, Context, Directive, Override, Problem, Result, Set, Word};

/// Lays `SetHandler` and `ForceType` over what the file's name suggested:
/// `core_override_type`.
pub fn override_type(r: &mut Request) -> Verdict {
    let dir = r.dir.clone();
    if let Some(force) = &dir.core.force_type
        && let Some(kind) = force
    {
        r.content_type = Some(kind.clone());
    }
    if let Some(handler) = &dir.core.handler {
        match handler {
            Some(handler) => r.handler = Some(handler.clone()),
            None => r.handler = None,
        }
    }
    // A path behind the file is refused before a handler that wants it could be asked;
    // the default handler refuses it itself.
    if let Some(Some(accept)) = dir.core.accept_path_info {
        r.used_path_info = Some(accept);
        if !accept && !r.path_info.is_empty() && r.finfo.is_some() && r.handler.is_some()
        {
            return OK;
        }
    }
    OK
}

/// `default-handler`, and every request that no other handler took.
pub fn default_handler(r: &mut Request) -> Verdict {
    if r.handler.as_deref() == Some(b"none") {
        return DECLINED;
    }
    content::default_handler(r)
}

fn none_or(word: &Word) -> Option<Bytes> {
    (!word.is("none")).then(|| word.bytes.clone())
}

pub static SET_HANDLER: Directive = Directive {
    name: "SetHandler",
    syntax: "handler-name|None",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "a handler name that overrides any other configured handler",
    docs: r"
Gives all matching files to a handler: `fastcgi-script` for dynamic FastCGI
applications, `default-handler` for files as they are, `proxy:` and a URL for an upstream
(`proxy:unix:/run/php.sock|fcgi://localhost/`), or a name that `Action` gives a meaning. `None` takes an outer `SetHandler` back. A file at the path of a FastCGI server
goes to that application whatever stands here.

## Example
    <FilesMatch \.php$>
        SetHandler site-php
    </FilesMatch>
",
    set: Set::One(|at, handler| {
        let mut name = none_or(handler);
        if let Some(name) = &mut name {
            // httpd folds handler names of SetHandler to lower case, but for proxies.
            match name.strip_prefix(b"proxy:") {
                Some(url) => proxy::worker::check_handler(url).map_err(|why| {
                    Problem::from(format!("SetHandler: {why}")).at(handler.span)
                })?,
                None => *name = name.to_ascii_lowercase().into(),
            }
            if &name[..] == b"balancer-manager" {
                let message = "SetHandler balancer-manager is refused: balancers are changed in the \
                               configuration, with a reload";
                return Err(Problem::from(message).at(handler.span));
            }
        }
        at.dir.core().handler = Some(name);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static SET_OUTPUT_FILTER: Directive = Directive {
    name: "SetOutputFilter",
    syntax: "filter[;filter...]|None",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "filter (or ; delimited list of filters) to be run on the request content",
    docs: r"
Sends responses through filters: `DEFLATE` packs them with gzip, `BROTLI_COMPRESS` with
Brotli, `INFLATE` unpacks gzip, `INCLUDES` carries out server-side includes, `SUBSTITUTE`
replaces text (see `Substitute`), and `RATE_LIMIT` sends no more KiB each second than the
variable `rate-limit` says, behind as many as `rate-initial-burst` says at once. Error pages of the server's own are left alone; error
documents and internal redirects are filtered as their own section says. `None` takes an
outer `SetOutputFilter` back.

## Example
    <Location /reports>
        SetOutputFilter DEFLATE
    </Location>
",
    compat: Compat::Differs(
        "an unknown filter is refused; httpd sends the body without it and says so in its log",
    ),
    set: Set::One(|at, word| {
        at.dir.core().output_filters = Some(filter::list(word)?);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static SET_INPUT_FILTER: Directive = Directive {
    name: "SetInputFilter",
    syntax: "DEFLATE|None",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "filter (or ; delimited list of filters) to be run on the request body",
    docs: r"
`DEFLATE` unpacks bodies of requests that come with `Content-Encoding: gzip`, before an
application gets them: it is told the length of the unpacked body, and no encoding. See
`DeflateInflateLimitRequestBody` for how much that may become.

## Example
    <Location /upload>
        SetInputFilter DEFLATE
    </Location>
",
    compat: Compat::Differs(
        "an unknown filter is refused; an application is told the length of the unpacked body",
    ),
    set: Set::One(|at, word| {
        at.dir.core().inflates_input = Some(filter::input_list(word)?);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static FORCE_TYPE: Directive = Directive {
    name: "ForceType",
    syntax: "media-type|None",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    summary: "a mime type that overrides other configured type",
    docs: r"
The media type of all matching files, whatever their names say.

## Example
    <Files README>
        ForceType text/plain
    </Files>
",
    set: Set::One(|at, kind| {
        at.dir.core().force_type =
            Some(none_or(kind).map(|kind| kind.to_ascii_lowercase().into()));
        Ok(())
    }),
    ..Directive::EXACT
};

pub static ADD_DEFAULT_CHARSET: Directive = Directive {
    name: "AddDefaultCharset",
    syntax: "On|Off|charset",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "Off",
    summary: "The name of the default charset to add to any Content-Type without one or 'Off' to \
              disable",
    docs: r"
A character set for responses of type text/plain and text/html that name none. `On` is
iso-8859-1.

## Example
    AddDefaultCharset UTF-8
",
    set: Set::One(|at, charset| {
        at.dir.core().add_default_charset = Some(match charset.flag() {
            Some(true) => Some(Bytes::from_static(b"iso-8859-1")),
            Some(false) => None,
            None => Some(charset.bytes.clone()),
        });
        Ok(())
    }),
    ..Directive::EXACT
};

pub static ACCEPT_PATH_INFO: Directive = Directive {
    name: "AcceptPathInfo",
    syntax: "On|Off|Default",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "Default",
    summary: "Set to on or off for PATH_INFO to be accepted by handlers, or default for the \
              per-handler preference",
    docs: r"
May a request name more path than there are files? By default a plain file refuses
(404) and an application accepts it as PATH_INFO.

## Example
    AcceptPathInfo On
",
    set: Set::One(|at, word| {
        let value = match word.flag() {
            Some(flag) => Some(flag),
            None if word.is("default") => None,
            None => {
                let message = "AcceptPathInfo must be set to on, off or default";
                return Err(Problem::from(message).at(word.span));
            }
        };
        at.dir.core().accept_path_info = Some(value);
        Ok(())
    }),
    ..Directive::EXACT
};

/// What `FileETag` says: components named outright, or added to and taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EtagSetting {
    named: Option<u8>,
    add: u8,
    remove: u8,
}

const INODE: u8 = 1;
const MTIME: u8 = 2;
const SIZE: u8 = 4;

impl EtagSetting {
    /// An inner setting over an outer one.
    #[must_use]
    pub fn merge(outer: EtagSetting, inner: EtagSetting) -> EtagSetting {
        if inner.named.is_some() {
            return inner;
        }
        EtagSetting {
            named: outer.named,
            add: outer.add & !inner.remove | inner.add,
            remove: outer.remove & !inner.add | inner.remove,
        }
    }

    /// What holds.
    pub fn components(self) -> Components {
        let bits = self.named.unwrap_or(0) & !self.remove | self.add;
        // What takes everything away says nothing; only `None` is no tag.
        let bits = if bits == 0 && self.named != Some(0) { MTIME | SIZE } else { bits };
        Components {
            inode: bits & INODE != 0,
            mtime: bits & MTIME != 0,
            size: bits & SIZE != 0,
        }
    }
}

pub static FILE_ETAG: Directive = Directive {
    name: "FileETag",
    syntax: "component ...",
    context: Context::ANYWHERE,
    overrides: Override::FILE_INFO,
    default: "MTime Size",
    summary: "Specify components used to construct a file's ETag",
    docs: r"
What a file's entity tag is made of: `INode`, `MTime`, `Size`, `All`, `None`. With `+` or
`-` components are added to or taken from the outer setting.

## Example
    FileETag None
",
    compat: Compat::Differs(
        "`Digest` is refused: the tag would cost reading the whole file",
    ),
    set: Set::Words(|at, words| {
        let setting = &mut at.dir.core().etag;
        for word in words {
            let text = word.lossy();
            let (sign, name) = match text.as_bytes().first() {
                Some(b'+') => (Some(true), &text[1..]),
                Some(b'-') => (Some(false), &text[1..]),
                _ => (None, &text[..]),
            };
            let bits = match name.to_ascii_lowercase().as_str() {
                "none" => 0,
                "all" => INODE | MTIME | SIZE,
                "inode" => INODE,
                "mtime" => MTIME,
                "size" => SIZE,
                _ => {
                    let message =
                        format!("Unknown keyword '{name}' for FileETag directive");
                    return Err(Problem::from(message).at(word.span));
                }
            };
            match sign {
                Some(true) => {
                    setting.add |= bits;
                    setting.remove &= !bits;
                }
                Some(false) => {
                    setting.remove |= bits;
                    setting.add &= !bits;
                }
                None => setting.named = Some(setting.named.unwrap_or(0) | bits),
            }
        }
        Ok(())
    }),
    ..Directive::EXACT
};

fn on_or_off(word: &Word) -> Result {
    let message = "parameter must be 'on' or 'off'";
    word.flag().map(drop).ok_or_else(|| Problem::from(message).at(word.span))
}

macro_rules! ignored {
    ($($name:ident: $spelling:literal, $syntax:literal, $overrides:ident, $set:expr, $summary:literal, $why:literal, $example:literal;)*) => {
        $(pub static $name: Directive = Directive {
            name: $spelling,
            syntax: $syntax,
            context: Context::ANYWHERE,
            overrides: Override::$overrides,
            summary: $summary,
            docs: concat!("\nAccepted without effect: ", $why, ".\n\n## Example\n    ", $example, "\n"),
            compat: Compat::Ignored($why),
            set: $set,
            ..Directive::EXACT
        };)*
    };
}

ignored! {
    DEFAULT_TYPE: "DefaultType", "media-type|none", FILE_INFO, Set::One(|_, _| Ok(())),
        "the default media type for otherwise untyped files (DEPRECATED)",
        "httpd 2.4 takes no notice of it either", "DefaultType none";
    ENABLE_MMAP: "EnableMMAP", "On|Off", FILE_INFO, Set::One(|_, word| on_or_off(word)),
        "Controls whether memory-mapping may be used to read files",
        "files are never mapped into memory", "EnableMMAP Off";
    ENABLE_SENDFILE: "EnableSendfile", "On|Off", FILE_INFO, Set::One(|_, word| on_or_off(word)),
        "Controls whether sendfile may be used to transmit files",
        "how files are sent is this server's own choice", "EnableSendfile On";
    CONTENT_DIGEST: "ContentDigest", "On|Off", OPTIONS, Set::Flag(|_, _| Ok(())),
        "whether or not to send a Content-MD5 header with each request",
        "Content-MD5 was withdrawn from HTTP", "ContentDigest Off";
}
