//! Cipher suites: those that there are here, under OpenSSL's names, and OpenSSL's language
//! for choosing among them (its manual page `ciphers(1)`).

/// A cipher suite.
#[derive(Debug, PartialEq, Eq)]
pub struct Suite {
    /// Its number at IANA.
    pub id: u16,
    /// OpenSSL's name.
    pub name: &'static str,
    /// The length of its key, bits.
    pub bits: u16,
    /// OpenSSL's words that select it; empty for TLS 1.3's.
    words: &'static [&'static str],
}

/// TLS 1.3's suites, in OpenSSL's order.
pub static TLS13: [Suite; 3] = [
    Suite { id: 0x1302, name: "TLS_AES_256_GCM_SHA384", bits: 256, words: &[] },
    Suite { id: 0x1303, name: "TLS_CHACHA20_POLY1305_SHA256", bits: 256, words: &[] },
    Suite { id: 0x1301, name: "TLS_AES_128_GCM_SHA256", bits: 128, words: &[] },
];

const ECDSA: [&str; 2] = ["ECDSA", "aECDSA"];
const RSA: [&str; 1] = ["aRSA"];

/// TLS 1.2's suites, in OpenSSL's order.
pub static TLS12: [Suite; 6] = [
    suite(
        0xc02c,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        256,
        &["AES", "AES256", "AESGCM", "FIPS"],
    ),
    suite(
        0xc030,
        "ECDHE-RSA-AES256-GCM-SHA384",
        256,
        &["AES", "AES256", "AESGCM", "FIPS"],
    ),
    suite(0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305", 256, &["CHACHA20"]),
    suite(0xcca8, "ECDHE-RSA-CHACHA20-POLY1305", 256, &["CHACHA20"]),
    suite(
        0xc02b,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        128,
        &["AES", "AES128", "AESGCM", "FIPS"],
    ),
    suite(
        0xc02f,
        "ECDHE-RSA-AES128-GCM-SHA256",
        128,
        &["AES", "AES128", "AESGCM", "FIPS"],
    ),
];

const fn suite(
    id: u16,
    name: &'static str,
    bits: u16,
    words: &'static [&'static str],
) -> Suite {
    Suite { id, name, bits, words }
}

/// A suite by its number.
pub fn by_id(id: u16) -> Option<&'static Suite> {
    TLS13.iter().chain(&TLS12).find(|suite| suite.id == id)
}

impl Suite {
    fn is(&self, word: &str) -> bool {
        let common = [
            "ALL", "HIGH", "ECDHE", "EECDH", "kECDHE", "kEECDH", "kECDH", "ECDH",
            "TLSv1.2",
        ];
        let who: &[&str] = if self.name.contains("-ECDSA-") { &ECDSA } else { &RSA };
        self.name == word
            || common.contains(&word)
            || self.words.contains(&word)
            || who.contains(&word)
    }
}

/// What a list of suites selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The suites, the preferred one first: their numbers.
    pub ids: Vec<u16>,
    /// Suites that were asked for by name and are not here.
    pub missing: Vec<String>,
}

/// TLS 1.2's suites as `SSLCipherSuite` selects them. Words that select nothing are passed
/// over, as by OpenSSL.
pub fn select(text: &str) -> Chosen {
    let mut chosen: Vec<&'static Suite> = Vec::new();
    let mut killed: Vec<u16> = Vec::new();
    let mut missing = Vec::new();
    for item in text.split([':', ',', ' ', ';']).filter(|item| !item.is_empty()) {
        if item.eq_ignore_ascii_case("@STRENGTH") {
            chosen.sort_by_key(|suite| std::cmp::Reverse(suite.bits));
            continue;
        }
        if item.starts_with('@') {
            continue;
        }
        let (sign, words) = match item.as_bytes()[0] {
            sign @ (b'!' | b'-' | b'+') => (sign, &item[1..]),
            _ => (b' ', item),
        };
        let selected = |suite: &&'static Suite| match words {
            // What OpenSSL takes without being asked.
            "DEFAULT" => true,
            words => words.split('+').all(|word| suite.is(word)),
        };
        let selected: Vec<&'static Suite> = TLS12.iter().filter(selected).collect();
        let is_selected = |suite: &&'static Suite| selected.contains(suite);
        match sign {
            b'!' => {
                killed.extend(selected.iter().map(|suite| suite.id));
                chosen.retain(|suite| !is_selected(suite));
            }
            b'-' => chosen.retain(|suite| !is_selected(suite)),
            b'+' => {
                let (moved, mut rest): (Vec<_>, Vec<_>) =
                    chosen.iter().copied().partition(is_selected);
                rest.extend(moved);
                chosen = rest;
            }
            _ => {
                for suite in &selected {
                    if !killed.contains(&suite.id) && !chosen.contains(suite) {
                        chosen.push(suite);
                    }
                }
                if selected.is_empty() && words.contains('-') {
                    missing.push(words.to_owned());
                }
            }
        }
    }
    Chosen { ids: chosen.iter().map(|suite| suite.id).collect(), missing }
}

/// TLS 1.3's suites, which are only named.
pub fn select13(text: &str) -> Chosen {
    let mut chosen = Chosen::default();
    for name in text.split([':', ',', ' ', ';']).filter(|name| !name.is_empty()) {
        match TLS13.iter().find(|suite| suite.name == name) {
            Some(suite) if !chosen.ids.contains(&suite.id) => chosen.ids.push(suite.id),
            Some(_) => {}
            None => chosen.missing.push(name.to_owned()),
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&'static str> {
        select(text).ids.iter().map(|id| by_id(*id).unwrap().name).collect()
    }

    #[test]
    fn openssls_language_is_spoken() {
        assert_eq!(names("HIGH:!aNULL").len(), 6);
        assert_eq!(names("DEFAULT").len(), 6);
        assert_eq!(
            names("ECDHE+AES128:!ECDSA"),
            ["ECDHE-RSA-AES128-GCM-SHA256"],
            "both words have to select"
        );
        assert_eq!(names("RSA"), [""; 0], "there is no key exchange by RSA");
        assert_eq!(names("AESGCM:-AES256").len(), 2);
        assert_eq!(names("!CHACHA20:CHACHA20"), [""; 0], "what is killed stays so");
        assert_eq!(names("-CHACHA20:CHACHA20").len(), 2);
        assert_eq!(names("ALL:+CHACHA20")[4..].join(" ").matches("CHACHA20").count(), 2);
        assert_eq!(names("AES128:AES256:@STRENGTH")[0], "ECDHE-ECDSA-AES256-GCM-SHA384");
    }

    #[test]
    fn what_is_missing_is_named() {
        let found = select("ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA:3DES:!DES-CBC3-SHA");
        assert_eq!(found.ids, [0xc02f]);
        assert_eq!(found.missing, ["AES128-SHA"]);
        let found = select13("TLS_AES_128_CCM_SHA256:TLS_AES_128_GCM_SHA256");
        assert_eq!((found.ids.len(), found.missing.len()), (1, 1));
    }
}
