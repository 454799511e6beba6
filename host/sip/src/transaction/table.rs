//! A bounded table of transactions, by ids that are never used twice.

/// Entries by id: the low half is the place, the high half says for which time the place is used.
#[derive(Debug)]
pub(super) struct Table<T> {
    places: Vec<Place<T>>,
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
        Table { places: Vec::new(), free: Vec::new(), limit: limit.min(u32::MAX as usize) }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The id that the next entry gets; none when the table is full.
    pub(super) fn next_id(&self) -> Option<u64> {
        match self.free.last() {
            Some(place) => {
                let generation = self.places.get(*place as usize)?.generation;
                Some(id_of(generation, *place))
            }
            None if self.places.len() < self.limit => Some(id_of(0, self.places.len() as u32)),
            None => None,
        }
    }

    /// Adds an entry; none, and the entry is lost, when the table is full.
    pub(super) fn insert(&mut self, entry: T) -> Option<u64> {
        let id = self.next_id()?;
        match self.free.pop() {
            Some(place) => self.places.get_mut(place as usize)?.entry = Some(entry),
            None => self.places.push(Place { generation: 0, entry: Some(entry) }),
        }
        Some(id)
    }

    pub(super) fn get(&self, id: u64) -> Option<&T> {
        let place = self.places.get(place_of(id))?;
        place.entry.as_ref().filter(|_| place.generation == generation_of(id))
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        let place = self.places.get_mut(place_of(id))?;
        place.entry.as_mut().filter(|_| place.generation == generation_of(id))
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let place = self.places.get_mut(place_of(id)).filter(|place| place.generation == generation_of(id))?;
        let entry = place.entry.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(place_of(id) as u32);
        Some(entry)
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
}
