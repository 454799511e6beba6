//! A bounded table of transactions, by ids that are never used twice.

/// Places that are made at once, in number. None ever moves, and a table has at most so many more than it has needed.
const BLOCK: usize = 64;

/// Entries by id: the low half is the place, the high half says for which time the place is used.
#[derive(Debug)]
pub(super) struct Table<T> {
    blocks: Vec<Vec<Place<T>>>,
    /// Places that were made, in number.
    places: usize,
    free: Vec<u32>,
    limit: usize,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    entry: Option<T>,
}

impl<T> Table<T> {
    /// An empty table for at most `limit` entries.
    pub(super) fn new(limit: usize) -> Table<T> {
        Table { blocks: Vec::new(), places: 0, free: Vec::new(), limit: limit.min(u32::MAX as usize) }
    }

    pub(super) fn len(&self) -> usize {
        self.places - self.free.len()
    }

    /// The id that the next entry gets; none when the table is full.
    pub(super) fn next_id(&self) -> Option<u64> {
        match self.free.last() {
            Some(place) => {
                let generation = self.place(u64::from(*place))?.generation;
                Some(id_of(generation, *place))
            }
            None if self.places < self.limit => Some(id_of(0, self.places as u32)),
            None => None,
        }
    }

    /// Adds an entry; none, and the entry is lost, when the table is full.
    pub(super) fn insert(&mut self, entry: T) -> Option<u64> {
        let id = self.next_id()?;
        match self.free.pop() {
            Some(_) => self.place_mut(id)?.entry = Some(entry),
            None => {
                if self.places.is_multiple_of(BLOCK) {
                    self.blocks.push(Vec::with_capacity(BLOCK));
                }
                self.blocks.last_mut()?.push(Place { generation: 0, entry: Some(entry) });
                self.places += 1;
            }
        }
        Some(id)
    }

    pub(super) fn get(&self, id: u64) -> Option<&T> {
        let place = self.place(id)?;
        place.entry.as_ref().filter(|_| place.generation == generation_of(id))
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        let place = self.place_mut(id)?;
        place.entry.as_mut().filter(|_| place.generation == generation_of(id))
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let place = self.place_mut(id).filter(|place| place.generation == generation_of(id))?;
        let entry = place.entry.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(place_of(id) as u32);
        Some(entry)
    }

    fn place(&self, id: u64) -> Option<&Place<T>> {
        let place = place_of(id);
        self.blocks.get(place / BLOCK)?.get(place % BLOCK)
    }

    fn place_mut(&mut self, id: u64) -> Option<&mut Place<T>> {
        let place = place_of(id);
        self.blocks.get_mut(place / BLOCK)?.get_mut(place % BLOCK)
    }
}

fn id_of(generation: u32, place: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(place)
}

fn place_of(id: u64) -> usize {
    (id & u64::from(u32::MAX)) as usize
}

fn generation_of(id: u64) -> u32 {
    (id >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_not_used_twice_and_the_limit_holds() {
        let mut table = Table::new(2);
        let first = table.insert("a").expect("room");
        let second = table.insert("b").expect("room");
        assert_eq!(table.insert("c"), None);
        assert_eq!(table.remove(first), Some("a"));
        let third = table.insert("c").expect("room");
        assert_ne!(first, third);
        assert_eq!((table.get(first), table.get(second), table.get(third)), (None, Some(&"b"), Some(&"c")));
        assert_eq!((table.remove(first), table.len()), (None, 2));
    }

    #[test]
    fn more_than_one_block() {
        let mut table = Table::new(usize::MAX);
        let ids: Vec<u64> = (0..3 * BLOCK).filter_map(|n| table.insert(n)).collect();
        assert!(ids.iter().enumerate().all(|(n, id)| table.get(*id) == Some(&n)));
        let removed = ids.iter().step_by(2).filter_map(|id| table.remove(*id)).count();
        assert_eq!((ids.len(), removed, table.len()), (3 * BLOCK, 3 * BLOCK / 2, 3 * BLOCK / 2));
        let again = (0..removed).filter_map(|n| table.insert(n)).filter(|id| !ids.contains(id)).count();
        assert_eq!((again, table.len()), (removed, 3 * BLOCK));
    }
}
