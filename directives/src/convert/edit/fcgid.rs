//! mod_fcgid's directives, its old names included, as mod_fastcgi's: for who wants one module
//! only. They work as they are, so nothing of this is applied.

use super::gate::Gates;
use super::{Change, commented, indent, lines};
use crate::Compiled;
use crate::convert::{name_of, quoted, words_of};
use crate::expand::Item;

/// How a directive is said here: `{}` stands for its arguments.
const LINES: [(&str, &str, &str); 14] = [
    ("fcgidiotimeout", "ipccommtimeout", "FastCgiConfig -idle-timeout {}"),
    ("fcgidconnecttimeout", "ipcconnecttimeout", "FastCgiConfig -appConnTimeout {}"),
    ("fcgidmaxprocesses", "maxprocesscount", "FastCgiConfig -maxProcesses {}"),
    (
        "fcgidmaxprocessesperclass",
        "defaultmaxclassprocesscount",
        "FastCgiConfig -maxClassProcesses {}",
    ),
    (
        "fcgidminprocessesperclass",
        "defaultminclassprocesscount",
        "FastCgiConfig -minProcesses {}",
    ),
    ("fcgidipcdir", "socketpath", "FastCgiIpcDir {}"),
    ("fcgidpassheader", "", "FastCgiConfig -pass-header {}"),
    ("fcgidmaxrequestlen", "maxrequestlen", "LimitRequestBody {}"),
    ("fcgidaccesschecker", "", "FastCgiAccessChecker {}"),
    ("fcgidaccesscheckerauthoritative", "", "FastCgiAccessCheckerAuthoritative {}"),
    ("fcgidauthenticator", "", "FastCgiAuthenticator {}"),
    ("fcgidauthenticatorauthoritative", "", "FastCgiAuthenticatorAuthoritative {}"),
    ("fcgidauthorizer", "", "FastCgiAuthorizer {}"),
    ("fcgidauthorizerauthoritative", "", "FastCgiAuthorizerAuthoritative {}"),
];

/// Names without the family's prefix.
const OLD: [&str; 17] = [
    "busyscaninterval",
    "busytimeout",
    "errorscaninterval",
    "idlescaninterval",
    "idletimeout",
    "maxrequestinmem",
    "maxrequestsperprocess",
    "outputbuffersize",
    "phpfixpathinfo",
    "processlifetime",
    "sharemempath",
    "spawnscore",
    "spawnscoreuplimit",
    "terminationscore",
    "timescore",
    "zombiescaninterval",
    "fcgidcmdoptions",
];

const WHY: &str = "this works as it is; mod_fcgid's settings are per virtual host or class, FastCgiConfig's are for \
                   all programs that requests start";

pub(super) fn changes(compiled: &Compiled, gates: &mut Gates) -> Vec<Change> {
    let mut changes = Vec::new();
    body(&compiled.items, compiled, gates, &mut changes);
    changes
}

fn body(
    items: &[Item],
    compiled: &Compiled,
    gates: &mut Gates,
    changes: &mut Vec<Change>,
) {
    let wrapped = items.iter().any(|item| wrapper(&name_of(item)));
    for item in items {
        let name = name_of(item);
        let words: Vec<String> =
            words_of(&item.args).iter().map(crate::schema::word::Word::lossy).collect();
        let replaced = |text: String, why: &str| Change {
            span: lines(compiled, item),
            text: format!("{}{text}\n", indent(compiled, item)),
            safe: false,
            why: why.to_owned(),
        };
        let line = LINES.iter().find(|(new, old, _)| *new == name || *old == name);
        if let Some((_, _, line)) = line {
            let args: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            changes.push(replaced(line.replace("{}", &args.join(" ")), WHY));
        } else if ["fcgidinitialenv", "defaultinitenv"].contains(&name.as_str()) {
            let pair = quoted(&words.join("="));
            changes.push(replaced(format!("FastCgiConfig -initial-env {pair}"), WHY));
        } else if wrapper(&name) {
            changes.extend(through(item, &words, compiled, gates));
        } else if ["addhandler", "sethandler"].contains(&name.as_str())
            && words.first().is_some_and(|word| word == "fcgid-script")
        {
            if wrapped && name == "addhandler" {
                let why = "the wrapper's own handler takes its place";
                changes.push(commented(compiled, item, why));
            } else {
                let rest: Vec<String> =
                    words[1..].iter().map(|word| quoted(word)).collect();
                let written =
                    if name == "addhandler" { "AddHandler" } else { "SetHandler" };
                let text = format!("{written} fastcgi-script {}", rest.join(" "));
                changes.push(replaced(
                    text.trim_end().to_owned(),
                    "the handler of programs that requests start",
                ));
            }
        } else if name.starts_with("fcgid") || OLD.contains(&name.as_str()) {
            let why =
                "this works as it is; mod_fastcgi's process manager has no such setting";
            changes.push(commented(compiled, item, why));
        }
        body(item.body.as_deref().unwrap_or_default(), compiled, gates, changes);
    }
}

fn wrapper(name: &str) -> bool {
    ["fcgidwrapper", "fcgiwrapper"].contains(&name)
}

/// `FcgidWrapper command [suffix] [virtual]`.
fn through(
    item: &Item,
    words: &[String],
    compiled: &Compiled,
    gates: &mut Gates,
) -> Vec<Change> {
    let Some(command) = words.first() else { return Vec::new() };
    let mut parts = command.split_whitespace();
    let program = parts.next().unwrap_or_default();
    if parts.next().is_some() {
        let why = "FastCgiServer takes a program without arguments; write a script that \
                   passes them";
        return vec![commented(compiled, item, why)];
    }
    let suffix = words.get(1).filter(|word| word.starts_with('.'));
    let why =
        "the program runs from the start, and is told the script by PATH_TRANSLATED";
    let (name, opened) =
        gates.open("FastCgiServer {path}", Some(program), true, item, why);
    let blank = indent(compiled, item);
    let handler = match suffix {
        Some(suffix) => format!("AddHandler {name} {suffix}"),
        None => format!("SetHandler {name}"),
    };
    let text = format!("{blank}{handler}\n{blank}Action {name} /{name}\n");
    let change =
        Change { span: lines(compiled, item), text, safe: false, why: why.to_owned() };
    opened.into_iter().chain([change]).collect()
}
