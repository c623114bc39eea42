//! The time of grace after the cut: every client that was acknowledged gets back what it had open.

use std::collections::BTreeMap;
use std::rc::Rc;

use client::{Client, Compound, OpenFile};
use wire::nfs4::{
    DelegationType, FileHandle, OpenArgs, OpenClaim, OpenHow, OpenResult, ReclaimCompleteArgs, StateOwner,
    Status, share_access, share_deny,
};

use crate::journal;
use crate::load::kind;
use crate::model::Model;
use crate::verify::{Problem, Problems};
use crate::worker::{Ground, patiently};

/// Reclaims for all clients of the journal and says goodbye for them, so that nobody is waited for at the next start.
pub async fn reclaim_all(
    ground: &Rc<Ground>,
    models: &BTreeMap<String, Model>,
    problems: &mut Problems,
) -> client::Result<()> {
    refuse_strangers(ground, models, problems).await?;
    let mut clients = Vec::new();
    for (name, model) in models {
        let client = ground.connect(name, false).await?;
        let mut reclaimed = Vec::new();
        for object in model.objects.iter().filter(|object| object.open) {
            let handle = handle(object.handle.as_deref().expect("what is open has a handle"));
            match reclaim(ground, &client, handle).await {
                Ok(open) => reclaimed.push(open),
                Err(error) => problems.add(reclaim_problem(name, &error)),
            }
        }
        let compound = || Compound::new().operation(ReclaimCompleteArgs { one_fs: false });
        patiently(&ground.shard, || async { client.session().call(compound()).await?.skip(1) }).await?;
        problems.checked += model.acknowledged;
        clients.push((client, reclaimed));
    }
    for (client, reclaimed) in clients {
        for open in reclaimed {
            client.session().close(&open).await?;
        }
        client.destroy().await?;
    }
    Ok(())
}

/// A client that was never there must get nothing.
async fn refuse_strangers(
    ground: &Rc<Ground>,
    models: &BTreeMap<String, Model>,
    problems: &mut Problems,
) -> client::Result<()> {
    let mut objects = models.values().flat_map(|model| &model.objects);
    let Some(object) = objects.find(|object| object.open) else { return Ok(()) };
    let stranger = ground.connect("stranger", false).await?;
    let handle = handle(object.handle.as_deref().expect("what is open has a handle"));
    match reclaim(ground, &stranger, handle).await.map_err(|error| error.status()) {
        Err(Some(Status::NoGrace | Status::ReclaimBad)) => {}
        outcome => problems.add(Problem::new("record", format!("a stranger's reclaim gives {outcome:?}"))),
    }
    stranger.destroy().await
}

async fn reclaim(ground: &Ground, client: &Client, handle: FileHandle) -> client::Result<OpenFile> {
    let session = client.session();
    patiently(&ground.shard, || async {
        let open = OpenArgs {
            seqid: 0,
            share_access: share_access::READ,
            share_deny: share_deny::NONE,
            owner: StateOwner { client_id: session.client_id(), owner: "open owner".into() },
            how: OpenHow::NoCreate,
            claim: OpenClaim::Previous(DelegationType::None),
        };
        let reply = session.call(Compound::new().put_handle(handle).open(open)).await?;
        reply.skip(1)?;
        Ok(OpenFile { handle, stateid: reply.next::<OpenResult<'_>>()?.stateid })
    })
    .await
}

/// A file that is gone is its writer's loss, anything else the client record's.
fn reclaim_problem(name: &str, error: &client::Error) -> Problem {
    let file = matches!(error.status(), Some(Status::Stale | Status::Noent | Status::Badhandle));
    let kind = if file && kind(name) != "record" { kind(name) } else { "record" };
    Problem::new(kind, format!("{name} cannot reclaim: {error}"))
}

fn handle(digits: &str) -> FileHandle {
    FileHandle::new(&journal::bytes(digits)).expect("a handle that the server gave")
}
