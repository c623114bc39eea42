//! Timers of one core: a wheel of three rings, each slot of one ring as long as the whole ring below it.

/// The binary logarithm of a tick's nanoseconds: 8.2 microseconds, four operations of a fast device.
const TICK_SHIFT: u32 = 13;

/// What need not be sooner is due at multiples of so many nanoseconds, many timers at once: well below any burst.
const COARSE_NS: u64 = 1 << 16;

/// The binary logarithm of the slots of one ring.
const RING_SHIFT: u32 = 8;
const RING: usize = 1 << RING_SHIFT;

/// Three rings reach over two minutes ahead, beyond the longest hold.
const RINGS: usize = 3;

const NONE: u32 = u32::MAX;

/// Names a timer of one wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timer(u32);

/// Timers that carry a `T` each, which is handed out when they are due. They are never early, and late by a tick or by
/// [`COARSE_NS`] at most if the wheel is turned in time.
#[derive(Debug)]
pub(super) struct Wheel<T> {
    /// The first node of each slot, ring after ring.
    slots: Vec<u32>,
    /// Which slots have a node, a bit each.
    occupied: [[u64; RING / 64]; RINGS],
    nodes: Vec<Node<T>>,
    /// The first of the nodes that are free.
    free: u32,
    /// The last tick that was looked at.
    tick: u64,
}

#[derive(Debug)]
struct Node<T> {
    what: T,
    due_tick: u64,
    /// `None` while the timer is not set.
    slot: Option<usize>,
    previous: u32,
    next: u32,
}

impl<T: Copy> Wheel<T> {
    /// A wheel without timers.
    pub(super) fn new() -> Self {
        Self {
            slots: vec![NONE; RING * RINGS],
            occupied: [[0; RING / 64]; RINGS],
            nodes: Vec::new(),
            free: NONE,
            tick: 0,
        }
    }

    /// A timer that is not set.
    pub(super) fn create(&mut self, what: T) -> Timer {
        let node = Node { what, due_tick: 0, slot: None, previous: NONE, next: NONE };
        if self.free == NONE {
            self.nodes.push(node);
            return Timer(u32::try_from(self.nodes.len() - 1).expect("timers are bounded by what is parked"));
        }
        let index = self.free;
        self.free = self.nodes[index as usize].next;
        self.nodes[index as usize] = node;
        Timer(index)
    }

    /// Ends a timer, set or not.
    pub(super) fn remove(&mut self, timer: Timer) {
        self.unset(timer);
        self.nodes[timer.0 as usize].next = self.free;
        self.free = timer.0;
    }

    /// Lets `timer` be due at `due_ns` or a little later, and at no other time.
    pub(super) fn set(&mut self, timer: Timer, due_ns: u64) {
        self.set_fine(timer, due_ns.checked_next_multiple_of(COARSE_NS).unwrap_or(due_ns));
    }

    /// Lets `timer` be due at `due_ns` and at no other time.
    pub(super) fn set_fine(&mut self, timer: Timer, due_ns: u64) {
        self.unset(timer);
        let due_tick = due_ns.div_ceil(1 << TICK_SHIFT);
        self.nodes[timer.0 as usize].due_tick = due_tick.max(self.tick + 1);
        self.place(timer.0);
    }

    /// Lets `timer` not be due.
    pub(super) fn unset(&mut self, timer: Timer) {
        let Node { slot, previous, next, .. } = self.nodes[timer.0 as usize];
        let Some(slot) = slot else { return };
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        if previous == NONE {
            self.slots[slot] = next;
        } else {
            self.nodes[previous as usize].next = next;
        }
        if self.slots[slot] == NONE {
            self.occupied[slot / RING][slot % RING / 64] &= !(1 << (slot % 64));
        }
        self.nodes[timer.0 as usize].slot = None;
    }

    /// Whether `timer` will be due some time.
    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.nodes[timer.0 as usize].slot.is_some()
    }

    /// When the wheel wants to be turned, in nanoseconds: when a timer is due, or before.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.next_tick().map(|tick| tick << TICK_SHIFT)
    }

    /// Turns the wheel to `now_ns` and adds to `due` what is due by then. Those timers are no longer set.
    pub(super) fn turn(&mut self, now_ns: u64, due: &mut Vec<T>) {
        let target = now_ns >> TICK_SHIFT;
        while let Some(tick) = self.next_tick().filter(|tick| *tick <= target) {
            self.tick = tick;
            for ring in (1..RINGS).rev() {
                if tick.trailing_zeros() >= RING_SHIFT * ring as u32 {
                    self.empty(slot_of(tick, ring), due);
                }
            }
            self.empty(slot_of(tick, 0), due);
        }
        self.tick = self.tick.max(target);
    }

    /// Hands out what is due of one slot, and moves the rest to the rings below.
    fn empty(&mut self, slot: usize, due: &mut Vec<T>) {
        while self.slots[slot] != NONE {
            let index = self.slots[slot];
            self.unset(Timer(index));
            let node = &self.nodes[index as usize];
            if node.due_tick <= self.tick {
                due.push(node.what);
            } else {
                self.place(index);
            }
        }
    }

    fn place(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        let reach = 1 << (RING_SHIFT * RINGS as u32);
        let tick = node.due_tick.min(self.tick + reach - 1);
        let ring = (tick - self.tick).checked_ilog2().unwrap_or(0) / RING_SHIFT;
        let slot = slot_of(tick, ring as usize);
        let first = self.slots[slot];
        node.slot = Some(slot);
        node.previous = NONE;
        node.next = first;
        if first != NONE {
            self.nodes[first as usize].previous = index;
        }
        self.slots[slot] = index;
        self.occupied[slot / RING][slot % RING / 64] |= 1 << (slot % 64);
    }

    /// The next tick at which a slot has something to be emptied.
    fn next_tick(&self) -> Option<u64> {
        (0..RINGS).filter_map(|ring| self.next_tick_of(ring)).min()
    }

    fn next_tick_of(&self, ring: usize) -> Option<u64> {
        let shift = RING_SHIFT * ring as u32;
        let turn = (self.tick >> shift) + 1;
        let first = turn as usize % RING;
        let words = &self.occupied[ring];
        // From the slot after the present one round to the present one: its word comes twice, in two parts.
        (0..=words.len()).find_map(|step| {
            let word = (first / 64 + step) % words.len();
            let mut bits = words[word];
            if step == 0 {
                bits &= u64::MAX << (first % 64);
            } else if step == words.len() {
                bits &= !(u64::MAX << (first % 64));
            }
            let slot = word * 64 + bits.trailing_zeros() as usize;
            (bits != 0).then(|| (turn + ((slot + RING - first) % RING) as u64) << shift)
        })
    }
}

/// The slot of `tick` in `ring`.
fn slot_of(tick: u64, ring: usize) -> usize {
    ring * RING + (tick >> (RING_SHIFT * ring as u32)) as usize % RING
}
