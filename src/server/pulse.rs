//! Does every serving thread still answer? systemd's watchdog is fed only while all do.

use tokio::sync::{mpsc, watch};

/// Asks the serving threads.
#[derive(Debug)]
pub struct Pulse {
    question: watch::Sender<u64>,
    said: mpsc::UnboundedSender<u64>,
    answers: mpsc::UnboundedReceiver<u64>,
    threads: usize,
    missing: usize,
}

/// A serving thread's part.
#[derive(Debug)]
pub struct Beat {
    question: watch::Receiver<u64>,
    answer: mpsc::UnboundedSender<u64>,
}

impl Pulse {
    /// No thread yet.
    pub fn new() -> Pulse {
        let (said, answers) = mpsc::unbounded_channel();
        Pulse { question: watch::Sender::new(0), said, answers, threads: 0, missing: 0 }
    }

    /// For one more thread.
    pub fn beat(&mut self) -> Beat {
        self.threads += 1;
        Beat { question: self.question.subscribe(), answer: self.said.clone() }
    }

    /// Asks all threads. Answers to earlier questions do not count any more.
    pub fn ask(&mut self) {
        self.missing = self.threads;
        self.question.send_modify(|number| *number += 1);
    }

    /// Waits until all threads have answered the last question.
    pub async fn answered(&mut self) {
        // This keeps a sender itself, so there is always a next answer to wait for.
        while let Some(number) = self.answers.recv().await {
            if number == *self.question.borrow() {
                self.missing -= 1;
                if self.missing == 0 {
                    return;
                }
            }
        }
    }
}

impl Beat {
    /// Answers as long as there is somebody who asks.
    pub async fn answer(mut self) {
        while self.question.changed().await.is_ok() {
            let number = *self.question.borrow_and_update();
            // Without a receiver the process is about to end.
            let _ = self.answer.send(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_silent_thread_is_enough() {
        let mut pulse = Pulse::new();
        let (first, mut second) = (pulse.beat(), pulse.beat());
        tokio::spawn(first.answer());
        let now = std::time::Duration::from_millis(50);
        pulse.ask();
        assert!(tokio::time::timeout(now, pulse.answered()).await.is_err());
        // An answer to an old question is none to a new one.
        pulse.ask();
        second.answer.send(1).unwrap();
        assert!(tokio::time::timeout(now, pulse.answered()).await.is_err());
        second.question.mark_changed();
        tokio::spawn(second.answer());
        tokio::time::timeout(now * 20, pulse.answered()).await.unwrap();
    }
}
