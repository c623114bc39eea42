//! Many calls in flight at the least cost for each.
//!
//! A [`Session`] spends a task, a timer and some memory on every call. A [`Pipeline`] spends none of them: it drives
//! the slots of sessions over connections of its own, one call per slot after the other; in NFSv3, which has no sessions,
//! as many calls at a time as is wanted. Calls are laid end to end in buffers that are used again, all that are ready leave
//! with one system call, replies are read where they arrived, and READ data is received and passed over. Over RDMA each call is
//! a message, and costs a small task. What is called, and what becomes of it, is the affair of a [`Source`].
//!
//! It is for load and measurement: a connection that breaks takes its calls with it, and they do not come again.

mod incoming;
mod link;
mod messages;
mod outgoing;
mod place;

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use engine::{Shard, sync::Notify};
use wire::xdr::Decoder;

pub use outgoing::{Call, Sending};

use self::{
    incoming::open,
    link::Link,
    place::{Group, Ids, Place, State},
};
use crate::{Identity, Network, Result, Session};

/// Before a call is due, so long is spent in turns of the loop: a timer would wake too late by its slack.
const SPIN: Duration = Duration::from_micros(100);

/// Longest sleep of an open loop, after which its source is asked again: it may have been told to end.
const SLEEP_MAX: Duration = Duration::from_millis(10);

/// Whether a place calls now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Yes: [`Source::write`] follows at once.
    Call,
    /// Not before this moment; the place is asked again then.
    NotBefore(Instant),
    /// Never again.
    Ended,
}

