//! A worker's tables by connection: places that are taken, given back and taken again.
//!
//! Kept in pages: a table that is one vector moves all of its entries when it grows, and for a
//! while holds them twice, which with ten thousand connections is more than they need themselves.
//! Invariant: an entry does not move.

/// Entries in a page.
const PAGE: usize = 256;

/// A vector that grows by pages.
#[derive(Debug)]
pub(super) struct Pages<T> {
    pages: Vec<Vec<T>>,
    len: usize,
}

impl<T> Pages<T> {
    pub(super) const fn new() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.pages.get(index as usize / PAGE)?.get(index as usize % PAGE)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.pages.get_mut(index as usize / PAGE)?.get_mut(index as usize % PAGE)
    }

    /// How many entries there are: the index of the next one.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, value: T) {
        if self.len.is_multiple_of(PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        if let Some(page) = self.pages.last_mut() {
            page.push(value);
            self.len += 1;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }
}

/// A table with places that are given back.
#[derive(Debug)]
pub(super) struct Table<T> {
    places: Pages<Option<T>>,
    /// Those given back, the next to be taken last.
    free: Vec<u32>,
}

impl<T> Table<T> {
    pub(super) const fn new() -> Self {
        Self { places: Pages::new(), free: Vec::new() }
    }

    /// The place that [`Self::insert`] takes next; `None` where all that can be told apart are
    /// taken.
    pub(super) fn vacant(&self) -> Option<u32> {
        self.free.last().copied().or_else(|| u32::try_from(self.places.len()).ok())
    }

    /// Takes the place that [`Self::vacant`] has told.
    pub(super) fn insert(&mut self, value: T) {
        let place = self.free.pop().and_then(|index| self.places.get_mut(index));
        match place {
            Some(place) => *place = Some(value),
            None => self.places.push(Some(value)),
        }
    }

    /// Gives a place back.
    pub(super) fn remove(&mut self, index: u32) {
        if self.places.get_mut(index).and_then(Option::take).is_some() {
            self.free.push(index);
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.places.get(index)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.places.get_mut(index)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().flatten()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// The table is a map from places to values, and a place is not taken twice.
        #[test]
        fn the_table_is_a_map(steps in prop::collection::vec((any::<bool>(), 0u32..600), 0..900)) {
            let (mut table, mut model) = (Table::new(), BTreeMap::new());
            for (step, (insert, index)) in steps.into_iter().enumerate() {
                if insert {
                    let place = table.vacant().unwrap();
                    table.insert(step);
                    prop_assert_eq!(model.insert(place, step), None);
                } else {
                    table.remove(index);
                    model.remove(&index);
                }
                prop_assert_eq!(table.get(index), model.get(&index));
                prop_assert_eq!(table.get_mut(index).copied(), model.get(&index).copied());
                prop_assert_eq!(table.is_empty(), model.is_empty());
            }
            prop_assert!(table.iter().eq(model.values()));
        }
    }
}
