//! A thread that asks the kernel for what it grants only to who has never become somebody else.
//!
//! A server takes on the identities of its users on the threads of its cores. The kernel refuses connections' affairs, and
//! works of adapters that are software, to a thread whose credentials are other than those at the opening, and compares their
//! place in memory: whoever has changed them and changed them back is refused as well (`ib_safe_file_access`). Adapters that
//! are hardware take works and tell of completions without the kernel.

use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;

use crate::failure::Failure;

type Task = Box<dyn FnOnce() + Send>;

/// What the thread does, in this order.
enum Job {
    /// Its owner waits.
    Question(Task),
    /// Nobody waits.
    Order(Task),
}

/// The thread, with the credentials of whoever started it.
pub(crate) struct Clerk {
    jobs: Option<Sender<Job>>,
    answered: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// What goes to the clerk.
struct Carried<T>(T);

// SAFETY: only `ask` and `order` make it. In the one the thread that owns what is carried waits for as long as the other one has
// it; what the other carries is the clerk's from then on, as its caller promises.
unsafe impl<T> Send for Carried<T> {}

impl<T: FnOnce()> Carried<T> {
    fn run(self) {
        (self.0)();
    }
}

impl Clerk {
    /// Starts the thread.
    ///
    /// # Errors
    /// As `pthread_create`.
    pub(crate) fn start() -> Result<Self, Failure> {
        let (jobs, taken) = channel();
        let (answers, answered) = sync_channel(1);
        let run = move || {
            for job in taken {
                match job {
                    Job::Order(order) => order(),
                    Job::Question(question) => {
                        question();
                        if answers.send(()).is_err() {
                            return;
                        }
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("rdma-clerk".into()).spawn(run);
        let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::EAGAIN);
        let thread = thread.map_err(|error| Failure::of("pthread_create", errno(error)))?;
        Ok(Self { jobs: Some(jobs), answered, thread: Some(thread) })
    }

    fn give(&self, job: Job) {
        let jobs = self.jobs.as_ref().expect("they are taken when the clerk ends");
        // A clerk that has panicked has ended the process.
        jobs.send(job).expect("the clerk listens");
    }

    /// Has the clerk do something behind all that it was given before, and does not wait for it.
    ///
    /// # Safety
    /// What it uses stays valid until a later question was answered, and nobody else changes it before.
    pub(crate) unsafe fn order(&self, order: impl FnOnce() + 'static) {
        let carried = Carried(order);
        self.give(Job::Order(Box::new(move || carried.run())));
    }

    /// Has the clerk do something behind all that it was given before, and waits until it is done.
    pub(crate) fn ask<R>(&self, question: impl FnOnce() -> R) -> R {
        let mut answer = None;
        let carried = Carried(|| answer = Some(question()));
        let boxed: Box<dyn FnOnce() + Send + '_> = Box::new(move || carried.run());
        // SAFETY: only the lifetime differs. The question is over before this call returns, so that all it borrows lives.
        let boxed = unsafe { std::mem::transmute::<Box<dyn FnOnce() + Send + '_>, Task>(boxed) };
        self.give(Job::Question(boxed));
        self.answered.recv().expect("the clerk answers");
        answer.expect("the question was asked")
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
