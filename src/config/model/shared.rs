//! Parts of an object that most objects have in common.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A part that many objects may share: thousands of instances say the same about most things. It reads
/// and writes like the part itself; whoever writes gets a copy of its own.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shared<T>(Arc<T>);

impl<T: PartialEq> Shared<T> {
    /// `other` if it says the same.
    pub(in crate::config) fn or_as(part: T, other: Option<&Shared<T>>) -> Shared<T> {
        match other {
            Some(other) if **other == part => Shared(Arc::clone(&other.0)),
            _ => Shared::from(part),
        }
    }

    /// Becomes one with `other` if both say the same.
    pub(super) fn settle(&mut self, other: Option<&Shared<T>>) {
        if let Some(other) = other
            && !Arc::ptr_eq(&self.0, &other.0)
            && self == other
        {
            self.0 = Arc::clone(&other.0);
        }
    }
}

impl<T> From<T> for Shared<T> {
    fn from(part: T) -> Shared<T> {
        Shared(Arc::new(part))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

/// As the part itself.
impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As the part itself.
impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<T: Clone + PartialEq> Shared<T> {
    /// The same, and otherwise a copy that nobody else has.
    pub(super) fn settle_anew(&mut self, other: Option<&Shared<T>>) {
        *self = match other {
            Some(other) if self == other => other.clone(),
            _ => Shared::from((**self).clone()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_parts_become_one_until_somebody_writes() {
        let first = Shared::from(vec![1]);
        let mut second = Shared::from(vec![1]);
        second.settle(Some(&first));
        assert!(Arc::ptr_eq(&first.0, &second.0));
        second.push(2);
        assert_eq!(
            (first.as_slice(), second.as_slice()),
            ([1].as_slice(), [1, 2].as_slice())
        );
        second.settle(Some(&first));
        assert_eq!(*second, [1, 2]);
        let third = Shared::or_as(vec![1], Some(&first));
        assert!(Arc::ptr_eq(&first.0, &third.0));
        let other = Shared::or_as(vec![3], Some(&first));
        assert_eq!(*other, [3]);
    }
}
