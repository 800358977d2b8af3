//! In which form an answer is wanted.

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A page.
    Html,
    /// httpd's lines for programs.
    Auto,
    /// JSON.
    Json,
    /// Prometheus' text.
    Metrics,
    /// OpenMetrics' text.
    OpenMetrics,
}

impl Form {
    /// Its media type.
    pub fn content_type(self) -> &'static [u8] {
        match self {
            Form::Html => b"text/html; charset=utf-8",
            Form::Auto => b"text/plain; charset=ISO-8859-1",
            Form::Json => b"application/json",
            Form::Metrics => b"text/plain; version=0.0.4; charset=utf-8",
            Form::OpenMetrics => {
                b"application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }
}

/// The form of `fastcgi-status` for a query and an `Accept` field: the query decides; the
/// page is for everybody else.
pub fn choose(query: &[u8], accept: &[u8]) -> Form {
    let has = |name: &[u8]| options(query).any(|(option, _)| option == name);
    if has(b"json") {
        return Form::Json;
    }
    if has(b"metrics") {
        return Form::Metrics;
    }
    let mut best = (0.0, Form::Html);
    for range in accept.split(|&b| b == b',') {
        let mut parts = range.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut weight = 1.0;
        for part in parts {
            if let Some(value) = part.strip_prefix(b"q=") {
                let value = std::str::from_utf8(value).ok();
                weight = value.and_then(|value| value.parse().ok()).unwrap_or(0.0);
            }
        }
        let form = match &kind[..] {
            b"text/html" | b"application/xhtml+xml" | b"*/*" => Form::Html,
            b"application/json" => Form::Json,
            b"text/plain" => Form::Metrics,
            b"application/openmetrics-text" => Form::OpenMetrics,
            _ => continue,
        };
        if weight > best.0 {
            best = (weight, form);
        }
    }
    best.1
}

/// Seconds behind `refresh`; httpd's default if there are none.
pub fn refresh(query: &[u8]) -> Option<u32> {
    let (_, value) = options(query).find(|(option, _)| *option == b"refresh")?;
    Some(seconds(value))
}

/// `=N` as `atol` reads it; what is no number, or less than a second, is ten seconds.
pub fn seconds(text: &[u8]) -> u32 {
    let digits = text.strip_prefix(b"=").unwrap_or_default();
    let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    let number = std::str::from_utf8(&digits[..end]).ok().and_then(|n| n.parse().ok());
    number.filter(|&seconds| seconds > 0).unwrap_or(10)
}

/// Options of a query; a value keeps its `=`.
fn options(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|&b| b == b'&').map(|option| {
        let end = option.iter().position(|&b| b == b'=').unwrap_or(option.len());
        option.split_at(end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_decides_before_the_field() {
        assert_eq!(choose(b"refresh=3&json", b"text/html"), Form::Json);
        assert_eq!(choose(b"metrics", b""), Form::Metrics);
        assert_eq!(choose(b"a=json&jsonx", b""), Form::Html);
    }

    #[test]
    fn clients_get_what_they_like_best() {
        let browser = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(choose(b"", browser), Form::Html);
        let prometheus = b"application/openmetrics-text;version=1.0.0;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(choose(b"", prometheus), Form::OpenMetrics);
        assert_eq!(choose(b"", b"text/plain; version=0.0.4"), Form::Metrics);
        assert_eq!(choose(b"", b"application/json, text/html;q=0.1"), Form::Json);
        assert_eq!(choose(b"", b"image/png, application/json;q=0"), Form::Html);
    }

    #[test]
    fn a_page_is_refreshed_after_some_seconds() {
        assert_eq!(refresh(b"json&refresh=30"), Some(30));
        let defaults =
            [&b"refresh"[..], b"refresh=", b"refresh=0", b"refresh=-5", b"refresh=x"];
        for query in defaults {
            assert_eq!(refresh(query), Some(10), "{}", query.escape_ascii());
        }
        assert_eq!(refresh(b"refresher=5"), None);
    }
}
