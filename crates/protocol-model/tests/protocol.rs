//! The protocol keeps its promises in every state within the bounds, and no planted bug does.
//!
//! Without optimisation the bounds are small, so that `cargo test` stays quick; `cargo xtask
//! protocol` explores the full ones and prints their sizes.

#![expect(
    clippy::print_stdout,
    reason = "the sizes of the explorations are what is known of them"
)]

use std::num::NonZero;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use stateright::{Checker, Model, Path};
use vacancy_protocol_model::{
    Faults, Guard, Plan, Planted, Protocol, State, Step, Witness, Witnesses,
};

const NONE: Faults = Faults {
    rebirths: 0,
    others: 0,
    unanswered: 0,
    evictions: 0,
};

fn invalidates(node: usize) -> Plan {
    Plan {
        node,
        guard: Guard::Invalidation,
    }
}

fn holds(node: usize) -> Plan {
    Plan {
        node,
        guard: Guard::Hold,
    }
}

/// What an exploration came to.
struct Explored<const NODES: usize> {
    witnesses: Arc<Witnesses>,
    states: usize,
    /// The first promise found broken.
    broken: Option<(&'static str, Path<State<NODES>, Step>)>,
}

fn explore<const NODES: usize>(
    writes: &[Plan],
    faults: Faults,
    planted: Option<Planted>,
) -> Explored<NODES> {
    let witnesses = Arc::new(Witnesses::default());
    let begun = Instant::now();
    let checker = Protocol::<NODES> {
        writes: writes.to_vec(),
        faults,
        planted,
        witnesses: Arc::clone(&witnesses),
    }
    .checker()
    .threads(thread::available_parallelism().map_or(1, NonZero::get))
    .finish_when(stateright::HasDiscoveries::AnyFailures)
    .spawn_bfs()
    .join();
    println!(
        "{NODES} nodes, {} writes, {faults:?}, {planted:?}: {} states, depth {}, {:.1} s",
        writes.len(),
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64(),
    );
    Explored {
        witnesses,
        states: checker.unique_state_count(),
        broken: checker.discoveries().into_iter().next(),
    }
}

#[track_caller]
fn holds_in_every_state<const NODES: usize>(writes: &[Plan], faults: Faults, seen: &[Witness]) {
    let explored = explore::<NODES>(writes, faults, None);
    if let Some((promise, path)) = explored.broken {
        panic!("broken: {promise}, by {:#?}", path.into_actions());
    }
    assert!(explored.states > 100);
    for witness in seen {
        assert!(
            explored.witnesses.count(*witness) > 0,
            "{witness:?} never happened"
        );
    }
}

#[track_caller]
fn is_caught<const NODES: usize>(planted: Planted, writes: &[Plan], faults: Faults) {
    let explored = explore::<NODES>(writes, faults, Some(planted));
    let (promise, path) = explored
        .broken
        .unwrap_or_else(|| panic!("{planted:?} keeps every promise"));
    println!(
        "  {planted:?} breaks '{promise}': {:?}",
        path.into_actions()
    );
}

/// The full bounds, where the program is optimised enough for them.
const FULL: bool = !cfg!(debug_assertions);

#[test]
fn no_read_after_a_confirmed_invalidation_is_older() {
    let seen = [
        Witness::LeaseRenewedOverEntry,
        Witness::Gap,
        Witness::LifeUnknown,
        Witness::ConfirmedByAcknowledgements,
        Witness::ConfirmedByTime,
        Witness::LeaseRanOut,
        Witness::LevelTwoHit,
        Witness::EntryRefusedByRecord,
        Witness::EntryFell,
        Witness::Retired,
        Witness::OwnNotice,
    ];
    if FULL {
        holds_in_every_state::<3>(&[invalidates(0), invalidates(1)], NONE, &seen);
    } else {
        holds_in_every_state::<2>(&[invalidates(0)], NONE, &seen);
    }
}

#[test]
fn a_rebirth_of_redis_breaks_no_promise() {
    let reborn = Faults {
        rebirths: 1,
        ..NONE
    };
    let seen = [
        Witness::RebirthUnderLease,
        Witness::YoungLifeAgedOut,
        Witness::LifeUnknown,
    ];
    if FULL {
        holds_in_every_state::<3>(&[invalidates(0), invalidates(0)], reborn, &seen);
    } else {
        holds_in_every_state::<2>(&[invalidates(0)], reborn, &seen);
    }
}

#[test]
fn no_read_after_the_commit_of_a_held_write_is_older() {
    let seen = [
        Witness::LoadedUnderHold,
        Witness::HoldFound,
        Witness::HoldMissing,
        Witness::WriterDied,
    ];
    if FULL {
        holds_in_every_state::<3>(&[holds(0), invalidates(0)], NONE, &seen);
    } else {
        holds_in_every_state::<2>(&[holds(0)], NONE, &seen);
    }
}

#[test]
fn faults_that_meet_break_no_promise() {
    let once = Faults {
        rebirths: u8::from(FULL),
        others: 1,
        unanswered: 1,
        evictions: u8::from(FULL),
    };
    let seen = [Witness::ReplyLost, Witness::Gap];
    holds_in_every_state::<2>(&[invalidates(0)], once, &seen);
    if FULL {
        let seen = [
            Witness::ReplyLost,
            Witness::StrayRaise,
            Witness::HoldMissing,
            Witness::EntryRefusedByMissingFence,
        ];
        holds_in_every_state::<2>(&[holds(0)], once, &seen);
    }
}

#[test]
fn each_planted_bug_that_one_write_shows_is_caught() {
    for planted in [
        Planted::NoLeaseCheck,
        Planted::GuardsAfterLoad,
        Planted::NumberAfterLoad,
        Planted::NoticeBeforeFence,
        Planted::LeaseOutlivesSleep,
        Planted::LeaseFromReply,
        Planted::NoWait,
        Planted::LevelTwoAskedBeforeRaise,
        Planted::RegistryEvictedAlone,
    ] {
        is_caught::<2>(planted, &[invalidates(0)], NONE);
    }
}

#[test]
fn each_planted_bug_that_a_rebirth_shows_is_caught() {
    let reborn = Faults {
        rebirths: 1,
        ..NONE
    };
    for planted in [Planted::NumberReset, Planted::NoWaitInYoungLife] {
        is_caught::<2>(planted, &[invalidates(0)], reborn);
    }
    if FULL {
        for planted in [
            Planted::AcknowledgementWithoutIncarnation,
            Planted::PulsesCountedPerRegistration,
        ] {
            is_caught::<2>(planted, &[invalidates(0), invalidates(0)], reborn);
        }
    }
}

#[test]
fn each_planted_bug_of_a_hold_is_caught() {
    for planted in [
        Planted::LoadSharedUnderHold,
        Planted::HoldNotAwaited,
        Planted::HoldWithoutLocalFence,
    ] {
        is_caught::<2>(planted, &[holds(0)], NONE);
    }
    let late = Faults {
        unanswered: 1,
        evictions: 1,
        ..NONE
    };
    is_caught::<2>(Planted::HoldIdReused, &[holds(0)], late);
}

#[test]
fn a_missed_notice_and_a_lost_fence_are_caught_when_they_are_accepted() {
    let other = Faults { others: 1, ..NONE };
    is_caught::<2>(Planted::NoGapCheck, &[invalidates(0)], other);
    let evicted = Faults {
        evictions: 1,
        ..NONE
    };
    is_caught::<2>(Planted::MissingFenceAccepted, &[invalidates(0)], evicted);
}
