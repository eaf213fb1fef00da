//! The inline listeners of a route, which run where the event is dispatched.

use std::{
    borrow::Cow,
    iter,
    sync::{Arc, atomic::AtomicU64},
};

use super::Route;
use crate::{
    Envelope, Event, InlineListener, Outcome, Reason, Stage,
    bus::Core,
    dead_letter::Death,
    delivery::{Current, within},
    ledger::Deaths,
};

pub(super) struct Inline<E> {
    pub(super) name: Cow<'static, str>,
    pub(super) listener: Box<dyn InlineListener<E>>,
    pub(super) dead: Deaths,
    pub(super) replayed: AtomicU64,
}

impl<E: Event> Route<E> {
    pub(super) fn run_inline(&self, core: &Arc<Core>, envelope: &Arc<Envelope<E>>) {
        let mut current = Some(Current::inline(Arc::clone(core), envelope));
        for slot in 0..self.inline.len() {
            self.run_one_inline(&mut current, envelope, slot);
        }
    }

    pub(super) fn run_one_inline(
        &self,
        current: &mut Option<Box<Current>>,
        envelope: &Arc<Envelope<E>>,
        slot: usize,
    ) {
        let inline = &self.inline[slot];
        self.tell_inline(envelope, inline, Stage::Started { attempt: 1 });
        let ran = within(current, || inline.listener.handle(envelope.event()));
        match ran {
            Ok(()) => self.tell_inline(
                envelope,
                inline,
                Stage::Ended {
                    outcome: Outcome::Done,
                    attempts: 1,
                    error: "",
                },
            ),
            Err(panic) => self.inline_died(envelope, slot, Reason::Panicked, panic.message(), 1),
        }
    }

    pub(super) fn tell_inline(&self, envelope: &Envelope<E>, inline: &Inline<E>, stage: Stage<'_>) {
        self.ends
            .observers
            .tell(envelope.header(), Some(&inline.name), stage);
    }

    pub(super) fn bury_inline(&self, envelope: &Arc<Envelope<E>>) {
        for slot in 0..self.inline.len() {
            let error = "an inline listener dispatched beyond the bound".to_owned();
            self.inline_died(envelope, slot, Reason::CausationTooDeep, error, 0);
        }
    }

    fn inline_died(
        &self,
        envelope: &Arc<Envelope<E>>,
        slot: usize,
        reason: Reason,
        error: String,
        attempts: u32,
    ) {
        let inline = &self.inline[slot];
        inline.dead.count(reason);
        let outcome = Outcome::Dead(reason);
        let slot = envelope.marks().slot(slot);
        envelope.marks().amend(slot, outcome);
        self.tell_inline(
            envelope,
            inline,
            Stage::Ended {
                outcome,
                attempts,
                error: &error,
            },
        );
        let death = Death {
            parcel: Arc::clone(envelope) as _,
            listener: inline.name.clone(),
            reason,
            error,
            attempts,
        };
        self.ends
            .bury(self.on_failure, iter::once(death), iter::once(envelope));
    }
}
