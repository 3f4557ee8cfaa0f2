//! What the number in a tracked file says of a server (`FILE_CHECK`).

use crate::config::model::FileWeight;

use super::{CheckOutcome, Weighing};

/// keepalived: a number that is this or less, times its weight, takes a server out.
const FAULT: i64 = -(1 << 31);

/// Without a weight (0) any number but 0 takes the server out, with `reverse` 0 does. With one the number
/// times it is added to the weight of the server.
pub fn file_outcome(name: &str, number: i32, weight: FileWeight) -> CheckOutcome {
    let failed = || CheckOutcome::Failed(format!("track_file {name} says {number}"));
    if weight.factor == 0 {
        return match (number == 0) == weight.fault_at_zero {
            true => failed(),
            false => CheckOutcome::Passed,
        };
    }
    let product = i64::from(number) * i64::from(weight.factor);
    if product <= FAULT {
        return failed();
    }
    match i32::try_from(product).unwrap_or(i32::MAX) {
        0 => CheckOutcome::Passed,
        more => CheckOutcome::Weighs(Weighing::More(more)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_a_server_out_or_weighs_it() {
        let outcome = |number, factor, fault_at_zero| {
            let weight = FileWeight {
                factor,
                fault_at_zero,
            };
            file_outcome("f", number, weight)
        };
        let failed = |number: i32| CheckOutcome::Failed(format!("track_file f says {number}"));
        let more = |by| CheckOutcome::Weighs(Weighing::More(by));
        assert_eq!(outcome(0, 0, false), CheckOutcome::Passed);
        assert_eq!(outcome(-1, 0, false), failed(-1));
        assert_eq!(outcome(0, 0, true), failed(0));
        assert_eq!(outcome(7, 0, true), CheckOutcome::Passed);
        assert_eq!(outcome(0, 5, false), CheckOutcome::Passed);
        assert_eq!(outcome(3, -2, false), more(-6));
        assert_eq!(outcome(1 << 30, 2, false), more(i32::MAX));
        assert_eq!(outcome(1 << 30, -2, false), failed(1 << 30));
        assert_eq!(outcome((1 << 30) - 1, -2, false), more(i32::MIN + 2));
    }
}
