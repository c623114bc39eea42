//! What a request of any protocol has and may do: the protocols' skins stand on this and on [`crate::common`].

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use qos::limits::{Charged, Cost, Path};
use qos::{Admit, Kind, Pass, Work};
use rpc::{Bulks, Call, Payload, Peer, Reading, ReadingHold, Transport};
use smallvec::SmallVec;
use state::Session;
use vfs::Vfs;
use wire::nfs4::Status;

use crate::annotation::ClaimedAreas;
use crate::charges::Payer;
use crate::env::{Backchannel, Env, LoggedAdmission};
use crate::export::{ExportSettings, ExportTable, Permission, Protocol};
use crate::failure::Failure;
use crate::handle::{ExportId, HandleContent};
use crate::identity::Caller;
use crate::object::{Object, Place};
use crate::server::Server;

/// What waits for longer is better told to come again than in the way of other work, in nanoseconds: clients come again after
/// a tenth of a second, and until then there is enough for others to wait for.
const LONG_NS: u64 = 250_000_000;

/// What is at work, and since when, where others are paced by how long it takes.
pub struct Timed {
    work: Work,
    begun_ns: u64,
}

impl Timed {
    /// The same begun at `begun_ns`: until then it waited for something.
    #[must_use]
    pub fn again(self, begun_ns: u64) -> Self {
        Self { begun_ns, ..self }
    }
}

/// One call, whatever its protocol.
pub struct Request<V: Vfs, E> {
    /// The server.
    pub server: Rc<Server<V, E>>,
    /// The exports in force when the request began.
    pub exports: Rc<ExportTable<V>>,
    /// Where the call came from.
    pub peer: Peer,
    /// The version of NFS that it is a call of.
    pub protocol: Protocol,
    /// Who the call says it comes from.
    pub caller: Rc<Caller>,
    /// Whom admission charges: a client id, or what stands for an address that has none.
    pub charged_to: u64,
    /// The session that it came in, in versions that have them.
    pub session: Option<Arc<Session>>,
    /// Whether the connection that it came over is read on.
    pub reading: Reading,
    /// Whether it has waited for its turn once, or changed something: what only looks does not wait after that.
    pub has_waited: Cell<bool>,
    /// For how long it has been held so far, unread or parked, in nanoseconds.
    pub held_ns: Cell<u64>,
    /// Bytes of the whole call message.
    pub call_bytes: usize,
    /// Bulk data that came with the call and is not used yet.
    pub payloads: SmallVec<[Option<Payload>; 1]>,
    /// The call's head bytes, for payload that came inside them.
    pub head: bytes::Bytes,
    /// Bulk data of the reply, in the order the encoder noted the places.
    pub data: Bulks,
    /// Where the caller says that bulk data lies, to be held against where it does.
    pub areas: Option<ClaimedAreas>,
}

impl<V: Vfs, E: Env + Backchannel> Request<V, E> {
    /// The request that `call` is. Nobody is charged for it yet.
    pub fn new(server: &Rc<Server<V, E>>, caller: Rc<Caller>, call: Call, protocol: Protocol) -> Self {
        Self {
            exports: server.exports(),
            server: server.clone(),
            peer: call.peer,
            protocol,
            caller,
            charged_to: 0,
            session: None,
            reading: call.reading,
            has_waited: Cell::default(),
            held_ns: Cell::new(call.unread_ns),
            call_bytes: call.head.len()
                + call.payloads.iter().map(|payload| payload.cut.length).sum::<usize>(),
            payloads: call.payloads.into_iter().map(Some).collect(),
            head: call.head,
            data: Bulks::new(),
            areas: None,
        }
    }

    /// What a file handle's content stands for now, for this caller.
    ///
    /// # Errors
    /// `NFS4ERR_STALE` for what is no longer exported or gone, `NFS4ERR_ACCESS` for an export that is not for this client,
    /// or not for the protocol it speaks.
    pub async fn resolve(&self, content: &HandleContent) -> Result<Object<V>, Failure> {
        match content {
            HandleContent::Pseudo(id) => {
                self.exports.pseudo.directory(*id).ok_or(Status::Stale)?;
                Ok(Object::Pseudo(*id))
            }
            HandleContent::Node(export, node) => {
                let export = self.exports.find(*export).ok_or(Status::Stale)?;
                let permission = self.permission(&export.settings);
                if permission == Permission::None {
                    return Err(Status::Access.into());
                }
                let identity = self.caller.identity(&self.server.env, &export.settings).await;
                let node = export.storage.node(node).await?;
                Ok(Object::Node(Place { export: export.clone(), node, identity, permission }))
            }
        }
    }

    /// The root of an export, for this caller.
    ///
    /// # Errors
    /// As [`Request::resolve`].
    pub async fn export_root(&self, export: ExportId) -> Result<Object<V>, Failure> {
        let found = self.exports.find(export).ok_or(Status::Stale)?;
        let root = found.storage.handle(&found.storage.root());
        self.resolve(&HandleContent::Node(export, root)).await
    }

