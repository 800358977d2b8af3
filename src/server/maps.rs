//! The programs of RewriteMaps, seen from the serving half: one conversation at a time with
//! each, a key there and a value back. What starts and ends the processes is the parent.

use std::io::{Error, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use directives::log::{Level, Line};
use directives::modules::rewrite::Program;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::apps::Outbox;
use crate::message::ToParent;

/// The longest value, bytes. What is longer is no line of a map.
const MAX_VALUE: u64 = 64 * 1024;

/// A process's two pipes, our ends: what it reads, what it writes.
#[derive(Debug)]
pub struct Ends {
    /// Keys go there.
    pub keys: OwnedFd,
    /// Values come from there.
    pub values: OwnedFd,
}

/// The programs of a configuration.
#[derive(Debug, Default)]
pub struct Maps(Vec<Map>);

#[derive(Debug)]
struct Map {
    program: Arc<Program>,
    orders: mpsc::UnboundedSender<Order>,
    /// Until its conversations begin.
    waiting: Option<mpsc::UnboundedReceiver<Order>>,
}

#[derive(Debug)]
enum Order {
    Ask(Question),
    /// There is a process, in the place of one that may have been there.
    Talk(Ends),
}

#[derive(Debug)]
struct Question {
    key: Bytes,
    /// How long the program may take, once it is asked.
    time: Duration,
    answer: oneshot::Sender<Result<Bytes, Failure>>,
}

/// Why there is no value.
#[derive(Debug)]
enum Failure {
    /// There is no process.
    Gone,
    /// It did not say anything in time.
    Late,
    /// Reading or writing failed, or what came is no line.
    Broken(Error),
}

impl Maps {
    /// Those of a configuration, with the pipes of their processes.
    pub fn new(programs: Vec<(Arc<Program>, Ends)>) -> Maps {
        let maps = programs.into_iter().map(|(program, ends)| {
            let (orders, waiting) = mpsc::unbounded_channel();
            // The receiver is there.
            let _ = orders.send(Order::Talk(ends));
            Map { program, orders, waiting: Some(waiting) }
        });
        Maps(maps.collect())
    }

    /// Begins the conversations, of the configuration of this number: each a task of this
    /// runtime until the configuration goes.
    pub fn begin(&mut self, number: u64, outbox: &Outbox) {
        for (index, map) in self.0.iter_mut().enumerate() {
            let Some(orders) = map.waiting.take() else { continue };
            tokio::spawn(converse(orders, (number, index as u64), outbox.clone()));
        }
    }

    /// A process was started in the place of one that is gone.
    pub fn again(&self, index: u64, ends: Ends) {
        let map = usize::try_from(index).ok().and_then(|index| self.0.get(index));
        if let Some(map) = map {
            // A conversation ends only with its configuration.
            let _ = map.orders.send(Order::Talk(ends));
        }
    }

    /// The line that a program says for a key, within `time`; the error is for the log.
    pub async fn ask(
        &self,
        program: &Arc<Program>,
        key: Bytes,
        time: Duration,
    ) -> Result<Bytes, Line> {
        let map = self.0.iter().find(|map| Arc::ptr_eq(&map.program, program));
        let failure = match map {
            None => Failure::Gone,
            Some(map) => {
                let (answer, answered) = oneshot::channel();
                let _ = map.orders.send(Order::Ask(Question { key, time, answer }));
                match timeout(time, answered).await {
                    Ok(Ok(Ok(value))) => return Ok(value),
                    Ok(Ok(Err(failure))) => failure,
                    Ok(Err(_)) => Failure::Gone,
                    Err(_) => Failure::Late,
                }
            }
        };
        Err(line(program, &failure, time))
    }
}

fn line(program: &Program, failure: &Failure, time: Duration) -> Line {
    let name = program.argv.first().cloned().unwrap_or_default();
    let name = String::from_utf8_lossy(&name);
    let text = match failure {
        Failure::Gone => format!("RewriteMap program {name} is not there: no value"),
        Failure::Late => {
            let seconds = time.as_secs();
            format!("RewriteMap program {name} said nothing within {seconds} s: no value")
        }
        Failure::Broken(error) => {
            format!("RewriteMap program {name} failed ({error}): no value")
        }
    };
    Line {
        level: Level::Error,
        module: "rewrite",
        ah: 0,
        error: None,
        text: text.into(),
        of_server: false,
    }
}

/// The conversations with one program, one after the other.
async fn converse(
    mut orders: mpsc::UnboundedReceiver<Order>,
    (number, index): (u64, u64),
    outbox: Outbox,
) {
    let mut open: Option<Conversation> = None;
    let mut process = 0;
    while let Some(order) = orders.recv().await {
        let question = match order {
            Order::Talk(ends) => {
                open = Conversation::new(ends).ok();
                process += 1;
                continue;
            }
            Order::Ask(question) => question,
        };
        let said = match &mut open {
            None => Err(Failure::Gone),
            // Who asked has gone, and nothing was said yet.
            Some(_) if question.answer.is_closed() => continue,
            // It has its time whatever became of who asked: others were first, and that is
            // no reason to end it.
            Some(talk) => match timeout(question.time, talk.ask(&question.key)).await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(Failure::Broken(error)),
                Err(_) => Err(Failure::Late),
            },
        };
        if matches!(said, Err(Failure::Late | Failure::Broken(_))) {
            // What it says now would be taken for the value of the next key.
            open = None;
            outbox.say(ToParent::EndMap { number, index, process });
        }
        // Who asked may have gone meanwhile.
        let _ = question.answer.send(said);
    }
}

