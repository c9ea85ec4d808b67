//! The attempts on a worker, found by stream number.
//!
//! A slab whose numbers carry a generation, so that a late frame about an attempt that is over
//! never reaches the next one in its place. Free places are reused oldest first: the longer a
//! number rests, the longer late log lines still find out whose they were.

use std::collections::VecDeque;

const INDEX_BITS: u32 = 16;
const GENERATIONS: u32 = 1 << (31 - INDEX_BITS);
/// Entries at once.
const MOST: usize = (1 << INDEX_BITS) - 1;

/// `T` is an entry, `K` what is remembered of it after it was removed.
pub(crate) struct Table<T, K> {
    places: Vec<Place<T, K>>,
    free: VecDeque<u32>,
    used: usize,
}

struct Place<T, K> {
    generation: u32,
    entry: Option<T>,
    key: K,
}

impl<T, K: Copy> Table<T, K> {
    pub(crate) fn new() -> Self {
        Self {
            places: Vec::new(),
            free: VecDeque::new(),
            used: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.used
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Puts an entry in; its number has the high bit clear and is never 0. When `MOST` entries
    /// are in, it is given back.
    pub(crate) fn insert(&mut self, key: K, entry: T) -> Result<u32, T> {
        let index = match self.free.pop_front() {
            Some(index) => index,
            None if self.places.len() < MOST => {
                self.places.push(Place {
                    generation: 0,
                    entry: None,
                    key,
                });
                (self.places.len() - 1) as u32
            }
            None => return Err(entry),
        };
        let place = &mut self.places[index as usize];
        // Generation 0 is left out, so that no number is 0.
        place.generation = place.generation % (GENERATIONS - 1) + 1;
        place.entry = Some(entry);
        place.key = key;
        self.used += 1;
        Ok((place.generation << INDEX_BITS) | index)
    }

    fn place(&self, number: u32) -> Option<&Place<T, K>> {
        let place = self.places.get((number & 0xffff) as usize)?;
        (place.generation == number >> INDEX_BITS).then_some(place)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let place = self.places.get_mut((number & 0xffff) as usize)?;
        if place.generation != number >> INDEX_BITS {
            return None;
        }
        place.entry.as_mut()
    }

    /// What is remembered of the entry that has or last had this number.
    pub(crate) fn key(&self, number: u32) -> Option<K> {
        self.place(number).map(|place| place.key)
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<T> {
        let index = number & 0xffff;
        let place = self.places.get_mut(index as usize)?;
        if place.generation != number >> INDEX_BITS {
            return None;
        }
        let entry = place.entry.take()?;
        self.free.push_back(index);
        self.used -= 1;
        Some(entry)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.places
            .iter_mut()
            .enumerate()
            .filter_map(|(index, place)| {
                let number = (place.generation << INDEX_BITS) | index as u32;
                place.entry.as_mut().map(|entry| (number, entry))
            })
    }

    /// Takes all entries out.
    pub(crate) fn drain(&mut self) -> Vec<(u32, T)> {
        let numbers: Vec<u32> = self.iter_mut().map(|(number, _)| number).collect();
        numbers
            .into_iter()
            .filter_map(|number| self.remove(number).map(|entry| (number, entry)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_map_with_numbers_that_are_not_mistaken(
            steps in proptest::collection::vec((any::<bool>(), any::<usize>()), 1..300),
        ) {
            let mut table = Table::new();
            let mut model: HashMap<u32, usize> = HashMap::new();
            let mut gone: Vec<u32> = Vec::new();
            for (step, (insert, pick)) in steps.into_iter().enumerate() {
                let live: Vec<u32> = model.keys().copied().collect();
                if insert || live.is_empty() {
                    let number = table.insert(step, step).unwrap();
                    prop_assert!(number != 0 && number < 1 << 31);
                    prop_assert!(!gone.contains(&number) && !model.contains_key(&number));
                    model.insert(number, step);
                } else {
                    let number = live[pick % live.len()];
                    prop_assert_eq!(table.remove(number), model.remove(&number));
                    gone.push(number);
                }
                prop_assert_eq!(table.len(), model.len());
                for number in &gone {
                    prop_assert!(table.get_mut(*number).is_none() && table.remove(*number).is_none());
                }
                for (number, entry) in &model {
                    prop_assert_eq!(table.get_mut(*number).copied(), Some(*entry));
                    prop_assert_eq!(table.key(*number), Some(*entry));
                }
            }
            prop_assert_eq!(table.drain().into_iter().collect::<HashMap<_, _>>(), model);
            prop_assert!(table.is_empty());
        }
    }
}
