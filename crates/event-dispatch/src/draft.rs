//! [`Draft`]: the listeners of one type of event before the bus is built, and the checks they pass.

use std::{
    any::{Any, TypeId},
    borrow::Cow,
    collections::{HashMap, HashSet},
    future::poll_fn,
    sync::Arc,
};

use tokio::runtime::Handle;

#[cfg(feature = "testing")]
use crate::testing::{Fake, Faked};
use crate::{
    Batching, BuildError, Event, InlineListener, Policy,
    bus::Core,
    duty::Duty,
    ends::Ends,
    failed::OnFailure,
    handler::Handler,
    lane::Lane,
    route::{AnyRoute, Route},
    task::{counted, spawn},
    topology::{LaneRow, Row},
    worker,
};

/// The listeners of one type of event.
pub(crate) struct Draft<E> {
    pub(crate) inline: Vec<InlineDraft<E>>,
    pub(crate) lanes: Vec<LaneDraft<E>>,
    pub(crate) required: Vec<Cow<'static, str>>,
    /// Set if somebody listens to failures of this event.
    pub(crate) on_failure: Option<OnFailure<E>>,
}

pub(crate) struct InlineDraft<E> {
    pub(crate) name: Cow<'static, str>,
    pub(crate) listener: Box<dyn InlineListener<E>>,
    enabled: bool,
}

pub(crate) struct LaneDraft<E> {
    name: Cow<'static, str>,
    policy: Policy<E>,
    batching: Option<Batching>,
    start: StartLane<E>,
}

/// Starts the workers of a lane; it knows the type of the listener.
type StartLane<E> = Box<dyn FnOnce(Arc<Lane<E>>, &Arc<Core>, &Handle) + Send + Sync>;

/// Starts all tasks of a route.
pub(crate) type StartRoute = Box<dyn FnOnce(&Arc<Core>, &Handle)>;

impl<E> Default for Draft<E> {
    fn default() -> Self {
        Self {
            inline: Vec::new(),
            lanes: Vec::new(),
            required: Vec::new(),
            on_failure: None,
        }
    }
}

impl<E: Event> InlineDraft<E> {
    pub(crate) fn new(listener: impl InlineListener<E>) -> Self {
        Self {
            name: listener.name(),
            listener: Box::new(listener),
            enabled: true,
        }
    }
}

impl<E: Event> LaneDraft<E> {
    pub(crate) fn new(
        name: Cow<'static, str>,
        handler: impl Handler<E>,
        batching: Option<Batching>,
        policy: Policy<E>,
    ) -> Self {
        Self {
            name,
            policy,
            batching,
            start: Box::new(move |lane, core, runtime| start(lane, handler, core, runtime)),
        }
    }

    fn row(&self) -> LaneRow {
        let policy = &self.policy;
        LaneRow {
            capacity: policy.capacity,
            overflow: policy.overflow,
            concurrency: policy.concurrency,
            time_out: policy.time_out,
            attempt_time_out: policy.attempt_time_out,
            retry: policy.retry,
            #[cfg(feature = "rate-limit")]
            rate_limit: policy.rate_limit,
            after: policy.after.clone(),
            batching: self.batching,
            ordered: policy.order_key.is_some(),
            coalescing: policy.coalesce_key.is_some(),
        }
    }
}

