//! mod_proxy_fcgi's back ends as mod_fastcgi's external applications.

use super::gate::Gates;
use super::{Change, commented, indent, lines};
use crate::Compiled;
use crate::convert::{name_of, quoted, words_of};
use crate::expand::Item;

const WHY: &str = "SCRIPT_FILENAME becomes the gate's path, and the script is in \
                   PATH_TRANSLATED, as php has it from mod_fastcgi";

pub(super) fn changes(compiled: &Compiled, gates: &mut Gates) -> Vec<Change> {
    let mut changes = Vec::new();
    body(&compiled.items, compiled, gates, &mut changes);
    changes
}

/// Where a back end listens, as options say it.
pub(crate) fn backend(url: &str) -> Option<String> {
    let url = url.strip_prefix("proxy:").unwrap_or(url);
    if let Some(rest) = url.strip_prefix("unix:") {
        let (socket, url) = rest.split_once('|')?;
        return url.starts_with("fcgi://").then(|| format!("-socket {}", quoted(socket)));
    }
    let rest = url.strip_prefix("fcgi://")?;
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() {
        return None;
    }
    let port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(if port { format!("-host {host}") } else { format!("-host {host}:8000") })
}

fn body(
    items: &[Item],
    compiled: &Compiled,
    gates: &mut Gates,
    changes: &mut Vec<Change>,
) {
    for item in items {
        let words: Vec<String> =
            words_of(&item.args).iter().map(crate::schema::word::Word::lossy).collect();
        let mut gate = |options: &str, by_action: bool| {
            let definition = format!(
                "FastCgiExternalServer {{path}} {options} -pass-header Authorization"
            );
            gates.open(&definition, None, by_action, item, WHY)
        };
        let blank = indent(compiled, item);
        let replaced = |text: String| Change {
            span: lines(compiled, item),
            text,
            safe: false,
            why: WHY.to_owned(),
        };
        let word = |i: usize| words.get(i).map_or("", String::as_str);
        match name_of(item).as_str() {
            "sethandler" => {
                if let Some(options) =
                    backend(word(0)).filter(|_| word(0).starts_with("proxy:"))
                {
                    let (name, opened) = gate(&options, true);
                    changes.extend(opened);
                    let text = format!(
                        "{blank}SetHandler {name}\n{blank}Action {name} /{name}\n"
                    );
                    changes.push(replaced(text));
                }
            }
            "proxypass" => {
                if let Some(options) = backend(word(1)) {
                    let (name, opened) = gate(&options, false);
                    changes.extend(opened);
                    let url = quoted(word(0).trim_end_matches('/'));
                    let url = if url == "\"\"" { "/".to_owned() } else { url };
                    changes.push(replaced(format!("{blank}Alias {url} /{name}\n")));
                }
            }
            "proxypassmatch" => {
                if let Some(options) = backend(word(1)) {
                    let (name, opened) = gate(&options, false);
                    changes.extend(opened);
                    let pattern = word(0);
                    let group = groups(pattern) + 1;
                    let text = format!(
                        "{blank}AliasMatch {} /{name}${group}\n",
                        quoted(&format!(
                            "^(?={})(/.*)$",
                            pattern.trim_start_matches('^')
                        ))
                    );
                    changes.push(replaced(text));
                }
            }
            "proxypassreverse"
                if backend(word(words.len().saturating_sub(1))).is_some() =>
            {
                let why = "what an application says about itself is passed on as it is";
                changes.push(commented(compiled, item, why));
            }
            "proxyfcgisetenvif" | "proxyfcgibackendtype" => {
                let why =
                    "variables are mod_fastcgi's; SetEnvIf and SetEnvIfExpr set others";
                changes.push(commented(compiled, item, why));
            }
            "<proxy" if backend(word(0)).is_some() => {
                changes.extend(container(item, compiled));
                continue;
            }
            _ => {}
        }
        body(item.body.as_deref().unwrap_or_default(), compiled, gates, changes);
    }
}

/// A `<Proxy>` of a back end, all of it.
fn container(item: &Item, compiled: &Compiled) -> Option<Change> {
    let why = "timeouts of an application are -idle-timeout and -appConnTimeout of its \
               definition";
    let mut change = commented(compiled, item, why);
    let bytes = compiled.sources.bytes(change.span.file);
    let (_, nodes) =
        super::files(compiled).into_iter().find(|(file, _)| *file == change.span.file)?;
    let whole = find(&nodes, item.name_span.start)?;
    change.span.end = whole;
    let text = String::from_utf8_lossy(&bytes[change.span.range()]).into_owned();
    let blank = indent(compiled, item);
    let lines: String = text
        .lines()
        .map(|line| {
            format!("{blank}# {}\n", line.strip_prefix(&blank[..]).unwrap_or(line))
        })
        .collect();
    change.text = format!("{blank}# Not carried over: {why}\n{lines}");
    Some(change)
}

/// The end of the container whose name begins there.
fn find(nodes: &[crate::syntax::Node], start: u32) -> Option<u32> {
    nodes.iter().find_map(|node| match node {
        crate::syntax::Node::Section(section)
            if section.open.name_span.start == start =>
        {
            Some(node.span().end)
        }
        crate::syntax::Node::Section(section) => find(&section.body, start),
        _ => None,
    })
}

/// How many groups a pattern catches.
fn groups(pattern: &str) -> usize {
    let bytes = pattern.as_bytes();
    let mut count = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'(' if bytes.get(at + 1) != Some(&b'?') => count += 1,
            _ => {}
        }
        at += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_ends_are_found() {
        let ok = |url: &str| backend(url);
        assert_eq!(
            ok("proxy:unix:/run/php.sock|fcgi://localhost/"),
            Some("-socket /run/php.sock".to_owned())
        );
        assert_eq!(ok("fcgi://[::1]:9000/x"), Some("-host [::1]:9000".to_owned()));
        assert_eq!(ok("fcgi://app"), Some("-host app:8000".to_owned()));
        assert_eq!(ok("http://app:80/"), None);
        assert_eq!(ok("unix:/run/x|http://x"), None);
        assert_eq!(groups(r"^/(a|b)\((?:c)(d)"), 2);
    }
}
