use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Change, diff};

type Items = BTreeMap<u8, u8>;

fn changes(desired: &Items, observed: &Items, owned: &BTreeSet<u8>) -> Vec<Change<u8, u8>> {
    diff(desired, observed, |key| owned.contains(key), |a, b| a == b)
}

fn apply(table: &mut Items, change: &Change<u8, u8>) {
    match *change {
        Change::Add(key, value) => assert_eq!(table.insert(key, value), None, "added twice"),
        Change::Change(key, value) => assert!(table.insert(key, value).is_some(), "not there"),
        Change::Remove(key) => assert!(table.remove(&key).is_some(), "not there"),
    }
}

#[test]
fn additions_and_changes_come_before_removals() {
    let desired = Items::from([(2, 20), (9, 90)]);
    let observed = Items::from([(1, 10), (2, 21), (3, 30)]);
    let owned = BTreeSet::from([1]);
    assert_eq!(
        changes(&desired, &observed, &owned),
        [Change::Change(2, 20), Change::Add(9, 90), Change::Remove(1)]
    );
}

#[test]
fn what_the_caller_calls_the_same_is_left_alone() {
    let desired = Items::from([(1, 10)]);
    let observed = Items::from([(1, 11)]);
    let near = |a: &u8, b: &u8| a.abs_diff(*b) < 2;
    assert_eq!(diff(&desired, &observed, |_| true, near), []);
}

fn items() -> impl Strategy<Value = Items> {
    prop::collection::btree_map(0..20u8, 0..3u8, 0..12)
}

proptest! {
    #[test]
    fn applying_the_difference_gives_the_desired_and_leaves_foreign_keys(
        desired in items(),
        observed in items(),
        owned in prop::collection::btree_set(0..20u8, 0..12),
    ) {
        let mut table = observed.clone();
        for change in changes(&desired, &observed, &owned) {
            apply(&mut table, &change);
        }
        let mut expected = desired.clone();
        for (&key, &value) in &observed {
            if !desired.contains_key(&key) && !owned.contains(&key) {
                expected.insert(key, value);
            }
        }
        prop_assert_eq!(&table, &expected);
        prop_assert_eq!(changes(&desired, &table, &owned), []);
    }

    #[test]
    fn it_converges_whatever_fails_on_the_way(
        desired in items(),
        observed in items(),
        owned in prop::collection::btree_set(0..20u8, 0..12),
        fails in prop::collection::vec(any::<bool>(), 0..60),
    ) {
        let mut table = observed;
        let mut fails = fails.into_iter();
        // Every failure is used up once, so one round more than failures is enough.
        for _ in 0..=60 {
            for change in changes(&desired, &table, &owned) {
                if !fails.next().unwrap_or(false) {
                    apply(&mut table, &change);
                }
            }
        }
        prop_assert_eq!(changes(&desired, &table, &owned), []);
    }
}