impl<E: Event> Draft<E> {
    fn names(&self) -> impl Iterator<Item = &Cow<'static, str>> {
        let inline = self.inline.iter().map(|inline| &inline.name);
        inline.chain(self.lanes.iter().map(|lane| &lane.name))
    }

    fn is_enabled(&self, name: &str) -> bool {
        let mut inline = self.inline.iter();
        let mut lanes = self.lanes.iter();
        inline.any(|inline| inline.name == name && inline.enabled)
            || lanes.any(|lane| lane.name == name && lane.policy.enabled)
    }

    fn check_names(&self) -> Result<(), BuildError> {
        let (event, mut names) = (E::NAME, HashSet::new());
        for listener in self.names() {
            if !names.insert(listener) {
                let listener = listener.clone();
                return Err(BuildError::DuplicateName { event, listener });
            }
        }
        for listener in &self.required {
            let listener = listener.clone();
            if !names.contains(&listener) {
                return Err(BuildError::MissingListener { event, listener });
            }
            if !self.is_enabled(&listener) {
                return Err(BuildError::RequiredIsDisabled { event, listener });
            }
        }
        Ok(())
    }

    /// Whether every listener that another one comes after is there, and no two wait for each other.
    fn check_order(&self) -> Result<(), BuildError> {
        let lanes = self.lanes.iter();
        let after: HashMap<&str, &[Cow<'static, str>]> = lanes
            .map(|lane| (&*lane.name, &lane.policy.after[..]))
            .collect();
        for lane in &self.lanes {
            for name in &lane.policy.after {
                if !self.names().any(|other| other == name) {
                    return Err(BuildError::UnknownPredecessor {
                        event: E::NAME,
                        listener: lane.name.clone(),
                        after: name.clone(),
                    });
                }
            }
        }
        let mut cleared = HashSet::new();
        for lane in &self.lanes {
            let mut path = Vec::new();
            if let Some(circle) = circle(&lane.name, &after, &mut path, &mut cleared) {
                return Err(BuildError::Circle {
                    event: E::NAME,
                    listeners: circle.join(" after "),
                });
            }
        }
        Ok(())
    }
}

/// The first way found from `name` through what it comes after back to a listener on that way.
fn circle<'a>(
    name: &'a str,
    after: &HashMap<&'a str, &'a [Cow<'static, str>]>,
    path: &mut Vec<&'a str>,
    cleared: &mut HashSet<&'a str>,
) -> Option<Vec<&'a str>> {
    if cleared.contains(name) {
        return None;
    }
    if let Some(begin) = path.iter().position(|on_the_way| *on_the_way == name) {
        let mut circle = path[begin..].to_vec();
        circle.push(name);
        return Some(circle);
    }
    path.push(name);
    for next in after.get(name).copied().unwrap_or_default() {
        if let Some(circle) = circle(next, after, path, cleared) {
            return Some(circle);
        }
    }
    path.pop();
    cleared.insert(name);
    None
}

/// A draft whose event type is forgotten.
pub(crate) trait AnyDraft: Any + Send + Sync {
    fn event(&self) -> &'static str;
    /// Disables the listener of that name, and says whether there is one.
    fn disable(&mut self, listener: &str) -> bool;
    /// Lets a fake stand in for the listener of that name, if there is one.
    #[cfg(feature = "testing")]
    fn replace(&mut self, listener: &str, fake: &Fake);
    fn check(&self) -> Result<(), BuildError>;
    fn describe(&self, rows: &mut Vec<Row>);
    /// The route, unless nobody listens.
    fn build(self: Box<Self>, ends: &Arc<Ends>) -> Option<(TypeId, Arc<dyn AnyRoute>, StartRoute)>;
}

