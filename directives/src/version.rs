//! Who we are, and which httpd we are compatible with.

/// The httpd version whose configuration and behaviour this is; `<IfVersion>` compares
/// with it.
pub const HTTPD: [u32; 3] = [2, 4, 71];

/// Both versions, without the platform: `AP_SERVER_BASEVERSION`.
pub const BASE: &str =
    concat!("fcgi-httpd/", env!("CARGO_PKG_VERSION"), " Apache/2.4.71");

/// The product's name.
pub const PRODUCT: &str = "fcgi-httpd";

/// The product's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How much the `Server` field tells: `ServerTokens`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tokens {
    /// Names only.
    Prod,
    /// Names and major versions.
    Major,
    /// To the minor version.
    Minor,
    /// To the patch version.
    Minimal,
    /// And the platform.
    Os,
    /// And everything else.
    #[default]
    Full,
}

/// The `Server` field and `SERVER_SOFTWARE`: ours first, then httpd's, because
/// applications look for that word and scripts parse it.
pub fn server(tokens: Tokens) -> String {
    let [major, minor, patch] = HTTPD;
    let mut ours = VERSION.split('.');
    let mut part = || ours.next().unwrap_or("0");
    let (our_major, our_minor, our_patch) = (part(), part(), part());
    match tokens {
        Tokens::Prod => format!("{PRODUCT} Apache"),
        Tokens::Major => format!("{PRODUCT}/{our_major} Apache/{major}"),
        Tokens::Minor => {
            format!("{PRODUCT}/{our_major}.{our_minor} Apache/{major}.{minor}")
        }
        Tokens::Minimal | Tokens::Os | Tokens::Full => {
            let platform = if tokens == Tokens::Minimal { "" } else { " (Unix)" };
            format!(
                "{PRODUCT}/{our_major}.{our_minor}.{our_patch} Apache/{major}.{minor}.{patch}{platform}"
            )
        }
    }
}
