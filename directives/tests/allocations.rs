//! How often memory is asked for while a request runs through the phases. What a number
//! here holds is the phases' part: the connection's, hyper's and the application's sockets
//! come on top. A number that grows is a decision, and changes here.

#[path = "common/hot.rs"]
mod hot;

use hot::{CONF, Place, drive};

/// For a small file below two `<Directory>` sections.
const FILE: u64 = 19;
/// For an answer of an application, its parameters encoded into a buffer that is kept.
const FASTCGI: u64 = 36;

/// After the first requests have made what is made once.
fn allocations(place: &Place, target: &'static str) -> u64 {
    let mut scratch = Vec::with_capacity(4096);
    for _ in 0..3 {
        assert_eq!(drive(place.request(target), &mut scratch), 200);
    }
    let count = allocation_counter::measure(|| {
        assert_eq!(drive(place.request(target), &mut scratch), 200);
    });
    count.count_total
}

#[test]
fn a_request_asks_for_memory_as_often_as_is_stated() {
    let place = Place::new("allocations", CONF);
    let file = allocations(&place, "/a/b/page.html");
    let fastcgi = allocations(&place, "/app/path?query=1");
    let said = format!("a file: {file} allocations, FastCGI: {fastcgi}");
    assert!(
        file <= FILE && fastcgi <= FASTCGI,
        "{said}; {FILE} and {FASTCGI} are stated"
    );
    // What is stated is no more than a handful above what is so.
    assert!(file + 8 > FILE && fastcgi + 8 > FASTCGI, "state less: {said}");
}
