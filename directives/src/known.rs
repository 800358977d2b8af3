//! Directives of httpd and of widespread modules that no module here declares: which of
//! them may be passed over with a note, and which must not be. What stands in neither
//! list is unknown. After the census of real configurations.
//!
//! **Invariant: ignoring a directive never widens access**, and never changes under whose
//! name a program runs.

use std::sync::OnceLock;

/// What to do with a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Accept it, and say once that and why it has no effect.
    Ignored(&'static str),
    /// Refuse it, and say why.
    Refused(&'static str),
}

/// A known directive.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name; sections with their `<`.
    pub name: &'static str,
    /// Its module.
    pub module: &'static str,
    /// What to do.
    pub known: Known,
}

use Known::{Ignored, Refused};

const OWN_PROCESSES: Known =
    Ignored("how processes and threads are used is this server's own");
const NO_CACHE: Known = Ignored("there is no cache; every request is answered afresh");
const NOT_YET: Known = Refused("this server does not do this yet");
const OTHER_PROGRAM: Known = Refused(
    "it belongs to a program that runs inside httpd; give the program a process of its own",
);
const GUARDS: Known =
    Refused("it guards something, and nothing here would do it instead");
const IDENTITY: Known = Refused(
    "it says under whose name programs run; use FastCgiWrapper and SuexecUserGroup",
);

