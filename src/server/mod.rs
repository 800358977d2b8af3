//! The unprivileged half: accepts, serves, drains. One thread for each core, each with a
//! runtime of its own; nothing moves between them.

mod about;
mod answer_head;
pub mod apps;
mod board;
mod body;
mod connection;
mod decisions;
mod drive;
mod explained;
mod file;
mod filter;
mod finish;
mod h2;
mod head;
pub mod live;
pub mod maps;
mod nonces;
mod proxy_header;
mod pulse;
mod refused;
pub mod request_body;
mod request_line;
mod respond;
mod scoreboard;
mod script;
mod socket;
mod source;
pub mod spin;
mod status;
mod streams;
mod tunnel;
mod upgrade;
mod wire;
mod workers;

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use anyhow::{Context, Result};
use directives::log::Level;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalOptions;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

use crate::link::{FromParent, Link};
use crate::message::ToParent;
use apps::{Letters, Outbox, REPORT_TIME, Registry};
use board::{Board, Part, SAMPLING};
use live::Generation;
use pulse::{Beat, Pulse};
use scoreboard::Seats;

/// What all threads look at.
#[derive(Clone)]
struct State {
    generation: Arc<Generation>,
    /// Those of the generation. They do not live as long as it does: whoever connects to
    /// what nobody accepts on any more is to be refused.
    listeners: Arc<[OwnedFd]>,
    stage: Stage,
}

impl State {
    fn new(mut generation: Generation) -> State {
        let listeners = std::mem::take(&mut generation.listeners).into();
        State { generation: Arc::new(generation), listeners, stage: Stage::Running }
    }
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Serving.
    Running,
    /// Serving, but no connection is kept: the end is near.
    Leaving,
    /// No new connections; requests under way are finished.
    Draining,
    /// Nothing is waited for.
    Stopped,
}

/// The configuration for new requests.
pub struct Live {
    state: watch::Receiver<State>,
    /// The applications.
    pub registry: Arc<Registry>,
    /// The scoreboard.
    pub board: Arc<Board>,
    /// This thread's part of it.
    pub seats: Rc<Seats>,
}

impl Live {
    /// The current one.
    pub fn load(&self) -> Arc<Generation> {
        self.state.borrow().generation.clone()
    }

    /// Is the end near? Then connections are not kept.
    pub fn is_leaving(&self) -> bool {
        self.state.borrow().stage >= Stage::Leaving
    }
}

/// Tells a connection to end.
#[derive(Clone)]
pub struct Stop(watch::Receiver<State>);

impl Stop {
    async fn reached(&mut self, stage: Stage) {
        // The sender lives as long as the process.
        let _ = self.0.wait_for(|state| state.stage >= stage).await;
    }

    /// When no connection should be kept.
    pub async fn leaving(&mut self) {
        self.reached(Stage::Leaving).await;
    }

    /// When no further request should be taken.
    pub async fn draining(&mut self) {
        self.reached(Stage::Draining).await;
    }

    /// When nothing is waited for.
    pub async fn now(&mut self) {
        self.reached(Stage::Stopped).await;
    }
}

/// Connections being served, over all threads.
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// The serving process: takes its orders from `link` until it is told to stop, or the
/// parent is gone.
pub fn run(link: OwnedFd) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { orders(Link::new(link)?).await })
}

async fn orders(mut link: Link) -> Result<()> {
    let (outbox, letters) = Outbox::new(Some(link.mouth()));
    let mut first = link.configuration().await.context("no configuration came")?;
    first.begin(&outbox);
    let (sender, receiver) = watch::channel(State::new(first));
    let mut generations = vec![Arc::downgrade(&sender.borrow().generation)];
    let ended = follow(link, (outbox, letters), sender, receiver, &mut generations).await;
    // What is not over yet ends with the process, which drops nothing.
    for generation in generations.iter().filter_map(Weak::upgrade) {
        generation.flush();
    }
    ended
}

