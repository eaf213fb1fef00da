//! The least version that a read may give, by time.

use crate::{clock::Moment, history::Version};

/// For one key, the newest version that a reader is entitled to at each moment.
#[derive(Debug, Default)]
pub(crate) struct Floor {
    /// Rising in both parts.
    steps: Vec<(Moment, Version)>,
}

impl Floor {
    /// From the moments in which versions became binding, in any order.
    ///
    /// A version binds for all older ones: a read that may not miss it may not miss them either.
    pub(crate) fn new(mut bound: Vec<(Moment, Version)>) -> Self {
        bound.sort_unstable();
        let mut steps: Vec<(Moment, Version)> = Vec::with_capacity(bound.len());
        for (moment, version) in bound {
            if steps.last().is_none_or(|(_, highest)| version > *highest) {
                steps.push((moment, version));
            }
        }
        Self { steps }
    }

    /// The version that a read begun at `moment` has to reach. What became binding at that very
    /// moment does not count: which came first is not known.
    pub(crate) fn at(&self, moment: Moment) -> Version {
        let before = self.steps.partition_point(|(bound, _)| *bound < moment);
        before.checked_sub(1).map_or(0, |last| self.steps[last].1)
    }

    /// When the floor first rose above `version`.
    pub(crate) fn above(&self, version: Version) -> Option<Moment> {
        let within = self.steps.partition_point(|(_, step)| *step <= version);
        self.steps.get(within).map(|(moment, _)| *moment)
    }

    pub(crate) fn top(&self) -> Version {
        self.steps.last().map_or(0, |(_, version)| *version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(nanos: u64) -> Moment {
        Moment::from_nanos(nanos)
    }

    #[test]
    fn a_version_binds_after_its_moment_and_for_all_older_ones() {
        let floor = Floor::new(vec![(at(10), 1), (at(30), 3), (at(40), 2)]);
        for (moment, version) in [(0, 0), (10, 0), (11, 1), (30, 1), (31, 3), (41, 3)] {
            assert_eq!(floor.at(at(moment)), version, "at {moment}");
        }
        assert_eq!(floor.top(), 3);
    }

    #[test]
    fn the_age_of_an_answer_counts_from_the_first_newer_version_that_bound() {
        // Version 3 was confirmed before version 2.
        let floor = Floor::new(vec![(at(10), 1), (at(30), 3), (at(40), 2)]);
        assert_eq!(floor.above(0), Some(at(10)));
        assert_eq!(floor.above(1), Some(at(30)));
        assert_eq!(floor.above(2), Some(at(30)));
        assert_eq!(floor.above(3), None);
    }

    #[test]
    fn nothing_binds_without_a_confirmation() {
        assert_eq!(Floor::default().at(at(1)), 0);
        assert_eq!(Floor::default().above(0), None);
    }
}