/// Names by module, separated by blanks.
static GROUPS: &[(&str, Known, &str)] = &[
    (
        "mpm",
        OWN_PROCESSES,
        "StartServers ServerLimit MaxSpareThreads MinSpareThreads ThreadsPerChild ThreadLimit \
      MaxConnectionsPerChild MaxRequestsPerChild MaxRequestWorkers MaxClients MaxMemFree \
      StartThreads ThreadStackSize MaxSpareServers MinSpareServers AsyncRequestWorkerFactor \
      ListenCoresBucketsRatio SendBufferSize ReceiveBufferSize AcceptMutex LockFile \
      ScoreBoardFile CoreDumpDirectory EnableExceptionHook AcceptFilter \
      ReadBufferSize FlushMaxThreshold FlushMaxPipelined WatchdogInterval MaxThreads \
      ExpireTimeout MaxProcessors MinProcessors MinSpareProcessors Multiplexer Processor \
      ServerEnvironment SimpleProcCount SimpleThreadCount",
    ),
    (
        "mod_ssl.c",
        Ignored("the TLS library looks after this itself"),
        "SSLRandomSeed SSLCryptoDevice SSLCompression SSLInsecureRenegotiation \
      SSLRenegBufferSize",
    ),
    (
        "mod_ssl.c",
        Ignored(
            "no answer of a responder of OCSP is shown to clients: they ask it themselves; a \
             certificate that says must-staple will not please them",
        ),
        "SSLUseStapling",
    ),
    (
        "mod_ssl.c",
        Ignored("no responder of OCSP is asked"),
        "SSLStaplingCache SSLStaplingResponseTimeSkew SSLStaplingResponderTimeout \
      SSLStaplingResponseMaxAge SSLStaplingStandardCacheTimeout SSLStaplingReturnResponderErrors \
      SSLStaplingFakeTryLater SSLStaplingErrorCacheTimeout SSLStaplingForceURL \
      SSLOCSPDefaultResponder SSLOCSPOverrideResponder SSLOCSPResponseTimeSkew \
      SSLOCSPResponseMaxAge SSLOCSPResponderTimeout SSLOCSPUseRequestNonce SSLOCSPProxyURL \
      SSLOCSPNoVerify SSLOCSPResponderCertificateFile",
    ),
    (
        "mod_ssl.c",
        Refused("the TLS library does not do this"),
        "SSLSRPVerifierFile SSLSRPUnknownUserSeed SSLPolicy SSLECHKeyDir",
    ),
    ("mod_mime_magic.c", Ignored("types are found by extension"), "MimeMagicFile"),
    (
        "mod_cache.c",
        NO_CACHE,
        "CacheEnable MCacheMaxObjectCount MCacheMaxObjectSize MCacheMinObjectSize MCacheSize",
    ),
    (
        "mod_rewrite.c",
        Ignored("LogLevel rewrite:traceN does this since httpd 2.4"),
        "RewriteLog RewriteLogLevel RewriteLock",
    ),
    (
        "mod_log_config.c",
        Refused(
            "httpd 2.4 does not have it; use CustomLog with \"%{Cookie}i \\\"%r\\\" %t\"",
        ),
        "CookieLog",
    ),
    ("authentication", NOT_YET, "AuthLDAPURL AuthzLDAPAuthoritative"),
    (
        "mod_authz_owner.c",
        Refused(
            "httpd 2.4 does not have it; write the alternatives to Require file-owner into \
             <RequireAny>, or the conditions into <RequireAll>",
        ),
        "AuthzOwnerAuthoritative",
    ),
    (
        "mod_auth_digest.c",
        Ignored("there is room for some thousand clients, and it is taken as they come"),
        "AuthDigestShmemSize",
    ),
    (
        "mod_auth_digest.c",
        Refused("httpd does not have it, and never had; leave it out"),
        "AuthDigestNonceFormat",
    ),
    (
        "mod_authn_dbm.c",
        Refused(
            "DBM files are not read; write users and groups into text files, for AuthUserFile \
             and AuthGroupFile",
        ),
        "AuthDBMUserFile AuthDBMType AuthDBMGroupFile AuthzDBMType",
    ),
    ("mod_autoindex.c", Refused("use IndexOptions FancyIndexing"), "FancyIndexing"),
    ("mod_sed.c", NOT_YET, "InputSed OutputSed"),
    ("mod_unixd.c", Ignored("FastCgiWrapper says whether there is a wrapper"), "Suexec"),
    (
        "mod_proxy.c",
        Refused("upstreams are connected to directly, from any address"),
        "ProxyRemote ProxyRemoteMatch ProxySourceAddress",
    ),
    (
        "mod_proxy.c",
        Ignored("it is for a forward proxy, which this server is not"),
        "AllowCONNECT",
    ),
    (
        "mod_proxy_ftp.c",
        Ignored("FTP is not spoken here"),
        "ProxyFtpDirCharset ProxyFtpEscapeWildcards ProxyFtpListOnWildcard",
    ),
    (
        "mod_proxy_wstunnel.c",
        Ignored("WebSockets and other requests go to an upstream alike"),
        "ProxyWebsocketFallbackToProxyHttp ProxyWebsocketAsync ProxyWebsocketAsyncDelay \
      ProxyWebsocketIdleTimeout",
    ),
    (
        "mod_proxy_hcheck.c",
        Refused(
            "health checks are not made; a member that fails is left alone for its retry",
        ),
        "ProxyHCExpr ProxyHCTemplate ProxyHCTPsize",
    ),
    (
        "mod_proxy_express.c",
        Refused("use RewriteMap and RewriteRule with [P]"),
        "ProxyExpressEnable ProxyExpressDBMFile ProxyExpressDBMType",
    ),
    (
        "mod_http2.c",
        Ignored("streams have no threads, buffers and files of their own here"),
        "H2MinWorkers H2MaxWorkers H2MaxWorkerIdleSeconds H2SerializeHeaders H2SessionExtraFiles \
      H2TLSWarmUpSize H2TLSCoolDownSecs H2CopyFiles H2OutputBuffering H2Padding",
    ),
    (
        "mod_http2.c",
        Ignored(
            "nothing is pushed, and nothing said before the answer; browsers ask by themselves",
        ),
        "H2Push H2PushPriority H2PushDiarySize H2PushResource H2EarlyHints H2EarlyHint",
    ),
    ("mod_http2.c", NOT_YET, "H2ProxyRequests H2WebSockets"),
    (
        "mod_dav.c",
        Refused("there is no WebDAV here"),
        "Dav DavLockDB DavMinTimeout DavDepthInfinity DavLockDiscovery DavGenericLockDB",
    ),
    (
        "mod_cache.c",
        NOT_YET,
        "CacheStaleOnError CacheRoot CacheDirLevels CacheDirLength CacheMaxFileSize CacheDisable \
      CacheLock CacheDefaultExpire CacheMaxExpire CacheIgnoreHeaders",
    ),
    (
        "mod_proxy_html.c",
        NOT_YET,
        "ProxyHTMLEvents ProxyHTMLLinks ProxyHTMLEnable ProxyHTMLURLMap",
    ),
    (
        "mod_unixd.c",
        Refused(
            "paths in the configuration would lead elsewhere than they say; give the service a \
             root of its own, as with systemd's RootDirectory, or run it in a container",
        ),
        "ChrootDir",
    ),
    ("mpm_itk", IDENTITY, "AssignUserID AssignUserIDExpr AssignGroupIDExpr"),
    ("mod_ident.c", GUARDS, "IdentityCheck IdentityCheckTimeout"),
    (
        "mod_authnz_external",
        GUARDS,
        "AuthExternal DefineExternalAuth AuthExternalProvide",
    ),
    ("mod_ruid2", IDENTITY, "RMode RUidGid RMinUidGid RGroups RDocumentChRoot"),
    (
        "mod_rpaf",
        Refused("use RemoteIPHeader and RemoteIPTrustedProxy"),
        "RPAFenable RPAFproxy_ips RPAFsethostname RPAFheader RPAFsethttps RPAFsetport",
    ),
    ("mod_perl", OTHER_PROGRAM, "<Perl SetHandlerPerl"),
    ("mod_passenger", OTHER_PROGRAM, "RailsEnv RackEnv RailsBaseURI RackBaseURI"),
    ("mod_mono", OTHER_PROGRAM, "MonoApplications"),
    ("mod_python", OTHER_PROGRAM, "PythonPath PythonHandler PythonDebug PythonOption"),
    ("mod_tile", OTHER_PROGRAM, "LoadTileConfigFile"),
    ("mod_rewrite.c", NOT_YET, "RewriteLogFile"),
];

