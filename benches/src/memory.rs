//! Payload memory taken and given back, beside the system's allocator, which neither aligns nor registers it.

use std::hint::black_box;

use buf::Pool;

use crate::measure::{Comparison, compare};

pub(crate) fn run() -> std::io::Result<Vec<Comparison>> {
    let pool = Pool::new(8 << 20)?;
    let sizes = [(4 << 10, "4 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")];
    let comparison = |(bytes, name): (usize, &str)| {
        let ours = || {
            black_box(pool.take(black_box(bytes), 0).expect("nothing else is taken"));
        };
        let floor = || {
            black_box(Vec::<u8>::with_capacity(black_box(bytes)));
        };
        compare(format!("take and give back {name}"), ours, "malloc and free", floor)
    };
    Ok(sizes.into_iter().map(comparison).collect())
}
