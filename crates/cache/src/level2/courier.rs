//! Carries the invalidations of this process to Redis, until it confirms them, and waits for the nodes
//! that may still serve what is no longer true.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};

use super::{
    clock,
    node::{Node, Part},
    outbox::Batch,
    settings::Consistency,
    store::{Deed, Item, Position, Pulsed, Raised, StoreError},
};

/// The pause after the first failure in a row, and the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What Redis has confirmed and other nodes have yet to hear.
struct Raise {
    upto: u64,
    at: Position,
    nodes: Vec<Pulsed>,
    replied: Instant,
    /// Nothing can have been kept since the holds that it released: nobody has to hear of it.
    covered: bool,
}

/// Carries the invalidations of one partition, for ever.
pub(crate) async fn deliver(node: Arc<Node>, index: usize) {
    let (raised, raises) = mpsc::unbounded_channel();
    let send = async {
        loop {
            deliver_batch(&node, &node.parts[index], &raised).await;
        }
    };
    tokio::join!(send, settle(&node, &node.parts[index], raises));
}

/// Carries what there is, trying again until it is confirmed.
async fn deliver_batch(node: &Node, part: &Part, raised: &mpsc::UnboundedSender<Raise>) {
    let mut failures = 0;
    loop {
        let filled = part.outbox.filled.notified();
        let Some(batch) = part.outbox.batch() else {
            part.recovering.store(false, Ordering::Release);
            filled.await;
            continue;
        };
        match send(node, part, &batch).await {
            Ok(confirmed) => {
                part.partition.set_reachable(true);
                if failures > 0 {
                    info!(
                        attempts = failures + 1,
                        "redis has confirmed what was pending"
                    );
                }
                let (count, upto) = part.outbox.confirmed(&batch);
                if part.outbox.len() == 0 {
                    part.recovering.store(false, Ordering::Release);
                }
                node.counters.raises.add();
                node.counters.confirmed.add_many(count);
                node.counters.lost_holds.add_many(confirmed.lost_holds);
                part.progress.reached_redis(upto, confirmed.at.clone());
                let released = |item: &Item| matches!(item.deed, Deed::Release { .. });
                let covered = match &batch {
                    Batch::Items(items) => confirmed.lost_holds == 0 && items.iter().all(released),
                    Batch::Everything => false,
                };
                // The other half of this task receives for ever.
                let _ = raised.send(Raise {
                    upto,
                    at: confirmed.at,
                    nodes: confirmed.nodes,
                    replied: Instant::now(),
                    covered,
                });
                return;
            }
            Err(error) => {
                failures += 1;
                node.counters.errors.add();
                part.recovering.store(true, Ordering::Release);
                part.partition.set_reachable(false);
                part.partition.pulse.notify_one();
                if failures == 1 {
                    warn!(%error, "redis did not confirm an invalidation; it is kept and tried again");
                }
                // A pulse that gets through ends the pause: this node may serve again, so others may have
                // to hear of what it could not say.
                let pause = jittered(pause_after(failures));
                let _ = timeout(pause, part.answers.notified()).await;
            }
        }
    }
}

async fn send(node: &Node, part: &Part, batch: &Batch) -> Result<Raised, StoreError> {
    let partition = part.partition.index;
    match batch {
        Batch::Items(items) => {
            let acknowledge = node.consistency == Consistency::Strict;
            node.store.raise(partition, items, acknowledge).await
        }
        Batch::Everything => Ok(Raised {
            at: node.store.rebirth(partition).await?,
            nodes: Vec::new(),
            lost_holds: 0,
        }),
    }
}

/// Waits for the nodes, raise by raise. Acknowledgements are cumulative, so this keeps up.
async fn settle(node: &Arc<Node>, part: &Part, mut raises: mpsc::UnboundedReceiver<Raise>) {
    while let Some(raise) = raises.recv().await {
        if node.consistency == Consistency::Strict && !raise.covered {
            everybody(node, part, &raise.at, &raise.nodes, raise.replied).await;
        }
        part.progress.reached_everybody(raise.upto);
    }
}

/// Waits until no node can serve from its level 1 what was kept before the raise at `at`: each has
/// acknowledged it, or its lease has run out since `replied`. Tells whether all have acknowledged.
pub(crate) async fn everybody(
    node: &Node,
    part: &Part,
    at: &Position,
    nodes: &[Pulsed],
    replied: Instant,
) -> bool {
    let others: Vec<_> = nodes
        .iter()
        .copied()
        .filter(|other| other.node != node.id)
        .collect();
    let patience = node.patience();
    let until = replied + patience;
    let all = part.acknowledgements.all(&others, at);
    let acknowledged = timeout(until.saturating_duration_since(Instant::now()), all).await;
    // In a life that has only just begun, leases of the former one may run that nobody knows of.
    let met =
        Duration::from_nanos(clock::now().saturating_sub(part.partition.met(&at.incarnation)))
            // It had begun when the server replied, also if another one is met by now.
            .max(replied.elapsed());
    if met < patience {
        sleep_until(Instant::now() + (patience - met)).await;
    }
    if acknowledged.is_err() {
        for silent in part.acknowledgements.missing(&others, at) {
            // If it has pulsed since, it stays: then it is alive, and has heard of this or not begun.
            let partition = part.partition.index;
            let retired = node.store.retire(partition, &at.incarnation, silent).await;
            if retired.is_ok() {
                part.acknowledgements.forget(silent.node);
            }
        }
    }
    acknowledged.is_ok()
}

/// The pause after so many failures in a row: each twice as long as the one before.
fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << (failures - 1).min(10))
        .min(LONGEST_PAUSE)
}

/// Up to a quarter less, so that nodes which failed together do not come back together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(fastrand::f64().mul_add(-0.25, 1.0))
}

#[cfg(test)]
mod tests {
    use super::{FIRST_PAUSE, LONGEST_PAUSE, jittered, pause_after};

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<_> = (1..=7).map(pause_after).collect();
        let doubled = |doublings: u32| FIRST_PAUSE * 2_u32.pow(doublings);
        let expected: Vec<_> = (0..6).map(doubled).chain([LONGEST_PAUSE]).collect();
        assert_eq!(pauses, expected);
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn a_jittered_pause_is_at_most_a_quarter_shorter() {
        for _ in 0..1_000 {
            let pause = jittered(LONGEST_PAUSE);
            assert!(pause > LONGEST_PAUSE.mul_f64(0.74) && pause <= LONGEST_PAUSE);
        }
        let spread = (0..1_000).map(|_| jittered(LONGEST_PAUSE));
        assert!(spread.min() < Some(LONGEST_PAUSE.mul_f64(0.85)));
    }
}
