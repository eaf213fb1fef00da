//! What came of a replay, in numbers.

use serde::Serialize;

/// What one read came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Whether the calendar had to be asked.
    pub(crate) loaded: bool,
    /// Whether a slot was offered that had been taken before the read began.
    pub(crate) stale: bool,
    /// What became of the slot that the caller wanted, if they wanted one.
    pub(crate) ending: Option<Ending>,
}

/// What became of the slot that a caller wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Booked,
    /// It was not offered: the caller knew in time.
    NotOffered,
    /// It was gone when the caller confirmed it, and the write path said so.
    Refused(Cause),
    /// It was gone when the caller confirmed it, and nothing checked.
    DoubleBooked(Cause),
}

/// Why a slot was gone that had been offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was gone when it was offered.
    StaleOffer,
    /// It went while the caller thought. No cache can prevent that.
    LostRace,
}

/// The numbers of one contender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    pub(crate) reads: u64,
    /// Calls of the calendar.
    pub(crate) source_loads: u64,
    /// Reads for which the calendar did not have to be asked.
    pub(crate) hits: u64,
    /// Reads that offered at least one slot that had been taken before they began.
    pub(crate) stale_offers: u64,
    pub(crate) booked: u64,
    pub(crate) not_offered: u64,
    /// Confirmations that the write path refused.
    pub(crate) refused: Causes,
    /// Confirmations that met another booking and went through, because nothing checked.
    pub(crate) double_bookings: Causes,
}

/// Confirmations that came too late, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Causes {
    pub(crate) stale_offer: u64,
    pub(crate) lost_race: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, seen: Seen) {
        self.reads += 1;
        self.hits += u64::from(!seen.loaded);
        self.stale_offers += u64::from(seen.stale);
        match seen.ending {
            None => {}
            Some(Ending::Booked) => self.booked += 1,
            Some(Ending::NotOffered) => self.not_offered += 1,
            Some(Ending::Refused(cause)) => self.refused.add(cause),
            Some(Ending::DoubleBooked(cause)) => self.double_bookings.add(cause),
        }
    }

    /// The share of reads for which the calendar did not have to be asked, between 0 and 1.
    pub(crate) fn hit_rate(&self) -> f64 {
        match self.reads {
            0 => 0.0,
            reads => self.hits as f64 / reads as f64,
        }
    }
}

impl Causes {
    fn add(&mut self, cause: Cause) {
        match cause {
            Cause::StaleOffer => self.stale_offer += 1,
            Cause::LostRace => self.lost_race += 1,
        }
    }
}
