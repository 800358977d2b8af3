//! `testdata/merge`: sections of all kinds, and for each request the settings that differ
//! from those of a server without configuration.

use std::path::Path;

use directives::modules::DirConfig;

use crate::request::{self, Scripted};

/// The settings are the expected ones.
pub fn check(path: &Path) {
    request::check(path, settings);
}

/// The settings of the request, or of the first one if it was redirected.
fn settings(mut scripted: Scripted) -> String {
    // Up to the first effect or the reply: by then the sections are merged.
    let _ = scripted.run.step(None);
    let dir = &scripted.run.request().first().dir.config;
    let (plain, merged) = (fields(&DirConfig::default()), fields(dir));
    let differ = merged.iter().filter(|field| !plain.contains(field));
    let lines: String = differ.map(|field| format!("{field}\n")).collect();
    if lines.is_empty() { "(nothing)\n".to_owned() } else { lines }
}

/// Every field of every module's settings, as `module.field: value`.
fn fields(dir: &DirConfig) -> Vec<String> {
    let text = format!("{dir:#?}");
    let (mut module, mut found) = (String::new(), Vec::<String>::new());
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        let inner = line.trim();
        match depth {
            4 if inner != "}," => {
                inner.split(':').next().unwrap_or_default().clone_into(&mut module);
            }
            8 if inner.starts_with(char::is_alphabetic) => {
                found.push(format!("{module}.{inner}"));
            }
            depth if depth >= 8 => {
                let Some(field) = found.last_mut() else { continue };
                // One line for each field, as it would be without line ends.
                if !field.ends_with(['(', '[', '{'])
                    && !inner.starts_with([')', ']', '}'])
                {
                    field.push(' ');
                }
                field.push_str(inner);
            }
            _ => {}
        }
    }
    found.iter().map(|field| tidy(field)).collect()
}

/// Without trailing commas. Sections inside are counted: what they say is seen where they
/// apply.
fn tidy(field: &str) -> String {
    let sections = field.matches("SectionId(").count();
    if sections > 0 {
        let name = field.split(':').next().unwrap_or_default();
        return format!("{name}: {sections} inside");
    }
    let mut out = field.trim_end_matches(',').to_owned();
    for (from, to) in [(",)", ")"), (",]", "]"), (",}", "}")] {
        out = out.replace(from, to);
    }
    out
}
