//! The operations of each phone call: those that run, and what became of the others.
//!
//! # Invariants
//!
//! 1. An operation that runs is never forgotten, so a retry finds it.
//! 2. The ledger owns the tasks. Each settles its operation exactly once, also when it panics.
//! 3. What a change has undone is forgotten before the change is answered.
//! 4. The lock is held neither across an await nor while code of the application runs.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use vacancy_slots::AppointmentId;

use crate::answer::Answer;
use crate::{CallError, CallId, Function, OperationKey};

/// The most operations that run at once.
pub(crate) const MAX_RUNNING: usize = 256;

/// The most changes that are remembered of one phone call, and the most answers to questions.
pub(crate) const MAX_PER_CALL: usize = 64;

/// How long the answer to a question waits for a retry of it.
const READ_KEPT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) calls: usize,
    pub(crate) keep: Duration,
    pub(crate) operation_time_out: Duration,
}

pub(crate) struct Ledger {
    limits: Limits,
    state: Mutex<State>,
    /// Who joins the tasks; a set of tasks wakes one waiter only.
    closing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    calls: HashMap<CallId, Call>,
    tasks: JoinSet<()>,
    running: usize,
    /// Tells an operation from a later one with the same key.
    started: u64,
    closed: bool,
}

struct Call {
    operations: HashMap<OperationKey, Operation>,
    used: Instant,
    /// How often a change undid another.
    rounds: u32,
}

struct Operation {
    number: u64,
    function: Function,
    pending: Pending,
    settled_at: Option<Instant>,
    /// Appointments that its result is about.
    about: Vec<AppointmentId>,
}

/// An operation whose result can be waited for.
#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) operation: OperationKey,
    settled: watch::Receiver<Option<Arc<Answer>>>,
}

/// How an operation ended.
pub(crate) struct Settled {
    pub(crate) answer: Answer,
    pub(crate) end: End,
}

pub(crate) enum End {
    /// It is done.
    Done {
        about: Vec<AppointmentId>,
        /// The appointment as it was, which is not so any more.
        undone: Option<AppointmentId>,
    },
    /// Asking again would give the same.
    Refused,
    /// Asking again may help.
    Transient,
    /// What was done is not known.
    Unknown,
}

/// A request of one phone call.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) call: Option<CallId>,
    pub(crate) function: Function,
    pub(crate) request: OperationKey,
}

impl Pending {
    /// Waits for the result.
    pub(crate) async fn answer(&mut self) -> Arc<Answer> {
        let settled = self.settled.wait_for(Option::is_some).await;
        // A task that was torn out of its runtime has no way to say so.
        match settled.ok().and_then(|settled| settled.clone()) {
            Some(answer) => answer,
            None => Arc::new(Answer::broken()),
        }
    }
}

