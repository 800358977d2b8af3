//! The listing itself: `emit_preamble` and `output_directories`. Every blank is httpd's.

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::Settings;
use super::entry::{self, Entry};
use super::items::{self, BLANK_ICON, File};
use super::options::{Bits, DEFAULT_WIDTH, Width};
use super::query::{Key, Query};
use crate::path::{escape_html, escape_path};

/// The document's beginning, as far as the body.
pub fn preamble(config: &Settings, xhtml: bool, title: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(if xhtml {
        b"<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
          \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
          <html xmlns=\"http://www.w3.org/1999/xhtml\">\n <head>\n  <title>Index of "
    } else {
        &b"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \
           \"http://www.w3.org/TR/html4/strict.dtd\">\n\
           <html>\n <head>\n  <title>Index of "[..]
    });
    put(out, &[title, b"</title>\n"]);
    if let Some(style) = &config.style_sheet {
        let end = if xhtml { &b" />\n"[..] } else { b">\n" };
        put(
            out,
            &[b"  <link rel=\"stylesheet\" href=\"", style, b"\" type=\"text/css\"", end],
        );
    }
    put(
        out,
        &[config.head_insert.as_deref().unwrap_or_default(), b" </head>\n <body>\n"],
    );
}

/// The heading.
pub fn heading(config: &Settings, title: &[u8], out: &mut Vec<u8>) {
    let tag = match config.style_sheet {
        Some(_) => &b"  <h1 id=\"indextitle\">Index of "[..],
        None => b"<h1>Index of ",
    };
    put(out, &[tag, title, b"</h1>\n"]);
}

/// A page that lists entries, or a part of one.
pub struct Page<'a> {
    config: &'a Settings,
    query: &'a Query,
    /// Local time's distance from UTC at a moment, seconds.
    offset: &'a dyn Fn(i64) -> i32,
    name_width: usize,
    desc_width: usize,
    out: &'a mut Vec<u8>,
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Writes the entries: as a table, in columns, or as a plain list.
pub fn list(
    config: &Settings,
    query: &Query,
    entries: &[Entry],
    offset: &dyn Fn(i64) -> i32,
    out: &mut Vec<u8>,
) {
    let fixed = |width: Option<Width>| match width {
        Some(Width::Fixed(bytes)) => bytes,
        _ => DEFAULT_WIDTH,
    };
    let (mut name_width, mut desc_width) =
        (fixed(config.name_width), fixed(config.desc_width));
    if query.options.any(Bits::FANCY) && !query.options.any(Bits::TABLE) {
        let names = entries.iter().map(|entry| entry.name.len());
        let descs =
            entries.iter().filter_map(|entry| entry.desc.as_ref().map(Bytes::len));
        if config.name_width == Some(Width::Adjust) {
            name_width = names.fold(name_width, usize::max);
        }
        if config.desc_width == Some(Width::Adjust) {
            desc_width = descs.fold(desc_width, usize::max);
        }
    }
    let mut page = Page { config, query, offset, name_width, desc_width, out };
    if query.options.any(Bits::TABLE) {
        page.table(entries);
    } else if query.options.any(Bits::FANCY) {
        page.columns(entries);
    } else {
        page.plain(entries);
    }
}