struct Conversation {
    keys: Sender,
    values: BufReader<Receiver>,
}

impl Conversation {
    fn new(ends: Ends) -> std::io::Result<Conversation> {
        let Ends { keys, values } = ends;
        let values = BufReader::new(Receiver::from_owned_fd(values)?);
        Ok(Conversation { keys: Sender::from_owned_fd(keys)?, values })
    }

    /// A key there, a line back, without its end.
    async fn ask(&mut self, key: &[u8]) -> std::io::Result<Bytes> {
        self.keys.write_all(&[key, b"\n"].concat()).await?;
        let mut value = Vec::new();
        (&mut self.values).take(MAX_VALUE).read_until(b'\n', &mut value).await?;
        if value.pop_if(|last| *last == b'\n').is_none() {
            let why = if (value.len() as u64) < MAX_VALUE {
                "it has ended"
            } else {
                "its line is too long"
            };
            return Err(Error::new(ErrorKind::InvalidData, why));
        }
        Ok(value.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::sync::mpsc;

    use nix::unistd::pipe;

    use super::*;

    /// A program that answers each key with itself, when it is told to.
    fn program() -> (Ends, mpsc::Sender<()>) {
        let (reading, keys) = pipe().unwrap();
        let (values, writing) = pipe().unwrap();
        for ours in [&keys, &values] {
            nix::fcntl::fcntl(
                ours,
                nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
            )
            .unwrap();
        }
        let (go, may_go) = mpsc::channel();
        std::thread::spawn(move || {
            let mut out = std::fs::File::from(writing);
            for key in BufReader::new(std::fs::File::from(reading)).lines() {
                let (Ok(key), Ok(())) = (key, may_go.recv()) else { return };
                if writeln!(out, "<{key}>").is_err() {
                    return;
                }
            }
        });
        (Ends { keys, values }, go)
    }

    fn map(ends: Ends) -> (Arc<Maps>, Arc<Program>, super::super::apps::Letters) {
        let program = Arc::new(Program { argv: vec!["/map".into()], account: None });
        let mut maps = Maps::new(vec![(program.clone(), ends)]);
        let (outbox, said) = Outbox::new(None);
        maps.begin(1, &outbox);
        (Arc::new(maps), program, said)
    }

    /// Who waits for others has less time than the program, and does not take it from it.
    #[tokio::test]
    async fn a_program_has_its_time_for_each_key() {
        let (ends, go) = program();
        let (maps, program, mut said) = map(ends);
        let time = Duration::from_secs(2);
        let ask = |key: &'static str, time| {
            let (maps, program) = (maps.clone(), program.clone());
            tokio::spawn(async move { maps.ask(&program, key.into(), time).await })
        };
        let first = ask("a", time * 10);
        tokio::task::yield_now().await;
        let second = ask("b", time);
        tokio::time::sleep(time * 3 / 4).await;
        go.send(()).unwrap();
        assert_eq!(first.await.unwrap().unwrap(), "<a>");
        // Asked for half a second only.
        assert!(second.await.unwrap().is_err());
        assert!(said.try_recv().is_err());
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!(ask("c", time).await.unwrap().unwrap(), "<c>");
        assert!(said.try_recv().is_err());
    }

    /// A program that says nothing in time is ended: what it says then is another key's.
    #[tokio::test]
    async fn a_silent_program_is_given_up() {
        let (ends, go) = program();
        let (maps, program, mut said) = map(ends);
        let time = Duration::from_millis(100);
        let late = maps.ask(&program, "a".into(), time).await.unwrap_err();
        assert!(String::from_utf8_lossy(&late.text).contains("said nothing within"));
        let told = said.recv().await.map(|letter| letter.message);
        assert_eq!(told, Some(ToParent::EndMap { number: 1, index: 0, process: 1 }));
        drop(go);
        let gone = maps.ask(&program, "b".into(), time).await.unwrap_err();
        assert!(String::from_utf8_lossy(&gone.text).contains("is not there"));
    }
}
