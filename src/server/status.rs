//! The report for the status pages: what the threads, the applications' entries, the
//! parent and the system say.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use directives::Snapshot;
use directives::bundle::{Files, Who};
use directives::modules::fastcgi::{self, Kind};
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
    let mut apps = Vec::new();
    for app in process.apps() {
        let key = AppKey::of(app);
        let entry = entries.remove(&key);
        apps.push(shown(snapshot, app, entry.as_deref(), &key, versions));
    }
    let known: Vec<AppKey> = process.apps().iter().map(|app| AppKey::of(app)).collect();
    let others = versions.iter().map(|version| (version.key.clone(), version.dynamic));
    let asked = entries.values().map(|entry| (entry.key.clone(), entry.dynamic));
    // An application that the configuration has no more is shown while it is there.
    let mut others: Vec<_> =
        others.chain(asked.filter(|(_, dynamic)| *dynamic)).collect();
    others.sort_by(|(a, _), (b, _)| {
        let of = |key: &AppKey| (key.path.clone(), key.identity.as_ref().map(|i| i.uid));
        of(a).cmp(&of(b))
    });
    others.dedup_by(|(a, _), (b, _)| a == b);
    for (key, dynamic) in others.into_iter().filter(|(key, _)| !known.contains(key)) {
        let app = process.dynamic_app(&key.path, key.identity.clone());
        let entry = entries.get(&key).map(|entry| &**entry);
        let mut app = shown(snapshot, &app, entry, &key, versions);
        if !dynamic {
            app.kind = Kind::Static;
        }
        apps.push(app);
    }
    apps
}

/// One application.
fn shown(
    snapshot: &Snapshot,
    app: &fastcgi::App,
    entry: Option<&Entry>,
    key: &AppKey,
    versions: &[Version],
) -> App {
    let own: Vec<_> = versions.iter().filter(|version| version.key == *key).collect();
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
        path: app.path.clone(),
        kind: app.kind,
        address: app.address.clone(),
        owner: owner(snapshot, app),
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
fn owner(snapshot: &Snapshot, app: &fastcgi::App) -> Option<(String, String)> {
    if app.kind == Kind::External {
        return None;
    }
    if let Some(identity) = &app.identity {
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
