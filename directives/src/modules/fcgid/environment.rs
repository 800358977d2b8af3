//! What applications find in their environment, and where their sockets would be.

use bytes::Bytes;

use crate::schema::{Compat, Context, Directive, Set};

pub static INITIAL_ENV: Directive = Directive {
    name: "FcgidInitialEnv",
    aliases: &["DefaultInitEnv"],
    syntax: "name [ value ]",
    context: Context::SERVERS,
    summary: "an environment variable name and optional value to pass to FastCGI.",
    docs: r"
A variable in the environment of all applications behind `fcgid-script` that are started for
this server. They find it with PATH and LD_LIBRARY_PATH and nothing else. A virtual host has
the main server's variables beside its own.

## Example
    FcgidInitialEnv PHP_FCGI_MAX_REQUESTS 1000
",
    set: Set::OneOrTwo(|at, name, value| {
        let value = value.map_or_else(Bytes::new, |value| value.bytes.clone());
        at.server.fcgid().env.insert(name.bytes.clone(), value);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static PASS_HEADER: Directive = Directive {
    name: "FcgidPassHeader",
    aliases: &["PassHeader"],
    syntax: "name",
    context: Context::SERVERS,
    summary: "Header name which will be passed to FastCGI as environment variable.",
    docs: r"
A request header field that applications get although they would not, such as Authorization:
as HTTP_ and the name in capitals, and as the name itself, each with `_` in the place of `-`.

## Example
    FcgidPassHeader Authorization
",
    set: Set::Each(|at, word| {
        at.server.fcgid().pass_headers.push(word.bytes.clone());
        Ok(())
    }),
    ..Directive::EXACT
};

pub static FIX_PATHINFO: Directive = Directive {
    name: "FcgidFixPathinfo",
    aliases: &["PHP_Fix_Pathinfo_Enable"],
    syntax: "1",
    context: Context::SERVER,
    default: "0",
    summary: "Set 1, if cgi.fix_pathinfo=1 in php.ini",
    docs: r"
Has SCRIPT_NAME put together for a PHP with `cgi.fix_pathinfo=1`.

## Example
    FcgidFixPathinfo 0
",
    compat: Compat::Ignored(
        "on Unix mod_fcgid leaves SCRIPT_NAME as it is, too; php-cgi makes do with \
         SCRIPT_FILENAME",
    ),
    set: Set::One(|_, _| Ok(())),
    ..Directive::EXACT
};

pub static IPC_DIR: Directive = Directive {
    name: "FcgidIPCDir",
    aliases: &["SocketPath"],
    syntax: "pathname",
    context: Context::SERVER,
    default: "FastCgiIpcDir",
    summary: "fastcgi socket file path",
    docs: r"
Where the sockets of applications would be.

## Example
    FcgidIPCDir /run/mod_fcgid
",
    compat: Compat::Ignored(
        "sockets are in the directory of FastCgiIpcDir, which belongs to the server's user alone",
    ),
    set: Set::One(|_, _| Ok(())),
    ..Directive::EXACT
};

pub static PROCESS_TABLE_FILE: Directive = Directive {
    name: "FcgidProcessTableFile",
    aliases: &["SharememPath"],
    syntax: "pathname",
    context: Context::SERVER,
    summary: "fastcgi shared memory file path",
    docs: r"
Where mod_fcgid's processes share what they know of applications.

## Example
    FcgidProcessTableFile /run/mod_fcgid/fcgid_shm
",
    compat: Compat::Ignored("the process manager keeps its table in its own memory"),
    set: Set::One(|_, _| Ok(())),
    ..Directive::EXACT
};

pub static WIN32_PREVENT_ORPHANS: Directive = Directive {
    name: "FcgidWin32PreventOrphans",
    syntax: "On|Off",
    context: Context::SERVER,
    default: "Off",
    summary: "CGI spawns are tied to the server's life",
    docs: r"
Ends applications with the server, on Windows.

## Example
    FcgidWin32PreventOrphans Off
",
    compat: Compat::Ignored("a guardian ends the applications if the server dies"),
    set: Set::Flag(|_, _| Ok(())),
    ..Directive::EXACT
};
