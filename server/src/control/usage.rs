//! What is used of limits, gathered from the shards.

use std::time::Duration;

use engine::{Remote, Shard};
use qos::limits::{Entity, Seat, Usage};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::ask::Question;
use crate::limits::{Cause, Refused, Span};
use crate::shard;

/// So many entities are asked for at a time, so that no shard stops for long.
const SEATS_AT_ONCE: usize = 1024;

/// How often it is looked who waits within the time of a look.
const LOOKS: u32 = 5;

/// Asks the shards.
pub struct Meter {
    usage: Mutex<Question<Vec<Usage>>>,
    parked: Mutex<Question<Parked>>,
}

/// Requests that wait, all that were asked for and at each seat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parked {
    /// All, wherever they wait.
    pub all: u64,
    /// At each of the seats.
    pub at: Vec<u64>,
}

impl Meter {
    /// Of these shards.
    pub fn new(remote: &Remote) -> Self {
        let (usage, parked) = (Question::new(remote.clone()), Question::new(remote.clone()));
        Self { usage: Mutex::new(usage), parked: Mutex::new(parked) }
    }

    /// What is used at each of `seats` within `time` from now on.
    ///
    /// # Errors
    /// A shard does not answer.
    pub async fn measure(&self, seats: &[Seat], time: Duration) -> Result<Vec<Span>, Refused> {
        let (begun, before) = (Instant::now(), self.usage(seats).await?);
        sleep_until(begun + time).await;
        self.since(begun, before, seats).await
    }

    /// The same, and how many requests that are charged to all of `leaves` wait at each of `seats`, when most do.
    ///
    /// # Errors
    /// A shard does not answer.
    pub async fn explain(
        &self,
        leaves: &[Entity],
        seats: &[Seat],
        time: Duration,
    ) -> Result<(Vec<Span>, Parked), Refused> {
        let (begun, before) = (Instant::now(), self.usage(seats).await?);
        let mut most = self.parked(leaves, seats).await?;
        for look in 1..=LOOKS {
            sleep_until(begun + time * look / LOOKS).await;
            let parked = self.parked(leaves, seats).await?;
            if parked.all > most.all {
                most = parked;
            }
        }
        Ok((self.since(begun, before, seats).await?, most))
    }

    async fn since(&self, begun: Instant, before: Vec<Usage>, seats: &[Seat]) -> Result<Vec<Span>, Refused> {
        let (time, after) = (begun.elapsed(), self.usage(seats).await?);
        Ok(before.into_iter().zip(after).map(|(before, after)| Span { before, after, time }).collect())
    }

    /// What was used at each of `seats`, by all shards.
    async fn usage(&self, seats: &[Seat]) -> Result<Vec<Usage>, Refused> {
        let mut sums = Vec::with_capacity(seats.len());
        for some in seats.chunks(SEATS_AT_ONCE) {
            let asked = some.to_vec();
            let answers = all(&self.usage, move |_| here(&asked)).await?;
            sums.extend((0..some.len()).map(|at| answers.iter().map(|usage| usage[at]).sum::<Usage>()));
        }
        Ok(sums)
    }

    async fn parked(&self, leaves: &[Entity], seats: &[Seat]) -> Result<Parked, Refused> {
        let (leaves, asked) = (leaves.to_vec(), seats.to_vec());
        let of_shard = move |_: &Shard| {
            let (all, at) = shard::server()?.admission.parked_at(&leaves, &asked);
            Some(Parked { all, at })
        };
        let mut sum = Parked { all: 0, at: vec![0; seats.len()] };
        for parked in all(&self.parked, of_shard).await? {
            sum.all += parked.all;
            sum.at.iter_mut().zip(parked.at).for_each(|(sum, part)| *sum += part);
        }
        Ok(sum)
    }
}

/// What requests of the calling shard have used, while it serves.
pub fn here(seats: &[Seat]) -> Option<Vec<Usage>> {
    let server = shard::server()?;
    Some(seats.iter().map(|seat| server.admission.usage(*seat)).collect())
}

/// The answers of all shards: rates are nothing without one of them.
async fn all<T, F>(question: &Mutex<Question<T>>, of_shard: F) -> Result<Vec<T>, Refused>
where
    T: Send + 'static,
    F: FnOnce(&Shard) -> Option<T> + Clone + Send + 'static,
{
    let mut question = question.lock().await;
    let answers = question.ask(of_shard).await;
    if answers.len() == question.shards() {
        return Ok(answers.into_iter().map(|(_, answer)| answer).collect());
    }
    let reason = "a shard does not answer: ask again, and see the log".to_owned();
    Err(Refused { cause: Cause::Unable, reason, in_force: None })
}
