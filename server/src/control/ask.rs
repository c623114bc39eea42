//! Questions to all shards, from a thread that must not wait for one of them for ever.

use std::time::Duration;

use engine::{Remote, Shard};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// How long all shards together may take to answer. One turn of a shard's loop is far below a millisecond.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// One question, put to every shard again and again.
pub struct Question<T> {
    remote: Remote,
    /// By shard. One that has not answered yet is not asked again, so that no jobs pile up there.
    asked: Vec<Option<JoinHandle<Option<T>>>>,
    unanswered: u64,
}

impl<T: Send + 'static> Question<T> {
    /// To these shards.
    pub fn new(remote: Remote) -> Self {
        let asked = (0..remote.shards()).map(|_| None).collect();
        Self { remote, asked, unanswered: 0 }
    }

    /// What `of_shard` finds on each shard in time, by shard; nothing, where it is not an answer. Within a `LocalSet`.
    pub async fn ask<F>(&mut self, of_shard: F) -> Vec<(usize, T)>
    where
        F: FnOnce(&Shard) -> Option<T> + Clone + Send + 'static,
    {
        let mut open = Vec::new();
        for (shard, asked) in self.asked.iter_mut().enumerate() {
            if asked.as_ref().is_none_or(JoinHandle::is_finished) {
                let of_shard = of_shard.clone();
                let answer = self.remote.call_on(shard, move |shard| async move { of_shard(&shard) });
                open.push((shard, asked.insert(tokio::task::spawn_local(async { answer.await.ok()? }))));
            } else {
                self.unanswered += 1;
            }
        }
        let deadline = Instant::now() + ANSWER_MAX;
        let mut answers = Vec::new();
        for (shard, asked) in open {
            match timeout_at(deadline, asked).await {
                Ok(Ok(Some(answer))) => answers.push((shard, answer)),
                _ => self.unanswered += 1,
            }
        }
        answers
    }

    /// How many are asked.
    pub fn shards(&self) -> usize {
        self.asked.len()
    }

    /// How many answers have been missing so far.
    pub fn unanswered(&self) -> u64 {
        self.unanswered
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use engine::{Engine, EngineConfig};
    use tokio::task::LocalSet;

    use super::*;

    #[test]
    fn a_shard_that_does_not_answer_is_left_out_and_asked_once() {
        let config = EngineConfig { shards: Some(2), ..EngineConfig::small() };
        let engine = Engine::start(config, |shard| async move { shard.shutting_down().await });
        let engine = engine.expect("a ring for each shard");
        let (go_on, held) = channel::<()>();
        let (holds, begun) = channel();
        let hold = move |_| async move {
            holds.send(()).expect("the test waits");
            // The whole shard waits here.
            held.recv().expect("it is let go");
        };
        engine.remote().spawn_on(1, hold).expect("a shard with nothing to do");
        begun.recv().expect("it waits");

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            let mut question = Question::new(engine.remote().clone());
            let index = |shard: &Shard| Some(shard.index());
            assert_eq!((question.ask(index).await, question.unanswered()), (vec![(0, 0)], 1));
            let again = Instant::now();
            assert_eq!((question.ask(index).await, question.unanswered()), (vec![(0, 0)], 2));
            assert!(again.elapsed() < ANSWER_MAX, "nobody waits again for who has not answered yet");
            go_on.send(()).expect("it waits");
            while question.asked[1].as_ref().is_some_and(|asked| !asked.is_finished()) {
                tokio::task::yield_now().await;
            }
            assert_eq!((question.ask(index).await, question.unanswered()), (vec![(0, 0), (1, 1)], 2));
        });
        engine.shut_down(ANSWER_MAX);
        engine.join().expect("both end");
    }
}