    /// What this caller may do on an export.
    pub fn permission(&self, settings: &ExportSettings) -> Permission {
        let port = match self.peer.transport {
            Transport::Tcp => self.peer.address.port(),
            // Nobody there has a say in it: it is as good as a reserved one, as the kernel's server has it.
            Transport::Rdma => 0,
        };
        settings.permission(self.protocol, self.peer.address.ip(), port)
    }

    /// Waits for admission to the export of `place`: until the limits allow it, then until the gate is open. What is held until
    /// the end of the work counts it as in flight.
    ///
    /// # Errors
    /// `NFS4ERR_DELAY` when too many requests wait already, or this one would wait too long.
    pub async fn admit(&self, place: Option<&Place<V>>, kind: Kind, bytes: u64) -> Result<Pass, Status> {
        let payer = place.and_then(|place| self.payer(place));
        match payer {
            Some(payer) => self.admit_charged(payer, place, kind, bytes).await,
            None => self.enter(place, kind).await,
        }
    }

    async fn admit_charged(
        &self,
        payer: Payer,
        place: Option<&Place<V>>,
        kind: Kind,
        bytes: u64,
    ) -> Result<Pass, Status> {
        let server = &self.server;
        self.has_waited.set(true);
        let request = self.admission_request(place, kind, bytes);
        let pass = self.wait(server.admit(Some(payer), request), bytes).await?;
        server.log_charge(payer, server.admission.cost(request));
        Ok(pass)
    }

    /// Charges an operation that only looks. It waits for its turn if the limits want it to, if it is the first of its call,
    /// and if it `may_wait`; else those who come next wait for it. What is answered that it shall come again has thus done
    /// nothing yet, and what was done is answered.
    ///
    /// # Errors
    /// As [`Request::admit`].
    pub async fn look(
        &self,
        place: Option<&Place<V>>,
        may_wait: impl FnOnce() -> bool,
    ) -> Result<Option<Pass>, Status> {
        let Some(payer) = place.and_then(|place| self.payer(place)) else { return Ok(None) };
        if !self.has_waited.get() && may_wait() {
            return self.admit_charged(payer, place, Kind::Look, 0).await.map(Some);
        }
        self.charge_late(payer, 1);
        Ok(None)
    }

    /// Charges operations that only looked and took place already. Those who come next wait for them.
    pub fn owe(&self, place: &Place<V>, operations: u64) {
        if operations > 0
            && let Some(payer) = self.payer(place)
        {
            self.charge_late(payer, operations);
        }
    }

    fn charge_late(&self, payer: Payer, operations: u64) {
        let server = &self.server;
        let cost = Cost::looks(operations);
        let owe = |path: &mut Path| server.admission.owe(path, cost, server.env.now_ns());
        server.charges.settle(payer, &server.admission, owe);
        server.log_charge(payer, cost);
    }

    /// As [`Request::admit`], for what was charged already, or is to be charged nothing: waits for the gate alone.
    ///
    /// # Errors
    /// `NFS4ERR_DELAY` when too many requests wait already.
    pub async fn enter(&self, place: Option<&Place<V>>, kind: Kind) -> Result<Pass, Status> {
        let now_ns = self.server.env.now_ns();
        if let Some(pass) = self.server.admission.pass_now(now_ns) {
            return Ok(pass);
        }
        self.wait(self.server.admit(None, self.admission_request(place, kind, 0)), 0).await
    }

    /// Waits until it is admitted, with this payload.
    async fn wait(&self, admitted: Admit, bytes: u64) -> Result<Pass, Status> {
        if admitted.is_parked() {
            return self.park(admitted, bytes).await.map_err(|qos::Busy| Status::Delay);
        }
        let pass = admitted.await.map_err(|qos::Busy| Status::Delay)?;
        if let Some(session) = &self.session {
            session.relax_slots();
            if bytes > 0 {
                session.note_work(self.server.env.now_ns());
            }
        }
        Ok(pass)
    }

    /// Waits for what takes a while. The lease of its client stands meanwhile.
    async fn park(&self, admitted: Admit, bytes: u64) -> Result<Pass, qos::Busy> {
        let server = &self.server;
        let begun_ns = server.env.now_ns();
        let parked = self.session.as_ref().map(|session| session.park(bytes));
        let _unread = self.press(&admitted, begun_ns)?;
        let outcome = admitted.await;
        let now_ns = server.env.now_ns();
        self.held_ns.update(|held_ns| held_ns + now_ns.saturating_sub(begun_ns));
        if let Some(parked) = parked {
            parked.end(now_ns);
        }
        outcome
    }

