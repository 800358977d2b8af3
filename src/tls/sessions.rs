//! Sessions that clients go on with, as long as the configuration lets them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use directives::modules::ssl;
use rustls::crypto::GetRandomFailed;
use rustls::crypto::ring::Ticketer;
use rustls::server::{
    NoServerSessionStorage, ProducesTickets, ServerConfig, StoresServerSessions,
};
use rustls::ticketer::TicketRotator;

/// How many sessions a virtual host keeps.
const MOST_KEPT: usize = 4096;

/// Sets what a server's settings say about sessions.
pub fn configure(
    config: &mut ServerConfig,
    ssl: &ssl::Server,
    process: &ssl::Process,
) -> Result<(), rustls::Error> {
    let keeps = process.keeps_sessions && !process.session_time.is_zero();
    config.session_storage = if keeps {
        Arc::new(Kept::new(process.session_time))
    } else {
        Arc::new(NoServerSessionStorage {})
    };
    let tickets = ssl.gives_tickets() && !process.session_time.is_zero();
    if tickets {
        let seconds = u32::try_from(process.session_time.as_secs()).unwrap_or(u32::MAX);
        let fresh = || -> Result<Box<dyn ProducesTickets>, GetRandomFailed> {
            // Nothing else can fail here.
            Ok(Box::new(Fresh(Ticketer::new().map_err(|_| GetRandomFailed)?)))
        };
        config.ticketer = Arc::new(TicketRotator::new(seconds, fresh)?);
    }
    if !keeps && !tickets {
        config.send_tls13_tickets = 0;
    }
    Ok(())
}

/// A ticketer with a key of its own.
#[derive(Debug)]
struct Fresh(Arc<dyn ProducesTickets>);

impl ProducesTickets for Fresh {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}

/// Sessions in memory, none longer than `SSLSessionCacheTimeout`.
struct Kept {
    time: Duration,
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    by_key: HashMap<Vec<u8>, (Instant, Vec<u8>)>,
    /// The oldest first.
    order: VecDeque<Vec<u8>>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("time", &self.time).finish_non_exhaustive()
    }
}

impl Kept {
    fn new(time: Duration) -> Kept {
        Kept { time, sessions: Mutex::default() }
    }

    fn look(&self, key: &[u8], take: bool) -> Option<Vec<u8>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, value) = if take {
            sessions.by_key.remove(key)?
        } else {
            sessions.by_key.get(key)?.clone()
        };
        (since.elapsed() < self.time).then_some(value)
    }
}

impl StoresServerSessions for Kept {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        while sessions.order.len() >= MOST_KEPT {
            if let Some(oldest) = sessions.order.pop_front() {
                sessions.by_key.remove(&oldest);
            }
        }
        sessions.order.push_back(key.clone());
        sessions.by_key.insert(key, (Instant::now(), value));
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.look(key, false)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.look(key, true)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end() {
        let kept = Kept::new(Duration::from_mins(1));
        assert!(kept.put(b"a".to_vec(), b"x".to_vec()));
        assert_eq!(kept.get(b"a").as_deref(), Some(&b"x"[..]));
        assert_eq!(kept.take(b"a").as_deref(), Some(&b"x"[..]));
        assert_eq!(kept.take(b"a"), None);
        for i in 0..=MOST_KEPT {
            kept.put(i.to_le_bytes().to_vec(), Vec::new());
        }
        assert_eq!(kept.get(&0_usize.to_le_bytes()), None);
        assert!(kept.get(&1_usize.to_le_bytes()).is_some());
        let short = Kept::new(Duration::ZERO);
        short.put(b"a".to_vec(), Vec::new());
        assert_eq!(short.get(b"a"), None);
    }
}
