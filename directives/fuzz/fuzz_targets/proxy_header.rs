//! Any bytes as a PROXY header, in pieces as they are looked at: a header ends, never
//! behind what was asked for.
#![no_main]

// What reads from a socket.
#[allow(dead_code)]
#[path = "../../../src/server/proxy_header.rs"]
mod proxy_header;

use libfuzzer_sys::fuzz_target;
use proxy_header::{missing, parse};

fuzz_target!(|bytes: &[u8]| {
    let mut known = 0;
    loop {
        let wanted = match missing(&bytes[..known]) {
            Ok(0) => break,
            Ok(wanted) => wanted,
            Err(_) => return,
        };
        let seen = &bytes[known..bytes.len().min(known + wanted)];
        if seen.is_empty() {
            return;
        }
        // As `read` takes them: a line ends where it says so.
        let second = bytes[0] == b'\r';
        let end = seen.iter().position(|&b| b == b'\n').filter(|_| !second);
        known += end.map_or(seen.len(), |end| end + 1);
    }
    if let Ok(Some(address)) = parse(&bytes[..known]) {
        assert!(known <= 16 + 4096, "{address}");
    }
});
