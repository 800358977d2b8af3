//! THE LIST of modules. Its order is the order of hooks inside a phase and of pages in
//! the reference; what comes first among equals decides first, as with httpd's modules.

/// Makes, from the list, the settings of a section ([`DirPart`]), the merged settings
/// that a request reads ([`DirConfig`]), the same for servers, and [`MODULES`]. A module
/// on the list exports `Dir` and `Server`, both [`Merge`](crate::merge::Merge).
macro_rules! modules {
    // The core's parts, which have no settings of their own, stand behind the core.
    (@all $core:ident, $($module:ident),*) => {
        &[
            &$core::MODULE, &$core::SO, &$core::HTTP, &$core::UNIXD, &$core::VERSION,
            &$core::MACRO, &$core::MPM, &proxy::HTTP, &proxy::WSTUNNEL, &proxy::BALANCER,
            &proxy::BY_REQUESTS, &proxy::BY_BUSYNESS, &cgi::CGID,
            $(&$module::MODULE,)*
        ]
    };
    ($($module:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// What one section sets; `None` where a module is not mentioned.
        #[derive(Debug, Default)]
        pub struct DirPart {
            $(#[doc = concat!("Of `", stringify!($module), "`.")] pub $module: Option<$module::Dir>,)*
        }

        impl DirPart {
            $(
                #[doc = concat!("The settings of `", stringify!($module), "`, to be changed.")]
                pub fn $module(&mut self) -> &mut $module::Dir {
                    self.$module.get_or_insert_default()
                }
            )*
        }

        /// The merged settings of all sections that apply.
        #[derive(Clone, Debug, Default)]
        pub struct DirConfig {
            $(#[doc = concat!("Of `", stringify!($module), "`.")] pub $module: std::sync::Arc<$module::Dir>,)*
            /// A user is wanted although no `Require` says so: see
            /// [`DirPart::implies_user`].
            pub user_implied: bool,
        }

        impl DirConfig {
            /// These settings with a section's laid over them; modules that the section
            /// does not mention share theirs.
            #[must_use]
            pub fn with(&self, inner: &DirPart) -> DirConfig {
                DirConfig {
                    $($module: match &inner.$module {
                        Some(inner) => std::sync::Arc::new(
                            $crate::merge::Merge::merge(&*self.$module, inner),
                        ),
                        None => self.$module.clone(),
                    },)*
                    user_implied: inner.implies_user().unwrap_or(self.user_implied),
                }
            }
        }

        /// What one server or virtual host sets.
        #[derive(Debug, Default)]
        pub struct ServerPart {
            $(#[doc = concat!("Of `", stringify!($module), "`.")] pub $module: Option<$module::Server>,)*
        }

        impl ServerPart {
            $(
                #[doc = concat!("The settings of `", stringify!($module), "`, to be changed.")]
                pub fn $module(&mut self) -> &mut $module::Server {
                    self.$module.get_or_insert_default()
                }
            )*
        }

        /// A server's settings over those of the main server.
        #[derive(Debug, Default)]
        pub struct ServerConfig {
            $(#[doc = concat!("Of `", stringify!($module), "`.")] pub $module: $module::Server,)*
        }

        impl ServerConfig {
            /// A virtual host's settings over the main server's.
            pub fn merged(main: &ServerPart, own: &ServerPart) -> ServerConfig {
                ServerConfig {
                    $($module: {
                        let nothing = Default::default();
                        let main = main.$module.as_ref().unwrap_or(&nothing);
                        let silent = Default::default();
                        let own = own.$module.as_ref().unwrap_or(&silent);
                        $crate::merge::Merge::merge(main, own)
                    },)*
                }
            }
        }

        /// All modules, in order.
        pub static MODULES: &[&Module] = modules!(@all $($module),*);
    };
}

use crate::schema::Module;

modules! {
    core, reqtimeout, remoteip, unique_id, gateway, ssl, http2, setenvif, rewrite, proxy, proxy_fcgi, alias, userdir,
    vhost_alias, suexec, env, negotiation, mime, autoindex, dir, speling, asis, actions, cgi, expires,
    filter, include, substitute, deflate, brotli, ratelimit, headers,
    access_compat, allowmethods, authn_core, fastcgi, fcgid, authnz_fcgi, auth_basic, auth_digest, authn_file, authn_anon, authz_user,
    authz_groupfile, authz_owner, authz_core, authz_host, status, info, explain, log_config,
}

/// Modules that show or do something without being asked by a directive of their own, or
/// that distributions' configurations ask whether they are there before something is
/// opened. In a configuration with `LoadModule` lines they are there only if one of the
/// lines names them.
const LOADED: &[&str] =
    &["autoindex_module", "cgi_module", "cgid_module", "negotiation_module"];

/// Modules that do something for every request: only for who names them in `LoadModule`.
const NAMED: &[&str] = &["unique_id_module"];

/// Is a module that is built in at work, in a configuration whose `LoadModule` lines name
/// these? Who took it out of a configuration wanted it out.
pub fn is_at_work<S: std::hash::BuildHasher>(
    id: &str,
    loaded: &std::collections::HashSet<String, S>,
) -> bool {
    // One is the other with a daemon.
    let twin = if id == "cgi_module" { "cgid_module" } else { id };
    if loaded.contains(id) || loaded.contains(twin) {
        return true;
    }
    !NAMED.contains(&id) && (loaded.is_empty() || !LOADED.contains(&id))
}

impl DirPart {
    /// A section that names an application for users, and has no `Require`, wants a user
    /// all the same; one that has says itself what it wants. `None` if it does
    /// neither.
    pub fn implies_user(&self) -> Option<bool> {
        if self.authz_core.as_ref().is_some_and(authz_core::Dir::has_rules) {
            return Some(false);
        }
        let asks =
            |dir: &fastcgi::Dir| dir.authenticator.is_some() || dir.authorizer.is_some();
        let fastcgi = self.fastcgi.as_ref().is_some_and(asks);
        let fcgid = self.fcgid.as_ref().is_some_and(|dir| asks(&dir.authorizers));
        (fastcgi || fcgid).then_some(true)
    }
}

/// Settings of the whole process, which no virtual host has of its own.
#[derive(Debug, Default)]
pub struct Process {
    /// Of `core`.
    pub core: core::Process,
    /// Of `fastcgi`.
    pub fastcgi: fastcgi::Process,
    /// Of `authn_core`.
    pub authn_core: authn_core::Process,
    /// Of `authz_core`.
    pub authz_core: authz_core::Process,
    /// Of `fcgid`.
    pub fcgid: fcgid::Process,
    /// Of `authnz_fcgi`.
    pub authnz_fcgi: authnz_fcgi::Process,
    /// Of `ssl`.
    pub ssl: ssl::Process,
    /// Of `gateway`.
    pub gateway: gateway::Process,
    /// Of `explain`.
    pub explain: explain::Process,
}
