//! What the process manager starts when it is asked to: the guards of mod_fastcgi, of scripts
//! and of mod_fcgid, which believe only the configuration.

#[path = "common/world.rs"]
mod world;

use std::sync::Arc;

use bytes::Bytes;
use directives::modules::fastcgi::{Identity, guard};
use directives::modules::fcgid::{self, Command};
use directives::{Snapshot, compile};
use world::World;

const FILES: &str = "
#-- /srv/bin/run mode=755
#-- /srv/bin/closed mode=644
#-- /srv/bin/directory/
#-- /srv/htdocs/app.fcgi mode=755
#-- /srv/cgi/app.fcgi mode=755
#-- /usr/bin/php-cgi mode=755
#-- /usr/bin/other mode=755
";

const MAIN: &str = "Listen 80\nServerName h\nUser www-data\nGroup www-data\n";

/// A configuration, and the files that there are.
fn compiled(configuration: &str, files: &str) -> (Arc<Snapshot>, World) {
    let world = World::parse(&format!("{MAIN}{configuration}\n{FILES}{files}"));
    let compiled = compile(&World::entry(&[]), &world);
    let snapshot = compiled.snapshot;
    (snapshot.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics)), world)
}

fn command(line: &str) -> Command {
    let mut words = line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes()));
    Command { path: words.next().unwrap_or_default(), args: words.collect() }
}

/// Why mod_fcgid's command is not started, or "".
fn fcgid(configuration: &str, line: &str) -> String {
    let (snapshot, world) = compiled(configuration, "");
    let said = fcgid::guard::may_start(&snapshot, &command(line), None, &world);
    said.err().unwrap_or_default()
}

const NOT_NAMED: &str = "no directive names this command";
const NOT_LET: &str = "no section of the configuration lets it be run";

#[test]
fn commands_are_those_that_directives_name() {
    let named = "<Directory /srv/htdocs>
        FcgidWrapper \"/usr/bin/php-cgi -c /srv/php.ini\" .php
        FcgidAccessChecker /usr/bin/other
    </Directory>";
    assert_eq!(fcgid(named, "/usr/bin/php-cgi -c /srv/php.ini"), "");
    assert_eq!(fcgid(named, "/usr/bin/other"), "");
    assert_eq!(fcgid(named, "/usr/bin/other -x"), NOT_NAMED);
    assert_eq!(fcgid(named, "/usr/bin/php-cgi -c /tmp/php.ini"), NOT_NAMED);
    assert_eq!(fcgid(named, "/usr/bin/php-cgi"), NOT_LET);
    assert_eq!(fcgid(named, "/srv/htdocs/app.fcgi"), NOT_LET);
}

#[test]
fn files_are_those_that_sections_let_run() {
    let lets = "<Directory /srv/htdocs>\nOptions ExecCGI\n</Directory>
        ScriptAlias /cgi/ /srv/cgi/";
    assert_eq!(fcgid(lets, "/srv/htdocs/app.fcgi"), "");
    assert_eq!(fcgid(lets, "/srv/cgi/app.fcgi"), "");
    assert_eq!(fcgid(lets, "/srv/bin/run"), NOT_LET);
    assert_eq!(fcgid(lets, "/srv/htdocs/app.fcgi -x"), NOT_NAMED);
}

#[test]
fn files_are_files_that_may_be_executed() {
    let lets = "<Directory /srv>\nOptions ExecCGI\n</Directory>";
    assert_eq!(fcgid(lets, "/srv/bin/run"), "");
    assert_eq!(fcgid(lets, "/srv/bin/closed"), "execute not allowed");
    assert_eq!(fcgid(lets, "/srv/bin/directory"), "it is no regular file");
    for missing in ["/srv/bin/none", "/srv/bin/run/more"] {
        assert!(
            fcgid(lets, missing).starts_with("it cannot be looked at: "),
            "{missing}"
        );
    }
    for path in ["bin/run", "/srv/bin/../bin/run", "/srv//bin/run", "/srv/bin/run\0x", ""]
    {
        assert_eq!(fcgid(lets, path), "its path is not absolute and plain", "{path:?}");
    }
}

