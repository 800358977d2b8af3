//! mod_ssl's variables: the same names and values as apache2's for the same certificates.

use anyhow::{Result, ensure};
use compat_tests::application::Application;
use compat_tests::server::{Kind, Server};
use compat_tests::site::variable;

use crate::site::{Site, configured, hosts};

/// Of both certificates.
const FIELDS: &str = "M_VERSION M_SERIAL V_START V_END V_REMAIN S_DN I_DN A_KEY A_SIG \
    CERT_RFC4523_CEA SAN_Email_0 SAN_Email_1 SAN_DNS_0 SAN_DNS_1 SAN_DNS_2 \
    SAN_OTHER_msUPN_0 SAN_OTHER_dnsSRV_0 S_DN_C S_DN_ST S_DN_SP S_DN_L S_DN_O S_DN_OU \
    S_DN_OU_0 S_DN_OU_1 S_DN_OU_2 S_DN_CN S_DN_CN_0 S_DN_T S_DN_I S_DN_G S_DN_S S_DN_D \
    S_DN_UID S_DN_Email I_DN_C I_DN_O I_DN_CN I_DN_OU S_DN_Nonsense";
/// Of the connection.
const OTHERS: &str = "SSL_PROTOCOL SSL_CIPHER SSL_CIPHER_EXPORT SSL_CIPHER_USEKEYSIZE \
    SSL_CIPHER_ALGKEYSIZE SSL_COMPRESS_METHOD SSL_SECURE_RENEG SSL_SESSION_RESUMED \
    SSL_TLS_SNI SSL_CLIENT_VERIFY SSL_SRP_USER SSL_SRP_USERINFO SSL_NONSENSE HTTPS";

fn names() -> Vec<String> {
    let fields = FIELDS.split_whitespace();
    let of =
        |whose: &str| fields.clone().map(|name| format!("SSL_{whose}_{name}")).collect();
    let both: [Vec<String>; 2] = [of("CLIENT"), of("SERVER")];
    let others = OTHERS.split_whitespace().map(str::to_owned);
    both.concat().into_iter().chain(others).collect()
}

/// Every variable's value in the environment, in an expression and in `Header`'s own way.
fn values(kind: Kind, options: &str, args: &[&str]) -> Result<Vec<(String, String)>> {
    let mut conf = format!(
        "SSLVerifyClient optional\nSSLVerifyDepth 2\nSSLCACertificateFile {{ca}}/ca.pem\n\
         {options}"
    );
    for name in names() {
        conf += &format!(
            "Header set {name} \"[%{{{name}}}e] [%{{{name}}}s]\"\n\
             Header set X-{name} \"expr=[%{{{name}}}]\"\n"
        );
    }
    let conf =
        "LogFormat \"%{SSL_PROTOCOL}x %{SSL_CLIENT_S_DN}x %{SSL_NONSENSE}x %{version}c \
                %{cipher}c %{subjectdn}c %{issuerdn}c %{errcode}c\" v\n\
                CustomLog logs/access_log v\n"
            .to_owned()
            + &hosts(&conf);
    let site = Site::start(kind, &conf)?;
    let said = site.curl("one.test", "/a.txt", args)?;
    ensure!(said.status == 200, "{said:?}");
    let mut all = Vec::new();
    for name in names() {
        for field in [name.clone(), format!("X-{name}")] {
            let value = said.field(&field).unwrap_or("none").to_owned();
            all.push((field, value));
        }
    }
    drop(site.server);
    all.push(("the log".to_owned(), site.root.log("access_log")));
    Ok(all)
}

#[test]
fn all_of_them_are_apache2s() -> Result<()> {
    let client = ["--cert", "client.pem", "--key", "client.key"];
    let chain = ["--cert", "deep-chain.pem", "--key", "deep.key", "--tls-max", "1.2"];
    for (options, args) in [
        ("SSLOptions +StdEnvVars\n", &client[..]),
        ("SSLOptions +StdEnvVars +LegacyDNStringFormat\n", &client),
        ("SSLOptions +StdEnvVars\n", &chain),
        ("SSLOptions +StdEnvVars\n", &[]),
        ("", &client),
    ] {
        let ours = values(Kind::Ours, options, args)?;
        let theirs = values(Kind::Apache, options, args)?;
        let different = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs);
        let different: Vec<_> = different.collect();
        ensure!(different.is_empty(), "{options} {args:?}\n{different:#?}");
        let set = ours.iter().filter(|(_, value)| !value.contains("null")).count();
        ensure!(set > 20, "{ours:#?}");
    }
    Ok(())
}

#[test]
fn applications_are_told() -> Result<()> {
    let conf = format!(
        "Protocols h2 http/1.1\nFastCgiExternalServer {{root}}/htdocs/app -socket \
         {{root}}/run/app\nFastCgiExternalServer {{root}}/htdocs/more -socket {{root}}/run/app\n{}",
        hosts(
            "SSLVerifyClient optional\nSSLVerifyDepth 2\nSSLCACertificateFile {ca}/ca.pem\n\
             SSLUserName SSL_CLIENT_S_DN_CN\n<Location /more>\n\
             SSLOptions +StdEnvVars +ExportCertData\n</Location>\n"
        )
    );
    let root = configured(Kind::Ours, &conf)?;
    let _app = Application::probe(&root, "app", &[])?;
    let site = Site { server: Server::start(Kind::Ours, &root)?, root };
    let client = ["--cert", "deep-chain.pem", "--key", "deep.key"];
    let said = site.curl("one.test", "/app?env", &client)?;
    for (name, value) in [
        ("HTTPS", "on"),
        ("REQUEST_SCHEME", "https"),
        ("SERVER_PROTOCOL", "HTTP/2.0"),
        ("SSL_TLS_SNI", "one.test"),
        ("REMOTE_USER", "Deep"),
        ("HTTP_HOST", &format!("one.test:{}", site.root.other_port)),
        ("SERVER_PORT", &site.root.other_port.to_string()),
    ] {
        ensure!(variable(&said.text, name) == Some(value), "{name}={value}: {said:?}");
    }
    ensure!(variable(&said.text, "SSL_PROTOCOL").is_none(), "{said:?}");
    let said = site.curl("one.test", "/more?env", &client)?;
    for (name, value) in
        [("SSL_PROTOCOL", "TLSv1.3"), ("SSL_CLIENT_S_DN_CN", "Deep"), ("HTTPS", "on")]
    {
        ensure!(variable(&said.text, name) == Some(value), "{name}={value}: {said:?}");
    }
    for name in ["SSL_CLIENT_CERT", "SSL_CLIENT_CERT_CHAIN_0", "SSL_SERVER_CERT"] {
        let value = variable(&said.text, name).unwrap_or_default();
        ensure!(value.starts_with("-----BEGIN CERTIFICATE-----"), "{name}: {said:?}");
    }
    // Without TLS there is none of that.
    let mut plain = compat_tests::http::Client::connect(site.root.port)?;
    plain.send(b"GET /more?env HTTP/1.0\r\n\r\n")?;
    let text = plain.response("GET")?.text();
    ensure!(!text.contains("SSL_") && variable(&text, "HTTPS").is_none(), "{text}");
    Ok(())
}
