use stateright::Property;

use crate::node::Node;
use crate::planted::Planted;
use crate::protocol::Protocol;
use crate::state::State;
use crate::write::Write;

/// What must hold in every state.
pub(crate) fn all<const NODES: usize>() -> Vec<Property<Protocol<NODES>>> {
    vec![
        Property::always("level 1 serves nothing older than promised", level_one),
        Property::always("level 2 gives nothing older than promised", level_two),
        Property::always("a token's number keeps level 1 from what is older", token),
        Property::always("nothing old stays after the writes", quiescence),
    ]
}

fn served<const NODES: usize>(protocol: &Protocol<NODES>, node: &Node) -> Option<u8> {
    let trusted = node.lease.is_some() || protocol.has(Planted::NoLeaseCheck);
    node.kept.filter(|_| trusted && !node.dead)
}

fn level_one<const NODES: usize>(protocol: &Protocol<NODES>, state: &State<NODES>) -> bool {
    state.nodes.iter().enumerate().all(|(at, node)| {
        served(protocol, node).is_none_or(|version| version >= protocol.floor(state, at))
    })
}

/// Here what Redis confirmed counts, whether or not every node has: level 2 is the same for all.
fn level_two<const NODES: usize>(protocol: &Protocol<NODES>, state: &State<NODES>) -> bool {
    let Some(version) = state.redis.oldest_valid() else {
        return true;
    };
    let raised = state.writes.iter().map(|write| match write {
        Write::Waits { version, .. } => *version,
        _ => 0,
    });
    let asks = |at: &usize| !state.nodes[*at].dead && !protocol.passes_level_two_by(state, *at);
    state.redis.held()
        || raised.fold(0, u8::max) <= version
            && (0..NODES)
                .filter(asks)
                .all(|at| version >= protocol.floor(state, at))
}

fn token<const NODES: usize>(protocol: &Protocol<NODES>, state: &State<NODES>) -> bool {
    state.writes.iter().all(|write| {
        let Write::Waits { version, wait } = write else {
            return true;
        };
        let reached = |node: &&Node| {
            node.applied(wait.incarnation)
                .is_some_and(|applied| applied >= wait.number)
        };
        state
            .nodes
            .iter()
            .filter(reached)
            .all(|node| served(protocol, node).is_none_or(|served| served >= *version))
    })
}

/// A node that has applied everything is given a lease by its next pulse, and keeps what it has.
fn quiescence<const NODES: usize>(_: &Protocol<NODES>, state: &State<NODES>) -> bool {
    let over =
        |write: &Write<NODES>| matches!(write, Write::Idle | Write::Confirmed { .. } | Write::Dead);
    if !state.writes.iter().all(over) {
        return true;
    }
    let up_to_date = |node: &&Node| {
        !node.dead && node.position == Some((state.redis.incarnation, state.redis.number()))
    };
    state
        .nodes
        .iter()
        .filter(up_to_date)
        .all(|node| node.kept.is_none_or(|version| version >= state.floor))
}