/// What became of a call.
#[derive(Debug)]
pub enum Answer<'a> {
    /// It succeeded: a reader that stands at the first result behind SEQUENCE's, or behind the status of a procedure of
    /// NFSv3. NULL has no results.
    Results(Decoder<'a>),
    /// It failed, with the status of this published name.
    Failed(&'static str),
    /// The call was refused, or the reply is not what the protocol says.
    Refused,
    /// The connection ended first.
    Lost,
}

/// Decides what is called. Places are numbered from 0; each has one call outstanding at most.
pub trait Source: 'static {
    /// Whether `place`, which is free, calls now.
    fn next(&mut self, place: usize) -> Next;

    /// Writes the operations of the call, or the procedure and its arguments. NULL has none.
    fn write(&mut self, place: usize, call: &mut Call<'_>);

    /// The call of `place` is over.
    fn answered(&mut self, place: usize, answer: Answer<'_>);

    /// Replies that arrived together are about to be handed over.
    fn arriving(&mut self) {}
}

/// Connections and places for calls on one core.
pub struct Pipeline {
    network: Network,
    sending: Sending,
    groups: Vec<Group>,
    links: Vec<Rc<Link>>,
    places: Vec<Place>,
}

impl Pipeline {
    /// Nothing yet.
    pub fn new(network: impl Into<Network>, sending: Sending) -> Self {
        let network = network.into();
        Self { network, sending, groups: Vec::new(), links: Vec::new(), places: Vec::new() }
    }

    /// Adds `places` slots of a session, the lowest, and `connections` of their own for them. A place keeps to one
    /// connection when there are as many places as connections, else it takes several in turn.
    ///
    /// # Errors
    /// [`Error::Connect`](crate::Error::Connect).
    ///
    /// # Panics
    /// When the session has fewer slots, or one of them is in use: the caller's mistake.
    pub async fn add_session(
        &mut self,
        session: &Session,
        address: SocketAddr,
        places: usize,
        connections: usize,
    ) -> Result<()> {
        let group = Group::of_session(session, places);
        self.add(group, address, places, connections).await
    }

    /// Adds places that call procedures of NFSv3 for a caller.
    ///
    /// # Errors
    /// [`Error::Connect`](crate::Error::Connect).
    pub async fn add_nfs3(
        &mut self,
        identity: &Identity,
        address: SocketAddr,
        places: usize,
        connections: usize,
    ) -> Result<()> {
        self.add(Group::of_procedures(identity), address, places, connections).await
    }

    /// Adds places that call NULL of a version of NFS, without a session.
    ///
    /// # Errors
    /// [`Error::Connect`](crate::Error::Connect).
    pub async fn add_null(
        &mut self,
        version: u32,
        address: SocketAddr,
        places: usize,
        connections: usize,
    ) -> Result<()> {
        self.add(Group::of_null(version), address, places, connections).await
    }

    async fn add(
        &mut self,
        group: Group,
        address: SocketAddr,
        places: usize,
        connections: usize,
    ) -> Result<()> {
        assert!(self.places.len() + places <= place::PLACES_MAX, "at most {} places", place::PLACES_MAX);
        let first_link = self.links.len();
        for _ in 0..connections {
            self.links.push(Rc::new(Link::connect(&self.network, address, self.sending).await?));
        }
        let group_index = self.groups.len();
        let new = (0..places).map(|index| {
            let links = (index % connections..connections).step_by(places.max(1));
            let links = links.map(|link| first_link + link).collect();
            Place::new(group_index, group.first_sequence(index), index, links)
        });
        self.places.extend(new);
        self.groups.push(group);
        Ok(())
    }

    /// How many calls can be outstanding.
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// Calls until the source ends every place, and every call is over. The connections close.
    pub async fn run<S: Source>(self, source: S) -> S {
        let Self { network, groups, links, places, .. } = self;
        let run = Rc::new(Run {
            source: RefCell::new(source),
            groups,
            links,
            ids: Ids::new(places.len(), crate::random()),
            places: RefCell::new(places),
            idle: RefCell::default(),
            due: Cell::new(None),
            outstanding: Cell::new(0),
            changed: Notify::new(),
            begun: RefCell::default(),
        });
        let mut tasks = Vec::new();
        for link in 0..run.links.len() {
            tasks.extend(link::start(&run, link));
        }
        let count = run.places.borrow().len();
        (0..count).for_each(|place| run.advance(place));
        run.send();
        run.pace(network.shard()).await;
        run.links.iter().for_each(|link| link.close());
        for task in tasks {
            // A task that panicked has taken the process with it or is reported by the executor.
            let _ = task.await;
        }
        let run = Rc::try_unwrap(run).ok().expect("its tasks have ended");
        run.places.borrow().iter().for_each(|place| run.groups[place.group].settle(place));
        run.source.into_inner()
    }
}

/// A pipeline at work.
struct Run<S> {
    source: RefCell<S>,
    groups: Vec<Group>,
    links: Vec<Rc<Link>>,
    ids: Ids,
    places: RefCell<Vec<Place>>,
    /// Places that wait until the next call is due.
    idle: RefCell<Vec<usize>>,
    due: Cell<Option<Instant>>,
    outstanding: Cell<usize>,
    /// Told when a call is over or a place waits.
    changed: Notify,
    /// Connections that had nothing to send until calls were begun on them: only these are told, for there may be thousands.
    begun: RefCell<Vec<usize>>,
}

impl<S: Source> Run<S> {
    /// Begins the next call of a free place, or lets it wait or end.
    fn advance(&self, index: usize) {
        let mut source = self.source.borrow_mut();
        let mut places = self.places.borrow_mut();
        let place = &mut places[index];
        let Some(link) = place.link(&self.links) else {
            place.state = State::Ended;
            return;
        };
        match source.next(index) {
            Next::Call => {
                let xid = place.begin(index, link, self.ids);
                let mut outgoing = self.links[link].outgoing.borrow_mut();
                if outgoing.is_empty() {
                    self.begun.borrow_mut().push(link);
                }
                let mut call = outgoing.begin(xid, &self.groups[place.group], place.slot, place.sequence);
                source.write(index, &mut call);
                call.finish();
                self.outstanding.update(|count| count + 1);
            }
            Next::NotBefore(due) => {
                place.state = State::Free;
                self.due.set(Some(due));
                self.idle.borrow_mut().push(index);
            }
            Next::Ended => place.state = State::Ended,
        }
    }

    /// Lets the calls that were begun leave.
    fn send(&self) {
        self.begun.borrow_mut().drain(..).for_each(|link| self.links[link].to_send.notify_all());
    }

    /// Waits until all is over, and begins calls when they are due.
    async fn pace(&self, shard: &Shard) {
        loop {
            let waiting = !self.idle.borrow().is_empty();
            match self.due.get().filter(|_| waiting) {
                None if self.outstanding.get() == 0 => return,
                None => self.changed.notified().await,
                Some(due) => {
                    let now = Instant::now();
                    if due <= now {
                        self.begin_due();
                    } else if due - now > SPIN {
                        shard.sleep_until(now + (due - now - SPIN).min(SLEEP_MAX)).await;
                        self.begin_due();
                    } else {
                        shard.yield_now().await;
                    }
                }
            }
        }
    }

    fn begin_due(&self) {
        let idle = std::mem::take(&mut *self.idle.borrow_mut());
        let mut idle = idle.into_iter();
        for place in idle.by_ref() {
            let waiting = self.idle.borrow().len();
            self.advance(place);
            if self.idle.borrow().len() > waiting {
                break;
            }
        }
        self.idle.borrow_mut().extend(idle);
        self.send();
    }

    /// Takes a reply in, up to its head.
    fn reply(&self, link: usize, head: &[u8]) {
        if let Some((xid, results)) = open(head) {
            self.over(link, xid, results);
        }
    }

    /// A call is over, refused if it has no results.
    fn over(&self, link: usize, xid: u32, results: Option<Decoder<'_>>) {
        let index = self.ids.place(xid);
        {
            let mut places = self.places.borrow_mut();
            let Some(place) = places.get_mut(index) else { return };
            if place.state != (State::Calling { xid, link }) {
                return;
            }
            let kind = &self.groups[place.group].kind;
            let answer = results.map_or(Answer::Refused, |results| incoming::answer(kind, results));
            // A place whose SEQUENCE failed is not tried again: it would fail for ever.
            let passed = !matches!(answer, Answer::Refused);
            place.over(passed);
            if !passed {
                place.lose();
            }
            self.source.borrow_mut().answered(index, answer);
        }
        self.ended_call(index);
    }

    /// No reply comes over a link any more.
    fn lost(&self, link: usize) {
        self.links[link].close();
        let lost: Vec<usize> = {
            let places = self.places.borrow();
            let calls = places.iter().enumerate();
            let lost = calls
                .filter(|(_, place)| matches!(place.state, State::Calling { link: at, .. } if at == link));
            lost.map(|(index, _)| index).collect()
        };
        for index in lost {
            self.places.borrow_mut()[index].lose();
            self.source.borrow_mut().answered(index, Answer::Lost);
            self.outstanding.update(|count| count - 1);
        }
        self.changed.notify_all();
    }

    fn ended_call(&self, index: usize) {
        self.outstanding.update(|count| count - 1);
        if self.places.borrow()[index].state == State::Free {
            self.advance(index);
        }
        if self.outstanding.get() == 0 || !self.idle.borrow().is_empty() {
            self.changed.notify_all();
        }
    }
}
