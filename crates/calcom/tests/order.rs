//! Whatever the order in which deliveries arrive and however often, what is open in the end is the same.

mod support;

use proptest::prelude::*;
use serde_json::json;
use support::{
    payload::{Payload, booking},
    salons::{ADA, ADA_TOO, Salons},
};

/// What becomes of a booking that begins at 9: where it was moved to, under which `uid`, and whether it is off.
#[derive(Clone, Debug)]
struct Life {
    moves: Vec<(u32, bool)>,
    cancelled: bool,
    sequences: bool,
    tells_old: bool,
}

fn life() -> impl Strategy<Value = Life> {
    let moves = prop::collection::vec((10_u32..17, any::<bool>()), 0..4);
    (moves, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(moves, cancelled, sequences, tells_old)| Life {
            moves,
            cancelled,
            sequences,
            tells_old,
        },
    )
}

impl Life {
    /// The facts in the order in which they happened, and the hour that is taken in the end.
    fn facts(&self) -> (Vec<Payload>, Option<u32>) {
        let (mut uid, mut hour) = (0, 9);
        let mut facts = vec![booking("BOOKING_CREATED", "uid 0").hour(hour)];
        for (to, keeps_uid) in &self.moves {
            if *to == hour {
                continue;
            }
            let old = format!("uid {uid}");
            uid += u32::from(!keeps_uid);
            let moved = booking("BOOKING_RESCHEDULED", &format!("uid {uid}")).hour(*to);
            facts.push(match self.tells_old {
                true => moved.replaces(&old, hour),
                false => moved.with("rescheduleUid", json!(old)),
            });
            hour = *to;
        }
        if self.cancelled {
            facts.push(booking("BOOKING_CANCELLED", &format!("uid {uid}")).hour(hour));
        }
        let facts = facts.into_iter().enumerate().map(|(at, fact)| {
            let fact = fact.sent(60_000 * at as i64);
            match self.sequences {
                true => fact.with("iCalSequence", json!(at)),
                false => fact,
            }
        });
        (facts.collect(), (!self.cancelled).then_some(hour))
    }
}

/// Every fact up to three times, as by several subscriptions, in any order.
fn deliveries() -> impl Strategy<Value = (Life, Vec<Payload>)> {
    let copies = prop::collection::vec((1_usize..=3, 0_i64..1000), 8);
    (life(), copies).prop_flat_map(|(life, copies)| {
        let (facts, _) = life.facts();
        let mut all = Vec::new();
        for (at, (fact, (count, jitter))) in facts.into_iter().zip(copies).enumerate() {
            for copy in 0..count {
                let sent = 60_000 * at as i64 + jitter * copy as i64;
                all.push(fact.clone().sent(sent));
            }
        }
        (Just(life), Just(all).prop_shuffle())
    })
}

fn run<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("what the test made is right")
        .block_on(test)
}

/// All hours but the one that is taken.
fn all_but(taken: Option<u32>) -> Vec<u32> {
    (8..18).filter(|hour| Some(*hour) != taken).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The calendar goes on offering everything, so that only the events tell what is taken.
    #[test]
    fn what_the_events_book_does_not_depend_on_the_order((life, deliveries) in deliveries()) {
        let open = run(async {
            let salons = Salons::with_a_deaf_calendar(None);
            for delivery in &deliveries {
                salons.deliver(delivery);
            }
            (salons.open_hours(ADA).await, salons.open_hours(ADA_TOO).await)
        });
        let expected = all_but(life.facts().1);
        prop_assert_eq!(open, (expected.clone(), expected));
    }

    /// The calendar knows, and answers from before are kept: every delivery has to reach them.
    #[test]
    fn no_answer_from_before_is_served_after_any_delivery((life, deliveries) in deliveries()) {
        run(async {
            let salons = Salons::new();
            let (_, taken) = life.facts();
            salons.fill().await;
            if let Some(hour) = taken {
                salons.calendar.take(42, hour);
            }
            for delivery in &deliveries {
                salons.deliver(delivery);
                // Both days are one: each fact is about this one.
                prop_assert_eq!(salons.open_hours(ADA).await, all_but(taken));
                prop_assert_eq!(salons.open_hours(ADA_TOO).await, all_but(taken));
            }
            Ok(())
        })?;
    }

    /// Every fact's events come at most once.
    #[test]
    fn no_fact_has_its_events_twice((life, deliveries) in deliveries()) {
        let dispatched = run(async {
            let salons = Salons::new();
            for delivery in &deliveries {
                salons.deliver(delivery);
            }
            salons.dispatched()
        });
        prop_assert!(dispatched <= life.facts().0.len());
    }
}
