//! What is written: cells whose bytes tell who wrote them, where and which time.

/// Bytes of a cell. Less than a page, so that what is on stable storage shares pages with what need not be.
pub const CELL_BYTES: u64 = 1024;

/// The bytes of the cell number `cell` of the file `path` of a worker, as written the `generation`th time. Generation 0 is
/// what was never written.
pub fn cell(worker: &str, path: &str, cell: u64, generation: u32) -> Vec<u8> {
    if generation == 0 {
        return vec![0; CELL_BYTES as usize];
    }
    let mut seed = 0xcbf2_9ce4_8422_2325_u64;
    let place = cell.to_le_bytes();
    for byte in worker.bytes().chain(path.bytes()).chain(place).chain(generation.to_le_bytes()) {
        seed = (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    let mut random = Random(seed | 1);
    (0..CELL_BYTES / 8).flat_map(|_| random.next().to_le_bytes()).collect()
}

/// Numbers that look random, the same for the same seed (xorshift).
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }
}
