//! Hears of what others invalidate, and keeps the lease.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::StreamExt;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::{
    clock,
    node::Node,
    partition::Hearing,
    store::{Message, Messages, Notice, Pulse},
};

/// The pause before another subscription is tried.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest pause before a server is tried again that did not answer.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How many pulses pass between two looks for nodes that are gone.
const ROUNDS: u64 = 64;

/// Hears notices and acknowledgements, over one subscription after the other.
pub(crate) async fn hear(node: Arc<Node>) {
    loop {
        match node.store.subscribe().await {
            Ok(messages) => {
                for part in &node.parts {
                    part.partition.listens_anew();
                }
                tokio::select! {
                    () = hear_all(&node, messages) => debug!("the subscription has ended"),
                    () = node.deaf.notified() => warn!("notices do not arrive; subscribing anew"),
                }
            }
            Err(error) => {
                node.counters.errors.add();
                debug!(%error, "no subscription");
            }
        }
        sleep(PAUSE).await;
    }
}

async fn hear_all(node: &Node, mut messages: Messages) {
    while let Some(message) = messages.next().await {
        match message {
            Message::Notice(notice) => hear_notice(node, &notice),
            Message::Acknowledged {
                partition,
                upto,
                node: other,
            } => {
                if let Some(part) = node.parts.get(usize::from(partition)) {
                    part.acknowledgements.take(other, &upto);
                }
            }
            Message::Unreadable => {
                node.counters.unreadable.add();
                // Whatever it was about, its number is missing now.
                for part in &node.parts {
                    part.partition.pulse.notify_one();
                }
            }
        }
    }
}

fn hear_notice(node: &Node, notice: &Notice) {
    let Some(part) = node.parts.get(usize::from(notice.partition)) else {
        return;
    };
    let own = notice.writer == node.id;
    let counter = &node.counters.notices;
    let hearing = part.partition.hear(notice, own, &node.fences, counter);
    count(node, hearing);
    if notice.acknowledge && !own {
        part.partition.owes.store(true, Ordering::Release);
        node.owes.notify_one();
    }
}

fn count(node: &Node, hearing: Hearing) {
    match hearing {
        Hearing::InOrder => {}
        Hearing::Gap | Hearing::Deaf => node.counters.gaps.add(),
        Hearing::Reborn => node.counters.incarnations.add(),
    }
}

/// Acknowledges what was heard.
pub(crate) async fn acknowledge(node: Arc<Node>) {
    loop {
        node.owes.notified().await;
        for part in &node.parts {
            if !part.partition.owes.swap(false, Ordering::AcqRel) {
                continue;
            }
            // After the flag: what is heard from here on sets it again.
            let Some(upto) = part.partition.upto() else {
                continue;
            };
            // One that is lost costs the writer the wait for our lease, and nobody a wrong answer.
            if node
                .store
                .acknowledge(part.partition.index, &upto)
                .await
                .is_err()
            {
                node.counters.errors.add();
            }
        }
    }
}

/// Keeps the lease of one partition.
pub(crate) async fn pulse(node: Arc<Node>, index: usize) {
    let part = &node.parts[index];
    let lease = node.times.lease;
    let mut known: Option<Pulse> = None;
    for round in 0_u64.. {
        let all_nodes = round % ROUNDS == ROUNDS - 1;
        // The lease counts from here: whatever is raised after this, its writer waits for us.
        let sent = clock::now();
        match node.store.pulse(part.partition.index, all_nodes).await {
            Ok(pulse) => {
                part.partition.set_reachable(true);
                if part.recovering.load(Ordering::Acquire) {
                    part.answers.notify_one();
                }
                let until = sent + u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX / 2);
                let hearing = part.partition.pulsed(pulse.at.clone(), until);
                count(&node, hearing);
                node.counters.leases.add();
                if hearing == Hearing::Deaf {
                    node.deaf.notify_one();
                }
                if all_nodes {
                    retire_silent(&node, index, known.as_ref()).await;
                    known = Some(pulse);
                }
            }
            Err(error) => {
                node.counters.errors.add();
                part.partition.set_reachable(false);
                debug!(%error, "no pulse");
            }
        }
        // It is how a server that came back is found: with a long lease, sooner than a lease would ask for.
        let pause = match part.partition.is_reachable() {
            true => lease / 3,
            false => (lease / 3).min(LONGEST_PAUSE),
        };
        let _ = timeout(pause, part.partition.pulse.notified()).await;
    }
}

/// Forgets the nodes that have not pulsed since they were last looked at, which is many leases ago.
async fn retire_silent(node: &Node, index: usize, known: Option<&Pulse>) {
    let Some(known) = known else { return };
    let partition = node.parts[index].partition.index;
    for silent in known.nodes.iter().filter(|other| other.node != node.id) {
        // It stays if it has pulsed since, or in another life.
        let incarnation = &known.at.incarnation;
        let _ = node.store.retire(partition, incarnation, *silent).await;
    }
}
