//! The identity provider, as far as the service provider sees it: metadata with its key,
//! and signed answers.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compat_tests::application::program;
use compat_tests::root::Root;

use crate::sp;

/// Its name.
pub const ENTITY: &str = "https://idp.example.org/idp/shibboleth";
/// Where browsers are sent to log in.
pub const LOGIN: &str = "https://idp.example.org/login";

/// One with a key.
pub struct Provider {
    directory: PathBuf,
    name: &'static str,
}

impl Provider {
    /// The one whose metadata the service provider has.
    pub fn new(root: &Root) -> Result<Provider> {
        let provider = Provider::with_key(root, "idp")?;
        let cert = std::fs::read_to_string(provider.file("cert"))?;
        let cert: String =
            cert.lines().filter(|line| !line.starts_with("-----")).collect();
        let metadata = format!(
            r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"
    xmlns:ds="http://www.w3.org/2000/09/xmldsig#"
    xmlns:shibmd="urn:mace:shibboleth:metadata:1.0" entityID="{ENTITY}">
  <md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <md:Extensions><shibmd:Scope regexp="false">example.org</shibmd:Scope></md:Extensions>
    <md:KeyDescriptor use="signing">
      <ds:KeyInfo><ds:X509Data><ds:X509Certificate>{cert}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>
    </md:KeyDescriptor>
    <md:SingleSignOnService Location="{LOGIN}"
        Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"/>
  </md:IDPSSODescriptor>
</md:EntityDescriptor>
"#
        );
        root.write("conf/idp.xml", metadata.as_bytes())?;
        Ok(provider)
    }

    /// Somebody with another key who says the same.
    pub fn stranger(root: &Root) -> Result<Provider> {
        Provider::with_key(root, "stranger")
    }

    fn with_key(root: &Root, name: &'static str) -> Result<Provider> {
        sp::key(root, name)?;
        Ok(Provider { directory: root.join("conf"), name })
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.directory.join(format!("{}-{kind}.pem", self.name))
    }

    /// What it has a browser post to `recipient` once Jane has logged in, escaped for a
    /// form.
    pub fn answer(&self, recipient: &str) -> Result<String> {
        let (now, later) = (time("now")?, time("now + 5 minutes")?);
        let file = self.directory.join(format!("{}-response.xml", self.name));
        std::fs::write(&file, response(recipient, &now, &later))?;
        let samlsign = program("/usr/bin/samlsign", "opensaml-tools")?;
        let mut command = Command::new(samlsign);
        command
            .arg("-s")
            .arg("-k")
            .arg(self.file("key"))
            .arg("-c")
            .arg(self.file("cert"));
        let signed = command.arg("-f").arg(file).output().context("samlsign")?;
        let words = String::from_utf8_lossy(&signed.stderr);
        ensure!(
            signed.status.success() && !signed.stdout.is_empty(),
            "samlsign: {words}"
        );
        let text = STANDARD.encode(signed.stdout);
        Ok(text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"))
    }
}

/// A time as SAML writes it.
fn time(when: &str) -> Result<String> {
    let date = Command::new("/bin/date").args(["-u", "+%FT%TZ", "-d", when]).output()?;
    Ok(String::from_utf8(date.stdout)?.trim().to_owned())
}

fn response(recipient: &str, now: &str, later: &str) -> String {
    let audience = sp::ENTITY;
    const SAML: &str = "urn:oasis:names:tc:SAML:2.0";
    format!(
        r#"<samlp:Response xmlns:samlp="{SAML}:protocol" xmlns:saml="{SAML}:assertion"
    ID="_response" Version="2.0" IssueInstant="{now}" Destination="{recipient}">
  <saml:Issuer>{ENTITY}</saml:Issuer>
  <samlp:Status><samlp:StatusCode Value="{SAML}:status:Success"/></samlp:Status>
  <saml:Assertion ID="_assertion" Version="2.0" IssueInstant="{now}">
    <saml:Issuer>{ENTITY}</saml:Issuer>
    <saml:Subject>
      <saml:NameID Format="{SAML}:nameid-format:transient">_jane</saml:NameID>
      <saml:SubjectConfirmation Method="{SAML}:cm:bearer">
        <saml:SubjectConfirmationData NotOnOrAfter="{later}" Recipient="{recipient}"/>
      </saml:SubjectConfirmation>
    </saml:Subject>
    <saml:Conditions NotBefore="{now}" NotOnOrAfter="{later}">
      <saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction>
    </saml:Conditions>
    <saml:AuthnStatement AuthnInstant="{now}">
      <saml:AuthnContext>
        <saml:AuthnContextClassRef>{SAML}:ac:classes:Password</saml:AuthnContextClassRef>
      </saml:AuthnContext>
    </saml:AuthnStatement>
    <saml:AttributeStatement>
      <saml:Attribute Name="urn:oid:1.3.6.1.4.1.5923.1.1.1.6"
          NameFormat="{SAML}:attrname-format:uri">
        <saml:AttributeValue>jane@example.org</saml:AttributeValue>
      </saml:Attribute>
    </saml:AttributeStatement>
  </saml:Assertion>
</samlp:Response>
"#
    )
}
