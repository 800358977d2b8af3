//! Any bytes as an application's answer: in pieces it comes to the same as whole, and its
//! head is read without a panic, wherever one looked for its end before.
#![no_main]

use bytes::BytesMut;
use directives::fcgi::record::{Decoder, Record};
use directives::modules::fastcgi::response::{head_end, parse, status};
use libfuzzer_sys::fuzz_target;

#[derive(Default, PartialEq, Eq)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    end: Option<Result<(), String>>,
}

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Heard {
    let (mut heard, mut decoder) = (Heard::default(), Decoder::default());
    let mut input = BytesMut::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        while heard.end.is_none() {
            match decoder.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Record::Stdout(bytes))) => heard.stdout.extend_from_slice(&bytes),
                Ok(Some(Record::Stderr(bytes))) => heard.stderr.extend_from_slice(&bytes),
                Ok(Some(Record::End)) => heard.end = Some(Ok(())),
                Err(why) => heard.end = Some(Err(why)),
            }
        }
    }
    heard
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let size = usize::from(size) + 1;
    let heard = decode(std::iter::once(bytes));
    assert!(heard == decode(bytes.chunks(size)));

    // The answer itself as output too: a mutation seldom keeps the framing.
    for output in [&heard.stdout[..], bytes] {
        let end = head_end(output, 0);
        let mut looked = 0;
        let step_by_step =
            (1..=output.len()).step_by(size).chain([output.len()]).find_map(|n| {
                let found = head_end(&output[..n], looked);
                looked = n;
                found
            });
        assert_eq!(end, step_by_step);
        if let Ok(fields) = parse(&output[..end.unwrap_or(output.len())]) {
            for (name, value) in fields {
                assert!(!name.is_empty());
                let _ = status(&value);
            }
        }
    }
});
