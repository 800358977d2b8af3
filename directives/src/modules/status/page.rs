//! What both pages have: a head, a style, and nothing from elsewhere.

use super::number::html;

/// What the pages' content may do: nothing but its own style.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = include_str!("style.css");

/// A page with a title.
pub fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head><body>\n{body}</body></html>\n",
        html(title)
    )
}

/// A number and its name, large.
pub fn tile(name: &str, value: &str) -> String {
    format!("<div class=\"card\"><b>{value}</b><span>{name}</span></div>\n")
}

/// What a chart over time begins and ends with.
pub fn axis(middle: &str) -> String {
    format!(
        "<div class=\"axis\"><span>10 minutes ago</span><span>{middle}</span><span>now</span>\
         </div>\n"
    )
}
