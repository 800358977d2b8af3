//! Which connections and requests the error log has had a line about, for what
//! `ErrorLogFormat` says once about each. A connection lives on one thread. Only who has such
//! a format pays for it.

use std::cell::RefCell;
use std::collections::HashMap;

/// The most requests of a connection that are remembered: with HTTP/2 many go on at the same
/// time.
const REQUESTS: usize = 512;

thread_local! {
    static TOLD: RefCell<HashMap<u64, Vec<u64>>> = RefCell::default();
}

/// Is a line the first one?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// About its connection.
    pub of_connection: bool,
    /// About its request.
    pub of_request: bool,
}

/// Is a line about this connection and request the first one? The next will not be.
pub fn first_of(connection: u64, request: u64) -> First {
    TOLD.with_borrow_mut(|told| {
        let of_connection = !told.contains_key(&connection);
        let requests = told.entry(connection).or_default();
        let of_request = !requests.contains(&request);
        if of_request {
            if requests.len() >= REQUESTS {
                requests.drain(..REQUESTS / 2);
            }
            requests.push(request);
        }
        First { of_connection, of_request }
    })
}

/// A connection has ended.
pub fn forget(connection: u64) {
    TOLD.with_borrow_mut(|told| {
        if !told.is_empty() {
            told.remove(&connection);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_is_the_first() {
        let first = |connection, request| {
            let first = first_of(connection, request);
            (first.of_connection, first.of_request)
        };
        assert_eq!(first(1, 1), (true, true));
        assert_eq!(first(1, 1), (false, false));
        assert_eq!(first(1, 2), (false, true));
        assert_eq!(first(2, 1), (true, true));
        forget(1);
        assert_eq!(first(1, 2), (true, true));
        for request in 0..3 * REQUESTS as u64 {
            first_of(3, request);
        }
        assert_eq!(first(3, 3 * REQUESTS as u64 - 1), (false, false));
    }
}
