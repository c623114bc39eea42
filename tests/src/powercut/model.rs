//! What a journal promises: the state that each worker's part of the server must be in.

use std::collections::BTreeMap;

use crate::journal::{Answer, Effect, Event, Kind, Line};

/// Everything that one worker has had acknowledged, and what may have happened besides.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Whether the client must be known after a restart.
    pub client: bool,
    /// Names, by path, and the objects they lead to.
    pub names: BTreeMap<String, usize>,
    /// Objects by number; some have no name any more.
    pub objects: Vec<Object>,
    /// The last operation, when it was not acknowledged.
    pub in_flight: Option<Effect>,
    /// Write verifiers seen.
    pub verifier: Option<[u8; 8]>,
    /// Operations that were acknowledged.
    pub acknowledged: u64,
}

/// One object.
#[derive(Clone, Debug)]
pub struct Object {
    pub kind: Kind,
    pub mode: u32,
    /// Time of modification, where it was set last by SETATTR.
    pub seconds: Option<i64>,
    pub handle: Option<String>,
    pub open: bool,
    /// Cells that the file has in the server's memory.
    pub size: u64,
    /// Fewest and most cells that it may have on stable storage.
    pub size_range: (u64, u64),
    pub cells: BTreeMap<u64, Cell>,
}

/// One cell of a file.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// The generation on stable storage.
    pub settled: u32,
    /// Later ones, the last one last, that may be there as well.
    pub maybe: Vec<u32>,
}

impl Object {
    fn new(kind: Kind, mode: u32) -> Self {
        let cells = BTreeMap::new();
        Self { kind, mode, seconds: None, handle: None, open: false, size: 0, size_range: (0, 0), cells }
    }

    /// The generations that a cell may have.
    pub fn generations(&self, cell: u64) -> Vec<u32> {
        let known = self.cells.get(&cell).cloned().unwrap_or_default();
        let mut generations = known.maybe;
        generations.push(known.settled);
        generations
    }

    fn begin_write(&mut self, first: u64, count: u64, generation: u32) {
        self.seconds = None;
        for cell in first..first + count {
            self.cells.entry(cell).or_default().maybe.push(generation);
        }
        self.size_range.1 = self.size_range.1.max(first + count);
    }

    fn end_write(&mut self, first: u64, count: u64, stable: bool) {
        self.size = self.size.max(first + count);
        if stable {
            self.settle(first..first + count);
            self.size_range.0 = self.size_range.0.max(first + count);
        }
    }

    fn settle(&mut self, range: std::ops::Range<u64>) {
        for cell in self.cells.range_mut(range).map(|(_, cell)| cell) {
            if let Some(last) = cell.maybe.last().copied() {
                cell.settled = last;
                cell.maybe.clear();
            }
        }
    }

    fn begin_resize(&mut self, cells: u64) {
        self.seconds = None;
        self.size_range = (self.size_range.0.min(cells), self.size_range.1.max(cells));
        self.cells.range_mut(cells..).for_each(|(_, cell)| cell.maybe.push(0));
    }

    fn end_resize(&mut self, cells: u64) {
        self.size = cells;
        self.size_range = (cells, cells);
        self.cells.split_off(&cells);
    }
}

impl Model {
    /// The models of all workers in a journal.
    pub fn read(lines: Vec<Line>) -> BTreeMap<String, Self> {
        let mut models: BTreeMap<String, Self> = BTreeMap::new();
        for Line { worker, event } in lines {
            let model = models.entry(worker).or_default();
            match event {
                Event::Begun(effect) => model.begin(effect),
                Event::Done(answer) => model.end(answer),
            }
        }
        models
    }

    /// The state after the operation that was under way, for one that happens as a whole or not at all.
    pub fn with_in_flight(&self) -> Option<Self> {
        let mut after = self.clone();
        match self.in_flight.as_ref()? {
            Effect::Write { .. } | Effect::Commit { .. } | Effect::SetSize { .. } => None,
            _ => {
                after.end(Answer::default());
                Some(after)
            }
        }
    }

    fn object(&mut self, path: &str) -> &mut Object {
        let number = *self.names.get(path).unwrap_or_else(|| panic!("the journal never made {path}"));
        &mut self.objects[number]
    }

