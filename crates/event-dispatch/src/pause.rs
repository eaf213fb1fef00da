//! [`Bus::pause`], [`Bus::resume`], and [`LaneState`]: what waits where.

use std::borrow::Cow;

use crate::Bus;

impl Bus {
    /// Stops calling the listeners of that name, of whichever events, and returns how many there are.
    ///
    /// What they are handling goes on. What comes waits in their lanes, which overflow as their policy
    /// says. A shutdown does not wake them: what waits is abandoned at its deadline, and named.
    ///
    /// # Errors
    ///
    /// With [`PauseError`] if no lane has that name.
    pub fn pause(&self, listener: &str) -> Result<usize, PauseError> {
        self.set_paused(listener, true)
    }

    /// Calls the listeners of that name again, with what has waited first.
    ///
    /// # Errors
    ///
    /// With [`PauseError`] if no lane has that name.
    pub fn resume(&self, listener: &str) -> Result<usize, PauseError> {
        self.set_paused(listener, false)
    }

    /// What waits and runs in each lane now, in order of registration.
    pub fn lanes(&self) -> Vec<LaneState> {
        let routes = self.handles.core.in_order.iter();
        routes.flat_map(|route| route.lane_states()).collect()
    }

    fn set_paused(&self, listener: &str, paused: bool) -> Result<usize, PauseError> {
        let core = &self.handles.core;
        let routes = core.in_order.iter();
        match routes.map(|route| route.pause(listener, paused)).sum() {
            0 => Err(PauseError::of(self, listener)),
            lanes => Ok(lanes),
        }
    }
}

/// What waits and runs in one lane, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneState {
    /// The name of the event.
    pub event: &'static str,
    /// The name of the listener.
    pub listener: Cow<'static, str>,
    /// Events that wait in the lane. Those that the router has not given to it are not counted.
    pub waiting: usize,
    /// Events that are being handled.
    pub running: usize,
    /// Whether the lane is paused.
    pub paused: bool,
}

/// Why nothing was paused or resumed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PauseError {
    /// Nobody has that name. Ask [`Bus::lanes`] for those there are.
    #[error("no listener is named {0}")]
    NoSuchListener(String),
    /// It runs inside `dispatch` and has no lane.
    #[error("{0} is an inline listener and has no lane to pause")]
    Inline(String),
    /// It was disabled when the bus was built.
    #[error("{0} is disabled")]
    Disabled(String),
}

impl PauseError {
    fn of(bus: &Bus, listener: &str) -> Self {
        let topology = &bus.handles.core.topology;
        let mut rows = topology.rows().iter();
        let name = listener.to_owned();
        match rows.find(|row| row.listener.as_deref() == Some(listener)) {
            None => Self::NoSuchListener(name),
            Some(row) if row.enabled => Self::Inline(name),
            Some(_) => Self::Disabled(name),
        }
    }
}
