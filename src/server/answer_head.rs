//! The head of an answer, put together from the pieces that it comes in.

use bytes::{Bytes, BytesMut};
use directives::effect::Failure;
use directives::modules::fastcgi::response::{MAX_HEAD, head_end};

/// A head that is not whole yet.
#[derive(Debug, Default)]
pub struct AnswerHead(BytesMut);

impl AnswerHead {
    /// Has nothing come yet?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What has come of a head that has no end.
    pub fn so_far(self) -> Bytes {
        self.0.freeze()
    }

    /// Takes a piece: once the head is whole, it and what came behind it. It may be 64 KiB
    /// long, which also keeps its fields below what a table of fields has room for.
    pub fn take(&mut self, mut piece: Bytes) -> Result<Option<(Bytes, Bytes)>, Failure> {
        let found = if self.0.is_empty()
            && let Some(end) = head_end(&piece, 0)
        {
            // Usually it comes in one piece, and is not copied.
            Some((piece.split_to(end), piece))
        } else {
            let before = self.0.len();
            self.0.extend_from_slice(&piece);
            head_end(&self.0, before).map(|end| {
                let head = self.0.split_to(end).freeze();
                (head, std::mem::take(&mut self.0).freeze())
            })
        };
        let length = found.as_ref().map_or(self.0.len(), |(head, _)| head.len());
        if length > MAX_HEAD { Err(Failure::HeadTooLong) } else { Ok(found) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pieces: &[&[u8]]) -> Result<Option<(Bytes, Bytes)>, Failure> {
        let mut head = AnswerHead::default();
        let mut found = Ok(None);
        for piece in pieces {
            assert_eq!(found, Ok(None), "it was whole before");
            found = head.take(Bytes::copy_from_slice(piece));
        }
        found
    }

    #[test]
    fn heads_end_in_any_piece() {
        let text = b"A: b\r\nC: d\r\n\r\nbody\n\n";
        let (head, rest) = (Bytes::from_static(&text[..14]), &text[14..]);
        for at in 0..text.len() {
            let (first, second) = text.split_at(at);
            if at < head.len() {
                let rest = Bytes::from_static(rest);
                let whole = Ok(Some((head.clone(), rest)));
                assert_eq!(taken(&[first, second]), whole, "{at}");
            } else {
                let rest = Bytes::from_static(&text[14..at]);
                assert_eq!(taken(&[first]), Ok(Some((head.clone(), rest))), "{at}");
            }
        }
        assert_eq!(taken(&[b"A: b\n", b""]), Ok(None));
    }

    #[test]
    fn long_heads_are_refused_whole_or_not() {
        let fields = |bytes: usize| b"a:\n".repeat(bytes / 3);
        let head = [&fields(MAX_HEAD - 10)[..], b"\n"].concat();
        assert!(matches!(taken(&[&head]), Ok(Some(_))));
        let (one, two) = (fields(MAX_HEAD), [&fields(MAX_HEAD)[..], b"\n"].concat());
        assert_eq!(taken(&[&one, &two]), Err(Failure::HeadTooLong));
        let whole = [one, two].concat();
        assert_eq!(taken(&[&whole]), Err(Failure::HeadTooLong));
        assert_eq!(taken(&[&whole[..whole.len() - 1]]), Err(Failure::HeadTooLong));
    }
}
