//! What a client gives for a variant, dimension by dimension. The arithmetic is httpd's,
//! its single precision included: results are compared for equality.

use bytes::Bytes;

use super::accept::{Accepted, Fields, Negotiate};
use super::variant::{Variant, is_pseudo_html};
use super::{Dir, Force};

/// Sets the quality of a variant's media type: `set_accept_quality`.
pub fn media_type(fields: &Fields, said: Negotiate, variant: &mut Variant) {
    let mut quality = 0.0;
    let mut is_definite = true;
    for item in fields.types.iter().flatten() {
        let before = variant.stars;
        if !matches(item, variant) || before == variant.stars {
            continue;
        }
        // Clients that know no qualities do not mean their stars.
        let means_it = said.is_strict || fields.has_qualities;
        quality = match variant.stars {
            1 if !means_it => 0.01,
            2 if !means_it => 0.02,
            _ => item.quality,
        };
        is_definite = variant.stars == 3;
    }
    variant.type_quality = quality;
    variant.is_definite &= is_definite;
}

/// Does an item name the variant's type, and how exactly? `mime_match`.
fn matches(item: &Accepted, variant: &mut Variant) -> bool {
    let (wanted, kind) = (&item.name[..], &variant.mime_type[..]);
    if wanted.first() == Some(&b'*') {
        variant.stars = variant.stars.max(1);
        return true;
    }
    if wanted.last() == Some(&b'*')
        && kind.starts_with(&wanted[..wanted.len().saturating_sub(2)])
    {
        variant.stars = variant.stars.max(2);
        return true;
    }
    let is_it = wanted == kind || wanted == b"text/html" && is_pseudo_html(kind);
    if is_it && item.level >= variant.level {
        variant.level_matched = variant.level;
        variant.stars = 3;
        return true;
    }
    false
}

/// What a variant without a language is worth: little, where others have one.
pub fn without_language(said: Negotiate, variants: &[Variant]) -> f32 {
    let some_have = variants.iter().any(|variant| !variant.languages.is_empty());
    if !said.is_strict && some_have { 0.0001 } else { 1.0 }
}

/// Sets the quality of a variant's languages, and its place in `LanguagePriority`:
/// `set_language_quality`.
pub fn language(
    fields: &Fields,
    said: Negotiate,
    config: &Dir,
    default: f32,
    variant: &mut Variant,
) {
    if variant.languages.is_empty() {
        if !said.is_strict {
            variant.lang_quality = default;
        }
        return;
    }
    match &fields.languages {
        None => variant.is_definite = false,
        Some(wanted) => by_languages(wanted, said, variant),
    }
    let force = config.force.unwrap_or(Force::PREFER);
    let prefer = force.has(Force::PREFER) && variant.lang_index.is_none();
    let fallback = force.has(Force::FALLBACK) && variant.lang_quality == 0.0;
    if !prefer && !fallback {
        return;
    }
    let places = variant.languages.iter().filter_map(|language| {
        config.priority.iter().flatten().position(|known| language.starts_with(known))
    });
    let Some(place) = places.min() else { return };
    if variant.lang_quality != 0.0 {
        if force.has(Force::PREFER) {
            variant.lang_index = Some(place);
        }
    } else if force.has(Force::FALLBACK) {
        variant.lang_index = Some(place);
        variant.lang_quality = 0.0001;
        variant.is_definite = false;
    }
}

fn by_languages(wanted: &[Accepted], said: Negotiate, variant: &mut Variant) {
    let star = wanted.iter().find(|item| &item.name[..] == b"*");
    let mut best: Option<&Accepted> = None;
    let mut fiddled = 0.0;
    let mut on_star = false;
    for language in &variant.languages {
        let mut longest: Option<&Accepted> = None;
        for item in wanted.iter().filter(|item| &item.name[..] != b"*") {
            // `en` accepts `en-GB`.
            let rest = language.strip_prefix(&item.name[..]);
            let fits = rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'-')));
            if fits && longest.is_none_or(|longest| item.name.len() > longest.name.len())
            {
                longest = Some(item).filter(|item| !item.name.is_empty());
            }
            // Who asks for `en-US` only can most likely read `en` as well.
            if longest.is_none()
                && !said.is_strict
                && let Some(dash) = item.name.iter().position(|&byte| byte == b'-')
                && language.starts_with(&item.name[..dash])
            {
                fiddled = 0.001;
            }
        }
        best = match (best, longest) {
            (None, longest) => longest,
            (Some(best), Some(longest)) if longest.quality > best.quality => {
                Some(longest)
            }
            (best, _) => best,
        };
        on_star |= longest.is_none() && star.is_some();
    }
    if let Some(star) = star.filter(|_| on_star)
        && best.is_none_or(|best| star.quality > best.quality)
    {
        best = Some(star);
        variant.is_definite = false;
    }
    variant.lang_quality = best.map_or(fiddled, |best| best.quality);
}

/// Sets the quality of a variant's encoding: `set_encoding_quality`.
pub fn encoding(fields: &Fields, variant: &mut Variant) {
    let plain = variant.is_unencoded();
    let Some(wanted) = &fields.encodings else {
        variant.encoding_quality = if plain { 1.0 } else { 0.5 };
        return;
    };
    let own = variant.encoding.clone().filter(|_| !plain);
    let own = own.unwrap_or_else(|| Bytes::from_static(b"identity"));
    let bare = |name: &[u8]| name.strip_prefix(b"x-").unwrap_or(name).to_vec();
    let found = wanted.iter().find(|item| bare(&item.name) == bare(&own));
    let star = wanted.iter().rfind(|item| &item.name[..] == b"*");
    variant.encoding_quality = match found.or(star) {
        Some(item) => item.quality,
        None if plain => 0.0001,
        None => 0.0,
    };
}

/// Sets the quality of a variant's character set: `set_charset_quality`.
pub fn charset(fields: &Fields, said: Negotiate, variant: &mut Variant) {
    let Some(wanted) = &fields.charsets else {
        variant.is_definite &= variant.charset.is_empty();
        return;
    };
    let mut charset = &variant.charset[..];
    if charset.is_empty() {
        let is_text =
            variant.mime_type.starts_with(b"text/") || is_pseudo_html(&variant.mime_type);
        if !is_text || said.is_strict {
            return;
        }
        charset = b"iso-8859-1";
    }
    let star = wanted.iter().rfind(|item| &item.name[..] == b"*");
    if let Some(item) = wanted.iter().find(|item| item.name[..] == *charset) {
        variant.charset_quality = item.quality;
    } else if let Some(star) = star {
        variant.charset_quality = star.quality;
        variant.is_definite = false;
    } else {
        variant.charset_quality = if charset == b"iso-8859-1" { 1.0 } else { 0.0 };
    }
}
