//! The service provider: shibd, with everything of it in the test's own directory.

use std::process::Command;

use anyhow::Result;
use compat_tests::application::{Address, Application, program, run};
use compat_tests::root::Root;

use crate::provider;

/// The name of the service provider.
pub const ENTITY: &str = "https://sp.example.org/shibboleth";

/// shibd.
pub type Daemon = Application;

/// Where Debian puts the FastCGI programs.
pub fn place(name: &str) -> String {
    format!("/usr/lib/{}-linux-gnu/shibboleth/{name}", std::env::consts::ARCH)
}

/// Writes the configuration and starts shibd.
pub fn start(root: &Root) -> Result<Daemon> {
    let shibd = program("/usr/sbin/shibd", "shibboleth-sp-utils")?;
    for kind in ["signing", "encrypt"] {
        key(root, &format!("sp-{kind}"))?;
    }
    root.write("conf/shibboleth.xml", configuration(root).as_bytes())?;
    for name in ["shibd", "native"] {
        let text = format!(
            "log4j.rootCategory=INFO, file\n\
             log4j.appender.file=org.apache.log4j.FileAppender\n\
             log4j.appender.file.fileName={}\n\
             log4j.appender.file.layout=org.apache.log4j.PatternLayout\n\
             log4j.appender.file.layout.ConversionPattern=%p %c: %m%n\n",
            root.join("logs").join(name).display()
        );
        root.write(&format!("conf/{name}.logger"), text.as_bytes())?;
    }
    let mut command = Command::new(shibd);
    command.arg("-F").arg("-f").arg("-c").arg(root.join("conf/shibboleth.xml"));
    command.arg("-p").arg(root.join("run/shibd.pid"));
    // A connection that is closed at once may take the next one with it.
    let address = Address::Unix(root.join("run/shibd.sock"));
    let is_ready = || root.log("shibd").contains("listener service starting");
    Application::start_until(root, address, &mut command, is_ready)
}

/// Makes a key and a certificate for it, `conf/NAME-key.pem` and `conf/NAME-cert.pem`.
pub fn key(root: &Root, name: &str) -> Result<()> {
    let openssl = program("/usr/bin/openssl", "openssl")?;
    let file = |kind: &str| root.join(&format!("conf/{name}-{kind}.pem"));
    let mut command = Command::new(openssl);
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
    command.args(["-subj", &format!("/CN={name}"), "-keyout"]).arg(file("key"));
    run(command.arg("-out").arg(file("cert")))
}

fn configuration(root: &Root) -> String {
    let entity = ENTITY;
    let idp = provider::ENTITY;
    let debian = "/etc/shibboleth";
    root.fill(&format!(
        r#"<SPConfig xmlns="urn:mace:shibboleth:3.0:native:sp:config" clockSkew="180">
  <OutOfProcess logger="{{root}}/conf/shibd.logger"/>
  <InProcess logger="{{root}}/conf/native.logger"/>
  <UnixListener address="{{root}}/run/shibd.sock"/>
  <RequestMapper type="XML">
    <RequestMap>
      <Host name="www.example.org" scheme="http">
        <Path name="app" authType="shibboleth" requireSession="true"/>
        <Path name="members" authType="shibboleth" requireSession="true"/>
      </Host>
    </RequestMap>
  </RequestMapper>
  <ApplicationDefaults entityID="{entity}" REMOTE_USER="eppn">
    <Sessions lifetime="28800" timeout="3600" relayState="ss:mem" checkAddress="false"
              handlerSSL="false" cookieProps="http" redirectLimit="exact">
      <SSO entityID="{idp}">SAML2</SSO>
    </Sessions>
    <Errors/>
    <MetadataProvider type="XML" path="{{root}}/conf/idp.xml"/>
    <AttributeExtractor type="XML" path="{debian}/attribute-map.xml"/>
    <CredentialResolver type="File" use="signing" key="{{root}}/conf/sp-signing-key.pem"
                        certificate="{{root}}/conf/sp-signing-cert.pem"/>
    <CredentialResolver type="File" use="encryption" key="{{root}}/conf/sp-encrypt-key.pem"
                        certificate="{{root}}/conf/sp-encrypt-cert.pem"/>
  </ApplicationDefaults>
  <SecurityPolicyProvider type="XML" path="{debian}/security-policy.xml"/>
  <ProtocolProvider type="XML" path="{debian}/protocols.xml"/>
</SPConfig>
"#
    ))
}
