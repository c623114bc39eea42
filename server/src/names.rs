//! Users and groups by the system's name service, asked on helper threads and remembered for a while.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::{Cap, Helpers, HelpersExhausted};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// How old an answer may be: a user added to a group gets its rights within this.
pub const ANSWER_AGE_MAX: Duration = Duration::from_secs(300);

/// Answers remembered; past it all are forgotten.
const ANSWERS_MAX: usize = 16 * 1024;

/// Questions asked at a time: name service may be remote and slow.
const ASKING_MAX: usize = 4;

/// Questions that wait; further ones are answered as unknown.
const WAITING_MAX: usize = 4096;

/// A longer name is nobody's.
const NAME_BYTES_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Question {
    GroupsOf(u32),
    User(String),
    Group(String),
}

/// When it was asked, and what the system said.
type Answer = (Instant, Option<Vec<u32>>);

/// The name service. All shards share one.
pub struct Names {
    helpers: Helpers,
    cap: Cap,
    answers: Mutex<HashMap<Question, Answer>>,
}

impl Names {
    /// A name service that asks on these threads.
    ///
    /// # Errors
    /// When there are not even the few threads it needs.
    pub fn new(helpers: &Helpers) -> Result<Self, HelpersExhausted> {
        let cap = helpers.cap(ASKING_MAX, WAITING_MAX)?;
        Ok(Self { helpers: helpers.clone(), cap, answers: Mutex::default() })
    }

    /// The groups of a user, the primary one included; `None` when there is no such user.
    pub async fn groups_of(&self, uid: u32) -> Option<Vec<u32>> {
        self.ask(Question::GroupsOf(uid)).await
    }

    /// The id of a user, or with `group` of a group.
    pub async fn id_of(&self, name: &str, group: bool) -> Option<u32> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let name = name.to_owned();
        let found = self.ask(if group { Question::Group(name) } else { Question::User(name) }).await;
        found.and_then(|ids| ids.first().copied())
    }

    async fn ask(&self, question: Question) -> Option<Vec<u32>> {
        if let Some(answer) = self.remembered(&question) {
            return answer;
        }
        let asked = question.clone();
        match self.helpers.run(&self.cap, move || look_up(&asked)).await {
            Ok(Ok(answer)) => {
                self.remember(question, answer.clone());
                answer
            }
            Ok(Err(errno)) => {
                tracing::warn!(?question, "name service: {errno}");
                None
            }
            Err(error) => {
                tracing::warn!(?question, "name service: {error}");
                None
            }
        }
    }

    fn remembered(&self, question: &Question) -> Option<Option<Vec<u32>>> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked_at, answer) = answers.get(question)?;
        (asked_at.elapsed() < ANSWER_AGE_MAX).then(|| answer.clone())
    }

    fn remember(&self, question: Question, answer: Option<Vec<u32>>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ANSWERS_MAX {
            answers.clear();
        }
        answers.insert(question, (Instant::now(), answer));
    }
}

/// Asks the system. Sleeps as long as name service does.
fn look_up(question: &Question) -> nix::Result<Option<Vec<u32>>> {
    match question {
        Question::GroupsOf(uid) => {
            let Some(user) = User::from_uid(Uid::from_raw(*uid))? else { return Ok(None) };
            let Ok(name) = CString::new(user.name) else { return Ok(None) };
            let groups = getgrouplist(&name, user.gid)?;
            Ok(Some(groups.into_iter().map(Gid::as_raw).collect()))
        }
        Question::User(name) => Ok(User::from_name(name)?.map(|user| vec![user.uid.as_raw()])),
        Question::Group(name) => Ok(Group::from_name(name)?.map(|group| vec![group.gid.as_raw()])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_knows_root() {
        let known = engine::block_on(engine::EngineConfig::small(), |shard| async move {
            let names = Names::new(shard.helpers()).unwrap();
            let ids = (names.id_of("root", false).await, names.id_of("root", true).await);
            let unknown = names.id_of("no such user", false).await;
            (ids, unknown, names.groups_of(0).await, names.groups_of(4_000_000_001).await)
        });
        let (ids, unknown, groups, nobody) = known.unwrap();
        assert_eq!((ids, unknown, nobody), ((Some(0), Some(0)), None, None));
        assert!(groups.unwrap().contains(&0));
    }
}
