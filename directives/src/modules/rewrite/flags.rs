//! The flags of `RewriteRule` and `RewriteCond`: `cmd_rewriterule_setflag`.

use bytes::Bytes;

use super::text::{Escape, Text};
use crate::schema::{Problem, Result, Word};
use crate::status;

/// What the flags of a rule say.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `NC`.
    pub ignore_case: bool,
    /// `B`, `BNP`, `BCTLS`, `BNE`.
    pub escape: Option<Escape>,
    /// `C`.
    pub chain: bool,
    /// `CO`.
    pub cookies: Vec<Text>,
    /// `DPI`.
    pub discard_path_info: bool,
    /// `E`.
    pub env: Vec<Text>,
    /// `END`.
    pub end: bool,
    /// `H`; an empty one takes the handler away.
    pub handler: Option<Text>,
    /// `L`.
    pub last: bool,
    /// `N`, and how often at most.
    pub rounds: Option<u32>,
    /// `NE`.
    pub no_escape: bool,
    /// `NS`.
    pub not_in_subrequests: bool,
    /// `P`.
    pub proxy: bool,
    /// `PT`.
    pub pass_through: bool,
    /// `QSA`.
    pub append_query: bool,
    /// `QSD`.
    pub discard_query: bool,
    /// `QSL`.
    pub last_question_mark: bool,
    /// `R`: the client is told to go elsewhere.
    pub redirect: bool,
    /// The status of `R`, `F` and `G`.
    pub status: Option<u16>,
    /// `S`.
    pub skip: usize,
    /// `T`.
    pub mime: Option<Text>,
    /// `UnsafeAllow3F`.
    pub allow_3f: bool,
    /// `UnsafePrefixStat`.
    pub unsafe_prefix_stat: bool,
}

/// How often `N` begins again at most.
const MAX_ROUNDS: u32 = 32_000;

/// Cuts `[A,B=c,"D=e f"]` into names and values.
pub fn split(word: &Word) -> Result<Vec<(String, Bytes)>> {
    let text = &word.bytes;
    let (Some(b'['), Some(b']')) = (text.first(), text.last()) else {
        return Err(Problem::from("bad flag delimiters").at(word.span));
    };
    let mut flags = Vec::new();
    let inner = &text[1..text.len() - 1];
    for part in inner.split(|&b| b == b',') {
        let part = part.trim_ascii();
        if part.is_empty() {
            continue;
        }
        let (name, value) = match part.iter().position(|&b| b == b'=') {
            Some(i) => (&part[..i], &part[i + 1..]),
            None => (part, &b""[..]),
        };
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        flags.push((name, Bytes::copy_from_slice(value)));
    }
    Ok(flags)
}

impl Flags {
    /// Reads the flags of a rule.
    pub fn parse(word: &Word) -> Result<Flags> {
        let mut flags = Flags::default();
        for (name, value) in split(word)? {
            flags.set(&name, &value).map_err(|why| {
                Problem::from(format!("RewriteRule: {why}")).at(word.span)
            })?;
        }
        Ok(flags)
    }

    fn set(&mut self, name: &str, value: &Bytes) -> std::result::Result<(), String> {
        match name {
            "b" | "escapebackrefs" => self.escape().only = value.to_vec(),
            "bnp" | "backrefernoplus" => self.escape().no_plus = true,
            "bctls" => self.escape().controls = true,
            "bne" => self.escape().never = value.to_vec(),
            "c" | "chain" => self.chain = true,
            "co" | "cookie" => self.cookies.push(Text::parse(value)),
            "dpi" | "discardpath" => self.discard_path_info = true,
            "e" | "env" => self.env.push(Text::parse(value)),
            "end" => self.end = true,
            "f" | "forbidden" => self.status = Some(403),
            "g" | "gone" => self.status = Some(410),
            "h" | "handler" => self.handler = Some(Text::parse(value)),
            "l" | "last" => self.last = true,
            "n" | "next" => {
                let given =
                    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.rounds = Some(given.unwrap_or(MAX_ROUNDS));
            }
            "nc" | "nocase" => self.ignore_case = true,
            "ne" | "noescape" => self.no_escape = true,
            "ns" | "nosubreq" => self.not_in_subrequests = true,
            "p" | "proxy" => self.proxy = true,
            "pt" | "passthrough" => self.pass_through = true,
            "qsa" | "qsappend" => self.append_query = true,
            "qsd" | "qsdiscard" => self.discard_query = true,
            "qsl" | "qslast" => self.last_question_mark = true,
            "r" | "redirect" => {
                self.redirect = true;
                self.status = Some(redirect_status(value)?);
            }
            "s" | "skip" => {
                let given =
                    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.skip = given.unwrap_or(0);
            }
            "t" | "type" => self.mime = Some(Text::parse(value)),
            "unc" => {}
            "unsafeallow3f" => self.allow_3f = true,
            "unsafeprefixstat" => self.unsafe_prefix_stat = true,
            _ => return Err(format!("unknown flag '{name}'")),
        }
        Ok(())
    }

    fn escape(&mut self) -> &mut Escape {
        self.escape.get_or_insert_default()
    }

    /// The status that ends the request at once: of `F`, `G`, and of `R` with one that is
    /// no redirection.
    pub fn final_status(&self) -> Option<u16> {
        self.status.filter(|status| !status::is_redirect(*status))
    }
}

fn redirect_status(value: &[u8]) -> std::result::Result<u16, String> {
    if value.is_empty() {
        return Ok(302);
    }
    if let Some(text) = std::str::from_utf8(value).ok()
        && text.bytes().all(|b| b.is_ascii_digit())
    {
        let known = text.parse().ok().filter(|status| status::reason(*status).is_some());
        return known
            .ok_or_else(|| format!("invalid HTTP response code '{text}' for flag 'R'"));
    }
    Ok(match value.to_ascii_lowercase().as_slice() {
        b"permanent" => 301,
        b"temp" => 302,
        b"seeother" => 303,
        _ => {
            let shown = String::from_utf8_lossy(value);
            return Err(format!("invalid HTTP response code '{shown}' for flag 'R'"));
        }
    })
}
