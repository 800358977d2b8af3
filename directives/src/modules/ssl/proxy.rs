//! How upstreams are spoken to over TLS: the `SSLProxy...` directives. They stand in servers
//! and in `<Proxy>` sections.

use std::sync::Arc;

use super::certificates::{file, hashed, secret};
use super::clients::{depth, revocation, verify};
use super::protocol::{suites_of, versions};
use super::proxied::Proxied;
use crate::compile::Scope;
use crate::diagnostic::codes;
use crate::schema::{Compat, Context, Directive, Problem, Result, Set};

/// The settings of the server or of the `<Proxy>` section at hand.
fn settings<'a>(at: &'a mut Scope) -> Result<&'a mut Proxied> {
    if at.place.context == Context::DIRECTORY
        && !at.place.container.is_some_and(|container| container.starts_with("<Proxy"))
    {
        let message = format!(
            "{} not allowed here: it is for servers and <Proxy> sections",
            at.cmd.name
        );
        return Err(Problem::new(&codes::CONTEXT, message).at(at.cmd.item.name_span));
    }
    Ok(Arc::make_mut(at.dir.ssl().proxied.get_or_insert_default()))
}

pub static ENGINE: Directive = Directive {
    name: "SSLProxyEngine",
    syntax: "on|off",
    context: Context::CONFIG,
    default: "off",
    summary: "SSL switch for the proxy protocol engine ('on', 'off')",
    docs: r"
May upstreams be spoken to over TLS? Without it a request for a `https://` or `wss://` URL is
answered 500, as with httpd.

## Example
    SSLProxyEngine on
    SSLProxyVerify require
    SSLProxyCACertificateFile /etc/ssl/certs/ca-certificates.crt
    ProxyPass /app/ https://app.example.org/
",
    set: Set::Flag(|at, on| {
        settings(at)?.engine = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static VERIFY: Directive = Directive {
    name: "SSLProxyVerify",
    syntax: "none|optional|require|optional_no_ca",
    context: Context::CONFIG,
    default: "none",
    summary: "SSL Proxy verify type ('none', 'optional', 'require', 'optional_no_ca')",
    docs: r"
Has an upstream's certificate to come from one of the authorities of
`SSLProxyCACertificateFile`? With `none`, httpd's default, anybody may have issued it; its
name and its time are looked at all the same. `optional` is `require`: upstreams always show
one.

## Example
    SSLProxyVerify require
",
    set: Set::One(|at, word| {
        let chosen = verify(at, word)?;
        settings(at)?.verify = Some(chosen);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static VERIFY_DEPTH: Directive = Directive {
    name: "SSLProxyVerifyDepth",
    syntax: "number",
    context: Context::CONFIG,
    default: "1",
    summary: "SSL Proxy verify depth ('N' - number of intermediate certificates)",
    docs: r"
How many certificates may stand above the upstream's own one.

## Example
    SSLProxyVerifyDepth 3
",
    set: Set::One(|at, word| {
        let most = depth(at, word)?;
        settings(at)?.depth = Some(most);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CHECK_PEER_EXPIRE: Directive = Directive {
    name: "SSLProxyCheckPeerExpire",
    syntax: "on|off",
    context: Context::CONFIG,
    default: "on",
    summary: "SSL Proxy: check the peer certificate's expiration date",
    docs: r"
Is an upstream refused whose certificate is not good yet, or not any more? It is answered 500.

## Example
    SSLProxyCheckPeerExpire on
",
    set: Set::Flag(|at, on| {
        settings(at)?.check_expire = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CHECK_PEER_NAME: Directive = Directive {
    name: "SSLProxyCheckPeerName",
    syntax: "on|off",
    context: Context::CONFIG,
    default: "on",
    summary: "SSL Proxy: check the peer certificate's name (must be present in subjectAltName extension or CN",
    docs: r"
Has an upstream's certificate to name the host of its URL (with `ProxyPreserveHost` that of the
request), as one of its DNS names or as its common name? `*.` stands for one label.

## Example
    SSLProxyCheckPeerName on
",
    set: Set::Flag(|at, on| {
        settings(at)?.check_name = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CHECK_PEER_CN: Directive = Directive {
    name: "SSLProxyCheckPeerCN",
    syntax: "on|off",
    context: Context::CONFIG,
    default: "on",
    summary: "SSL Proxy: check the peer certificate's CN",
    docs: r"
Is the common name of an upstream's certificate compared with its host? That is so only where
`SSLProxyCheckPeerName` is off. With `off`, and nothing said about `SSLProxyCheckPeerName`,
no name is looked at.

## Example
    SSLProxyCheckPeerName off
    SSLProxyCheckPeerCN on
",
    set: Set::Flag(|at, on| {
        settings(at)?.check_cn = Some(on);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CA_CERTIFICATE_FILE: Directive = Directive {
    name: "SSLProxyCACertificateFile",
    syntax: "file-path",
    context: Context::CONFIG,
    summary: "SSL Proxy: file containing server certificates ('/path/to/file' - PEM encoded certificates)",
    docs: r"
The authorities whose certificates upstreams may show: one file with all of them.

## Example
    SSLProxyCACertificateFile /etc/ssl/certs/ca-certificates.crt
",
    set: Set::One(|at, word| {
        let given = file(at, word)?;
        at.process().ssl.trusted.push(given.clone());
        settings(at)?.file = Some(given);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CA_CERTIFICATE_PATH: Directive = Directive {
    name: "SSLProxyCACertificatePath",
    syntax: "directory-path",
    context: Context::CONFIG,
    summary: "SSL Proxy: directory containing server certificates ('/path/to/dir' - contains PEM encoded certificates)",
    docs: r"
The same, one file for each authority, under the names that `openssl rehash` makes. The
directory is read with the configuration: what is added to it needs a reload.

## Example
    SSLProxyCACertificatePath /etc/ssl/certs/
",
    compat: Compat::Differs("files that are added later are seen after a reload"),
    set: Set::One(|at, word| {
        let given = hashed(at, word, ".")?;
        settings(at)?.path = given;
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CA_REVOCATION_FILE: Directive = Directive {
    name: "SSLProxyCARevocationFile",
    syntax: "file-path",
    context: Context::CONFIG,
    summary: "SSL Proxy: CA Certificate Revocation List (CRL) file ('/path/to/file' - PEM encoded)",
    docs: r"
Lists of upstreams' certificates that are not good any more; see `SSLProxyCARevocationCheck`.

## Example
    SSLProxyCARevocationFile /etc/ssl/revoked.pem
",
    set: Set::One(|at, word| {
        let given = file(at, word)?;
        settings(at)?.revoked_file = Some(given);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CA_REVOCATION_PATH: Directive = Directive {
    name: "SSLProxyCARevocationPath",
    syntax: "directory-path",
    context: Context::CONFIG,
    summary: "SSL Proxy: CA Certificate Revocation List (CRL) path ('/path/to/dir' - contains PEM encoded files)",
    docs: r"
The same, one file for each list, under the names that `openssl rehash` makes.

## Example
    SSLProxyCARevocationPath /etc/ssl/revoked/
",
    compat: Compat::Differs("files that are added later are seen after a reload"),
    set: Set::One(|at, word| {
        let given = hashed(at, word, ".r")?;
        settings(at)?.revoked_path = given;
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CA_REVOCATION_CHECK: Directive = Directive {
    name: "SSLProxyCARevocationCheck",
    syntax: "chain|leaf|none [flags ...]",
    context: Context::CONFIG,
    default: "none",
    summary: "SSL Proxy: CA Certificate Revocation List (CRL) checking mode",
    docs: r"
Are lists of revoked certificates looked at: for the upstream's own certificate (`leaf`), or for
those of its issuers, too (`chain`)? Where `SSLProxyVerify` asks for no authority, no list is
looked at. An authority without a list lets nobody be asked, unless `no_crl_for_cert_ok`
stands behind it.

## Example
    SSLProxyCARevocationCheck chain
",
    set: Set::OneOrTwo(|at, word, flags| {
        let check = revocation(at, word, flags)?;
        settings(at)?.revocation = Some(check);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static MACHINE_CERTIFICATE_FILE: Directive = Directive {
    name: "SSLProxyMachineCertificateFile",
    syntax: "filename",
    context: Context::CONFIG,
    summary: "SSL Proxy: file containing client certificates ('/path/to/file' - PEM encoded certificates)",
    docs: r"
Certificates that this server shows to upstreams which ask for one, each with its private key
behind it, not encrypted. The one whose issuer the upstream names is shown; one that names
nobody gets the first.

## Example
    SSLProxyMachineCertificateFile /etc/ssl/private/machine.pem
",
    set: Set::One(|at, word| {
        let key = secret(at, word)?;
        at.process().ssl.machines.push(key.clone());
        settings(at)?.machine = Some(key);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static MACHINE_CERTIFICATE_CHAIN_FILE: Directive = Directive {
    name: "SSLProxyMachineCertificateChainFile",
    syntax: "filename",
    context: Context::CONFIG,
    summary: "SSL Proxy: file containing issuing certificates of the client certificate (`/path/to/file' - PEM encoded certificates)",
    docs: r"
The certificates of the issuers of those, which are sent along.

## Example
    SSLProxyMachineCertificateChainFile /etc/ssl/certs/chain.pem
",
    set: Set::One(|at, word| {
        let given = file(at, word)?;
        settings(at)?.chain = Some(given);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static PROTOCOL: Directive = Directive {
    name: "SSLProxyProtocol",
    syntax: "[+|-]protocol ...",
    context: Context::CONFIG,
    default: "all",
    summary: "SSL Proxy: enable or disable SSL protocol flavors ('[+-][TLSv1|TLSv1.1|TLSv1.2] ...' - see manual)",
    docs: r"
Which versions are spoken with upstreams, of TLS 1.2 and 1.3.

## Example
    SSLProxyProtocol -all +TLSv1.3
",
    compat: Compat::Differs("there is nothing older than TLS 1.2"),
    set: Set::Words(|at, words| {
        let chosen = versions(at, words)?;
        settings(at)?.protocols = Some(chosen);
        Ok(())
    }),
    ..Directive::EXACT
};

pub static CIPHER_SUITE: Directive = Directive {
    name: "SSLProxyCipherSuite",
    syntax: "[protocol] cipher-spec",
    context: Context::CONFIG,
    default: "DEFAULT",
    summary: "SSL Proxy: colon-delimited list of permitted SSL ciphers, optionally preceded by protocol specifier ('XXX:...:XXX' - see manual)",
    docs: r"
Which cipher suites are offered to upstreams, as `SSLCipherSuite` says it.

## Example
    SSLProxyCipherSuite HIGH:!aNULL
",
    compat: Compat::Differs("there are only suites with ECDHE and AEAD"),
    set: Set::OneOrTwo(|at, first, second| {
        let (is_13, ids) = suites_of(at, first, second)?;
        let settings = settings(at)?;
        let place = if is_13 { &mut settings.suites13 } else { &mut settings.suites12 };
        *place = Some(ids);
        Ok(())
    }),
    ..Directive::EXACT
};
