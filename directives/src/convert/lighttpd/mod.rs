//! lighttpd's configuration as httpd's.

mod parse;
mod shield;
mod write;

use super::ledger::Entry;
use crate::bundle::Files;

/// What was read, as httpd says it.
#[derive(Debug)]
pub struct Read {
    /// A configuration of this server.
    pub text: String,
    /// Every option of the original, those of an application included, and what became of
    /// it.
    pub entries: Vec<Entry>,
}

/// Reads a configuration. The error is a sentence with its place.
pub fn read(name: &str, bytes: &[u8], files: &dyn Files) -> Result<Read, String> {
    let statements = parse::parse(name, bytes, files)?;
    Ok(write::write(&statements))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Bundle;

    fn text(configuration: &str) -> String {
        let files = Bundle::default();
        read("/l.conf", configuration.as_bytes(), &files).expect("a configuration").text
    }

    fn refusal(configuration: &str) -> String {
        read("/l.conf", configuration.as_bytes(), &Bundle::default())
            .expect_err("refused")
    }

    /// Whatever is not carried over, what it protects is closed.
    #[test]
    fn what_protects_is_never_left_open() {
        let all = "<Location />\n    Require all denied\n</Location>\n";
        let of_url = |url| {
            format!("<LocationMatch {url}>\n    Require all denied\n</LocationMatch>\n")
        };
        let cases = [
            (
                r#"$HTTP["remoteip"] != "10.0.0.1" { url.access-deny = ("") }"#,
                all.to_owned(),
            ),
            (
                r#"$HTTP["url"] =~ "x" { } else { url.access-deny = ("") }"#,
                all.to_owned(),
            ),
            (
                r#"$HTTP["url"] =~ "x" { } else if $HTTP["url"] =~ "y" { url.access-deny = ("") }"#,
                all.to_owned(),
            ),
            (r#"url.access-allow = (".html")"#, all.to_owned()),
            (r#"ssl.verifyclient.activate = "enable""#, all.to_owned()),
            (r#"auth.require = ("/in" => ("method" => "basic"))"#, of_url("^/in")),
            (r#"$HTTP["url"] =^ "/in" { url.access-deny = ("") }"#, of_url("^/in")),
            (
                r#"$HTTP["scheme"] == "http" { $HTTP["url"] =~ "/a|b" { auth.require = ("" => ()) } }"#,
                of_url("/a|b"),
            ),
            (
                r#"$HTTP["host"] =~ "(.*)" { auth.require = ("" => ()) }"#,
                all.replace("\n    ", "\n        ").replace("</", "    </"),
            ),
        ];
        for (configuration, closed) in cases {
            let text = text(configuration);
            assert!(text.contains(&closed), "{configuration}\n{text}");
        }
        let open = text(r#"$HTTP["remoteip"] == "10.0.0.1" { url.access-deny = () }"#);
        assert!(!open.contains("denied"), "{open}");
    }

    #[test]
    fn conditions_of_one_name_are_one_server() {
        let text = text(
            r#"$HTTP["host"] == "a.example" { server.document-root = "/a" }
            $HTTP["host"] == "a.example" { url.access-deny = (".inc") }
            $HTTP["host"] =~ "^(a.example|b.example)$" { url.access-deny = (".cfg") }"#,
        );
        assert_eq!(text.matches("ServerName a.example").count(), 2, "{text}");
        let (first, _) = text.split_once("ServerAlias b.example").expect("a second");
        assert!(first.contains(r"\.inc$") && first.contains(r"\.cfg$"), "{text}");
    }

    /// Texts stay texts.
    #[test]
    fn nothing_gets_out_of_its_line() {
        let text = text(
            "setenv.add-environment = (\"A\nInclude /b\" => \"c\nInclude /d\")
            x.y = \"e\nInclude /f\"
            server.port = \"80\nInclude /g\"",
        );
        assert!(
            !text.lines().any(|line| line.trim_start().starts_with("Include")),
            "{text}"
        );
    }

    #[test]
    fn what_would_never_end_is_refused() {
        assert!(refusal(&format!("a.b = {}", "(".repeat(100_000))).contains("too deep"));
        let within = "$HTTP[\"url\"] == \"x\" {".repeat(100_000);
        assert!(refusal(&within).contains("too deep"));
        let doubles = format!("var.a = \"x\"{}", "\nvar.a = var.a + var.a".repeat(64));
        assert!(refusal(&doubles).contains("too much"));
        let texts =
            text(&format!("var.a = {0} + {0}\nserver.max-request-size = {0}", i64::MAX));
        assert!(texts.contains(&format!("LimitRequestBody {}", u64::MAX)), "{texts}");
    }
}