impl Page<'_> {
    fn put(&mut self, parts: &[&[u8]]) {
        put(self.out, parts);
    }

    fn has(&self, option: Bits) -> bool {
        self.query.options.any(option)
    }

    /// ` /` where tags have to be closed.
    fn slash(&self) -> &'static [u8] {
        if self.has(Bits::XHTML) { b" /" } else { b"" }
    }

    /// `styled` with a style sheet, otherwise `bare`.
    fn class(&self, styled: &'static str, bare: &'static str) -> &'static [u8] {
        if self.config.style_sheet.is_some() {
            styled.as_bytes()
        } else {
            bare.as_bytes()
        }
    }

    fn plain(&mut self, entries: &[Entry]) {
        self.put(&[b"<ul>"]);
        for (i, entry) in entries.iter().enumerate() {
            let shown = escape_html(shown(entry, i));
            self.put(&[
                b"<li><a href=\"",
                &anchor(entry),
                b"\"> ",
                &shown,
                b"</a></li>\n",
            ]);
        }
        self.put(&[b"</ul>\n"]);
    }

    fn columns(&mut self, entries: &[Entry]) {
        self.put(&[b"<pre>"]);
        if !self.has(Bits::SUPPRESS_ICON) {
            match items::find(&self.config.icons, &File::named(BLANK_ICON)) {
                Some(icon) => {
                    self.image(icon, b"Icon ");
                    self.put(&[b" "]);
                }
                None => self.put(&[b"      "]),
            }
        }
        self.link("Name", Key::Name);
        let pad = vec![b' '; self.name_width.saturating_sub(4) + 1];
        self.put(&[&pad]);
        if !self.has(Bits::SUPPRESS_LAST_MOD) {
            self.link("Last modified", Key::LastModified);
            self.put(&[b"      "]);
        }
        if !self.has(Bits::SUPPRESS_SIZE) {
            self.link("Size", Key::Size);
            self.put(&[b"  "]);
        }
        if !self.has(Bits::SUPPRESS_DESC) {
            self.link("Description", Key::Description);
        }
        if self.has(Bits::SUPPRESS_RULES) {
            self.put(&[b"\n"]);
        } else {
            self.put(&[b"<hr", self.slash(), b">"]);
        }
        for (i, entry) in entries.iter().enumerate() {
            self.column_line(entry, i);
        }
        if !self.has(Bits::SUPPRESS_RULES) {
            self.put(&[b"<hr", self.slash(), b">"]);
        }
        self.put(&[b"</pre>\n"]);
    }

    fn column_line(&mut self, entry: &Entry, i: usize) {
        let anchor = anchor(entry);
        if !self.has(Bits::SUPPRESS_ICON) {
            if self.has(Bits::ICONS_ARE_LINKS) {
                self.put(&[b"<a href=\"", &anchor, b"\">"]);
            }
            if !self.icon(entry) {
                self.put(&[b"     "]);
            }
            let end = if self.has(Bits::ICONS_ARE_LINKS) { &b"</a> "[..] } else { b" " };
            self.put(&[end]);
        }
        self.name(entry, i, &anchor);
        self.put(&[b" "]);
        if !self.has(Bits::SUPPRESS_LAST_MOD) {
            let time = match entry.modified {
                Some(micros) => self.time(micros) + "  ",
                None => " ".repeat(19),
            };
            self.put(&[time.as_bytes()]);
        }
        if !self.has(Bits::SUPPRESS_SIZE) {
            self.put(&[entry::size(entry.size).as_bytes(), b"  "]);
        }
        if !self.has(Bits::SUPPRESS_DESC)
            && let Some(desc) = &entry.desc
        {
            let desc = self.shortened(desc);
            self.put(&[&desc]);
        }
        self.put(&[b"\n"]);
    }

    fn table(&mut self, entries: &[Entry]) {
        let head = "  <table id=\"indexlist\">\n   <tr class=\"indexhead\">";
        self.put(&[self.class(head, "  <table>\n   <tr>")]);
        let mut columns = 1;
        if !self.has(Bits::SUPPRESS_ICON) {
            self.put(&[self.class("<th class=\"indexcolicon\">", "<th valign=\"top\">")]);
            match items::find(&self.config.icons, &File::named(BLANK_ICON)) {
                Some(icon) => self.image(icon, b"[ICO]"),
                None => self.put(&[b"&nbsp;"]),
            }
            self.put(&[b"</th>"]);
            columns += 1;
        }
        self.put(&[self.class("<th class=\"indexcolname\">", "<th>")]);
        self.link("Name", Key::Name);
        let others = [
            (
                Bits::SUPPRESS_LAST_MOD,
                "<th class=\"indexcollastmod\">",
                Key::LastModified,
            ),
            (Bits::SUPPRESS_SIZE, "<th class=\"indexcolsize\">", Key::Size),
            (Bits::SUPPRESS_DESC, "<th class=\"indexcoldesc\">", Key::Description),
        ];
        for (suppressed, class, key) in others {
            if !self.has(suppressed) {
                self.put(&[b"</th>", self.class(class, "<th>")]);
                self.link(column_title(key), key);
                columns += 1;
            }
        }
        let rule = if self.has(Bits::SUPPRESS_RULES) {
            Vec::new()
        } else {
            let class = self.class(" class=\"indexbreakrow\"", "");
            let colspan = format!("><th colspan=\"{columns}\"><hr");
            [b"   <tr", class, colspan.as_bytes(), self.slash(), b"></th></tr>\n"]
                .concat()
        };
        self.put(&[b"</th></tr>\n", &rule]);
        for (i, entry) in entries.iter().enumerate() {
            self.row(entry, i);
        }
        self.put(&[&rule, b"</table>\n"]);
    }

    fn row(&mut self, entry: &Entry, i: usize) {
        let anchor = anchor(entry);
        self.row_tag(entry, i);
        if !self.has(Bits::SUPPRESS_ICON) {
            self.put(&[self.class("<td class=\"indexcolicon\">", "<td valign=\"top\">")]);
            if self.has(Bits::ICONS_ARE_LINKS) {
                self.put(&[b"<a href=\"", &anchor, b"\">"]);
            }
            if !self.icon(entry) {
                self.put(&[b"&nbsp;"]);
            }
            let end = if self.has(Bits::ICONS_ARE_LINKS) {
                &b"</a></td>"[..]
            } else {
                b"</td>"
            };
            self.put(&[end]);
        }
        self.put(&[self.class("<td class=\"indexcolname\">", "<td>")]);
        if self.config.name_width == Some(Width::Adjust) {
            let shown = escape_html(shown(entry, i));
            self.put(&[b"<a href=\"", &anchor, b"\">", &shown, b"</a>"]);
        } else {
            self.name(entry, i, &anchor);
        }
        if !self.has(Bits::SUPPRESS_LAST_MOD) {
            match entry.modified {
                Some(micros) => {
                    let class = self
                        .class("<td class=\"indexcollastmod\">", "<td align=\"right\">");
                    let time = self.time(micros);
                    self.put(&[b"</td>", class, time.as_bytes(), b"  "]);
                }
                None => {
                    let class = self.class("<td class=\"indexcollastmod\">", "<td>");
                    self.put(&[b"</td>", class, b"&nbsp;"]);
                }
            }
        }
        if !self.has(Bits::SUPPRESS_SIZE) {
            let class = self.class("<td class=\"indexcolsize\">", "<td align=\"right\">");
            self.put(&[b"</td>", class, entry::size(entry.size).as_bytes()]);
        }
        if !self.has(Bits::SUPPRESS_DESC) {
            let desc = match &entry.desc {
                Some(desc) if self.config.desc_width == Some(Width::Adjust) => {
                    desc.to_vec()
                }
                Some(desc) => self.shortened(desc),
                None => b"&nbsp;".to_vec(),
            };
            let class = self.class("<td class=\"indexcoldesc\">", "<td>");
            self.put(&[b"</td>", class, &desc]);
        }
        self.put(&[b"</td></tr>\n"]);
    }

    /// Rows are told apart for the style sheet.
    fn row_tag(&mut self, entry: &Entry, i: usize) {
        if self.config.style_sheet.is_none() {
            return self.put(&[b"<tr>"]);
        }
        let parity = if i % 2 == 1 { &b"odd"[..] } else { b"even" };
        match &entry.alt {
            Some(alt) if self.has(Bits::ADD_ALT_CLASS) => {
                let alt = alt.to_ascii_lowercase();
                self.put(&[b"   <tr class=\"", parity, b"-", &alt, b"\">"]);
            }
            _ => self.put(&[b"   <tr class=\"", parity, b"\">"]),
        }
    }

    /// An entry's icon; `false` if it has none.
    fn icon(&mut self, entry: &Entry) -> bool {
        let Some(icon) = entry.icon.as_ref().or(self.config.default_icon.as_ref()) else {
            return false;
        };
        let alt = entry.alt.as_deref().unwrap_or(b"   ");
        self.image(icon, &[b"[", alt, b"]"].concat());
        true
    }

    fn image(&mut self, icon: &[u8], alt: &[u8]) {
        self.put(&[b"<img src=\"", &escape_html(icon), b"\" alt=\"", alt, b"\""]);
        if self.config.icon_width != 0 {
            self.put(&[format!(" width=\"{}\"", self.config.icon_width).as_bytes()]);
        }
        if self.config.icon_height != 0 {
            self.put(&[format!(" height=\"{}\"", self.config.icon_height).as_bytes()]);
        }
        self.put(&[self.slash(), b">"]);
    }

    /// A column's title; it turns the order round if it is sorted by already.
    fn link(&mut self, title: &str, key: Key) {
        if self.has(Bits::SUPPRESS_COLSORT) {
            return self.put(&[title.as_bytes()]);
        }
        let turned = self.query.key == key && self.query.ascending;
        let sort = format!("?C={};O={}", key.letter(), if turned { 'D' } else { 'A' });
        let args = &self.query.column_args;
        put(
            self.out,
            &[b"<a href=\"", sort.as_bytes(), args, b"\">", title.as_bytes(), b"</a>"],
        );
    }

    /// A name of the column's width.
    fn name(&mut self, entry: &Entry, i: usize, anchor: &[u8]) {
        let full = shown(entry, i);
        let short = if full.len() > self.name_width {
            [&full[..self.name_width.saturating_sub(3)], b"..>"].concat()
        } else {
            full.to_vec()
        };
        let pad = vec![b' '; self.name_width.saturating_sub(short.len())];
        self.put(&[b"<a href=\"", anchor, b"\">", &escape_html(&short), b"</a>", &pad]);
    }

    fn time(&self, micros: i64) -> String {
        let zone = Offset::from_seconds((self.offset)(micros)).unwrap_or(Offset::UTC);
        let time = Timestamp::from_microsecond(micros).unwrap_or_default();
        let old = self.config.old_dates == Some(true);
        let format = if old { "%d-%b-%Y %H:%M" } else { "%Y-%m-%d %H:%M" };
        time.to_zoned(TimeZone::fixed(zone)).strftime(format).to_string()
    }

    /// A description of the column's width; tags take no room, entities that of a letter:
    /// `terminate_description`.
    fn shortened(&self, desc: &[u8]) -> Vec<u8> {
        let mut room = self.desc_width;
        if self.config.desc_width.is_none() {
            // What the other columns leave.
            room += if self.has(Bits::SUPPRESS_ICON) { 6 } else { 0 };
            room += if self.has(Bits::SUPPRESS_LAST_MOD) { 19 } else { 0 };
            room += if self.has(Bits::SUPPRESS_SIZE) { 7 } else { 0 };
        }
        let mut at = 0;
        while at < desc.len() && (room > 0 || desc[at] == b'<') {
            let end = match desc[at] {
                b'<' => Some(b'>'),
                b'&' => Some(b';'),
                _ => None,
            };
            room -= usize::from(desc[at] != b'<');
            if let Some(end) = end {
                match desc[at..].iter().position(|&byte| byte == end) {
                    Some(length) => at += length,
                    None => return desc.to_vec(),
                }
            }
            at += 1;
        }
        if room == 0 && at < desc.len() && at > 0 {
            return [&desc[..at - 1], b">"].concat();
        }
        desc.to_vec()
    }
}

fn column_title(key: Key) -> &'static str {
    match key {
        Key::Name => "Name",
        Key::LastModified => "Last modified",
        Key::Size => "Size",
        Key::Description => "Description",
    }
}

/// What is shown of an entry's name.
fn shown(entry: &Entry, i: usize) -> &[u8] {
    if i == 0 && entry.is_parent() { b"Parent Directory" } else { &entry.name }
}

fn anchor(entry: &Entry) -> Vec<u8> {
    escape_html(&escape_path(&entry.name))
}
