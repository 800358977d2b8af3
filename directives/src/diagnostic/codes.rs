//! Every diagnostic has a number. Numbers are never reused: the list below is compared
//! with `testdata/codes.txt`.

use super::Severity::{self, Error, Note, Warning};

/// One kind of diagnostic.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Printed as `FC0101`.
    pub number: u16,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// httpd's own number for the same message, where it has one.
    pub ah: Option<u32>,
    /// The module whose log token a warning carries, as in `[core:warn]`.
    pub module: &'static str,
}

macro_rules! codes {
    ($($name:ident = $number:literal, $severity:ident, $title:literal $(, AH $ah:literal)? $(, in $module:literal)?;)*) => {
        $(
            #[doc = $title]
            pub static $name: Code = Code {
                number: $number,
                severity: $severity,
                title: $title,
                ah: codes!(@ah $($ah)?),
                module: codes!(@module $($module)?),
            };
        )*
        /// All of them, by number.
        pub static ALL: &[&Code] = &[$(&$name),*];
    };
    (@ah) => { None };
    (@ah $ah:literal) => { Some($ah) };
    (@module) => { "core" };
    (@module $module:literal) => { $module };
}

codes! {
    NESTING = 1, Error, "a closing tag that does not fit";
    NOT_CLOSED = 2, Error, "a section without its closing tag";
    READ = 3, Error, "a directive that acts while reading failed";
    INCLUDE = 4, Error, "a file that cannot be included";
    UNDEFINED_VARIABLE = 5, Warning, "a variable that is not defined", AH 111;
    MACRO = 6, Error, "a macro misused";
    MODULE_MISSING = 7, Note, "a module that this server does not have", in "so";
    MODULE_GUARD = 8, Error, "a module whose loading alone protects something", in "so";
    MODULE_TWICE = 9, Warning, "a module named twice", AH 1574, in "so";
    MACRO_PARAMETER = 11, Warning, "a macro's parameter without $, % or @", AH 2796, in "macro";
    MACRO_PREFIX = 12, Warning, "a macro's parameter that begins another", AH 2797, in "macro";
    MACRO_EMPTY = 13, Warning, "a macro without contents", AH 2799, in "macro";
    MACRO_UNUSED = 14, Warning, "a macro's parameter that is never used", AH 2800, in "macro";
    MACRO_TWICE = 15, Warning, "a macro defined twice", AH 2802, in "macro";
    OPEN = 10, Error, "a configuration file that cannot be read";
    UNKNOWN = 20, Error, "a directive that nobody knows";
    CONTEXT = 21, Error, "a directive where it may not stand";
    USAGE = 22, Error, "a wrong number of arguments";
    VALUE = 23, Error, "an argument that the directive refuses";
    REFUSED = 24, Error, "a directive that is known and refused";
    IGNORED = 25, Note, "a directive that is accepted and has no effect";
    DIFFERS = 26, Note, "a directive that works differently here";
    DOCUMENT_ROOT = 28, Warning, "a document root that is not there", AH 112;
    SERVER_NAME = 29, Warning, "a server without a name", AH 558;
    HOST_UNRESOLVED = 30, Warning, "a virtual host whose name has no address", AH 547;
    ERROR_DOCUMENT = 31, Warning, "an error document that cannot be", AH 113;
    WRAPPER_OPTIONS = 40, Warning, "user and group without a wrapper", in "";
    FASTCGI = 44, Error, "FastCGI applications that contradict each other";
    PASS_ENV = 41, Warning, "a variable to pass that the server does not have", AH 1506, in "env";
    AUTH_MERGE = 42, Warning, "an authorizer inherited where httpd would drop it", in "fastcgi";
    USELESS_OVERRIDE = 48, Warning, "AllowOverride where no file is looked for", AH 114;
    USELESS_OVERRIDE_LIST = 49, Warning, "AllowOverrideList where no file is looked for", AH 115;
    ONLY_NEGATIVE = 45, Error, "conditions that let nobody in", AH 1624, in "authz_core";
    OVERRIDE_LIST = 46, Warning, "a name in AllowOverrideList that is no directive's", AH 116;
    OVERRIDE_NEVER = 47, Warning, "a directive that .htaccess never has", AH 2304;
    FCGID_LIMIT = 61, Warning, "uploads that mod_fcgid's default limits", in "fcgid";
    SSL_PROTOCOL = 50, Warning, "protocols where a sign is missing", AH 2532, in "ssl";
    SSL_CIPHERS = 51, Warning, "cipher suites that there are not", in "ssl";
    SSL_INIT = 52, Error, "certificates and keys that do not go together", in "ssl";
    WORKER_SHARED = 60, Warning, "an upstream that is defined already", AH 1146, in "proxy";
    // From 70 on: what only fcgi-conf check looks for.
    CHECK_AUTHORIZATION = 70, Warning, "credentials that an application does not get", in "fastcgi";
    CHECK_WRAPPER = 71, Warning, "a wrapper beside applications that somebody else runs", in "fastcgi";
    CHECK_IPC_DIR = 72, Warning, "sockets in a directory that is for everybody", in "fastcgi";
    CHECK_IDLE = 73, Warning, "half a minute for what may take longer", in "fastcgi";
    CHECK_SCRIPT_FILENAME = 74, Warning, "a script's path that an application elsewhere may not have", in "fastcgi";
    CHECK_GATEWAY_TRUST = 75, Warning, "a gateway that nobody may ask", in "gateway";
    CHECK_DOUBLE_EXTENSION = 76, Warning, "names with two suffixes that are run", in "mime";
    CHECK_FILE = 77, Warning, "a file that is not there";
    CHECK_SOCKET = 78, Warning, "an application that does not answer", in "fastcgi";
    CHECK_PORT = 79, Warning, "an address that is taken";
    CHECK_CERTIFICATE = 80, Warning, "a certificate that is not good, or not for long", in "ssl";
    CHECK_AUTHENTICATOR = 82, Warning, "an authenticator that is not asked", in "fastcgi";
    CHECK_HTACCESS = 81, Warning, "a .htaccess file that answers with an error", in "core";
    FASTCGI_FIXED = 43, Note, "a FastCGI defect that is mended here", in "fastcgi";
}
