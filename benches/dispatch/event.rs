//! [`Booked`]: the event that all contenders dispatch.

/// 96 bytes, and a string that it owns, like a booking event.
#[derive(Debug)]
pub struct Booked {
    numbers: [u64; 9],
    note: String,
}

/// The number of an event whose listeners say when they start.
const PROBE: u64 = u64::MAX / 4;

impl Booked {
    /// The event of that number.
    pub fn new(number: u64) -> Self {
        Self {
            numbers: [number; 9],
            note: String::from("an appointment"),
        }
    }

    pub(crate) fn probe() -> Self {
        Self::new(PROBE)
    }

    pub(crate) fn is_probe(&self) -> bool {
        self.numbers[4] == PROBE
    }

    /// What every listener does with it: it looks at both ends.
    pub(crate) fn read(&self) -> u64 {
        self.numbers[0] + self.numbers[8] + self.note.len() as u64
    }
}
