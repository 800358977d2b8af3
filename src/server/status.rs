//! The report for the status pages: what the threads, the applications' entries, the
//! parent and the system say.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use directives::Snapshot;
use directives::bundle::{Files, Who};
use directives::modules::fastcgi::{Address, Kind};
use directives::modules::status::{App, ProcessState, Report};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;

use super::apps::{Entry, Registry};
use super::board::{Board, kept};
use super::live::Generation;
use crate::disk::{self, Disk};
use crate::message::AppKey;
use crate::message::status::Version;

/// How many requests there is always room for, as far as the page says: as many threads as
/// httpd keeps in reserve. A request needs no thread here, but two descriptors.
const SPARE: u64 = 75;

/// The report of this moment.
pub async fn report(
    board: &Board,
    registry: &Registry,
    generation: &Generation,
) -> Report {
    let (threads, versions) = tokio::join!(board.threads(), board.versions());
    let now = crate::log::now();
    let entries = registry.all().into_iter().map(|entry| (entry.key.clone(), entry));
    let managed = versions.is_some();
    let versions = versions.unwrap_or_default();
    Report {
        now,
        started: board.started,
        utc_offset: disk::utc_offset(now),
        zone: disk::zone_name(now),
        built: crate::report::built().to_owned(),
        pid: std::process::id(),
        generation: generation.number,
        load: load(),
        cpu: cpu(),
        spare: spare() as u32,
        threads,
        history: board.history(),
        managed,
        apps: apps(&generation.snapshot, entries.collect(), &versions),
        gateway: generation
            .snapshot
            .process
            .gateway
            .is_used
            .then(|| registry.decisions.shown()),
    }
}

/// Applications as the configuration has them, then those that requests or the parent
/// brought.
fn apps(
    snapshot: &Snapshot,
    mut entries: HashMap<AppKey, Arc<Entry>>,
    versions: &[Version],
) -> Vec<App> {
    let process = &snapshot.process.fastcgi;
    let mut named: Vec<Named> = Vec::new();
    for app in process.apps() {
        let (key, address) = (AppKey::of(app), app.address.clone());
        named.push(Named { key, kind: app.kind, address });
    }
    let configured = named.len();
    // The newest version has the address of today.
    for Version { key, address, dynamic, .. } in versions.iter().rev() {
        if !named.iter().any(|named| named.key == *key) {
            let kind = match dynamic {
                _ if key.class.is_some() => Kind::Fcgid,
                true => Kind::Dynamic,
                false => Kind::Static,
            };
            named.push(Named { key: key.clone(), kind, address: address.clone() });
        }
    }
    for entry in entries.values().filter(|entry| entry.is_dynamic()) {
        if !named.iter().any(|named| named.key == entry.key) {
            let key = entry.key.clone();
            let app = process.dynamic_app(&key.path, key.identity.clone());
            let address = app.address.clone();
            named.push(Named { key, kind: Kind::Dynamic, address });
        }
    }
    named[configured..].sort_by(|a, b| {
        let of = |key: &AppKey| (key.path.clone(), key.identity.as_ref().map(|i| i.uid));
        of(&a.key).cmp(&of(&b.key))
    });
    let shown = named.into_iter().map(|named| {
        let entry = entries.remove(&named.key);
        shown(snapshot, named, entry.as_deref(), versions)
    });
    shown.collect()
}

/// An application that is to be shown.
struct Named {
    key: AppKey,
    kind: Kind,
    address: Address,
}

/// One application.
fn shown(
    snapshot: &Snapshot,
    named: Named,
    entry: Option<&Entry>,
    versions: &[Version],
) -> App {
    let Named { key, kind, address } = named;
    let own: Vec<_> = versions.iter().filter(|version| version.key == key).collect();
    let current = own.iter().find(|version| !version.is_old);
    let mut class = current.or(own.last()).map(|version| version.class.clone());
    // What an old version has left to finish stands behind the new one's processes.
    if let (Some(class), Some(_)) = (&mut class, current) {
        for old in own.iter().filter(|version| version.is_old) {
            let processes = old.class.processes.iter();
            let there = processes.filter(|process| process.state != ProcessState::Due);
            class.processes.extend(there);
        }
    }
    let mut shown = App {
        owner: owner(snapshot, kind, &key),
        path: key.path,
        kind,
        address,
        is_old: current.is_none() && !own.is_empty(),
        requests: 0,
        active: 0,
        waiting: 0,
        failures: 0,
        waited: 0,
        waits: Default::default(),
        history: Vec::new(),
        class,
    };
    if let Some(entry) = entry {
        shown.requests = entry.requests.load(Ordering::Relaxed);
        shown.active = entry.active.load(Ordering::Relaxed);
        shown.waiting = entry.waiting.load(Ordering::Relaxed);
        shown.failures = entry.failures.load(Ordering::Relaxed);
        shown.waited = entry.waited.load(Ordering::Relaxed);
        for (shown, counted) in shown.waits.iter_mut().zip(&entry.waits) {
            *shown = counted.load(Ordering::Relaxed);
        }
        shown.history = kept(&entry.history);
    }
    shown
}

/// Under whose name an application runs that we start.
fn owner(snapshot: &Snapshot, kind: Kind, key: &AppKey) -> Option<(String, String)> {
    if kind.is_foreign() {
        return None;
    }
    if let Some(identity) = &key.identity {
        return Some((identity.user.clone(), identity.group.clone()));
    }
    let core = &snapshot.process.core;
    let (uid, gid) = (core.uid(), core.gid());
    let user = Disk.user(Who::Id(uid)).map_or_else(|| uid.to_string(), |user| user.name);
    let group = Disk.group(Who::Id(gid));
    Some((user, group.map_or_else(|| gid.to_string(), |group| group.name)))
}

/// The machine's load averages.
fn load() -> Option<[f64; 3]> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let mut numbers = text.split(' ').map_while(|number| number.parse().ok());
    Some([numbers.next()?, numbers.next()?, numbers.next()?])
}

/// What this process has used of the processors, seconds.
fn cpu() -> [f64; 2] {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return [0.0; 2] };
    [usage.user_time(), usage.system_time()].map(|time| {
        // httpd counts in ticks of a hundredth.
        (time.num_milliseconds() / 10) as f64 / 100.0
    })
}

/// How many more requests would find descriptors, up to [`SPARE`].
fn spare() -> u64 {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    (limit.saturating_sub(open as u64) / 2).min(SPARE)
}
