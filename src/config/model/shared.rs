//! Parts of an object that most objects have in common.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A part that many objects may share: thousands of instances say the same about most things. It reads
/// and writes like the part itself; whoever writes gets a copy of its own.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shared<T>(Arc<T>);

impl<T: Clone + PartialEq> Shared<T> {
    /// Becomes one with `other` if both say the same, else a copy that nobody else has.
    pub(super) fn settle(&mut self, other: Option<&Shared<T>>) {
        *self = match other {
            Some(other) if self == other => other.clone(),
            _ => Shared::from((**self).clone()),
        };
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
        let before = Arc::as_ptr(&second.0);
        second.settle(Some(&first));
        assert_eq!(*second, [1, 2]);
        assert_ne!(Arc::as_ptr(&second.0), before, "a place of its own");
    }
}
