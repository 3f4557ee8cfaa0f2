//! A map in one piece of memory.

use std::fmt;

/// As a `BTreeMap`, with nothing between its entries and no room for more. A table has tens of thousands
/// of destinations, most services have few of them, and they seldom change: a tree takes more than
/// twice as much.
#[derive(Clone, PartialEq, Eq)]
pub struct Sorted<K, V>(Vec<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Sorted<K, V> {
        Sorted(Vec::new())
    }
}

impl<K: Ord, V> Sorted<K, V> {
    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(key))
    }

    /// What stands under a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let at = self.place(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Whether anything stands under a key.
    pub fn contains_key(&self, key: &K) -> bool {
        self.place(key).is_ok()
    }

    /// Puts something under a key, in place of what stood there.
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(&key) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => self.put(at, key, value),
        }
    }

    /// Puts something under a key unless something stands there; whether it did.
    pub fn insert_new(&mut self, key: K, value: V) -> bool {
        let place = self.place(&key);
        if let Err(at) = place {
            self.put(at, key, value);
        }
        place.is_err()
    }

    fn put(&mut self, at: usize, key: K, value: V) {
        // A half more, where a list would have twice as much.
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(self.0.len() / 2 + 1);
        }
        self.0.insert(at, (key, value));
    }

    /// Takes away what stands under a key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.place(key).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Takes away all that are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&K, &V) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    /// All, in the order of their keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        self.into_iter()
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same with no room for more.
    pub fn settled(mut self) -> Sorted<K, V> {
        self.0.shrink_to_fit();
        self
    }
}

/// All, in the order of their keys.
pub type Iter<'a, K, V> = std::iter::Map<std::slice::Iter<'a, (K, V)>, fn(&(K, V)) -> (&K, &V)>;

impl<'a, K, V> IntoIterator for &'a Sorted<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

/// Of two with one key the last counts.
impl<K: Ord, V> FromIterator<(K, V)> for Sorted<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Sorted<K, V> {
        let mut list: Vec<(K, V)> = entries.into_iter().collect();
        // Those with one key stay in their order.
        list.sort_by(|(one, _), (other, _)| one.cmp(other));
        list.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(&mut later.1, &mut earlier.1);
            }
            same
        });
        Sorted(list).settled()
    }
}

/// A set.
impl<K: Ord> FromIterator<K> for Sorted<K, ()> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Sorted<K, ()> {
        keys.into_iter().map(|key| (key, ())).collect()
    }
}

impl<K: fmt::Debug + Ord, V: fmt::Debug> fmt::Debug for Sorted<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_says_what_a_tree_says(steps in prop::collection::vec((0..3, 0..20u8, any::<u8>()), 0..100)) {
            let (mut tree, mut sorted) = (BTreeMap::new(), Sorted::default());
            for (what, key, value) in steps {
                match what {
                    0 => {
                        tree.insert(key, value);
                        sorted.insert(key, value);
                    }
                    1 => {
                        let new = !tree.contains_key(&key);
                        tree.entry(key).or_insert(value);
                        prop_assert_eq!(sorted.insert_new(key, value), new);
                    }
                    _ => prop_assert_eq!(tree.remove(&key), sorted.remove(&key)),
                }
                prop_assert!(tree.iter().eq(sorted.iter()));
                prop_assert_eq!(tree.get(&key), sorted.get(&key));
                prop_assert_eq!(tree.get_mut(&key), sorted.get_mut(&key));
                prop_assert_eq!(tree.contains_key(&key), sorted.contains_key(&key));
            }
            prop_assert_eq!((tree.len(), tree.is_empty()), (sorted.len(), sorted.is_empty()));
            let again: Sorted<u8, u8> = tree.clone().into_iter().rev().collect();
            prop_assert_eq!(&again, &sorted);
            // Of two with one key the last counts.
            let others = tree.iter().map(|(key, value)| (*key, value ^ 1));
            let again: Sorted<u8, u8> = others.chain(tree.clone()).collect();
            prop_assert_eq!(again, sorted.clone());
            tree.retain(|key, value| key > value);
            sorted.retain(|key, value| key > value);
            prop_assert!(tree.iter().eq(sorted.iter()));
        }
    }
}
