//! `fcgi-conf explain`: a request's way, and a directive's page.

use std::sync::Arc;

use directives::bundle::Files;
use directives::explain::{Answers, Question, explain};
use directives::schema::{lookup, render};
use directives::{compile, diagnostic};
use lexopt::Parser;

use crate::disk;
use crate::options::{self, Problem, configuration_options};

/// The command.
pub fn run(parser: &mut Parser) -> Result<bool, Problem> {
    let mut entry = options::configuration();
    let (mut words, mut fields, mut answers) =
        (Vec::new(), Vec::new(), Answers::default());
    let (mut client, mut server, mut format) = (None, None, "text");
    let address = |parser: &mut Parser| {
        let text = options::text(parser)?;
        text.parse().map_err(|_| Problem::Usage(format!("{text} is no address")))
    };
    while let Some(word) = options::next(parser)? {
        if options::names(&mut entry, &word, parser)? {
            continue;
        }
        match word.option() {
            "-H" => fields.push(options::text(parser)?),
            "--client" => client = Some(address(parser)?),
            "--server" => server = Some(address(parser)?),
            "--answer" => {
                answers.add(&options::text(parser)?).map_err(Problem::Usage)?;
            }
            "--json" => format = "json",
            "--html" => format = "html",
            "--directive" => return directive(&options::text(parser)?),
            _ => words.push(options::words(word.value()?)?),
        }
    }
    let [method, url] = &words[..] else {
        return options::usage("a method and a URL are wanted");
    };
    let mut question = Question::new(method, url, &fields).map_err(Problem::Usage)?;
    question.client = client.unwrap_or(question.client);
    question.local = server;
    let files: Arc<dyn Files> = Arc::new(disk::Disk);
    let compiled = compile(&entry, &*files);
    let time = jiff::Timestamp::now().as_microsecond();
    let Some(told) = explain(&compiled, &files, &question, &answers, time) else {
        for found in compiled.diagnostics.iter().filter(|found| found.is_error()) {
            let text = diagnostic::terminal(found, &compiled.sources, false);
            crate::print(&mut std::io::stderr(), &(text + "\n\n"));
        }
        return options::failed("a configuration with errors serves nothing");
    };
    let text = match format {
        "json" => told.json(),
        "html" => told.html(),
        _ => told.text(),
    };
    crate::print(&mut std::io::stdout(), &text);
    Ok(true)
}

fn directive(name: &str) -> Result<bool, Problem> {
    let section = format!("<{}", name.trim_matches(['<', '>']));
    let found = lookup::directive(name.as_bytes())
        .or_else(|| lookup::directive(section.as_bytes()));
    match found {
        Some(found) => {
            crate::print(
                &mut std::io::stdout(),
                &render::page(found.directive, found.module),
            );
            Ok(true)
        }
        None => {
            let near =
                lookup::nearest(name).map(|near| format!("; did you mean {near}?"));
            options::failed(format!(
                "there is no {name} here{}",
                near.unwrap_or_default()
            ))
        }
    }
}

/// The page.
pub const USAGE: &str = concat!(
    "\
Usage: fcgi-conf explain [-f file] [-d directory] [-D name] [-T]
                         [-C \"directive\"] [-c \"directive\"]
                         [-H \"name: value\"] [--client address] [--server address]
                         [--answer what=answer] [--json|--html] METHOD URL
       fcgi-conf explain --directive name
Runs the phases of a request without serving it, and says where everything comes from:
virtual host, sections, rewriting, who decided, what applications would be sent, answer.
",
    configuration_options!(),
    "\
  -H \"name: value\"   : a field of the request
  --client address   : the client's address; 127.0.0.1 unless given
  --server address   : the address that the client connects to; else one that the URL's
                       host leads to and a virtual host names, or 127.0.0.1
  --answer           : what the world says where the phases ask it:
    access=ANSWER         the FastCgiAccessChecker
    authenticator=ANSWER  the FastCgiAuthenticator
    authorizer=ANSWER     the FastCgiAuthorizer
    responder=ANSWER      the application of the request
                          ANSWER is `fail`, or a status and fields: 403
                          \"200; Variable-TIER: gold; Set-Cookie: a=b\"
    password=granted      or denied, or unknown
    name=HOST             the client's host name; empty for none
    address.HOST=A,A      the addresses of a host
    map.KEY=VALUE         what a RewriteMap's program has for a key
                       What is asked and not answered is taken for granted, and said.
  --json             : for programs
  --html             : a page with the way, the parameters and the configuration
  --directive name   : the page of a directive
Exit status: 0, 1 with errors in the configuration, 2 if the command line is wrong.
"
);
