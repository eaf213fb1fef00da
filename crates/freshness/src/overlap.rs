//! Which intervals of time meet others.

use std::{collections::HashMap, hash::Hash};

use crate::clock::Moment;

/// Intervals by `I`, to be asked whether any of them meets a given one.
#[derive(Debug)]
pub(crate) struct Overlap<I>(HashMap<I, Vec<(Moment, Moment)>>);

impl<I: Hash + Eq> Overlap<I> {
    pub(crate) fn new(intervals: impl Iterator<Item = (I, Moment, Moment)>) -> Self {
        let mut all: HashMap<I, Vec<(Moment, Moment)>> = HashMap::new();
        for (index, started, ended) in intervals {
            all.entry(index).or_default().push((started, ended));
        }
        for intervals in all.values_mut() {
            intervals.sort_unstable();
            // Each end becomes the latest end so far, so that one look finds any that lasts.
            let mut latest = Moment::default();
            for (_, ended) in intervals {
                latest = latest.max(*ended);
                *ended = latest;
            }
        }
        Self(all)
    }

    /// Whether an interval of `index` has a moment in `[started, ended]`.
    pub(crate) fn meets(&self, index: I, started: Moment, ended: Moment) -> bool {
        let Some(intervals) = self.0.get(&index) else {
            return false;
        };
        let begun = intervals.partition_point(|(start, _)| *start <= ended);
        begun > 0 && intervals[begun - 1].1 >= started
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_interval_is_found_behind_short_ones() {
        let at = Moment::from_nanos;
        let intervals = [(0, 10, 100), (0, 20, 25), (1, 200, 300)];
        let overlap = Overlap::new(intervals.iter().map(|(i, a, b)| (*i, at(*a), at(*b))));
        assert!(overlap.meets(0, at(50), at(60)));
        assert!(overlap.meets(0, at(100), at(150)));
        assert!(overlap.meets(0, at(0), at(10)));
        assert!(!overlap.meets(0, at(101), at(150)));
        assert!(!overlap.meets(0, at(0), at(9)));
        assert!(!overlap.meets(1, at(50), at(60)));
        assert!(!overlap.meets(2, at(50), at(60)));
    }
}
