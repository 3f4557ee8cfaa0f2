//! Things that are known by small numbers, side by side in one piece of memory.

/// As a list whose places keep their numbers: one that became free is taken by whoever comes next.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// Puts something in, and gives its number. Of more than 2^32 the last are lost; so many fit in no
    /// memory.
    pub(super) fn insert(&mut self, thing: T) -> u32 {
        let number = self.next();
        if self.free.pop().is_none() {
            self.places.push(None);
        }
        if let Some(place) = self.places.get_mut(number as usize) {
            *place = Some(thing);
        }
        number
    }

    /// The number that whoever comes next gets.
    pub(super) fn next(&self) -> u32 {
        let last = || u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.free.last().copied().unwrap_or_else(last)
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.places.get(number as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.places.get_mut(number as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let gone = self.places.get_mut(number as usize)?.take();
        if gone.is_some() {
            self.free.push(number);
        }
        gone
    }

    /// All, by their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let all = (0..).zip(&self.places);
        all.filter_map(|(number, place)| Some((number, place.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_and_free_ones_are_taken_again() {
        let mut slab = Slab::default();
        let numbers = ["a", "b", "c"].map(|thing| slab.insert(thing));
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!(slab.remove(1), Some("b"));
        assert_eq!(slab.remove(1), None);
        assert_eq!((slab.get(1), slab.get(2)), (None, Some(&"c")));
        assert_eq!(slab.insert("d"), 1);
        assert_eq!(slab.insert("e"), 3);
        *slab.get_mut(0).unwrap() = "f";
        let all: Vec<_> = slab.iter().collect();
        assert_eq!(all, [(0, &"f"), (1, &"d"), (2, &"c"), (3, &"e")]);
        assert_eq!(slab.get(4), None);
    }
}
