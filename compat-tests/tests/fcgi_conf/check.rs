//! The command line of `fcgi-conf check`: what it prints and how it ends.

use std::process::{Command, Output};

use compat_tests::root::Root;
use compat_tests::server::built;

/// A server root whose configuration is this.
fn root(conf: &str) -> Root {
    let root = Root::new().expect("a server root");
    root.write("conf/httpd.conf", root.fill(conf).as_bytes()).expect("a configuration");
    root
}

fn check(root: &Root, args: &[&str]) -> Output {
    let program = built("fcgi-conf");
    assert!(program.exists(), "{} is not there: cargo build", program.display());
    let mut command = Command::new(program);
    command.arg("check").arg("-d").arg(root.path()).args(["-f", "conf/httpd.conf"]);
    command.args(args).env_remove("SITE").output().expect("fcgi-conf")
}

/// Standard output without the path of the root, and the exit status.
fn said(root: &Root, output: &Output) -> (String, Option<i32>) {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (text.replace(&root.path().display().to_string(), "{root}"), output.status.code())
}

#[test]
fn a_good_configuration_is_counted() {
    let root = root(
        "ServerName www.example.org\nListen {port}\n<Directory />\n    Require all denied\n\
         </Directory>\n",
    );
    let (text, code) = said(&root, &check(&root, &[]));
    assert_eq!(text, "1 file: 0 errors, 0 warnings, 0 notes\nkept: 4 directives\n");
    assert_eq!(code, Some(0));
}

#[test]
fn findings_have_number_place_line_and_caret() {
    let root = root(
        "ServerName www.example.org\nStartServers 5\nSecRuleEngine On\nInclude conf/more.conf\n",
    );
    root.write("conf/more.conf", b"# more\nKeepAliv On\n").expect("a file");
    let (text, code) = said(&root, &check(&root, &[]));
    let expected = "\
note[FC0025]: StartServers has no effect here: how processes and threads are used is this server's own
 --> {root}/conf/httpd.conf:2:1
  |
2 | StartServers 5
  | ^^^^^^^^^^^^

error[FC0024]: SecRuleEngine (mod_security) is refused: it guards something, and nothing here would do it instead
 --> {root}/conf/httpd.conf:3:1
  |
3 | SecRuleEngine On
  | ^^^^^^^^^^^^^

error[FC0020]: Invalid command 'KeepAliv', perhaps misspelled or defined by a module not included in the server configuration
 --> {root}/conf/more.conf:2:1
  |
2 | KeepAliv On
  | ^^^^^^^^
  |
help: did you mean KeepAlive?
  |
2 | KeepAlive On
  |         +

2 files: 2 errors, 0 warnings, 1 note
kept: 1 directive
ignored: 1 directive
     1 StartServers: how processes and threads are used is this server's own
refused: 1 directive
     1 SecRuleEngine: it guards something, and nothing here would do it instead
unknown: 1 directive
     1 KeepAliv
";
    assert_eq!(text, expected);
    assert_eq!(code, Some(1));
}

#[test]
fn options_are_those_of_the_server() {
    let conf = "<IfDefine SITE>\nServerName www.example.org\n</IfDefine>\nDocumentRoot /nowhere\n";
    let root = root(conf);
    let (text, code) = said(&root, &check(&root, &["-D", "SITE"]));
    assert!(text.contains("DocumentRoot '/nowhere' is not a directory"), "{text}");
    assert_eq!(code, Some(1));
    let (text, code) = said(&root, &check(&root, &["-DSITE", "-T"]));
    assert_eq!(
        (code, text.lines().next()),
        (Some(0), Some("1 file: 0 errors, 0 warnings, 0 notes"))
    );
    let args = ["-T", "-C", "ServerName a.example.org", "-c", "Nonsense"];
    let (text, code) = said(&root, &check(&root, &args));
    assert!(text.contains(" --> -c/-C directives:1:1"), "{text}");
    assert_eq!(code, Some(1));
}

#[test]
fn a_missing_file_is_an_error() {
    let root = Root::new().expect("a server root");
    let (text, code) = said(&root, &check(&root, &[]));
    assert!(text.contains("error[FC0010]: Could not open configuration file"), "{text}");
    assert_eq!(code, Some(1));
}

#[test]
fn programs_get_json() {
    let root = root("ServerName \"a \\\" b\"\nSetHandlr x\nMaxClients 5\n");
    let (text, code) =
        said(&root, &check(&root, &["--format", "json", "-c", "Listen 81"]));
    let ignored = "how processes and threads are used is this server's own";
    let unknown = "Invalid command 'SetHandlr', perhaps misspelled or defined by a module not \
                   included in the server configuration";
    assert_eq!(
        text,
        [
            "{\"files\":[\"{root}/conf/httpd.conf\"],\"findings\":[",
            "{\"id\":\"FC0025\",\"severity\":\"note\",",
            "\"title\":\"a directive that is accepted and has no effect\",",
            &format!("\"message\":\"MaxClients has no effect here: {ignored}\","),
            "\"file\":\"{root}/conf/httpd.conf\",\"line\":3,\"column\":1},",
            "{\"id\":\"FC0020\",\"severity\":\"error\",",
            &format!("\"title\":\"a directive that nobody knows\",\"message\":\"{unknown}\","),
            "\"file\":\"{root}/conf/httpd.conf\",\"line\":2,\"column\":1,",
            "\"help\":\"did you mean SetHandler?\"}],",
            "\"directives\":{\"kept\":[{\"name\":\"Listen\",\"times\":1},",
            "{\"name\":\"ServerName\",\"times\":1}],\"differs\":[],",
            &format!("\"ignored\":[{{\"name\":\"MaxClients\",\"times\":1,\"reason\":\"{ignored}\",\"places\":[\"{{root}}/conf/httpd.conf:3\"]}}],"),
            "\"refused\":[],\"unknown\":[{\"name\":\"SetHandlr\",\"times\":1,\"places\":[\"{root}/conf/httpd.conf:2\"]}]}}\n",
        ]
        .concat()
    );
    assert_eq!(code, Some(1));
}

#[test]
fn code_review_gets_sarif() {
    let root = root("# \u{e9}\n\u{e9}t\u{e9} \\\n  on\n");
    let (text, code) = said(&root, &check(&root, &["--format=sarif"]));
    assert!(
        text.starts_with(
            "{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\","
        )
    );
    let results = text.split_once("\"results\":").expect("results").1;
    assert_eq!(
        results,
        "[{\"ruleId\":\"FC0020\",\"level\":\"error\",\"message\":{\"text\":\"Invalid command \
         '\u{e9}t\u{e9}', perhaps misspelled or defined by a module not included in the server \
         configuration\"},\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":\
         \"file://{root}/conf/httpd.conf\"},\"region\":{\"startLine\":2,\"startColumn\":1,\
         \"endLine\":2,\"endColumn\":4}}}]}]}]}\n"
    );
    assert_eq!(code, Some(1));
}
