//! What was admitted: it is in flight, and timed where it counts how long it takes.

use std::rc::Rc;

use qos::Pass;
use qos::limits::{Begun, Charged};
use vfs::Vfs;

use crate::env::{Backchannel, Env};
use crate::server::Server;

/// The right to work on storage: the work is in flight, and takes its time, until this is dropped.
#[must_use = "work is in flight only while it is held"]
pub struct Admitted<V: Vfs, E: Env + Backchannel> {
    pass: Pass,
    timed: Option<Timed<V, E>>,
}

/// Work by which the server is paced.
struct Timed<V: Vfs, E: Env + Backchannel> {
    server: Rc<Server<V, E>>,
    /// Taken out of what ends without having worked.
    begun: Option<Begun>,
}

impl<V: Vfs, E: Env + Backchannel> Admitted<V, E> {
    /// Begins now.
    pub fn new(server: &Rc<Server<V, E>>, pass: Pass, begun: Option<Begun>) -> Self {
        let begun = begun.map(|begun| begun.again(server.env.now_ns()));
        Self { pass, timed: begun.map(|begun| Timed { server: server.clone(), begun: Some(begun) }) }
    }

    /// When the work was charged, if it was.
    pub fn charged(&self) -> Option<Charged> {
        self.pass.charged()
    }

    /// Is in flight no longer, without having worked. Answers what to go on with.
    pub fn leave(mut self) -> Option<Begun> {
        self.timed.as_mut().and_then(|timed| timed.begun.take())
    }
}

impl<V: Vfs, E: Env + Backchannel> Drop for Timed<V, E> {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.server.admission.done(begun, self.server.env.now_ns());
            self.server.charges.rouse_if_sooner(&self.server.admission);
        }
    }
}
