//! A slab whose keys are not reused: what a stale key names is gone, never another entry.

/// Names one entry for as long as it exists. Fits the kernel's 64 bits of user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    fn new(index: usize, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | index as u64)
    }

    fn index(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

/// The slab. Bounded by `entries_max`.
#[derive(Debug)]
pub(crate) struct Table<T> {
    entries: Vec<Entry<T>>,
    free: Vec<usize>,
    entries_max: usize,
}

impl<T> Table<T> {
    /// An empty table; `entries_max` is below 2^31, so that no key looks like a reserved one.
    pub(crate) fn new(entries_max: usize) -> Self {
        assert!(entries_max < 1 << 31, "keys hold an index of 31 bits");
        Self { entries: Vec::new(), free: Vec::new(), entries_max }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Puts a value in; hands it back when the table is full.
    pub(crate) fn insert(&mut self, value: T) -> Result<Key, T> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.entries.len() < self.entries_max => {
                self.entries.push(Entry { generation: 0, value: None });
                self.entries.len() - 1
            }
            None => return Err(value),
        };
        let entry = &mut self.entries[index];
        entry.value = Some(value);
        Ok(Key::new(index, entry.generation))
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index())?;
        if entry.generation == key.generation() { entry.value.as_mut() } else { None }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index()).filter(|entry| entry.generation == key.generation())?;
        let value = entry.value.take()?;
        // The top bit stays clear: reserved user data has it set.
        entry.generation = (entry.generation + 1) & (u32::MAX >> 1);
        self.free.push(key.index());
        Some(value)
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        let keys: Vec<Key> = self.keys().collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|entry| entry.value.as_ref())
    }

    fn keys(&self) -> impl Iterator<Item = Key> {
        let living = self.entries.iter().enumerate().filter(|(_, entry)| entry.value.is_some());
        living.map(|(index, entry)| Key::new(index, entry.generation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_keys_name_nothing() {
        let mut table = Table::new(2);
        let first = table.insert('a').unwrap();
        let second = table.insert('b').unwrap();
        assert_eq!(table.insert('c'), Err('c'));
        assert_eq!(table.remove(first), Some('a'));
        let third = table.insert('d').unwrap();
        assert!(table.get_mut(first).is_none() && table.remove(first).is_none());
        assert_eq!((table.get_mut(third).copied(), table.get_mut(second).copied()), (Some('d'), Some('b')));
        assert_eq!((table.drain().len(), table.len()), (2, 0));
    }
}
