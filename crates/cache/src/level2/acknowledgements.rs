//! Up to where other nodes have said that they have heard.
//!
//! # Invariants
//!
//! 1. A number counts only together with its incarnation: numbers begin again in each life.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::store::{Incarnation, NodeId, Position, Pulsed};

/// Nodes that are remembered.
const NODES: usize = 4096;

#[derive(Default)]
pub(crate) struct Acknowledgements {
    life: Mutex<Life>,
    came: Notify,
}

#[derive(Default)]
struct Life {
    incarnation: Option<Incarnation>,
    upto: HashMap<NodeId, u64>,
}

impl Acknowledgements {
    pub(crate) fn take(&self, node: NodeId, upto: &Position) {
        let mut life = self.life();
        if life.incarnation.as_ref() != Some(&upto.incarnation) {
            // Only one life goes on. If this one is over, its nodes wait for their leases instead.
            life.upto.clear();
            life.incarnation = Some(upto.incarnation.clone());
        }
        if life.upto.len() >= NODES {
            // Most of them are long gone. Who is forgotten is waited for once, by its lease.
            life.upto.clear();
        }
        let known = life.upto.entry(node).or_default();
        *known = upto.number.max(*known);
        drop(life);
        self.came.notify_waiters();
    }

    /// Waits until all `nodes` have acknowledged `position`.
    pub(crate) async fn all(&self, nodes: &[Pulsed], position: &Position) {
        loop {
            let came = self.came.notified();
            tokio::pin!(came);
            // Before the look: what comes between the two must wake this.
            came.as_mut().enable();
            if self.missing(nodes, position).next().is_none() {
                return;
            }
            came.await;
        }
    }

    /// The nodes that have not acknowledged `position`.
    pub(crate) fn missing(
        &self,
        nodes: &[Pulsed],
        position: &Position,
    ) -> impl Iterator<Item = Pulsed> + use<> {
        let life = self.life();
        let same_life = life.incarnation.as_ref() == Some(&position.incarnation);
        let missing: Vec<_> = nodes
            .iter()
            .copied()
            .filter(|pulsed| {
                let upto = life.upto.get(&pulsed.node).copied().unwrap_or(0);
                !same_life || upto < position.number
            })
            .collect();
        missing.into_iter()
    }

    /// Forgets nodes that are gone.
    pub(crate) fn forget(&self, node: NodeId) {
        self.life().upto.remove(&node);
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Acknowledgements, NODES};
    use crate::level2::store::{Position, Pulsed};

    fn at(incarnation: &str, number: u64) -> Position {
        Position {
            incarnation: incarnation.into(),
            number,
        }
    }

    #[test]
    fn a_number_of_another_life_acknowledges_nothing() {
        let acknowledgements = Acknowledgements::default();
        let missing = |position| {
            let nodes = [Pulsed { node: 1, mark: 5 }];
            acknowledgements.missing(&nodes, &position).count()
        };
        acknowledgements.take(1, &at("a", 9));
        assert_eq!(missing(at("a", 9)), 0);
        assert_eq!(missing(at("a", 10)), 1);
        assert_eq!(missing(at("b", 1)), 1);
        acknowledgements.take(1, &at("b", 1));
        assert_eq!(missing(at("b", 1)), 0);
        assert_eq!(missing(at("a", 9)), 1);
    }

    #[test]
    fn each_node_acknowledges_for_itself_until_it_is_forgotten() {
        let acknowledgements = Acknowledgements::default();
        let nodes = [1, 2, 3].map(|node| Pulsed { node, mark: 5 });
        let missing = || {
            let missing = acknowledgements.missing(&nodes, &at("a", 9));
            missing.map(|silent| silent.node).collect::<Vec<_>>()
        };
        acknowledgements.take(1, &at("a", 9));
        acknowledgements.take(2, &at("a", 10));
        // Late, and out of order.
        acknowledgements.take(2, &at("a", 8));
        assert_eq!(missing(), [3]);
        acknowledgements.forget(1);
        assert_eq!(missing(), [1, 3]);
    }

    /// Who is forgotten is waited for once more: too many may cost time, and never an acknowledgement.
    #[test]
    fn so_many_nodes_are_remembered_and_then_the_newest() {
        let acknowledgements = Acknowledgements::default();
        let missing = |node| {
            let nodes = [Pulsed { node, mark: 5 }];
            acknowledgements.missing(&nodes, &at("a", 9)).count()
        };
        let most = NODES as u64;
        for node in 0..most {
            acknowledgements.take(node, &at("a", 9));
        }
        assert_eq!((missing(0), missing(most - 1)), (0, 0));
        acknowledgements.take(most, &at("a", 9));
        assert_eq!((missing(0), missing(most)), (1, 0));
    }
}