    fn begin(&mut self, effect: Effect) {
        assert!(self.in_flight.is_none(), "a worker does one thing at a time");
        match &effect {
            Effect::Write { path, first, count, generation, .. } => {
                self.object(path).begin_write(*first, *count, *generation);
            }
            Effect::SetSize { path, cells } => self.object(path).begin_resize(*cells),
            _ => {}
        }
        self.in_flight = Some(effect);
    }

    fn end(&mut self, answer: Answer) {
        let effect = self.in_flight.take().expect("what is acknowledged was begun");
        self.acknowledged += 1;
        match &effect {
            Effect::Client => self.client = true,
            Effect::Create { path, kind, mode } => self.add(path, *kind, *mode),
            Effect::Open { path } => self.add(path, Kind::Regular, 0),
            Effect::Write { path, first, count, stable, .. } => {
                self.object(path).end_write(*first, *count, *stable);
            }
            Effect::Commit { path } => {
                let object = self.object(path);
                object.settle(0..u64::MAX);
                object.size_range = (object.size, object.size);
            }
            Effect::SetMode { path, mode } => self.object(path).mode = *mode,
            Effect::SetSize { path, cells } => self.object(path).end_resize(*cells),
            Effect::SetTime { path, seconds } => self.object(path).seconds = Some(*seconds),
            Effect::Rename { from, to } => {
                let object = self.names.remove(from).expect("it has the name");
                self.names.insert(to.clone(), object);
            }
            Effect::Link { from, to } => {
                let object = self.names[from];
                self.names.insert(to.clone(), object);
            }
            Effect::Remove { path } => {
                self.names.remove(path).expect("it has the name");
            }
        }
        if let (Effect::Create { path, .. } | Effect::Open { path }, Some(handle)) = (&effect, answer.handle)
        {
            let object = self.object(path);
            (object.handle, object.open) = (Some(handle), answer.open);
        }
        self.verifier = answer.verifier.or(self.verifier);
    }

    fn add(&mut self, path: &str, kind: Kind, mode: u32) {
        self.objects.push(Object::new(kind, mode));
        self.names.insert(path.to_owned(), self.objects.len() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(events: Vec<Event>) -> Model {
        let lines = events.into_iter().map(|event| Line { worker: "a".into(), event });
        Model::read(lines.collect()).remove("a").expect("one worker")
    }

    fn write(first: u64, count: u64, generation: u32, stable: bool) -> Event {
        Event::Begun(Effect::Write { path: "f".into(), first, count, generation, stable })
    }

    fn done() -> Event {
        Event::Done(Answer::default())
    }

    #[test]
    fn only_what_was_promised_is_settled() {
        let make = Effect::Create { path: "f".into(), kind: Kind::Regular, mode: 0o600 };
        let mut events =
            vec![Event::Begun(make), done(), write(0, 4, 1, true), done(), write(2, 4, 2, false), done()];
        let before = model(events.clone());
        assert_eq!(before.objects[0].size_range, (4, 6));
        assert_eq!(before.objects[0].generations(1), [1]);
        assert_eq!(before.objects[0].generations(3), [2, 1]);
        assert_eq!(before.objects[0].generations(5), [2, 0]);
        events.extend([Event::Begun(Effect::Commit { path: "f".into() }), done(), write(5, 1, 3, true)]);
        let after = model(events);
        assert_eq!(after.objects[0].size_range, (6, 6));
        assert_eq!(after.objects[0].generations(3), [2]);
        assert_eq!(after.objects[0].generations(5), [3, 2], "the last write is in flight");
        assert!(after.with_in_flight().is_none());
    }

    #[test]
    fn a_name_in_flight_is_there_or_not() {
        let make = |path: &str| Effect::Create { path: path.into(), kind: Kind::Regular, mode: 0o600 };
        let rename = Effect::Rename { from: "f".into(), to: "g".into() };
        let model = model(vec![Event::Begun(make("f")), done(), Event::Begun(rename)]);
        assert!(model.names.contains_key("f"));
        assert!(model.with_in_flight().expect("two states").names.contains_key("g"));
    }
}
