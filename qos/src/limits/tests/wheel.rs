//! The timer wheel against a sorted list.

use std::collections::BTreeMap;

use crate::limits::wheel::Wheel;

/// A sequence of numbers that looks random and is the same each time.
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn timers_are_due_in_time_whatever_is_set_and_unset() {
    let mut sequence = Sequence(0x9e37_79b9_7f4a_7c15);
    let (mut wheel, mut model, mut due) = (Wheel::new(), BTreeMap::new(), Vec::new());
    let timers: Vec<_> = (0..50).map(|number| wheel.create(number)).collect();
    let mut now_ns = 0;
    for _ in 0..20_000 {
        let number = sequence.next() % 50;
        let timer = timers[number as usize];
        if sequence.next().is_multiple_of(4) {
            wheel.unset(timer);
            model.remove(&number);
        } else {
            // From at once to a quarter of an hour ahead, short ones more often.
            let due_ns = now_ns + sequence.next() % (1 << (sequence.next() % 40));
            wheel.set(timer, due_ns);
            model.insert(number, due_ns);
        }
        assert_eq!(wheel.is_set(timer), model.contains_key(&number));
        let earliest_ns = model.values().copied().min();
        assert_eq!(wheel.next_ns().is_some(), earliest_ns.is_some());
        if let (Some(next_ns), Some(earliest_ns)) = (wheel.next_ns(), earliest_ns) {
            assert!(next_ns <= earliest_ns.max(now_ns) + 2 * 65_536, "{next_ns} {earliest_ns}");
        }
        now_ns = match sequence.next() % 3 {
            0 => now_ns + sequence.next() % 1_000_000,
            1 => wheel.next_ns().unwrap_or(now_ns).max(now_ns),
            _ => now_ns,
        };
        wheel.turn(now_ns, &mut due);
        for number in due.drain(..) {
            let due_ns = model.remove(&number).expect("only what is set is due");
            assert!(due_ns <= now_ns, "early by {}", due_ns - now_ns);
        }
        assert!(model.values().all(|due_ns| due_ns + 65_536 > now_ns), "something is late at {now_ns}");
    }
}
