use std::sync::Arc;

use stateright::{Model, Property};

use crate::node::{Node, Reply, YOUNG};
use crate::planted::Planted;
use crate::properties;
use crate::redis::{Hold, Notice, Redis};
use crate::state::{Faults, State};
use crate::witness::{Witness, Witnesses};
use crate::write::{Wait, Write};

/// The protocol as one system of `NODES` nodes, within bounds.
#[derive(Debug)]
pub struct Protocol<const NODES: usize> {
    /// The writes that may happen, at most two.
    pub writes: Vec<Plan>,
    /// How often things may happen that could happen for ever.
    pub faults: Faults,
    /// The rule that is broken, if any.
    pub planted: Option<Planted>,
    /// What was seen to happen.
    pub witnesses: Arc<Witnesses>,
}

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The node that writes.
    pub node: usize,
    /// How it keeps readers from the value that it replaces.
    pub guard: Guard,
}

/// How a write keeps readers from the value that it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It invalidates after its commit.
    Invalidation,
    /// It holds before its commit and releases after it.
    Hold,
}

/// One step of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Redis executes a node's pulse and replies.
    Pulse(usize),
    /// The reply to a node's last pulse arrives.
    Reply(usize),
    /// A notice arrives.
    Notice {
        /// At this node.
        node: usize,
        /// From this life of Redis.
        incarnation: u8,
        /// With this number.
        number: u8,
    },
    /// A write begins: with its commit, or with its hold.
    Begin(usize),
    /// Redis executes what a write has in the outbox, and its reply arrives.
    Raise(usize),
    /// Redis executes it, and its reply is lost.
    RaiseUnanswered(usize),
    /// The request seems lost, and arrives later.
    RaiseLate(usize),
    /// The late request arrives.
    Stray(usize),
    /// The fence of an invalidation is raised at last: only in a planted bug.
    RaiseFence,
    /// A wait ends: all nodes have acknowledged.
    Acknowledged(usize),
    /// A wait ends: the lease-time has passed.
    TimePassed(usize),
    /// A held write commits.
    Commit(usize),
    /// The event of a committed write is dispatched.
    Dispatch(usize),
    /// The process of a committed write dies.
    Die(usize),
    /// A writer takes a node out of the registry that did not acknowledge.
    Retire(usize, usize),
    /// The lease-time has passed since the rebirth.
    AgeOut,
    /// Redis is flushed, restarted or replaced.
    Rebirth,
    /// Redis evicts the fence.
    Evict,
    /// Redis evicts the registry: only in a planted bug.
    EvictRegistry,
    /// A hold ends by itself.
    Expire(usize),
    /// Somebody invalidates another scope.
    Other,
}

/// A count that the planted bug of the registry stops at.
const MOST_PULSES: u8 = 2;

impl<const NODES: usize> Protocol<NODES> {
    pub(crate) fn has(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }

    fn saw(&self, witness: Witness) {
        self.witnesses.saw(witness);
    }

    /// Whether a node's own writes keep it from level 2.
    pub(crate) fn passes_level_two_by(&self, state: &State<NODES>, node: usize) -> bool {
        !self.has(Planted::LevelTwoAskedBeforeRaise)
            && self
                .writes_of(state, node)
                .any(|write| write.passes_level_two_by())
    }

    /// The version that a read that begins now on this node may not fall behind.
    pub(crate) fn floor(&self, state: &State<NODES>, node: usize) -> u8 {
        self.writes_of(state, node)
            .map(Write::local_floor)
            .fold(state.floor, u8::max)
    }

