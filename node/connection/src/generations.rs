//! A map that forgets: what was not touched while as many others were is gone.
//!
//! Two halves. What is touched is in the young one; when that is full it becomes the old one, and what the old one
//! still had is forgotten. So nothing is searched and nothing is sorted, whoever fills the map, and who comes often
//! stays.

use std::collections::HashMap;
use std::hash::Hash;

/// A map of so many entries at most.
#[derive(Debug)]
pub(crate) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// Nothing yet, and never more than `entries_max` (2 at least).
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            half: (entries_max / 2).max(1),
        }
    }

    /// What belongs to a key, made if there is nothing.
    pub(crate) fn touch(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let known = match self.young.contains_key(&key) {
            true => None,
            false => self.old.remove(&key),
        };
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young
            .entry(key)
            .or_insert_with(|| known.unwrap_or_else(make))
    }

    /// What belongs to a key, without touching it.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Entries that are remembered.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_often_stays_and_the_map_is_bounded() {
        let mut map = Generations::new(100);
        for number in 0..10_000 {
            *map.touch("often".to_owned(), || 0) += 1;
            map.touch(format!("once {number}"), || 0);
            assert!(map.len() <= 100);
        }
        assert_eq!(map.get(&"often".to_owned()), Some(&10_000));
        assert_eq!(map.get(&"once 1".to_owned()), None);
        assert_eq!(map.get(&"once 9999".to_owned()), Some(&0));
    }
}
