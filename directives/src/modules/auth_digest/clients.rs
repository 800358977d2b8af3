//! The clients whose nonces are counted. A client is a number that was sent to it with its
//! nonce and that it sends back (`opaque`); it cannot choose one, since the nonce is made
//! with it.

/// How many places there are, and how many clients one has: those who were away longest are
/// forgotten first, and are given a new number without anybody noticing.
const PLACES: usize = 1024;
const DEPTH: usize = 8;

/// What is known of a client.
#[derive(Clone, Copy, Debug)]
struct Client {
    number: u32,
    /// The time in the last nonce that it used; 0 if it has used none.
    time: i64,
    /// Its highest count with that nonce.
    count: u64,
}

/// All of them: the numbers that were given last are spread evenly over the places.
#[derive(Debug)]
pub struct Clients {
    places: Vec<Vec<Client>>,
    next: u32,
}

/// What a nonce and a count are to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// New.
    Accepted,
    /// The client is not known, or not any more.
    Unknown,
    /// The nonce was used before, and is good for one request.
    Again,
    /// The count is not above this one, which was seen before.
    NotAbove(u64),
}

impl Clients {
    /// Nobody yet. No memory is taken before somebody comes.
    pub const fn new() -> Clients {
        Clients { places: Vec::new(), next: 1 }
    }

    /// A new client's number: `client_generate`.
    pub fn add(&mut self) -> u32 {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, Vec::new);
        }
        let number = self.next;
        // 0 is nobody's.
        self.next = self.next.checked_add(1).unwrap_or(1);
        let place = &mut self.places[number as usize % PLACES];
        place.truncate(DEPTH - 1);
        place.insert(0, Client { number, time: 0, count: 0 });
        number
    }

    /// Is this client known? Then it has been here just now: `client_exists`.
    pub fn knows(&mut self, number: u32) -> bool {
        self.find(number).is_some()
    }

    /// Weighs a nonce by its time, and a count, against what the client used last, and
    /// remembers them if they are new: `client_update_nonce`. What was only offered to the
    /// client does not count: anybody may have asked for it in its name.
    pub fn uses(&mut self, number: u32, time: i64, count: u64, once: bool) -> Use {
        let Some(client) = self.find(number) else { return Use::Unknown };
        let is_newer = time > client.time;
        let counts_on = !once && time == client.time && count > client.count;
        if is_newer || counts_on {
            (client.time, client.count) = (time, count);
            Use::Accepted
        } else if once {
            Use::Again
        } else {
            Use::NotAbove(client.count)
        }
    }

    /// Finds a client and puts it in front: `find_client`.
    fn find(&mut self, number: u32) -> Option<&mut Client> {
        let place = self.places.get_mut(number as usize % PLACES)?;
        let found = place.iter().position(|client| client.number == number)?;
        place[..=found].rotate_right(1);
        place.first_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_rise_and_nonces_follow_each_other() {
        let mut clients = Clients::new();
        assert_eq!(clients.uses(1, 5, 1, false), Use::Unknown);
        let ann = clients.add();
        assert_eq!(clients.uses(ann, 5, 1, false), Use::Accepted);
        assert_eq!(clients.uses(ann, 5, 1, false), Use::NotAbove(1));
        assert_eq!(clients.uses(ann, 5, 7, false), Use::Accepted);
        assert_eq!(clients.uses(ann, 5, 6, false), Use::NotAbove(7));
        assert_eq!(clients.uses(ann, 6, 1, false), Use::Accepted);
        assert_eq!(clients.uses(ann, 5, 8, false), Use::NotAbove(1));
        assert_eq!(clients.uses(0, 9, 9, false), Use::Unknown);
    }

    #[test]
    fn one_time_nonces_are_used_once() {
        let mut clients = Clients::new();
        let ann = clients.add();
        assert_eq!(clients.uses(ann, 1, 1, true), Use::Accepted);
        assert_eq!(clients.uses(ann, 1, 2, true), Use::Again);
        assert_eq!(clients.uses(ann, 2, 1, true), Use::Accepted);
        assert_eq!(clients.uses(ann, 1, 3, true), Use::Again);
    }

    #[test]
    fn who_comes_stays_and_who_is_away_is_forgotten() {
        let mut clients = Clients::new();
        let (busy, idle) = (clients.add(), clients.add());
        for _ in 0..3 * PLACES * DEPTH {
            clients.add();
            assert!(clients.knows(busy));
        }
        assert!(!clients.knows(idle));
        assert!(clients.places.iter().all(|place| place.len() <= DEPTH));
    }

    #[test]
    fn nobody_is_0() {
        let mut clients = Clients { places: Vec::new(), next: u32::MAX };
        assert_eq!([clients.add(), clients.add()], [u32::MAX, 1]);
        assert!(!clients.knows(0));
    }
}
