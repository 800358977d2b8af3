//! Configurations.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use anyhow::{Context, Result, ensure};
use compat_tests::application::Application;
use compat_tests::root::{Root, is_root};
use compat_tests::server::{Kind, Server};
use compat_tests::site::Site;

/// The original stopped at the first of them.
#[test]
fn all_errors_of_a_file_are_told() -> Result<()> {
    let site = Site::new()?;
    let conf = "FastCgiExternalServer {root}/htdocs/a \\\n    -host 127.0.0.1:9000 \\\n    \
                -idle-timeout seven\nBogus\n";
    let said = site.check(conf)?;
    let file = site.root.join("conf/case.conf");
    ensure!(said.starts_with("refused"), "{said}");
    for (line, words) in [(3, "\"seven\" must be"), (4, "Invalid command 'Bogus'")] {
        let place = format!("Syntax error on line {line} of {}:", file.display());
        let (_, behind) = said.split_once(&place).with_context(|| said.clone())?;
        let message = behind.lines().nth(1).unwrap_or_default();
        ensure!(message.contains(words), "{line}: {message} in\n{said}");
    }
    Ok(())
}

/// The original gave it to root, and refused it the next time.
#[test]
fn the_socket_directory_is_for_the_final_user() -> Result<()> {
    ensure!(is_root(), "only root can give a directory away");
    let root = Root::new()?;
    let conf = "ServerRoot {root}\nListen 127.0.0.1:{port}\nServerName www.example.org\n\
                ErrorLog logs/error_log\nFastCgiIpcDir run/sockets\nUser www-data\n\
                Group www-data\n";
    root.write("conf/httpd.conf", root.fill(conf).as_bytes())?;
    for _ in 0..2 {
        let said = Server::check(Kind::Ours, &root)?;
        ensure!(said.starts_with("taken"), "{said}");
    }
    let user = nix::unistd::User::from_name("www-data")?.context("no www-data")?;
    for name in ["run/sockets", "run/sockets/dynamic"] {
        let meta = std::fs::metadata(root.join(name))?;
        ensure!(
            (meta.uid(), meta.gid()) == (user.uid.as_raw(), user.gid.as_raw()),
            "{name}"
        );
        ensure!(meta.permissions().mode() & 0o777 == 0o700, "{name}: {:o}", meta.mode());
    }
    Ok(())
}

/// The original judged it as root, or as nobody, where no other directive had looked.
#[test]
fn programs_are_for_the_final_user() -> Result<()> {
    ensure!(is_root(), "only root can give a program away");
    let user = nix::unistd::User::from_name("www-data")?.context("no www-data")?;
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    let server = format!("for server (uid {uid}, gid {gid})");
    for (directive, why) in [
        (
            "FastCgiAccessChecker",
            format!("access {server} not allowed: execute not allowed"),
        ),
        ("FastCgiServer", format!("access {server} not allowed: execute not allowed")),
        (
            "FastCgiWrapper",
            format!("execute access {server} failed: execute not allowed"),
        ),
    ] {
        let root = Root::new()?;
        let gate = root.write("apps/gate", b"#!/bin/sh\n")?;
        std::fs::set_permissions(&gate, PermissionsExt::from_mode(0o700))?;
        let section = match directive {
            "FastCgiAccessChecker" => ["<Location /app>", "</Location>"],
            _ => ["", ""],
        };
        let conf = format!(
            "ServerRoot {{root}}\nListen 127.0.0.1:{{port}}\nServerName www.example.org\n\
             ErrorLog logs/error_log\nFastCgiIpcDir run/sockets\n{}\n\
             {directive} apps/gate\n{}\nUser www-data\nGroup www-data\n",
            section[0], section[1]
        );
        root.write("conf/httpd.conf", root.fill(&conf).as_bytes())?;

        let said = Server::check(Kind::Ours, &root)?;
        let why = format!("{directive}: \"{}\" {why}\n", gate.display());
        ensure!(said.starts_with("refused") && said.contains(&why), "{said}");
        ensure!(said.contains("Syntax error on line 7 of "), "{said}");
        std::os::unix::fs::chown(&gate, Some(uid), None)?;
        let said = Server::check(Kind::Ours, &root)?;
        ensure!(said.starts_with("taken"), "{directive}: {said}");
    }
    Ok(())
}

/// Without one there is nobody whose it could be.
#[test]
fn a_socket_directory_wants_a_user() -> Result<()> {
    ensure!(is_root(), "only root can give a directory away");
    let root = Root::new()?;
    let conf = "ServerRoot {root}\nListen 127.0.0.1:{port}\nServerName www.example.org\n\
                ErrorLog logs/error_log\nFastCgiIpcDir run/sockets\n";
    root.write("conf/httpd.conf", root.fill(conf).as_bytes())?;
    let said = Server::check(Kind::Ours, &root)?;
    ensure!(
        said.starts_with("refused") && said.contains("User and Group are needed"),
        "{said}"
    );
    Ok(())
}

/// The original took it for a redefinition, or never reached the longer one.
#[test]
fn the_longest_path_answers() -> Result<()> {
    for order in [["a", "a/b"], ["a/b", "a"]] {
        let mut site = Site::new()?;
        // What does not exist ends the file's name: the rest would be PATH_INFO (H-4).
        std::fs::create_dir(site.root.join("htdocs/a"))?;
        let mut probes = Vec::new();
        let mut conf = String::new();
        for path in order {
            let name = path.replace('/', "-");
            let text = format!("text={name}");
            let probe = Application::probe(&site.root, &name, &[&text])?;
            let address = probe.address.option();
            conf += &format!("FastCgiExternalServer {{root}}/htdocs/{path} {address}\n");
            probes.push(probe);
        }
        site.serve(&conf)?;
        for (target, name) in [
            ("/a/", "a"),
            ("/a/c", "a"),
            ("/a/bc", "a"),
            ("/a/b", "a-b"),
            ("/a/b/c", "a-b"),
        ] {
            let answer = site.get(target)?;
            ensure!(answer.text() == name, "{order:?}: {target}: {answer}");
        }
    }
    Ok(())
}

/// The original showed 0, whatever it was.
#[test]
fn a_port_out_of_range_is_shown() -> Result<()> {
    let site = Site::new()?;
    site.program("htdocs/app", "#!/bin/sh\n")?;
    let said = site.check("FastCgiServer {root}/htdocs/app -port 70000\n")?;
    let message = "invalid value for -port: \"70000\" must be >= 1 and < 65535";
    ensure!(said.starts_with("refused") && said.contains(message), "{said}");
    Ok(())
}
