//! The best of several variants: `best_match`.

use std::cmp::Ordering;

use super::Dir;
use super::accept::{Accepted, Fields, Negotiate, PROGRAM_TYPE};
use super::quality;
use super::variant::Variant;
use crate::request::Request;

/// What the client said, for a choice.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its `Accept` fields.
    pub fields: Fields,
    /// Its `Negotiate` field.
    pub said: Negotiate,
}

/// What came of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The best variant, by its place.
    pub best: Option<usize>,
    /// It is good enough to be sent.
    pub is_clear: bool,
}

impl Asked {
    /// Adds what clients that say nothing about it accept: `maybe_add_default_accepts`.
    pub fn complete(&mut self, prefer_programs: bool) {
        let item = |name: &'static [u8], quality| Accepted {
            name: name.into(),
            quality,
            level: 0.0,
            charset: bytes::Bytes::new(),
        };
        let types = self.fields.types.get_or_insert_with(|| vec![item(b"*/*", 1.0)]);
        let quality = match (self.said.use_rvsa, prefer_programs) {
            (true, _) => 0.0,
            (false, true) => 2.0,
            (false, false) => 0.001,
        };
        types.push(item(PROGRAM_TYPE, quality));
    }

    /// Finds the qualities of all variants, and the best.
    pub fn choose(&self, r: &Request, config: &Dir, variants: &mut [Variant]) -> Choice {
        let Asked { fields, said } = self;
        let mut preferred = r.env.get(b"prefer-language").cloned();
        let default = quality::without_language(*said, variants);
        let mut best_quality = 0.0;
        loop {
            let mut best: Option<usize> = None;
            for i in 0..variants.len() {
                let wrong = |language| !variants[i].languages.contains(language);
                if is_discarded(r, &variants[i]) || preferred.as_ref().is_some_and(wrong)
                {
                    continue;
                }
                let variant = &mut variants[i];
                quality::media_type(fields, *said, variant);
                if preferred.is_some() {
                    variant.lang_quality = 1.0;
                    variant.is_definite = true;
                } else {
                    quality::language(fields, *said, config, default, variant);
                }
                quality::encoding(fields, variant);
                quality::charset(fields, *said, variant);
                if !said.may_choose {
                    continue;
                }
                let variant = &variants[i];
                let best_so_far = best.map(|best| &variants[best]);
                let better = if said.use_rvsa {
                    is_better_rvsa(variant, best_so_far, &mut best_quality)
                } else {
                    is_better(r, variant, best_so_far, &mut best_quality)
                };
                if better {
                    best = Some(i);
                }
            }
            let is_clear = best_quality > 0.0
                && (!said.use_rvsa
                    || best.is_some_and(|best| variants[best].is_definite));
            // Nothing in the preferred language: then in any.
            if preferred.is_some() && (best.is_none() || !is_clear) {
                preferred = None;
                continue;
            }
            return Choice { best, is_clear };
        }
    }
}

/// Do variables of the request keep encoded variants back? `discard_variant_by_env`.
fn is_discarded(r: &Request, variant: &Variant) -> bool {
    if variant.is_unencoded() || variant.encoding.as_deref() == Some(b"identity") {
        return false;
    }
    if r.env.has(b"no-gzip") {
        return true;
    }
    let only_html =
        r.env.get(b"gzip-only-text/html").is_some_and(|value| &value[..] == b"1");
    only_html && !variant.mime_type.starts_with(b"text/html")
}

/// By RFC 2296, as far as encodings let it: `is_variant_better_rvsa`.
fn is_better_rvsa(
    variant: &Variant,
    best: Option<&Variant>,
    best_quality: &mut f32,
) -> bool {
    if variant.encoding_quality == 0.0 {
        return false;
    }
    let quality = variant.type_quality
        * variant.source_quality
        * variant.charset_quality
        * variant.lang_quality;
    let better = match quality.partial_cmp(best_quality) {
        Some(Ordering::Greater) => true,
        Some(Ordering::Equal) => {
            best.is_some_and(|best| variant.encoding_quality > best.encoding_quality)
        }
        _ => false,
    };
    if quality <= 0.0 || !better {
        return false;
    }
    *best_quality = quality;
    true
}

/// By httpd's own order of dimensions: `is_variant_better`.
fn is_better(
    r: &Request,
    variant: &Variant,
    best: Option<&Variant>,
    best_quality: &mut f32,
) -> bool {
    let qualities = [
        variant.encoding_quality,
        variant.lang_quality,
        variant.source_quality,
        variant.charset_quality,
        variant.type_quality,
    ];
    if qualities.contains(&0.0) {
        return false;
    }
    let quality = variant.type_quality * variant.source_quality;
    if quality == 0.0 || quality < *best_quality {
        return false;
    }
    let better = match best {
        Some(best) if quality <= *best_quality => {
            order(r, variant, best) == Ordering::Greater
        }
        _ => true,
    };
    if better {
        *best_quality = quality;
    }
    better
}

/// Compares two variants of equal quality.
fn order(r: &Request, a: &Variant, b: &Variant) -> Ordering {
    let by = |a: f32, b: f32| a.partial_cmp(&b).unwrap_or(Ordering::Equal);
    // A language that has a place comes before one that has none.
    let place = |variant: &Variant| variant.lang_index.unwrap_or(usize::MAX);
    // Who says more than the default character set is preferred to who does not.
    let is_special =
        |variant: &Variant| !matches!(&variant.charset[..], b"" | b"iso-8859-1");
    by(a.lang_quality, b.lang_quality)
        .then_with(|| place(b).cmp(&place(a)))
        .then_with(|| by_level(a, b))
        .then_with(|| by(a.charset_quality, b.charset_quality))
        .then_with(|| match (is_special(a), is_special(b)) {
            (true, false) => Ordering::Greater,
            _ => Ordering::Equal,
        })
        .then_with(|| by(a.encoding_quality, b.encoding_quality))
        .then_with(|| b.length(r).cmp(&a.length(r)))
}

/// Levels of HTML: the highest that the client names, otherwise the lowest: `level_cmp`.
fn by_level(a: &Variant, b: &Variant) -> Ordering {
    let comparable = if a.is_html { b.is_html } else { a.mime_type == b.mime_type };
    if !comparable {
        return Ordering::Equal;
    }
    let by = |a: f32, b: f32| a.partial_cmp(&b).unwrap_or(Ordering::Equal);
    by(a.level_matched, b.level_matched).then_with(|| by(b.level, a.level))
}