/// Families of names: what begins so belongs to a module that is not here.
static PREFIXES: &[(&str, &str, Known)] = &[
    ("sec", "mod_security", GUARDS),
    ("perl", "mod_perl", OTHER_PROGRAM),
    ("passenger", "mod_passenger", OTHER_PROGRAM),
    (
        "php_",
        "mod_php",
        Refused("PHP has a process of its own here; set it in its pool or in .user.ini"),
    ),
    ("php3_", "mod_php", OTHER_PROGRAM),
    ("wsgi", "mod_wsgi", OTHER_PROGRAM),
    ("jk", "mod_jk", OTHER_PROGRAM),
    ("shib", "mod_shib", Refused("use FastCgiAuthorizer with shibauthorizer")),
    ("suphp_", "mod_suphp", IDENTITY),
    ("uwsgi", "mod_proxy_uwsgi", OTHER_PROGRAM),
    ("modtile", "mod_tile", OTHER_PROGRAM),
    ("policy", "mod_policy", GUARDS),
    ("ldap", "mod_ldap", NOT_YET),
    ("authldap", "mod_authnz_ldap", GUARDS),
    ("authform", "mod_auth_form", GUARDS),
    ("authn", "authentication", GUARDS),
    ("authz", "authorization", GUARDS),
    ("dos", "mod_evasive", GUARDS),
    ("qs_", "mod_qos", GUARDS),
    ("oidc", "mod_auth_openidc", GUARDS),
    ("mellon", "mod_auth_mellon", GUARDS),
    ("cas", "mod_auth_cas", GUARDS),
    ("krb", "mod_auth_kerb", GUARDS),
    ("gssapi", "mod_auth_gssapi", GUARDS),
    ("session", "mod_session", GUARDS),
    ("lua", "mod_lua", OTHER_PROGRAM),
    ("md", "mod_md", NOT_YET),
];

/// All known names.
pub fn entries() -> &'static [Entry] {
    static ENTRIES: OnceLock<Vec<Entry>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        let entry = |module, known| move |name| Entry { name, module, known };
        let groups = GROUPS.iter();
        groups
            .flat_map(|(module, known, names)| {
                names.split_whitespace().map(entry(*module, *known))
            })
            .collect()
    })
}

/// What is known of a name, compared without regard to case; sections with their `<`.
pub fn find(name: &str) -> Option<Entry> {
    let exact = entries().iter().find(|entry| entry.name.eq_ignore_ascii_case(name));
    if let Some(entry) = exact {
        return Some(*entry);
    }
    let lower = name.to_ascii_lowercase();
    let lower = lower.trim_start_matches('<');
    // A prefix alone is weak evidence: something else has to follow it in capitals or
    // behind an underscore, as these modules write their names.
    PREFIXES.iter().find_map(|(prefix, module, known)| {
        let rest = name.trim_start_matches('<').get(prefix.len()..)?;
        let boundary = prefix.ends_with('_')
            || rest.chars().next().is_some_and(|c| c.is_ascii_uppercase());
        let hit = lower.starts_with(prefix) && boundary;
        hit.then_some(Entry { name: "", module, known: *known })
    })
}

/// Modules that have no directives of their own here, but whose work is done.
pub fn is_served_module(name: &str) -> bool {
    matches!(
        name,
        "mod_logio.c"
            | "logio_module"
            | "mod_watchdog.c"
            | "watchdog_module"
            | "mod_slotmem_shm.c"
            | "slotmem_shm_module"
    )
}

/// Modules that protect a site by being loaded, and what nothing else here does.
pub fn guarding_module(id: &str) -> Option<&'static str> {
    Some(match id {
        "security2_module" | "security3_module" | "security_module" => {
            "filters requests as ModSecurity does"
        }
        "evasive_module" | "evasive20_module" | "evasive24_module" => {
            "slows attackers down as mod_evasive does"
        }
        "qos_module" => "limits clients as mod_qos does",
        "limitipconn_module" => "limits connections by address",
        "antiloris_module" => "limits slow clients by address",
        "spamhaus_module" => "refuses listed clients",
        "ruid2_module" => "runs requests under the user of their host",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_once_and_not_declared() {
        let mut seen = std::collections::HashSet::new();
        for entry in entries() {
            let name = entry.name.to_ascii_lowercase();
            assert!(seen.insert(name.clone()), "{name} stands twice");
            let declared = crate::schema::lookup::directive(name.as_bytes());
            assert!(declared.is_none(), "{name} is declared by a module");
        }
    }

    #[test]
    fn families_are_refused() {
        assert!(matches!(find("SecRuleEngine").unwrap().known, Refused(_)));
        assert!(matches!(find("php_admin_value").unwrap().known, Refused(_)));
        assert!(find("Section").is_none());
    }
}