impl<E: Event> AnyDraft for Draft<E> {
    fn event(&self) -> &'static str {
        E::NAME
    }

    fn disable(&mut self, listener: &str) -> bool {
        let inline = self.inline.iter_mut();
        let lanes = self.lanes.iter_mut();
        let inline = inline
            .filter(|inline| inline.name == listener)
            .map(|inline| &mut inline.enabled);
        let lanes = lanes
            .filter(|lane| lane.name == listener)
            .map(|lane| &mut lane.policy.enabled);
        inline.chain(lanes).map(|enabled| *enabled = false).count() > 0
    }

    #[cfg(feature = "testing")]
    fn replace(&mut self, listener: &str, fake: &Fake) {
        let inline = self.inline.iter_mut();
        for inline in inline.filter(|inline| inline.name == listener) {
            inline.listener = Box::new(Faked(fake.clone()));
        }
        for lane in self.lanes.iter_mut().filter(|lane| lane.name == listener) {
            let faked = Faked(fake.clone());
            lane.start = Box::new(move |lane, core, runtime| start(lane, faked, core, runtime));
        }
    }

    fn check(&self) -> Result<(), BuildError> {
        self.check_names()?;
        self.check_order()
    }

    fn describe(&self, rows: &mut Vec<Row>) {
        let row = |listener: Option<&Cow<'static, str>>, lane, enabled| Row {
            event: E::NAME,
            version: E::VERSION,
            listener: listener.cloned(),
            lane,
            required: listener.is_some_and(|name| self.required.contains(name)),
            enabled,
        };
        if self.inline.is_empty() && self.lanes.is_empty() {
            rows.push(row(None, None, true));
        }
        let inline = self.inline.iter();
        rows.extend(inline.map(|inline| row(Some(&inline.name), None, inline.enabled)));
        let lanes = self.lanes.iter();
        rows.extend(lanes.map(|lane| row(Some(&lane.name), Some(lane.row()), lane.policy.enabled)));
    }

    fn build(
        mut self: Box<Self>,
        ends: &Arc<Ends>,
    ) -> Option<(TypeId, Arc<dyn AnyRoute>, StartRoute)> {
        self.inline.retain(|inline| inline.enabled);
        self.lanes.retain(|lane| lane.policy.enabled);
        if self.inline.is_empty() && self.lanes.is_empty() {
            return None;
        }
        let first = self.inline.len();
        let place = |names: &[Cow<'static, str>], of: &Cow<'static, str>| names.contains(of);
        let names: Vec<_> = self.lanes.iter().map(|lane| lane.name.clone()).collect();
        let after: Vec<_> = self
            .lanes
            .iter()
            .map(|lane| lane.policy.after.clone())
            .collect();
        let (mut lanes, mut starts) = (Vec::new(), Vec::new());
        for (index, draft) in self.lanes.into_iter().enumerate() {
            let predecessors = names.iter().enumerate();
            let predecessors = predecessors
                .filter(|(_, name)| place(&after[index], name))
                .map(|(slot, _)| first + slot)
                .collect();
            let lane = Arc::new(Lane::new(
                draft.name,
                draft.policy,
                draft.batching,
                first + index,
                predecessors,
                Arc::clone(ends),
                self.on_failure,
            ));
            lanes.push(Arc::clone(&lane));
            starts.push((lane, draft.start));
        }
        for (lane, name) in lanes.iter().zip(&names) {
            let followers = lanes.iter().zip(&after);
            let followers = followers
                .filter(|(_, after)| place(after, name))
                .map(|(follower, _)| Arc::clone(follower));
            lane.precede(followers.collect());
        }
        let route = Arc::new(Route::new(
            self.inline,
            lanes,
            Arc::clone(ends),
            self.on_failure,
        ));
        let routed = Arc::clone(&route);
        let start = move |core: &Arc<Core>, runtime: &Handle| {
            for (lane, start) in starts {
                start(lane, core, runtime);
            }
            if routed.has_lanes() {
                routed.start_router(core, runtime, Duty::default());
            }
        };
        Some((TypeId::of::<E>(), route, Box::new(start)))
    }
}

fn start<E: Event, H: Handler<E>>(
    lane: Arc<Lane<E>>,
    handler: H,
    core: &Arc<Core>,
    runtime: &Handle,
) {
    let handler = Arc::new(handler);
    for worker in 0..lane.policy.concurrency.get() {
        let work = worker::work(
            Arc::clone(&lane),
            Arc::clone(&handler),
            Arc::clone(core),
            worker,
        );
        let left = Arc::clone(&lane);
        let work = counted(core, work, move || left.worker_ended(worker));
        if lane.has_runs() {
            lane.seat(work);
            let (home, gone) = (Arc::clone(&lane), Arc::clone(&lane));
            let home = poll_fn(move |context| home.poll_at_home(context));
            spawn(
                core,
                runtime,
                counted(core, home, move || gone.home_is_gone()),
            );
        } else {
            spawn(core, runtime, work);
        }
    }
}
