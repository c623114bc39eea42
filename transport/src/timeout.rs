//! Giving up on a future after a while.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use engine::Shard;

/// The future's result, or `None` when it is not there within `duration`. What was awaited is dropped then.
pub async fn within<F: Future>(shard: &Shard, duration: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut sleep = pin!(shard.sleep(duration));
    poll_fn(|context| {
        if let Poll::Ready(result) = future.as_mut().poll(context) {
            return Poll::Ready(Some(result));
        }
        sleep.as_mut().poll(context).map(|()| None)
    })
    .await
}