/// Does what the parent says, until the end. Every generation is added to `generations`.
async fn follow(
    mut link: Link,
    (outbox, mut letters): (Outbox, Letters),
    sender: watch::Sender<State>,
    receiver: watch::Receiver<State>,
    generations: &mut Vec<Weak<Generation>>,
) -> Result<()> {
    let registry = Arc::new(Registry::new(outbox.clone()));
    let number = sender.borrow().generation.number;
    let mut pulse = Pulse::new();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (board, parts) = Board::new(threads, outbox.clone());
    let board = Arc::new(board);
    for (i, part) in parts.into_iter().enumerate() {
        let receiver = receiver.clone();
        let (registry, board) = (registry.clone(), board.clone());
        let beat = pulse.beat();
        std::thread::Builder::new()
            .name(format!("worker-{i}"))
            .spawn(move || worker(receiver, registry, board, part, beat))
            .context("starting a thread")?;
    }
    link.send(&ToParent::Serving(number)).await?;
    let mut idle = std::pin::pin!(idle(receiver));
    let mut report: Option<Instant> = None;
    let mut sampling = tokio::time::interval(SAMPLING);
    sampling.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let reporting = sleep_until(report.unwrap_or_else(Instant::now));
        tokio::select! {
            order = link.next() => match order {
                Ok(FromParent::Configure(mut generation)) => {
                    let number = generation.number;
                    registry.decisions.forget();
                    generation.begin(&outbox);
                    let new = State::new(*generation);
                    generations.retain(|old| old.strong_count() > 0);
                    generations.push(Arc::downgrade(&new.generation));
                    sender.send_modify(|state| {
                        *state = State { stage: state.stage, ..new };
                    });
                    link.send(&ToParent::Serving(number)).await?;
                }
                Ok(FromParent::App(key, state)) => registry.told(&key, state),
                Ok(FromParent::Map { number, index, ends }) => {
                    let generation = sender.borrow().generation.clone();
                    // Those of earlier configurations are about to go.
                    if generation.number == number {
                        generation.maps.again(index, ends);
                    }
                }
                Ok(FromParent::Status(versions)) => board.told(versions),
                Ok(FromParent::Ask) => pulse.ask(),
                Ok(FromParent::Leave) => {
                    sender.send_modify(|state| state.stage = Stage::Leaving);
                }
                Ok(FromParent::Drain) => {
                    sender.send_modify(|state| {
                        state.stage = Stage::Draining;
                        state.listeners = Arc::default();
                    });
                }
                Ok(FromParent::Stop) => return Ok(()),
                Err(error) => {
                    // Without the parent there are no applications and no orders.
                    let generation = sender.borrow().generation.clone();
                    let text = format!("fcgi-pm is gone ({error}), the server ends");
                    generation.write_plain(Level::Alert, "core", 0, &text);
                    return Ok(());
                }
            },
            letter = letters.recv() => {
                if let Some(letter) = letter {
                    link.send_with(&letter.message, &letter.fds).await?;
                    outbox.delivered();
                }
            }
            () = pulse.answered() => link.send(&ToParent::Alive).await?,
            () = registry.to_report.notified(), if report.is_none() => {
                report = Some(Instant::now() + REPORT_TIME);
            }
            () = reporting, if report.is_some() => {
                report = None;
                registry.report();
            }
            _ = sampling.tick() => board.sample(&registry),
            () = &mut idle => {
                sender.send_modify(|state| state.stage = Stage::Stopped);
                return Ok(());
            }
        }
    }
}

/// Waits for the drain, then for the last connection.
async fn idle(state: watch::Receiver<State>) {
    Stop(state).draining().await;
    while CONNECTIONS.load(Ordering::Acquire) > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

fn worker(
    state: watch::Receiver<State>,
    registry: Arc<Registry>,
    board: Arc<Board>,
    part: Part,
    beat: Beat,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    match runtime {
        Ok(runtime) => {
            let serving = async {
                let (tally, questions) = part;
                let seats = Seats::new(tally);
                tokio::task::spawn_local(seats.clone().answer(questions));
                tokio::task::spawn_local(beat.answer());
                tokio::task::spawn_local(spin::look_again());
                let live = Live { state: state.clone(), registry, board, seats };
                accept_all(state, Rc::new(live)).await;
            };
            runtime.block_on(serving);
        }
        Err(error) => {
            let text = format!("a serving thread cannot start: {error}");
            state.borrow().generation.write_plain(Level::Crit, "core", 0, &text);
        }
    }
}

/// Accepts on the listeners of every configuration that comes, until the drain.
async fn accept_all(mut state: watch::Receiver<State>, live: Rc<Live>) {
    loop {
        let now = state.borrow_and_update().clone();
        if now.stage >= Stage::Draining {
            break;
        }
        let mut tasks = Vec::new();
        for listener in &*now.listeners {
            let accepting = accept(listener.try_clone(), state.clone(), live.clone());
            tasks.push(tokio::task::spawn_local(accepting));
        }
        drop(now);
        let changed = state.changed().await;
        if state.borrow().stage >= Stage::Draining {
            // They end by themselves.
            break;
        }
        for task in tasks {
            // An accept that is under way has no connection yet: nothing is lost.
            task.abort();
        }
        if changed.is_err() {
            return;
        }
    }
    // The connections of this thread end by themselves.
    std::future::pending::<()>().await;
}

async fn accept(
    listener: std::io::Result<OwnedFd>,
    state: watch::Receiver<State>,
    live: Rc<Live>,
) {
    let listener =
        listener.map(std::net::TcpListener::from).and_then(TcpListener::from_std);
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => {
            let text = format!("a listening socket cannot be used: {error}");
            live.load().write_plain(Level::Crit, "core", 0, &text);
            return;
        }
    };
    let serve = |stream, client| {
        let (live, stop) = (live.clone(), Stop(state.clone()));
        CONNECTIONS.fetch_add(1, Ordering::AcqRel);
        tokio::task::spawn_local(async move {
            connection::serve(stream, client, live, stop).await;
            CONNECTIONS.fetch_sub(1, Ordering::AcqRel);
        });
    };
    let mut stop = Stop(state.clone());
    // Whoever wants to know whether we are ready is told so until the last request is over.
    let is_admin = listener.local_addr().is_ok_and(|local| {
        let generation = live.load();
        generation.snapshot.process.gateway.admin.iter().any(|admin| admin.is(local))
    });
    let last = if is_admin { Stage::Stopped } else { Stage::Draining };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.reached(last) => break,
        };
        match accepted {
            Ok((stream, client)) => serve(stream, client),
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: others may free some.
                let text = format!("accept() failed: {error}");
                live.load().write_plain(Level::Error, "core", 0, &text);
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
    // Whoever is connected already has not been refused, and is not to be cut off.
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, client)) = listener.accept() {
        let stream =
            stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            serve(stream, client);
        }
    }
}

/// The client went away before it was accepted.
fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        ConnectionAborted, ConnectionReset, Interrupted, WouldBlock,
    };
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | WouldBlock)
}