/// Where `.htaccess` may name commands any may be named, as with mod_fcgid; nowhere else.
#[test]
fn htaccess_names_commands_only_where_it_may() {
    let any = "/usr/bin/other --with words";
    let with = |lines: &str| {
        fcgid(&format!("<Directory /srv/htdocs>\n{lines}\n</Directory>"), any)
    };
    for lines in [
        "AllowOverride FileInfo",
        "AllowOverride All",
        "AllowOverrideList FcgidWrapper",
        "AllowOverrideList FCGIWrapper",
        "AllowOverrideList fcgidauthorizer",
        "AllowOverrideList FcgidAuthenticator",
        "AllowOverrideList FcgidAccessChecker",
    ] {
        assert_eq!(with(lines), "", "{lines}");
    }
    for lines in [
        "",
        "Options ExecCGI",
        "AllowOverride None",
        "AllowOverride AuthConfig Indexes Limit Options",
        "AllowOverrideList FcgidAuthorizerAuthoritative FcgidAccessCheckerAuthoritative",
        "AllowOverrideList AddHandler SetHandler Options",
    ] {
        assert_eq!(with(lines), NOT_NAMED, "{lines}");
    }
    // It is still a file that is there and may be run.
    let all = "<Directory /srv/htdocs>\nAllowOverride All\n</Directory>";
    assert_eq!(fcgid(all, "/srv/bin/closed"), "execute not allowed");
}

fn identity(uid: u32, gid: u32, user: &str, group: &str) -> Identity {
    Identity { uid, gid, user: user.into(), group: group.into() }
}

/// The wrapper is told names, so the numbers alone say nothing.
#[test]
fn users_are_those_of_the_configuration() {
    let lets = "SuexecUserGroup alice users
        <Directory /srv>\nOptions ExecCGI\n</Directory>";
    let wrapper = "#-- /usr/lib/apache2/suexec mode=4755\n";
    let (snapshot, world) = compiled(lets, wrapper);
    let run = Bytes::from_static(b"/srv/bin/run");
    let may = |identity: &Identity| {
        let of_fcgid = fcgid::guard::may_start(
            &snapshot,
            &command("/srv/bin/run"),
            Some(identity),
            &world,
        );
        let of_scripts = guard::may_run(&snapshot, &run, Some(identity), true, &world);
        assert_eq!(of_fcgid, of_scripts);
        of_fcgid.err().unwrap_or_default()
    };
    for allowed in [
        identity(1000, 100, "alice", "100"),
        identity(33, 33, "www-data", "33"),
        identity(1000, 1000, "~alice", "1000"),
        identity(65534, 65534, "~nobody", "65534"),
    ] {
        assert_eq!(may(&allowed), "", "{allowed:?}");
    }
    for (refused, why) in [
        (identity(0, 0, "root", "0"), "it would run as root"),
        (identity(0, 100, "~root", "100"), "it would run as root"),
        (
            identity(1000, 1000, "alice", "1000"),
            "uid 1000 and gid 1000 are nobody's here",
        ),
        (identity(65534, 65534, "nobody", "65534"), "are nobody's here"),
        // Numbers that are allowed, under another's name.
        (identity(33, 33, "alice", "33"), "are not the account of uid 33 and gid 33"),
        (identity(33, 33, "root", "33"), "are not the account of uid 33"),
        (identity(33, 33, "www-data", "0"), "are not the account of uid 33"),
        (identity(1000, 100, "nobody", "100"), "are not the account of uid 1000"),
        (identity(1000, 1000, "~root", "1000"), "are not the account of uid 1000"),
        (identity(1000, 1000, "~alice", "0"), "are not the account of uid 1000"),
        (identity(1000, 1000, "~bob", "1000"), "are not the account of uid 1000"),
    ] {
        assert!(may(&refused).contains(why), "{refused:?}: {}", may(&refused));
    }
    // Without a wrapper nobody runs as somebody else.
    let (snapshot, world) = compiled(lets, "");
    let alice = identity(1000, 100, "alice", "100");
    let said = fcgid::guard::may_start(
        &snapshot,
        &command("/srv/bin/run"),
        Some(&alice),
        &world,
    );
    assert_eq!(said, Err("there is no wrapper for its user".to_owned()));
    let said = guard::may_run(&snapshot, &run, Some(&alice), false, &world);
    assert_eq!(said, Err("there is no wrapper for its user".to_owned()));
}

/// `AllowOverride Options=...` lets `.htaccess` say no other option.
#[test]
fn options_that_htaccess_may_set() {
    let with = |word: &str| {
        let lines =
            format!("<Directory /srv/htdocs>\nAllowOverride {word}\n</Directory>");
        let (snapshot, world) = compiled(&lines, "#-- /srv/htdocs/page.shtml\n");
        let script =
            guard::may_run(&snapshot, b"/srv/htdocs/app.fcgi", None, false, &world);
        let page = guard::may_run_commands(&snapshot, b"/srv/htdocs/page.shtml");
        (script.is_ok(), page.is_ok())
    };
    assert_eq!(with("Options"), (true, true));
    assert_eq!(with("Options=ExecCGI"), (true, false));
    assert_eq!(with("Options=Includes"), (false, true));
    assert_eq!(with("Options=IncludesNoExec,Indexes"), (false, false));
    assert_eq!(with("FileInfo"), (false, false));
}
