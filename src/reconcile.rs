//! The difference between what should be and what is, over anything that has a key: addresses, IPVS
//! services, their destinations, sync daemons. It knows neither the kernel nor time nor retries: whoever
//! carries the changes out observes again and asks again until nothing is left.

use std::collections::BTreeMap;

/// One thing to do about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<K, V> {
    /// Desired and not there.
    Add(K, V),
    /// There, but not as desired; the value is the desired one.
    Change(K, V),
    /// There, owned, and no longer desired.
    Remove(K),
}

/// Things by their keys.
pub trait Items<K, V> {
    /// What stands under a key.
    fn find(&self, key: &K) -> Option<&V>;

    /// All, in the order of their keys.
    fn all<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a V)>
    where
        K: 'a,
        V: 'a;
}

impl<K: Ord, V> Items<K, V> for BTreeMap<K, V> {
    fn find(&self, key: &K) -> Option<&V> {
        self.get(key)
    }

    fn all<'a>(&'a self) -> impl Iterator<Item = (&'a K, &'a V)>
    where
        K: 'a,
        V: 'a,
    {
        self.iter()
    }
}

/// What makes `desired` out of `observed`: additions and changes in the order of keys, then removals in
/// the order of keys, so that nothing goes before what takes its place has come.
///
/// `owned` says whether a key that is not desired may be removed; an observed key that is neither desired
/// nor owned is somebody else's and never named in the result. `same(desired, observed)` says whether
/// what stands there will do; what is observed may be of another type than what is desired. Applied to `observed`, the result leaves nothing for a second call to find.
pub fn diff<K: Clone, V: Clone, S>(
    desired: &impl Items<K, V>,
    observed: &impl Items<K, S>,
    owned: impl Fn(&K) -> bool,
    same: impl Fn(&V, &S) -> bool,
) -> Vec<Change<K, V>> {
    let wanted = desired
        .all()
        .filter_map(|(key, want)| match observed.find(key) {
            None => Some(Change::Add(key.clone(), want.clone())),
            Some(have) if same(want, have) => None,
            Some(_) => Some(Change::Change(key.clone(), want.clone())),
        });
    let unwanted = observed
        .all()
        .filter(|(key, _)| desired.find(key).is_none() && owned(key))
        .map(|(key, _)| Change::Remove(key.clone()));
    wanted.chain(unwanted).collect()
}

#[cfg(test)]
mod tests;
