//! Clients that keep a server busy and count every request that was not answered as it
//! should be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};

use crate::http::Client;

/// What clients saw.
#[derive(Debug, Default)]
pub struct Count {
    /// Requests with the answer that was expected.
    pub answered: usize,
    /// What became of the others.
    pub failed: Vec<String>,
}

/// Clients at work, each over a connection that it keeps.
pub struct Load {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Count>>,
}

impl Load {
    /// A client for each target; `200` and the body behind it are expected.
    pub fn new(port: u16, targets: &[(&'static str, &'static str)]) -> Load {
        Load::expecting(port, targets, |body, expected| body == expected)
    }

    /// The same, where the body need only hold what is behind the target: pages of real
    /// programs tell the time.
    pub fn holding(port: u16, targets: &[(&'static str, &'static str)]) -> Load {
        Load::expecting(port, targets, |body, expected| body.contains(expected))
    }

    fn expecting(
        port: u16,
        targets: &[(&'static str, &'static str)],
        fits: fn(&str, &str) -> bool,
    ) -> Load {
        let over = Arc::new(AtomicBool::new(false));
        let clients = targets.iter().map(|&(target, body)| {
            let over = over.clone();
            std::thread::spawn(move || {
                let mut count = Count::default();
                let mut client = None;
                while !over.load(Ordering::Relaxed) {
                    match ask(&mut client, port, target, |text| fits(text, body)) {
                        Ok(()) => count.answered += 1,
                        Err(error) => {
                            client = None;
                            count.failed.push(format!("{target}: {error:#}"));
                        }
                    }
                }
                count
            })
        });
        let clients = clients.collect();
        Load { over, clients }
    }

    /// Ends them.
    pub fn end(self) -> Count {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Count::default();
        for client in self.clients {
            let count = client.join().unwrap_or_default();
            all.answered += count.answered;
            all.failed.extend(count.failed);
        }
        all
    }
}

fn ask(
    slot: &mut Option<Client>,
    port: u16,
    target: &str,
    fits: impl Fn(&str) -> bool,
) -> Result<()> {
    let client = match slot {
        Some(client) => client,
        None => slot.insert(Client::connect(port)?),
    };
    let head = format!("GET {target} HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
    client.send(head.as_bytes()).context("sending")?;
    let answer = client.response("GET")?;
    let closes = answer.header("connection").is_some_and(|value| value == "close");
    if closes {
        *slot = None;
    }
    ensure!(answer.status == 200 && fits(&answer.text()), "{answer}");
    Ok(())
}
