//! Lists of checks that mostly have one.

use super::question::ReaderId;

/// Checks in the order in which they came. One takes no memory of its own.
#[derive(Clone, Debug)]
pub(super) enum Few {
    One(ReaderId),
    Many(Vec<ReaderId>),
}

impl Default for Few {
    fn default() -> Few {
        Few::Many(Vec::new())
    }
}

impl Few {
    pub(super) fn as_slice(&self) -> &[ReaderId] {
        match self {
            Few::One(one) => std::slice::from_ref(one),
            Few::Many(many) => many,
        }
    }

    pub(super) fn push(&mut self, reader: ReaderId) {
        match self {
            Few::Many(many) if many.is_empty() => *self = Few::One(reader),
            Few::Many(many) => many.push(reader),
            Few::One(one) => *self = Few::Many(vec![*one, reader]),
        }
    }

    pub(super) fn remove(&mut self, reader: ReaderId) {
        match self {
            Few::One(one) if *one == reader => *self = Few::default(),
            Few::One(_) => {}
            Few::Many(many) => many.retain(|other| *other != reader),
        }
    }
}

impl FromIterator<ReaderId> for Few {
    fn from_iter<I: IntoIterator<Item = ReaderId>>(readers: I) -> Few {
        let many: Vec<ReaderId> = readers.into_iter().collect();
        match many[..] {
            [one] => Few::One(one),
            _ => Few::Many(many),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_many_they_come_and_go_in_order() {
        let [a, b, c] = [1, 2, 3].map(ReaderId);
        let mut few = Few::default();
        few.push(a);
        assert!(matches!(few, Few::One(_)));
        few.remove(b);
        assert_eq!(few.as_slice(), [a]);
        few.push(b);
        few.push(c);
        assert_eq!(few.as_slice(), [a, b, c]);
        few.remove(a);
        assert_eq!(few.as_slice(), [b, c]);
        let one: Few = [a].into_iter().collect();
        assert!(matches!(one, Few::One(_)));
        let mut one = one;
        one.remove(a);
        assert_eq!(one.as_slice(), []);
    }
}
