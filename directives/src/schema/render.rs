//! One declaration, rendered: its entry in `-L`, its page in the reference.

use super::{Compat, Context, Directive, Module, Override, Set};
use crate::modules::fastcgi;

/// The entry of `-L`, in httpd's layout; see `show_directives`.
pub fn listing(directive: &Directive, module: &Module) -> String {
    let mut out = String::new();
    for name in std::iter::once(&directive.name).chain(directive.aliases) {
        out += &format!(
            "{name} ({})\n\t{}\n\tAllowed in *.conf ",
            module.name, directive.summary
        );
        out += allowed_in(directive);
        if directive.context.allows(Context::HTACCESS) {
            out += " and in .htaccess\n\twhen AllowOverride";
            if directive.overrides == Override::ALL {
                out += " isn't None";
            } else {
                out += " includes ";
                out += &directive.overrides.describe();
            }
        }
        out.push('\n');
    }
    out
}

fn allowed_in(directive: &Directive) -> &'static str {
    let servers = directive.context.allows(Context::SERVERS);
    let inside = directive.context.allows(Context::DIRECTORY);
    match (servers, inside) {
        (true, true) => "anywhere",
        (true, false) => "only outside <Directory>, <Files>, <Location>, or <If>",
        _ => "only inside <Directory>, <Files>, <Location>, or <If>",
    }
}

/// The page of the reference.
pub fn page(directive: &Directive, module: &Module) -> String {
    let shown = directive.shown();
    // A bracket at its front would make it a tag of HTML.
    let heading = shown.replace('<', "\\<");
    let mut out = format!("## {heading}\n\n| | |\n|---|---|\n");
    let usage = if directive.is_section() {
        format!(
            "{} {}> ... </{}>",
            directive.name,
            directive.syntax,
            &directive.name[1..]
        )
    } else {
        format!("{shown} {}", directive.syntax)
    };
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            out += &format!("| {name} | {} |\n", value.replace('|', "\\|"));
        }
    };
    row("Syntax", &format!("`{}`", usage.trim()));
    let default = format!("`{shown} {}`", directive.default);
    row("Default", if directive.default.is_empty() { "" } else { &default });
    row("Context", &directive.context.describe());
    if directive.context.allows(Context::HTACCESS) {
        let class = match directive.overrides {
            Override::ALL => "All".to_owned(),
            class => class.describe(),
        };
        row("Override", &class);
    }
    row("Module", module.name);
    row("Also called", &directive.aliases.join(", "));
    match directive.compat {
        Compat::Exact => {}
        Compat::Differs(how) => row("Differs from httpd", how),
        Compat::Ignored(why) => row("No effect", why),
    }
    // Headings inside a page are one level deeper than the page's own.
    let docs = directive.docs.trim().replace("\n## ", "\n### ");
    out += &format!("\n{docs}\n");
    if matches!(directive.set, Set::Raw(_)) {
        let options = match directive.name {
            "FastCgiServer" => fastcgi::options_page(fastcgi::options::STATIC),
            "FastCgiExternalServer" => fastcgi::options_page(fastcgi::options::EXTERNAL),
            "FastCgiConfig" => fastcgi::options_page(fastcgi::options::DYNAMIC),
            _ => String::new(),
        };
        if !options.is_empty() {
            out += &format!("\n### Options\n\n{options}");
        }
    }
    out
}

/// All pages: `REFERENCE.md`. A page's headings are one level deeper there, below the
/// heading of its module.
pub fn reference() -> String {
    let mut out = String::from(
        "# Reference of directives\n\nMade from the declarations in `directives/src`: change those, \
         then `UPDATE_EXPECT=1 cargo test -p directives --test laws` writes this file anew.\n",
    );
    for module in crate::modules::MODULES {
        if module.directives.is_empty() {
            continue;
        }
        out += &format!(
            "\n## {}\n\nAs `<IfModule {}>` and `<IfModule {}>`.\n",
            module.name, module.name, module.id
        );
        for directive in module.directives {
            out.push('\n');
            for line in page(directive, module).lines() {
                out += if line.starts_with('#') { "#" } else { "" };
                out += line;
                out.push('\n');
            }
        }
    }
    out
}
