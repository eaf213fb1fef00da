//! [`Runs`]: what one listener did, and the assertions about it.

use crate::{
    Event, Outcome, Reason,
    testing::{Ran, recording::Run},
};

/// What one listener did; made by [`Ran::ran`](crate::testing::Ran::ran).
///
/// Each method is an assertion and gives the same back, so that another can follow. It panics if what
/// it says is not so, with what did run.
#[derive(Debug)]
pub struct Runs<'a> {
    ran: &'a Ran,
    listener: String,
    /// The event that was chosen, if one was.
    event: Option<&'static str>,
}

impl<'a> Runs<'a> {
    pub(crate) fn of(ran: &'a Ran, listener: &str) -> Self {
        Self {
            ran,
            listener: listener.to_owned(),
            event: None,
        }
    }

    /// Chooses what it did with events of one type.
    ///
    /// # Panics
    ///
    /// If it does not listen to them.
    #[must_use = "assertions follow: `.once()`, `.done()`"]
    #[track_caller]
    pub fn for_event<E: Event>(self) -> Self {
        assert!(
            self.ran.listens(&self.listener, E::NAME),
            "{} does not listen to {}",
            self.listener,
            E::NAME
        );
        Self {
            event: Some(E::NAME),
            ..self
        }
    }

    /// It was called for one event, however often.
    ///
    /// # Panics
    ///
    /// If it was not.
    #[track_caller]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// It was called for so many events, however often for each.
    ///
    /// # Panics
    ///
    /// If it was not.
    #[track_caller]
    pub fn times(self, events: usize) -> Self {
        let called = self.all().filter(|run| run.attempts > 0).count();
        self.assert(called == events, || {
            let (ran, wanted) = (often(called), often(events));
            format!("{} ran {ran} instead of {wanted}", self.name())
        });
        self
    }

    /// It was not called.
    ///
    /// # Panics
    ///
    /// If it was.
    #[track_caller]
    pub fn never(self) -> Self {
        self.times(0)
    }

    /// It was called so often for each event.
    ///
    /// # Panics
    ///
    /// If it was not, or had no event.
    #[track_caller]
    pub fn attempts(self, attempts: u32) -> Self {
        self.each(
            |run| run.attempts == attempts,
            |run| {
                let (took, event) = (run.attempts, run.of());
                format!("made {took} attempts at {event} instead of {attempts}")
            },
        )
    }

    /// It was done with each event.
    ///
    /// # Panics
    ///
    /// If it was not, or had no event.
    #[track_caller]
    pub fn done(self) -> Self {
        self.ended(Outcome::Done)
    }

    /// Each event became a dead letter there, with this reason.
    ///
    /// # Panics
    ///
    /// If one did not, or it had none.
    #[track_caller]
    pub fn dead(self, reason: Reason) -> Self {
        self.ended(Outcome::Dead(reason))
    }

    /// Each event ended there like this.
    ///
    /// # Panics
    ///
    /// If one did not, or it had none.
    #[track_caller]
    pub fn ended(self, outcome: Outcome) -> Self {
        self.each(
            |run| run.outcome == Some(outcome),
            |run| format!("did not end {outcome} with {}, but {run}", run.of()),
        )
    }

    /// It had ended with all its events when the other listener was first called.
    ///
    /// # Panics
    ///
    /// If it had not, or one of the two was not called, or no listener has the other's name.
    #[track_caller]
    pub fn before(self, other: &str) -> Self {
        self.ran.expect_listener(other);
        let others = self.ran.runs().iter();
        let others = others.filter(|run| run.listener == other);
        let started = others.filter_map(|run| run.started).min();
        let name = self.name();
        self.assert(started.is_some(), || {
            format!("{name} did not run before {other}, which never ran")
        });
        self.assert(self.all().any(|run| run.started.is_some()), || {
            format!("{name} did not run before {other}: it never ran")
        });
        self.assert(self.all().all(|run| run.ended < started), || {
            format!("{name} had not ended when {other} was called")
        });
        self
    }

    /// Its runs, those that were chosen.
    fn all(&self) -> impl Iterator<Item = &Run> {
        let runs = self.ran.runs().iter();
        runs.filter(|run| {
            run.listener == self.listener && self.event.is_none_or(|event| run.event == event)
        })
    }

    fn name(&self) -> String {
        match self.event {
            Some(event) => format!("{} of {event}", self.listener),
            None => self.listener.clone(),
        }
    }

    #[track_caller]
    fn each(self, holds: impl Fn(&Run) -> bool, says: impl Fn(&Run) -> String) -> Self {
        let name = self.name();
        self.assert(self.all().next().is_some(), || {
            format!("{name} had no event")
        });
        if let Some(run) = self.all().find(|run| !holds(run)) {
            self.assert(false, || format!("{name} {}", says(run)));
        }
        self
    }

    #[track_caller]
    fn assert(&self, holds: bool, message: impl FnOnce() -> String) {
        self.all().for_each(Run::assert);
        assert!(holds, "{}\nwhat ran:\n{}", message(), self.ran);
    }
}

fn often(times: usize) -> String {
    match times {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        times => format!("{times} times"),
    }
}