    fn writes_of<'a>(
        &'a self,
        state: &'a State<NODES>,
        node: usize,
    ) -> impl Iterator<Item = &'a Write<NODES>> {
        let planned = self.writes.iter().zip(&state.writes);
        planned
            .filter(move |(plan, _)| plan.node == node)
            .map(|(_, write)| write)
    }

    /// Raises a node's own fences. Where guards are taken after the load, the load that is in flight
    /// now is kept all the same.
    fn raise_local_fences(&self, node: &mut Node) {
        if node.kept.is_some() {
            self.saw(Witness::EntryFell);
        }
        if !self.has(Planted::GuardsAfterLoad) {
            node.raise();
        }
    }

    fn pulse(&self, state: &mut State<NODES>, node: usize) {
        let redis = &mut state.redis;
        if self.has(Planted::PulsesCountedPerRegistration) {
            redis.registry[node] += 1;
        } else {
            // No pulse is counted like an earlier one, so nobody takes this one for what they know.
            redis.registry[node] = 1;
            for write in &mut state.writes {
                if let Write::Confirmed { due } = write {
                    due[node] = 0;
                }
                if let Some(wait) = write.wait_mut() {
                    wait.listed[node] = 0;
                }
            }
        }
        state.nodes[node].reply = Some(Reply {
            incarnation: redis.incarnation,
            number: redis.number(),
            timers: 0,
        });
    }

    fn reply(&self, node: &mut Node) {
        let Some(reply) = node.reply.take() else {
            return;
        };
        let lease = if self.has(Planted::LeaseFromReply) {
            0
        } else {
            reply.timers
        };
        match node.applied(reply.incarnation) {
            Some(applied) if applied >= reply.number => {
                if node.kept.is_some() {
                    self.saw(Witness::LeaseRenewedOverEntry);
                }
            }
            Some(_) if self.has(Planted::NoGapCheck) => {
                node.position = Some((reply.incarnation, reply.number));
            }
            before => {
                self.saw(if before.is_some() {
                    Witness::Gap
                } else {
                    Witness::LifeUnknown
                });
                node.bump();
                node.position = Some((reply.incarnation, reply.number));
            }
        }
        node.lease = Some(lease);
    }

    fn notice(&self, state: &mut State<NODES>, at: usize, incarnation: u8, number: u8) {
        let life = &state.redis.lives[usize::from(incarnation)];
        let Some(notice) = life.notice(number) else {
            return;
        };
        let node = &mut state.nodes[at];
        let Some(applied) = node.applied(incarnation) else {
            node.bump();
            node.position = None;
            return;
        };
        if number > applied {
            if number > applied + 1 && !self.has(Planted::NoGapCheck) {
                self.saw(Witness::Gap);
                node.bump();
            } else if let Notice::Ours { write } = notice {
                if self.writes[usize::from(write)].node == at {
                    self.saw(Witness::OwnNotice);
                } else {
                    self.raise_local_fences(node);
                }
            }
            node.position = Some((incarnation, number));
        }
        let applied = applied.max(number);
        if self.has(Planted::AcknowledgementWithoutIncarnation) {
            node.acknowledged = node.acknowledged.max(applied);
        }
        for wait in state.writes.iter_mut().filter_map(Write::wait_mut) {
            if wait.incarnation == incarnation && wait.number <= applied {
                wait.missing &= !(1 << at);
            }
        }
    }

    /// Reads wherever something may be kept of it. See the crate's docs for why reading at once and
    /// everywhere is the worst that readers can do.
    fn read(&self, state: &mut State<NODES>) {
        let asking: Vec<usize> = (0..NODES)
            .filter(|node| !state.nodes[*node].dead)
            .filter(|node| !self.passes_level_two_by(state, *node))
            .collect();
        let redis = &mut state.redis;
        let held = redis.held();
        if held {
            self.saw(Witness::LoadedUnderHold);
        }
        if !asking.is_empty() {
            self.look(redis);
            let number = usize::from(redis.number());
            if !held {
                redis.loaded[number].get_or_insert(state.database);
            }
        }
        let kept = held && self.has(Planted::LoadSharedUnderHold);
        for node in asking {
            let kept_there = &mut state.nodes[node].kept;
            if kept_there.is_none() && !held {
                if redis.oldest_valid() < Some(state.database) {
                    self.saw(Witness::LevelTwoHit);
                }
                *kept_there = redis.oldest_valid();
            } else if kept_there.is_none() && kept {
                *kept_there = Some(state.database);
            }
        }
    }

    /// What a look does to Redis: it makes the fence that is missing. Entries from before it are
    /// forgotten, as no look will ever find them valid.
    fn look(&self, redis: &mut Redis<NODES>) {
        let number = redis.number();
        if self.has(Planted::NumberAfterLoad) {
            let oldest = redis.loaded.iter().flatten().min().copied();
            redis.loaded[usize::from(number)] = oldest;
        }
        if self.has(Planted::MissingFenceAccepted) {
            return;
        }
        let missing = redis.fence.is_none();
        let floor = *redis.fence.get_or_insert(number);
        for loaded in &mut redis.loaded[..usize::from(floor)] {
            if loaded.take().is_some() {
                self.saw(if missing {
                    Witness::EntryRefusedByMissingFence
                } else {
                    Witness::EntryRefusedByRecord
                });
            }
        }
    }

    fn begin(&self, state: &mut State<NODES>, write: usize) {
        let Plan { node, guard } = self.writes[write];
        let node = &mut state.nodes[node];
        match guard {
            Guard::Invalidation => {
                state.database += 1;
                self.raise_local_fences(node);
                state.writes[write] = Write::Unraised {
                    version: state.database,
                };
            }
            Guard::Hold => {
                if !self.has(Planted::HoldWithoutLocalFence) {
                    self.raise_local_fences(node);
                }
                state.writes[write] = Write::Holding;
            }
        }
    }

    /// Executes a raise; returns whether it released a hold that was still there.
    fn execute(&self, state: &mut State<NODES>, write: usize) -> bool {
        let redis = &mut state.redis;
        let number = redis.send(Notice::Ours { write: write as u8 });
        if self.has(Planted::NoticeBeforeFence) {
            redis.fence_owed = true;
        } else {
            redis.fence = Some(number);
        }
        let hold = &mut redis.holds[write];
        if state.writes[write] == Write::Holding {
            *hold = Hold::Standing;
            return false;
        }
        std::mem::take(hold) == Hold::Standing
    }

    fn raise(&self, state: &mut State<NODES>, write: usize) {
        let released = self.execute(state, write);
        let version = match state.writes[write] {
            Write::Unraised { version } => Some(version),
            _ => None,
        };
        if let Some(version) = version
            && self.writes[write].guard == Guard::Hold
        {
            if released {
                self.saw(Witness::HoldFound);
                state.floor = state.floor.max(version);
                state.writes[write] = Write::Confirmed { due: [0; NODES] };
                return;
            }
            self.saw(Witness::HoldMissing);
        }
        let redis = &state.redis;
        let mut wait = Wait {
            incarnation: redis.incarnation,
            number: redis.number(),
            missing: redis.registered() & !(1 << self.writes[write].node),
            listed: redis.registry,
            young: redis.young,
        };
        wait.listed[self.writes[write].node] = 0;
        if self.has(Planted::AcknowledgementWithoutIncarnation) {
            for (at, node) in state.nodes.iter().enumerate() {
                if node.acknowledged >= wait.number {
                    wait.missing &= !(1 << at);
                }
            }
        }
        state.begin_timer(1 << write);
        state.writes[write] = match version {
            None => Write::HoldWaits(wait),
            Some(version) => Write::Waits { version, wait },
        };
    }

    fn confirm(&self, state: &mut State<NODES>, write: usize, due: [u8; NODES]) {
        match state.writes[write] {
            Write::HoldWaits(_) => state.writes[write] = Write::Held,
            Write::Waits { version, .. } => {
                state.floor = state.floor.max(version);
                state.writes[write] = Write::Confirmed { due };
            }
            _ => {}
        }
    }

    fn acknowledged(&self, state: &mut State<NODES>, write: usize) {
        self.saw(Witness::ConfirmedByAcknowledgements);
        state.drop_timer(1 << write);
        self.confirm(state, write, [0; NODES]);
    }

    fn may_be_acknowledged(&self, write: &Write<NODES>) -> bool {
        let (wait, held) = match write {
            Write::HoldWaits(wait) => (wait, true),
            Write::Waits { wait, .. } => (wait, false),
            _ => return false,
        };
        let trusted = !wait.young || self.has(Planted::NoWaitInYoungLife);
        self.has(Planted::NoWait)
            || held && self.has(Planted::HoldNotAwaited)
            || wait.missing == 0 && trusted
    }

    fn time_passed(&self, state: &mut State<NODES>, write: usize) {
        let Some(&mut Wait {
            missing, listed, ..
        }) = state.writes[write].wait_mut()
        else {
            return;
        };
        if missing != 0 {
            self.saw(Witness::ConfirmedByTime);
        }
        if self.has(Planted::LeaseOutlivesSleep) {
            state.drop_timer(1 << write);
        } else if state.run_out(1 << write) {
            self.saw(Witness::LeaseRanOut);
        }
        self.confirm(state, write, listed);
    }

    fn commit(&self, state: &mut State<NODES>, write: usize) {
        state.database += 1;
        let version = state.database;
        state.writes[write] = Write::Committed { version };
        // What the hold is for: nobody need be told of the commit.
        if state.redis.holds[write] == Hold::Standing {
            state.floor = version;
        }
    }

    fn die(&self, state: &mut State<NODES>, write: usize) {
        self.saw(Witness::WriterDied);
        let at = self.writes[write].node;
        state.nodes[at] = Node {
            dead: true,
            ..Node::default()
        };
        for (plan, write) in self.writes.iter().zip(&mut state.writes) {
            if plan.node == at {
                *write = Write::Dead;
            }
        }
    }

    fn retire(&self, state: &mut State<NODES>, write: usize, node: usize) {
        if let Write::Confirmed { due } = &mut state.writes[write] {
            let known = std::mem::take(&mut due[node]);
            if state.redis.registry[node] == known {
                self.saw(Witness::Retired);
                state.redis.registry[node] = 0;
            }
        }
    }

    fn rebirth(&self, state: &mut State<NODES>) {
        if state.nodes.iter().any(|node| node.lease.is_some()) {
            self.saw(Witness::RebirthUnderLease);
        }
        if self.has(Planted::NumberReset) {
            state.redis.reset();
        } else {
            state.redis.rebirth();
            state.begin_timer(YOUNG);
        }
        if !self.has(Planted::PulsesCountedPerRegistration) {
            for write in &mut state.writes {
                if let Write::Confirmed { due } = write {
                    *due = [0; NODES];
                }
                if let Some(wait) = write.wait_mut() {
                    wait.listed = [0; NODES];
                }
            }
        }
    }

    fn age_out(&self, state: &mut State<NODES>) {
        self.saw(Witness::YoungLifeAgedOut);
        if self.has(Planted::LeaseOutlivesSleep) {
            state.drop_timer(YOUNG);
        } else {
            state.run_out(YOUNG);
        }
    }

    /// Forgets what can make no difference any more, so that states that differ in nothing else
    /// are one.
    fn tidy(&self, state: &mut State<NODES>) {
        if state.redis.young && !state.timer_matters(YOUNG) {
            state.redis.young = false;
            for wait in state.writes.iter_mut().filter_map(Write::wait_mut) {
                wait.young = false;
            }
        }
        self.sort_readers(state);
    }

    /// Nodes that write nothing are all alike: states that differ in their order are one.
    fn sort_readers(&self, state: &mut State<NODES>) {
        let writes = |node: usize| self.writes.iter().any(|plan| plan.node == node);
        for left in 0..NODES {
            for right in left + 1..NODES {
                if !writes(left) && !writes(right) && state.place(left) > state.place(right) {
                    state.swap(left, right);
                }
            }
        }
    }
}

