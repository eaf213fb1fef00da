//! Invalidations of this process that Redis has not confirmed yet.
//!
//! # Invariants
//!
//! 1. An invalidation enters before its fence is raised here, and leaves after Redis has confirmed it.
//!    So a reader that begins after it, and asks level 2, either finds it here or is answered by a
//!    level 2 that knows of it.
//! 2. Nothing is dropped: beyond [`ROOM`] spans become the whole of their scope, and if there are too
//!    many scopes, everything that level 2 keeps in this partition.
//! 3. What is on its way to Redis is not changed; what comes later is sent later.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use super::store::{Deed, Item};
use crate::cover::{Scope, Span};

/// Invalidations that are kept one by one.
const ROOM: usize = 8192;

/// Invalidations that one script call raises: it is short, so that others wait little for it.
const BATCH: usize = 128;

#[derive(Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// As many as the queue is long: a reader that finds none need not take the lock.
    length: AtomicUsize,
    /// Something has come in.
    pub(crate) filled: Notify,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Queued>,
    /// Spans by scope, to find what meets a reader's covers.
    spans: HashMap<Scope, Vec<Span>>,
    /// The number of the last that came in.
    last: u64,
    /// How many in front are on their way.
    sent: usize,
    /// Everything is to become invalid; whether something has come in since that was sent.
    everything: Option<bool>,
}

struct Queued {
    number: u64,
    item: Item,
}

/// What to send.
#[derive(Debug)]
pub(crate) enum Batch {
    Items(Vec<Item>),
    /// More than can be told one by one.
    Everything,
}

impl Outbox {
    /// Takes invalidations in, to be sent together if there is room.
    pub(crate) fn push(&self, items: impl IntoIterator<Item = Item>) {
        let mut queue = self.queue();
        for item in items {
            queue.last += 1;
            let number = queue.last;
            queue.insert(number, item);
        }
        self.length.store(queue.weight(), Ordering::SeqCst);
        drop(queue);
        self.filled.notify_one();
    }

    /// The number of the last invalidation that came in.
    pub(crate) fn last(&self) -> u64 {
        self.queue().last
    }

    pub(crate) fn len(&self) -> usize {
        self.length.load(Ordering::SeqCst)
    }

