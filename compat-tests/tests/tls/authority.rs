//! Certificates, made once by openssl for all of these tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use compat_tests::application::run;

/// The directory with all of them: `NAME.pem` and `NAME.key`, and `ca.crl`.
pub fn directory() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| make().expect("openssl makes certificates"))
}

/// What stands in the certificates beside their names, one line of openssl's for each.
const ONE: &str = "subjectAltName=DNS:one.test,DNS:www.one.test,email:m@one.test";
const CLIENT: &str = "subjectAltName=email:joe@one.test,\
    otherName:1.3.6.1.4.1.311.20.2.3;UTF8:joe@corp\nextendedKeyUsage=clientAuth";
const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign";

fn make() -> Result<PathBuf> {
    // Beside the tests' own programs, where cargo lets them write; the same for every run.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let work = tempfile::Builder::new().prefix("ca").tempdir_in(target)?;
    let at = work.path().to_owned();
    authority(&at, "ca", "/C=DE/O=Test CA/CN=Root")?;
    authority(&at, "other", "/CN=Other Root")?;
    let subject =
        "/C=DE/ST=Bürgen/O=One, Inc./OU=a/OU=b/CN=one.test/emailAddress=x@one.test";
    certificate(&at, "one", subject, "ca", ONE)?;
    certificate(&at, "new", "/CN=one.test/O=New", "ca", "subjectAltName=DNS:one.test")?;
    certificate(&at, "two", "/CN=two.test", "ca", "subjectAltName=DNS:two.test")?;
    certificate(&at, "three", "/CN=three.test", "ca", "subjectAltName=DNS:three.test")?;
    certificate(&at, "star", "/O=Star", "ca", "subjectAltName=DNS:*.star.test")?;
    certificate(&at, "common", "/CN=common.test", "ca", "keyUsage=digitalSignature")?;
    certificate(&at, "apart", "/CN=apart.test", "ca", "subjectAltName=DNS:else.test")?;
    let name = "subjectAltName=DNS:stranger.test";
    certificate(&at, "stranger", "/CN=stranger.test", "other", name)?;
    let name = "subjectAltName=DNS:expired.test";
    certificate(&at, "expired", "/CN=expired.test", "ca", name)?;
    let subject = "/C=DE/O=Clients <x>/OU=Staff/CN=Joe Doe/UID=joe/serialNumber=77";
    certificate(&at, "client", subject, "ca", CLIENT)?;
    certificate(&at, "revoked", "/CN=Revoked", "ca", "extendedKeyUsage=clientAuth")?;
    let name = "subjectAltName=DNS:gone.test";
    certificate(&at, "gone", "/CN=gone.test", "ca", name)?;
    certificate(&at, "wrong", "/CN=Wrong", "other", "extendedKeyUsage=clientAuth")?;
    certificate(&at, "middle", "/CN=Middle", "ca", CA)?;
    certificate(&at, "deep", "/CN=Deep", "middle", "extendedKeyUsage=clientAuth")?;
    let chain = [read(&at, "deep.pem")?, read(&at, "middle.pem")?].concat();
    std::fs::write(at.join("deep-chain.pem"), chain)?;
    run(openssl(&at).args(["pkey", "-aes256", "-passout", "pass:secret"]).args([
        "-in",
        "one.key",
        "-out",
        "encrypted.key",
    ]))?;
    let conf = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\ncrlnumber=number\n\
                default_md=sha256\ndefault_crl_days=30\n\
                [any]\ncommonName=optional\n";
    std::fs::write(at.join("ca.conf"), conf)?;
    std::fs::write(at.join("index"), "")?;
    std::fs::write(at.join("number"), "01\n")?;
    std::fs::write(at.join("serial"), "1000\n")?;
    let authority = ["ca", "-config", "ca.conf", "-keyfile", "ca.key", "-cert", "ca.pem"];
    let past = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"];
    run(openssl(&at)
        .args(authority)
        .args(past)
        .args(["-batch", "-notext", "-policy", "any", "-outdir", "."])
        .args(["-in", "expired.csr", "-out", "expired.pem", "-extfile", "expired.ext"]))?;
    let machine = [read(&at, "client.pem")?, read(&at, "client.key")?].concat();
    std::fs::write(at.join("machine.pem"), machine)?;
    let mixed = [read(&at, "client.pem")?, read(&at, "two.key")?].concat();
    std::fs::write(at.join("mixed.pem"), mixed)?;
    run(openssl(&at).args(authority).args(["-revoke", "revoked.pem"]))?;
    run(openssl(&at).args(authority).args(["-revoke", "gone.pem"]))?;
    run(openssl(&at).args(authority).args(["-gencrl", "-out", "ca.crl"]))?;
    // A directory as c_rehash makes them.
    let hash = openssl(&at).args(["crl", "-hash", "-noout", "-in", "ca.crl"]).output()?;
    let hash = String::from_utf8(hash.stdout)?;
    std::fs::create_dir(at.join("crls"))?;
    std::fs::copy(at.join("ca.crl"), at.join(format!("crls/{}.r0", hash.trim())))?;
    // It stays as long as this process needs it, and is replaced by the next run's.
    let place = target.join("authority");
    let _ = std::fs::remove_dir_all(&place);
    std::fs::rename(work.keep(), &place)?;
    Ok(place)
}

fn read(at: &Path, name: &str) -> Result<Vec<u8>> {
    std::fs::read(at.join(name)).with_context(|| format!("reading {name}"))
}

fn openssl(at: &Path) -> Command {
    let mut command = Command::new("/usr/bin/openssl");
    command.current_dir(at);
    command
}

fn authority(at: &Path, name: &str, subject: &str) -> Result<()> {
    let (key, out) = (format!("{name}.key"), format!("{name}.pem"));
    run(openssl(at)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-noenc", "-days", "30", "-utf8", "-keyout", &key, "-out", &out])
        .args(["-subj", subject]))
}

fn certificate(at: &Path, name: &str, subject: &str, by: &str, more: &str) -> Result<()> {
    let [key, request, out, extensions, issuer, issuer_key] =
        ["key", "csr", "pem", "ext"]
            .map(|end| format!("{name}.{end}"))
            .into_iter()
            .chain([format!("{by}.pem"), format!("{by}.key")])
            .collect::<Vec<_>>()
            .try_into()
            .expect("six names");
    // One of each kind of key.
    let kind: &[&str] = match name {
        "one" | "client" => &["-newkey", "rsa:2048"],
        _ => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    };
    run(openssl(at)
        .arg("req")
        .args(kind)
        .args(["-noenc", "-utf8", "-keyout", &key, "-out", &request, "-subj", subject]))?;
    std::fs::write(at.join(&extensions), more)?;
    run(openssl(at).args(["x509", "-req", "-days", "30", "-CAcreateserial"]).args([
        "-in",
        &request,
        "-CA",
        &issuer,
        "-CAkey",
        &issuer_key,
        "-out",
        &out,
        "-extfile",
        &extensions,
    ]))
}
