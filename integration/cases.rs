//! All cases, in the order in which they run.

mod self_test;

use crate::lab::Case;

/// Every case of the run, group by group.
pub(crate) const ALL: &[&[Case]] = &[self_test::CASES];
