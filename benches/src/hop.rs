//! A job's way to a helper thread and back, beside a pair of channels to a thread that waits.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use engine::{Cap, EngineConfig, Shard, block_on};

use crate::measure::{Comparison, TURNS, per_operation, time};

/// Hops in a turn: some milliseconds.
const HOPS: u32 = 300;

pub(crate) fn run() -> io::Result<Vec<Comparison>> {
    let turns = block_on(EngineConfig::small(), turns).map_err(io::Error::other)?;
    Ok(vec![Comparison::of("hop to a helper and back", "hop over two std channels", &turns)])
}

async fn turns(shard: Shard) -> Vec<(f64, f64)> {
    let cap = shard.helpers().cap(1, 1).expect("nobody else has reserved any");
    let (ask, asked) = mpsc::channel::<u32>();
    let (answer, answers) = mpsc::channel();
    let thread = thread::spawn(move || asked.iter().try_for_each(|number| answer.send(number)));
    let mut channel_hop = || {
        ask.send(1).expect("the thread waits");
        answers.recv().expect("the thread answers");
    };
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        let ours = helper_hops(&shard, &cap).await;
        turns.push((ours, time(HOPS, &mut channel_hop)));
    }
    drop(ask);
    thread.join().expect("it only passes numbers on").expect("its answers are received");
    turns
}

async fn helper_hops(shard: &Shard, cap: &Cap) -> f64 {
    let start = Instant::now();
    for number in 0..HOPS {
        let back = shard.helpers().run(cap, move || number).await.expect("one job at a time is let through");
        assert_eq!(back, number);
    }
    per_operation(start.elapsed(), HOPS)
}
