//! PEM (RFC 7468): what stands between `-----BEGIN` and `-----END`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One block.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    /// `CERTIFICATE`, `PRIVATE KEY` and the like.
    pub label: String,
    /// What it holds.
    pub contents: Vec<u8>,
    /// There are header lines: an old key that is encrypted.
    pub has_headers: bool,
}

/// The blocks of a text. What cannot be decoded is empty, so that it is not passed over.
pub fn blocks(text: &[u8]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String, bool)> = None;
    for line in text.split(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(line.trim_ascii()).into_owned();
        let marked = |word: &str| {
            let rest =
                line.strip_prefix("-----")?.strip_prefix(word)?.strip_prefix(' ')?;
            rest.strip_suffix("-----").map(str::to_owned)
        };
        match &mut open {
            None => open = marked("BEGIN").map(|label| (label, String::new(), false)),
            Some((label, encoded, has_headers)) => {
                if marked("END").as_ref() == Some(label) {
                    let contents = STANDARD.decode(&*encoded).unwrap_or_default();
                    let (label, has_headers) = (std::mem::take(label), *has_headers);
                    blocks.push(Block { label, contents, has_headers });
                    open = None;
                } else if line.contains(':') {
                    *has_headers = true;
                } else {
                    *encoded += &line;
                }
            }
        }
    }
    blocks
}

/// A block as text, its last line with an end.
pub fn encode(label: &str, contents: &[u8]) -> String {
    let encoded = STANDARD.encode(contents);
    let lines = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let body: String = lines.map(|line| format!("{line}\n")).collect();
    format!("-----BEGIN {label}-----\n{body}-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back() {
        let text = format!("words\n{}{}", encode("A", &[7; 100]), encode("B C", b"x"));
        let found = blocks(text.as_bytes());
        assert_eq!((found[0].label.as_str(), found[0].contents.len()), ("A", 100));
        assert_eq!((found[1].label.as_str(), &found[1].contents[..]), ("B C", &b"x"[..]));
        let old = b"-----BEGIN K-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END K-----";
        assert!(blocks(old)[0].has_headers);
        assert!(
            blocks(b"-----BEGIN A-----\n%\n-----END A-----\n")[0].contents.is_empty()
        );
        assert!(blocks(b"-----BEGIN A-----\nAAAA\n").is_empty());
    }
}