impl<const NODES: usize> Model for Protocol<NODES> {
    type State = State<NODES>;
    type Action = Step;

    fn init_states(&self) -> Vec<Self::State> {
        let mut state = State {
            redis: Redis::new(),
            database: 0,
            nodes: [Node::default(); NODES],
            writes: [Write::Idle; 2],
            floor: 0,
            stray: [false; 2],
            left: self.faults,
        };
        self.read(&mut state);
        vec![state]
    }

    fn actions(&self, state: &Self::State, steps: &mut Vec<Step>) {
        let redis = &state.redis;
        for (at, node) in state.nodes.iter().enumerate() {
            if node.dead {
                continue;
            }
            if !self.has(Planted::PulsesCountedPerRegistration) || redis.registry[at] < MOST_PULSES
            {
                steps.push(Step::Pulse(at));
            }
            if node.reply.is_some() {
                steps.push(Step::Reply(at));
            }
            for (incarnation, life) in (0..).zip(&redis.lives) {
                steps.extend((1..=life.number()).map(|number| Step::Notice {
                    node: at,
                    incarnation,
                    number,
                }));
            }
        }
        for at in 0..self.writes.len() {
            match &state.writes[at] {
                Write::Idle => steps.push(Step::Begin(at)),
                write @ (Write::Holding | Write::Unraised { .. }) => {
                    steps.push(Step::Raise(at));
                    if state.left.unanswered > 0 {
                        steps.push(Step::RaiseUnanswered(at));
                        if *write == Write::Holding {
                            steps.push(Step::RaiseLate(at));
                        }
                    }
                }
                write @ (Write::HoldWaits(_) | Write::Waits { .. }) => {
                    if self.may_be_acknowledged(write) {
                        steps.push(Step::Acknowledged(at));
                    }
                    steps.push(Step::TimePassed(at));
                }
                Write::Held => steps.push(Step::Commit(at)),
                Write::Committed { .. } => steps.extend([Step::Dispatch(at), Step::Die(at)]),
                Write::Confirmed { due } => {
                    let due = (0..NODES).filter(|node| due[*node] > 0);
                    steps.extend(due.map(|node| Step::Retire(at, node)));
                }
                Write::Dead => {}
            }
            if state.stray[at] && state.writes[at] != Write::Holding {
                steps.push(Step::Stray(at));
            }
            if redis.holds[at] == Hold::Standing {
                steps.push(Step::Expire(at));
            }
        }
        if redis.fence_owed {
            steps.push(Step::RaiseFence);
        }
        if redis.young {
            steps.push(Step::AgeOut);
        }
        if state.left.rebirths > 0 {
            steps.push(Step::Rebirth);
        }
        if state.left.evictions > 0 && redis.fence.is_some() {
            steps.push(Step::Evict);
        }
        if self.has(Planted::RegistryEvictedAlone) {
            steps.push(Step::EvictRegistry);
        }
        if state.left.others > 0 {
            steps.push(Step::Other);
        }
    }

