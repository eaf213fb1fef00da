//! Who asks for what: half of all reads and most writes go to the same few keys at a time.

use std::time::Duration;

use fastrand::Rng;

use crate::{clock::Moment, history::Key};

/// How long the same keys are sought after.
const FASHION: Duration = Duration::from_millis(40);

/// How many are.
const FASHIONABLE: Key = 8;

/// A key that a reader might want at `now`.
pub(crate) fn wanted(now: Moment, keys: Key, dice: &mut Rng) -> Key {
    pick(now, keys, dice, 1, 2)
}

/// A key that a writer might change at `now`.
pub(crate) fn changed(now: Moment, keys: Key, dice: &mut Rng) -> Key {
    pick(now, keys, dice, 4, 5)
}

/// `of` times in `in_all` one of the keys that every node seeks at that time.
fn pick(now: Moment, keys: Key, dice: &mut Rng, of: u32, in_all: u32) -> Key {
    if dice.u32(..in_all) >= of {
        return dice.u16(..keys);
    }
    let fashion = now.since(Moment::default()).as_nanos() / FASHION.as_nanos();
    let mut agreed = Rng::with_seed(fashion as u64);
    let first = agreed.u16(..keys);
    (first + dice.u16(..FASHIONABLE)) % keys
}