    /// Has the client send less, of which one more request is parked. Where that waits for what is the client's alone, the client
    /// is asked to have no more than a second's worth outstanding. Elsewhere half of a session's slots may be parked: beyond that
    /// nothing more is read from its connections, which costs no memory and no error. But as long as the session does other
    /// work beside, which needs slots and connections, what would wait for long is told to come again.
    fn press(&self, admitted: &Admit, now_ns: u64) -> Result<Option<ReadingHold>, qos::Busy> {
        let mut is_enough = self.server.admission.is_half_full_for(self.charged_to);
        if let Some(session) = &self.session {
            if let Some(per_second) = admitted.own_per_second() {
                session.throttle_slots(per_second);
            } else if admitted.until_ns() > now_ns + LONG_NS && session.is_in_the_way_of_others(now_ns) {
                admitted.count_refused();
                return Err(qos::Busy);
            } else {
                is_enough |= session.is_half_parked();
            }
        }
        Ok(is_enough.then(|| self.reading.hold()))
    }

    /// `work` begins now.
    pub fn time(&self, work: Option<Work>) -> Option<Timed> {
        work.map(|work| Timed { work, begun_ns: self.server.env.now_ns() })
    }

    /// So many bytes were read or written. None of them say nothing about how long it takes.
    pub fn worked(&self, work: Option<Timed>, kind: Kind, bytes: usize) {
        let Some(Timed { work, begun_ns }) = work.filter(|_| bytes > 0) else { return };
        let server = &self.server;
        let taken_ns = server.env.now_precise_ns().saturating_sub(begun_ns);
        let cost = server.admission.cost(self.admission_request(None, kind, bytes as u64));
        work.done(cost, taken_ns, server.env.now_ns());
    }

    /// Gives back what a READ of `asked` bytes was charged too much, when it was admitted with `charged`: only `done` were there.
    pub fn refund_read(&self, place: &Place<V>, asked: u64, done: u64, charged: Option<Charged>) {
        if done >= asked {
            return;
        }
        let Some((payer, charged)) = self.payer(place).zip(charged) else { return };
        let server = &self.server;
        let cost = |bytes| server.admission.cost(self.admission_request(Some(place), Kind::Read, bytes));
        let unused = cost(asked).less(cost(done));
        let refund = |path: &mut Path| server.admission.refund(path, unused, charged, server.env.now_ns());
        server.charges.settle(payer, &server.admission, refund);
    }

    /// Who is charged for what goes on with `place` once the call is answered.
    pub fn account(&self, place: &Place<V>) -> Account<V, E> {
        let request = qos::Request { held_ns: 0, ..self.admission_request(Some(place), Kind::Write, 0) };
        let (address, user) = (self.peer.address.ip(), self.caller.uid());
        Account { server: self.server.clone(), address, user, place: place.clone(), request }
    }

    /// Whom requests for what is at `place` are charged to, if anybody is.
    fn payer(&self, place: &Place<V>) -> Option<Payer> {
        self.server.charges.payer(self.peer.address.ip(), self.caller.uid(), place)
    }

    fn admission_request(&self, place: Option<&Place<V>>, kind: Kind, bytes: u64) -> qos::Request {
        let export = place.map_or(0, |place| place.export.settings.id.0.into());
        qos::Request { client: self.charged_to, export, bytes, kind, held_ns: self.held_ns.get() }
    }
}

impl<V: Vfs, E: Env + Backchannel> Server<V, E> {
    /// Begins to wait for admission, charged to `payer` if to anybody.
    fn admit(&self, payer: Option<Payer>, request: qos::Request) -> Admit {
        let now_ns = self.env.now_ns();
        let begin = |path: &mut Path| self.admission.admit(path, request, now_ns);
        match payer {
            Some(payer) => self.charges.settle(payer, &self.admission, begin),
            None => begin(&mut Path::none()),
        }
    }

    /// Logs, if that is wanted, what goes on and what it was charged.
    fn log_charge(&self, payer: Payer, cost: Cost) {
        if self.env.logs_admissions() {
            let parked = self.admission.parked_count();
            self.charges.settle(payer, &self.admission, |path| {
                self.env.log_admission(LoggedAdmission { charged_to: path.leaves(), cost, parked });
            });
        }
    }
}

/// Who is charged for what goes on after its call was answered. Nobody waits for it, so that no lease is held up.
pub struct Account<V: Vfs, E> {
    server: Rc<Server<V, E>>,
    address: IpAddr,
    user: Option<u32>,
    place: Place<V>,
    request: qos::Request,
}

impl<V: Vfs, E: Env + Backchannel> Account<V, E> {
    /// Who is charged: limits may be set while the work goes on.
    fn payer(&self) -> Option<Payer> {
        self.server.charges.payer(self.address, self.user, &self.place)
    }

    /// Waits for admission to write so much, as [`Request::admit`].
    ///
    /// # Errors
    /// As [`Request::admit`].
    pub async fn admit(&self, bytes: u64) -> Result<Pass, Status> {
        let (server, request) = (&self.server, qos::Request { bytes, ..self.request });
        let payer = self.payer();
        let pass = server.admit(payer, request).await.map_err(|qos::Busy| Status::Delay)?;
        if let Some(payer) = payer {
            server.log_charge(payer, server.admission.cost(request));
        }
        Ok(pass)
    }
}
