//! How long a word takes from one core to the next: what tells whether two runs on a virtual machine can be compared. Where the
//! machine's virtual cores move about on its host this changes twentyfold within seconds, and with it the cost of everything.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// Passes from one to the other and back.
const ROUND_TRIPS: u32 = 3000;

/// The way of one word between the first two cores of this process, in microseconds; `None` with one core only.
pub fn one_way_us() -> Option<f64> {
    let cores = core_affinity::get_core_ids()?;
    let [first, second] = *cores.first_chunk::<2>()?;
    let word = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            core_affinity::set_for_current(second);
            (0..ROUND_TRIPS).for_each(|turn| pass(&word, 2 * turn + 1));
        });
        let timed = scope.spawn(|| {
            core_affinity::set_for_current(first);
            let start = Instant::now();
            (0..ROUND_TRIPS).for_each(|turn| pass(&word, 2 * turn));
            start.elapsed()
        });
        let elapsed = timed.join().expect("counting does not panic");
        Some(elapsed.as_secs_f64() * 1e6 / f64::from(2 * ROUND_TRIPS))
    })
}

/// Waits for the number, spinning, and makes it the next.
fn pass(word: &AtomicU32, number: u32) {
    while word.load(Ordering::Acquire) != number {
        std::hint::spin_loop();
    }
    word.store(number + 1, Ordering::Release);
}