    /// Whether something unconfirmed meets one of the covers.
    pub(crate) fn meets<'a>(&self, covers: impl IntoIterator<Item = (&'a Scope, Span)>) -> bool {
        // Pairs with `push`, which comes before the fence is raised.
        if self.length.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let queue = self.queue();
        queue.everything.is_some()
            || covers.into_iter().any(|(scope, span)| {
                let spans = queue.spans.get(scope);
                spans.is_some_and(|spans| spans.iter().any(|other| other.meets(span)))
            })
    }

    /// What to send next, if anything. It stays here until it is [`confirmed`](Self::confirmed).
    pub(crate) fn batch(&self) -> Option<Batch> {
        let mut queue = self.queue();
        if queue.everything.is_some() {
            queue.everything = Some(false);
            return Some(Batch::Everything);
        }
        queue.sent = queue.items.len().min(BATCH);
        let batch = queue.items.iter().take(queue.sent);
        let items: Vec<Item> = batch.map(|queued| queued.item.clone()).collect();
        (!items.is_empty()).then_some(Batch::Items(items))
    }

    /// What the last batch held is confirmed. Returns how many that was, and the number up to which
    /// everything is.
    pub(crate) fn confirmed(&self, batch: &Batch) -> (u64, u64) {
        let mut queue = self.queue();
        let before = queue.weight();
        match batch {
            // What came in meanwhile needs another one.
            Batch::Everything => queue.everything = queue.everything.filter(|later| *later),
            Batch::Items(_) => {
                for _ in 0..std::mem::take(&mut queue.sent) {
                    queue.remove_front();
                }
            }
        }
        let upto = queue.confirmed_upto();
        let count = before - queue.weight();
        self.length.store(queue.weight(), Ordering::SeqCst);
        (count as u64, upto)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn insert(&mut self, number: u64, item: Item) {
        if self.everything.is_some() {
            self.everything = Some(true);
            return;
        }
        if self.items.len() >= ROOM {
            self.widen();
        }
        if self.items.len() >= ROOM {
            self.items.clear();
            self.spans.clear();
            self.sent = 0;
            self.everything = Some(true);
            return;
        }
        self.spans
            .entry(item.scope.clone())
            .or_default()
            .push(item.span);
        self.items.push_back(Queued { number, item });
    }

    /// Makes of all spans of a scope that are not on their way one: the whole scope. It keeps the
    /// place of the oldest.
    fn widen(&mut self) {
        let mut seen = HashMap::new();
        let mut place = 0;
        let sent = self.sent;
        self.items.retain_mut(|queued| {
            place += 1;
            let release = matches!(queued.item.deed, Deed::Release { .. });
            if place <= sent || release {
                return true;
            }
            queued.item.span = Span::ALL;
            seen.insert(queued.item.scope.clone(), ()).is_none()
        });
        self.spans.clear();
        for queued in &self.items {
            let spans = self.spans.entry(queued.item.scope.clone()).or_default();
            spans.push(queued.item.span);
        }
    }

    fn remove_front(&mut self) {
        let Some(Queued { item, .. }) = self.items.pop_front() else {
            return;
        };
        if let Some(spans) = self.spans.get_mut(&item.scope) {
            if let Some(place) = spans.iter().position(|span| *span == item.span) {
                spans.swap_remove(place);
            }
            if spans.is_empty() {
                self.spans.remove(&item.scope);
            }
        }
    }

    fn confirmed_upto(&self) -> u64 {
        let front = self.items.front().map(|queued| queued.number - 1);
        match self.everything {
            // Nothing before it is kept, so nothing can be said to be confirmed.
            Some(_) => 0,
            None => front.unwrap_or(self.last),
        }
    }

    fn weight(&self) -> usize {
        self.items.len() + usize::from(self.everything.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Outbox, ROOM};
    use crate::{
        cover::{Scope, Span},
        level2::store::{Deed, Item},
    };

    fn item(id: usize, from: i64) -> Item {
        Item {
            scope: scope(id),
            span: Span::new(from, from + 10),
            deed: Deed::Raise,
        }
    }

    fn scope(id: usize) -> Scope {
        Scope::new("15", "host", id.to_string())
    }

    fn drain(outbox: &Outbox) -> Vec<Item> {
        let mut all = Vec::new();
        while let Some(batch) = outbox.batch() {
            outbox.confirmed(&batch);
            if let Batch::Items(items) = batch {
                all.extend(items);
            }
        }
        all
    }

    #[test]
    fn what_is_not_confirmed_meets_readers() {
        let outbox = Outbox::default();
        outbox.push([item(1, 0)]);
        let meets = |from| outbox.meets([(&scope(1), Span::new(from, from + 5))]);
        assert!(meets(9) && !meets(10));
        let batch = outbox.batch().unwrap();
        assert!(meets(9), "on its way is not confirmed");
        assert_eq!(outbox.confirmed(&batch), (1, 1));
        assert!(!meets(9));
    }

    #[test]
    fn what_comes_while_a_batch_is_on_its_way_is_sent_later() {
        let outbox = Outbox::default();
        outbox.push([item(1, 0)]);
        let batch = outbox.batch().unwrap();
        outbox.push([item(1, 0)]);
        assert_eq!(outbox.confirmed(&batch), (1, 1));
        assert!(outbox.meets([(&scope(1), Span::ALL)]));
        assert_eq!(drain(&outbox), [item(1, 0)]);
    }

    #[test]
    fn what_is_confirmed_of_a_scope_leaves_its_other_spans() {
        let outbox = Outbox::default();
        outbox.push([item(1, 0)]);
        let batch = outbox.batch().unwrap();
        outbox.push([item(1, 100)]);
        outbox.confirmed(&batch);
        let meets = |from| outbox.meets([(&scope(1), Span::new(from, from + 5))]);
        assert!(!meets(0) && meets(100));
    }

    #[test]
    fn a_batch_that_failed_is_sent_again_with_what_came_since() {
        let outbox = Outbox::default();
        outbox.push([item(1, 0)]);
        drop(outbox.batch());
        outbox.push([item(2, 0)]);
        assert_eq!(drain(&outbox), [item(1, 0), item(2, 0)]);
    }

    #[test]
    fn too_many_spans_become_their_whole_scopes() {
        let outbox = Outbox::default();
        for nth in 0..=ROOM {
            outbox.push([item(nth % 7, nth as i64)]);
        }
        assert!(outbox.len() <= 8);
        assert!((0..7).all(|id| outbox.meets([(&scope(id), Span::new(-100, -99))])));
        assert!(!outbox.meets([(&scope(7), Span::ALL)]));
        let last = outbox.last();
        let batch = outbox.batch().unwrap();
        assert_eq!(outbox.confirmed(&batch).1, last);
    }

    #[test]
    fn releases_and_what_is_on_its_way_keep_their_spans() {
        let outbox = Outbox::default();
        outbox.push([item(1, 0)]);
        let sent = outbox.batch().unwrap();
        let deed = Deed::Release { id: 7 };
        let release = Item { deed, ..item(2, 0) };
        outbox.push([release.clone()]);
        for nth in 0..ROOM {
            outbox.push([item(3, nth as i64)]);
        }
        assert!(!outbox.meets([(&scope(1), Span::new(10, 20))]));
        assert_eq!(outbox.confirmed(&sent).0, 1);
        let span = Span::ALL;
        let widened = Item { span, ..item(3, 0) };
        assert_eq!(drain(&outbox)[..2], [release, widened]);
    }

    #[test]
    fn too_many_scopes_become_everything() {
        let outbox = Outbox::default();
        for nth in 0..=ROOM {
            outbox.push([item(nth, 0)]);
        }
        assert!(outbox.meets([(&scope(ROOM * 2), Span::ALL)]));
        let batch = outbox.batch().unwrap();
        assert!(matches!(batch, Batch::Everything));
        outbox.push([item(0, 0)]);
        assert_eq!(outbox.confirmed(&batch), (0, 0), "one came in meanwhile");
        let batch = outbox.batch().unwrap();
        assert_eq!(outbox.confirmed(&batch), (1, outbox.last()));
        assert_eq!(outbox.len(), 0);
    }
}
