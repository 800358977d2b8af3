//! The way back: mod_fastcgi's directives as mod_fcgid's. What mod_fcgid has no word for
//! stands as a comment with the reason; nothing of it is applied, since another module is
//! another program.

use super::{Change, commented, indent, lines};
use crate::Compiled;
use crate::convert::{name_of, quoted, words_of};
use crate::expand::Item;

const WHY: &str = "mod_fcgid starts applications itself when requests come, one request at a \
                   time in each process";

/// All edits, in the order of the texts.
pub fn to_fcgid(compiled: &Compiled) -> Vec<Change> {
    let mut out = Vec::new();
    body(&compiled.items, compiled, &mut out);
    super::in_order(compiled, out)
}

fn body(items: &[Item], compiled: &Compiled, out: &mut Vec<Change>) {
    for item in items {
        let words: Vec<String> =
            words_of(&item.args).iter().map(crate::schema::word::Word::lossy).collect();
        let (name, rest) = (name_of(item), words.get(1..).unwrap_or_default());
        let first = words.first().map_or("", String::as_str);
        let said = match name.as_str() {
            "fastcgiserver" | "appclass" => Some(class(first, rest)),
            "fastcgiconfig" => Some(dynamic(&words)),
            "fastcgiipcdir" => {
                Some((vec![format!("FcgidIPCDir {}", quoted(first))], Vec::new()))
            }
            "fastcgiexternalserver" | "externalappclass" => {
                lost(
                    item,
                    compiled,
                    out,
                    "mod_fcgid connects to no application that somebody else runs",
                );
                None
            }
            "fastcgiwrapper" | "fastcgisuexec" => {
                lost(
                    item,
                    compiled,
                    out,
                    "mod_fcgid uses httpd's suexec wherever SuexecUserGroup stands",
                );
                None
            }
            "fastcgiauthenticator" | "fastcgiauthorizer" | "fastcgiaccesschecker" => {
                let lost =
                    rest.iter().map(|option| format!("{option} has no like")).collect();
                Some((
                    vec![format!("Fcgid{} {}", &shown(item)[7..], quoted(first))],
                    lost,
                ))
            }
            "fastcgiauthenticatorauthoritative"
            | "fastcgiauthorizerauthoritative"
            | "fastcgiaccesscheckerauthoritative" => {
                Some((vec![format!("Fcgid{} {first}", &shown(item)[7..])], Vec::new()))
            }
            "sethandler" | "addhandler" if first == "fastcgi-script" => {
                let rest: String =
                    rest.iter().map(|word| format!(" {}", quoted(word))).collect();
                Some((vec![format!("{} fcgid-script{rest}", shown(item))], Vec::new()))
            }
            _ => None,
        };
        if let Some((said, lost)) = said {
            let blank = indent(compiled, item);
            let mut text = String::new();
            for why in &lost {
                text += &format!("{blank}# Not carried over: {why}\n");
            }
            for line in &said {
                text += &format!("{blank}{line}\n");
            }
            let why = if lost.is_empty() { WHY.to_owned() } else { lost.join("; ") };
            out.push(Change { span: lines(compiled, item), text, safe: false, why });
        }
        body(item.body.as_deref().unwrap_or_default(), compiled, out);
    }
}

fn shown(item: &Item) -> String {
    String::from_utf8_lossy(&item.name).into_owned()
}

fn lost(item: &Item, compiled: &Compiled, out: &mut Vec<Change>, why: &str) {
    out.push(commented(compiled, item, why));
}

/// Options with their values.
fn options(words: &[String]) -> Vec<(String, String)> {
    const FLAGS: [&str; 6] =
        ["-flush", "-no-keep-conn", "-nph", "-listen-all", "-restart", "-autoupdate"];
    let mut out = Vec::new();
    let mut words = words.iter();
    while let Some(option) = words.next() {
        let name = option.to_ascii_lowercase();
        let value = if FLAGS.contains(&name.as_str()) { None } else { words.next() };
        out.push((name, value.cloned().unwrap_or_default()));
    }
    out
}

/// A static application: its options are those of its command.
fn class(path: &str, words: &[String]) -> (Vec<String>, Vec<String>) {
    let mut out = format!("FcgidCmdOptions {}", quoted(path));
    let (mut lost, mut fields) = (Vec::new(), Vec::new());
    let mut processes = "1".to_owned();
    for (name, value) in options(words) {
        match name.as_str() {
            "-processes" => processes = value,
            "-idle-timeout" => out += &format!(" IOTimeout {value}"),
            "-appconntimeout" if value != "0" => {
                out += &format!(" ConnectTimeout {value}");
            }
            "-initial-env" => out += &format!(" InitialEnv {}", quoted(&value)),
            "-pass-header" => fields.push(format!("FcgidPassHeader {value}")),
            // They do so anyway.
            "-no-keep-conn" | "-appconntimeout" => {}
            _ => lost
                .push(format!("{name} {value}").trim_end().to_owned() + " has no like"),
        }
    }
    out += &format!(" MinProcesses {processes} MaxProcesses {processes}");
    fields.insert(0, out);
    (fields, lost)
}

/// Dynamic applications: directives of the whole server.
fn dynamic(words: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut out, mut lost) = (Vec::new(), Vec::new());
    for (name, value) in options(words) {
        match name.as_str() {
            "-maxprocesses" => out.push(format!("FcgidMaxProcesses {value}")),
            "-minprocesses" => out.push(format!("FcgidMinProcessesPerClass {value}")),
            "-maxclassprocesses" => {
                out.push(format!("FcgidMaxProcessesPerClass {value}"));
            }
            "-killinterval" => out.push(format!("FcgidIdleScanInterval {value}")),
            "-idle-timeout" => out.push(format!("FcgidIOTimeout {value}")),
            "-appconntimeout" if value != "0" => {
                out.push(format!("FcgidConnectTimeout {value}"));
            }
            "-initial-env" => {
                let (name, value) = value.split_once('=').unwrap_or((&value, ""));
                out.push(format!("FcgidInitialEnv {name} {}", quoted(value)));
            }
            "-pass-header" => out.push(format!("FcgidPassHeader {value}")),
            "-no-keep-conn" | "-appconntimeout" => {}
            _ => lost
                .push(format!("{name} {value}").trim_end().to_owned() + " has no like"),
        }
    }
    (out, lost)
}
