//! Clients that note how long each of their requests took, and an application with a known
//! number of workers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compat_tests::application::{Address, Application};
use compat_tests::figures::say;
use compat_tests::http::Client;
use compat_tests::root::Root;
pub use compat_tests::site::Site;

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Whose.
    pub client: usize,
    pub begun: Instant,
    pub ended: Instant,
    pub status: u16,
}

impl Sample {
    pub fn took(&self) -> Duration {
        self.ended - self.begun
    }
}

/// What clients saw.
#[derive(Debug, Default)]
pub struct Traffic {
    /// By the time that they took.
    pub samples: Vec<Sample>,
    clients: usize,
}

/// So many clients, each with a connection that it keeps, for so long.
pub fn traffic(
    port: u16,
    target: &str,
    clients: usize,
    time: Duration,
) -> Result<Traffic> {
    let until = Instant::now() + time;
    let mut samples = Vec::new();
    std::thread::scope(|scope| {
        let work = |client| move || one(port, target, client, until);
        let all: Vec<_> = (0..clients).map(|client| scope.spawn(work(client))).collect();
        for client in all {
            let found = client.join().ok().context("a client's thread ended badly")?;
            samples.extend(found?);
        }
        anyhow::Ok(())
    })?;
    samples.sort_by_key(Sample::took);
    Ok(Traffic { samples, clients })
}

fn one(port: u16, target: &str, client: usize, until: Instant) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    let mut slot = None;
    while Instant::now() < until {
        let connection = match &mut slot {
            Some(connection) => connection,
            None => slot.insert(Client::connect(port)?),
        };
        let begun = Instant::now();
        let head = format!("GET {target} HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
        connection.send(head.as_bytes())?;
        let answer = connection.response("GET").context("a request without an answer")?;
        if answer.header("connection").is_some_and(|value| value == "close") {
            slot = None;
        }
        let (ended, status) = (Instant::now(), answer.status);
        samples.push(Sample { client, begun, ended, status });
    }
    Ok(samples)
}

impl Traffic {
    /// How long the request took that so many of a thousand were faster than.
    pub fn quantile(&self, of_thousand: usize) -> Duration {
        let i = self.samples.len() * of_thousand / 1000;
        let last = self.samples.len().saturating_sub(1);
        self.samples.get(i.min(last)).map_or(Duration::MAX, Sample::took)
    }

    /// The slowest.
    pub fn longest(&self) -> Duration {
        self.quantile(1000)
    }

    /// The fewest requests that a client had answered.
    pub fn fewest(&self) -> usize {
        let counts = (0..self.clients)
            .map(|client| self.samples.iter().filter(|s| s.client == client).count());
        counts.min().unwrap_or(0)
    }

    /// Says what was seen, and that all of it was as it should be.
    pub fn all_answered(&self, what: &str) -> Result<()> {
        say(&format!(
            "{what}: {} requests of {} clients, median {:.1?}, p99 {:.1?}, longest {:.1?}, the \
             slowest client had {}",
            self.samples.len(),
            self.clients,
            self.quantile(500),
            self.quantile(990),
            self.longest(),
            self.fewest(),
        ))?;
        let failed = self.samples.iter().filter(|s| s.status != 200).count();
        ensure!(failed == 0, "{failed} of {} requests failed", self.samples.len());
        ensure!(self.fewest() > 0, "a client got nothing");
        Ok(())
    }
}

/// The probe on `run/name`, which serves so many connections at a time.
pub fn workers(root: &Root, name: &str, count: usize) -> Result<Application> {
    let address = Address::Unix(root.join("run").join(name));
    let count = count.to_string();
    Application::probe_at(root, address, &[], &[("PROBE_WORKERS", &count)])
}

/// The configuration of an application that listens there, as `/app`.
pub fn external(application: &Application, options: &str) -> String {
    let address = application.address.option();
    format!(
        "FastCgiExternalServer {{root}}/virtual/app {address} {options}\n\
         Alias /app {{root}}/virtual/app\n\
         <Directory {{root}}/virtual>\nRequire all granted\n</Directory>\n"
    )
}