    fn next_state(&self, before: &Self::State, step: Step) -> Option<Self::State> {
        let mut state = *before;
        match step {
            Step::Pulse(node) => self.pulse(&mut state, node),
            Step::Reply(node) => self.reply(&mut state.nodes[node]),
            Step::Notice {
                node,
                incarnation,
                number,
            } => self.notice(&mut state, node, incarnation, number),
            Step::Begin(write) => self.begin(&mut state, write),
            Step::Raise(write) => self.raise(&mut state, write),
            Step::RaiseUnanswered(write) => {
                self.saw(Witness::ReplyLost);
                state.left.unanswered -= 1;
                self.execute(&mut state, write);
            }
            Step::RaiseLate(write) => {
                state.left.unanswered -= 1;
                state.stray[write] = true;
            }
            Step::Stray(write) => {
                self.saw(Witness::StrayRaise);
                state.stray[write] = false;
                let number = state.redis.send(Notice::Ours { write: write as u8 });
                state.redis.fence = Some(number);
                // A hold of an id that nobody releases ends by itself; it can do no harm before.
                if self.has(Planted::HoldIdReused) {
                    state.redis.holds[write] = Hold::Standing;
                }
            }
            Step::RaiseFence => {
                state.redis.fence_owed = false;
                state.redis.fence = Some(state.redis.number());
            }
            Step::Acknowledged(write) => self.acknowledged(&mut state, write),
            Step::TimePassed(write) => self.time_passed(&mut state, write),
            Step::Commit(write) => self.commit(&mut state, write),
            Step::Dispatch(write) => {
                self.raise_local_fences(&mut state.nodes[self.writes[write].node]);
                if let Write::Committed { version } = state.writes[write] {
                    state.writes[write] = Write::Unraised { version };
                }
            }
            Step::Die(write) => self.die(&mut state, write),
            Step::Retire(write, node) => self.retire(&mut state, write, node),
            Step::AgeOut => self.age_out(&mut state),
            Step::Rebirth => {
                state.left.rebirths -= 1;
                self.rebirth(&mut state);
            }
            Step::Evict => {
                state.left.evictions -= 1;
                state.redis.evict_fence();
            }
            Step::EvictRegistry => state.redis.registry = [0; NODES],
            Step::Expire(write) => state.redis.holds[write] = Hold::Absent,
            Step::Other => {
                state.left.others -= 1;
                state.redis.send(Notice::Other);
            }
        }
        self.read(&mut state);
        self.tidy(&mut state);
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