impl Ledger {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
            closing: tokio::sync::Mutex::default(),
        })
    }

    /// The operation that this request is a retry of.
    pub(crate) fn find(&self, wanted: &Wanted) -> Option<Pending> {
        self.lock().find(wanted, self.limits.keep)
    }

    /// Begins an operation, unless another task has begun it just now.
    pub(crate) fn begin<F>(
        self: &Arc<Self>,
        wanted: &Wanted,
        operate: impl FnOnce(OperationKey) -> F,
    ) -> Result<Pending, CallError>
    where
        F: Future<Output = Settled> + Send + 'static,
    {
        let mut state = self.lock();
        if let Some(pending) = state.find(wanted, self.limits.keep) {
            return Ok(pending);
        }
        if state.closed {
            return Err(CallError::Closed);
        }
        while state.tasks.try_join_next().is_some() {}
        if state.running >= MAX_RUNNING {
            return Err(CallError::Busy);
        }
        state.started += 1;
        let number = state.started;
        let rounds = match &wanted.call {
            Some(call) => state.make_room(call, wanted.function, self.limits)?,
            None => 0,
        };
        let (settle, settled) = watch::channel(None);
        let pending = Pending {
            operation: wanted.request.again(rounds),
            settled,
        };
        if let Some(call) = wanted.call.as_ref().and_then(|id| state.calls.get_mut(id)) {
            let operation = Operation {
                number,
                function: wanted.function,
                pending: pending.clone(),
                settled_at: None,
                about: Vec::new(),
            };
            call.operations.insert(wanted.request, operation);
        }
        state.running += 1;
        let mut running = Running {
            ledger: Arc::clone(self),
            wanted: wanted.clone(),
            number,
            settle,
            is_settled: false,
        };
        let limit = self.limits.operation_time_out;
        let operation = operate(pending.operation);
        state.tasks.spawn(async move {
            if let Ok(settled) = timeout(limit, operation).await {
                running.settle(settled);
            }
        });
        Ok(pending)
    }

    /// Forgets a question that was answered: asked again, it is asked anew.
    pub(crate) fn delivered(&self, wanted: &Wanted, pending: &Pending) {
        let Some(id) = wanted.call.as_ref().filter(|_| !wanted.function.writes()) else {
            return;
        };
        let mut state = self.lock();
        let Some(call) = state.calls.get_mut(id) else {
            return;
        };
        let operations = &mut call.operations;
        let kept = operations.get(&wanted.request);
        if kept.is_some_and(|kept| kept.pending.settled.same_channel(&pending.settled)) {
            operations.remove(&wanted.request);
        }
    }

    /// Takes no new operations, and waits for those that run.
    pub(crate) async fn close(&self) {
        self.lock().closed = true;
        let _alone = self.closing.lock().await;
        poll_fn(|context| self.poll_joined(context)).await;
    }

    fn poll_joined(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        while ready!(state.tasks.poll_join_next(context)).is_some() {}
        Poll::Ready(())
    }

    /// Nothing that holds it panics half way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&mut self, wanted: &Wanted, keep: Duration) -> Option<Pending> {
        let call = self.calls.get_mut(wanted.call.as_ref()?)?;
        let operation = call.operations.get(&wanted.request)?;
        let keep = match operation.function.writes() {
            true => keep,
            false => READ_KEPT,
        };
        if operation.settled_at.is_some_and(|at| at.elapsed() >= keep) {
            call.operations.remove(&wanted.request);
            return None;
        }
        call.used = Instant::now();
        Some(operation.pending.clone())
    }

    /// Makes room for one more operation of a call; tells its rounds.
    fn make_room(
        &mut self,
        id: &CallId,
        function: Function,
        limits: Limits,
    ) -> Result<u32, CallError> {
        if !self.calls.contains_key(id) {
            self.calls
                .retain(|_, call| call.is_running() || call.used.elapsed() < limits.keep);
            if self.calls.len() >= limits.calls.max(1) {
                self.forget_oldest()?;
            }
        }
        let call = self.calls.entry(id.clone()).or_insert_with(|| Call {
            operations: HashMap::new(),
            used: Instant::now(),
            rounds: 0,
        });
        call.used = Instant::now();
        let alike = |operation: &&Operation| operation.function.writes() == function.writes();
        match call.operations.values().filter(alike).count() {
            MAX_PER_CALL.. if function.writes() => Err(CallError::TooManyChanges),
            MAX_PER_CALL.. => {
                call.operations.retain(|_, operation| {
                    operation.function.writes() || operation.settled_at.is_none()
                });
                Ok(call.rounds)
            }
            _ => Ok(call.rounds),
        }
    }

    fn forget_oldest(&mut self) -> Result<(), CallError> {
        let idle = self.calls.iter().filter(|(_, call)| !call.is_running());
        let oldest = idle.min_by_key(|(_, call)| call.used).map(|(id, _)| id);
        let oldest = oldest.cloned().ok_or(CallError::Busy)?;
        self.calls.remove(&oldest);
        Ok(())
    }
}

impl Call {
    fn is_running(&self) -> bool {
        self.operations
            .values()
            .any(|operation| operation.settled_at.is_none())
    }

    fn settle(&mut self, wanted: &Wanted, number: u64, end: End) {
        if wanted.function.writes() {
            // A question that was asked before may have the answer of before.
            self.operations
                .retain(|_, operation| operation.function.writes());
        }
        let is_this = |operation: &&mut Operation| operation.number == number;
        let operation = self.operations.get_mut(&wanted.request);
        let Some(operation) = operation.filter(is_this) else {
            return;
        };
        operation.settled_at = Some(Instant::now());
        let undone = match end {
            End::Done { about, undone } => {
                operation.about = about;
                undone
            }
            End::Refused => None,
            End::Unknown if wanted.function.writes() => None,
            End::Unknown | End::Transient => {
                self.operations.remove(&wanted.request);
                None
            }
        };
        let Some(undone) = undone else {
            return;
        };
        let before = self.operations.len();
        self.operations.retain(|_, operation| {
            operation.number == number || !operation.about.contains(&undone)
        });
        if self.operations.len() < before {
            self.rounds += 1;
        }
    }
}

/// Held by an operation's task; settles it whatever happens to the task.
struct Running {
    ledger: Arc<Ledger>,
    wanted: Wanted,
    number: u64,
    settle: watch::Sender<Option<Arc<Answer>>>,
    is_settled: bool,
}

impl Running {
    fn settle(&mut self, settled: Settled) {
        self.is_settled = true;
        {
            let mut state = self.ledger.lock();
            state.running -= 1;
            let id = self.wanted.call.as_ref();
            if let Some(call) = id.and_then(|id| state.calls.get_mut(id)) {
                call.settle(&self.wanted, self.number, settled.end);
            }
        }
        self.settle.send_replace(Some(Arc::new(settled.answer)));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The desk panicked, took too long, or the runtime is gone.
        if !self.is_settled {
            self.settle(Settled {
                answer: Answer::broken(),
                end: End::Unknown,
            });
        }
    }
}
