//! Local truth that is newer than what the source of availability says.
//!
//! # Invariants
//!
//! 1. For each appointment the newest change counts, whatever the order in which changes arrive and
//!    however often: a change is kept or dropped by its revision, never by its arrival.
//! 2. An entry of the index exists exactly as long as its change is kept and occupies something.
//! 3. No lock is held while code runs that is not ours.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use metrics::counter;
use tokio::time::Instant;

use crate::appointment::{Appointment, Revision};
use crate::ids::{AppointmentId, EventTypeId, ResourceId, TenantId};
use crate::occupied::{Occupied, Question};
use crate::rules::EventTypeRules;
use crate::slot::Slot;

/// The changes that an overlay keeps by default.
const MAX_CHANGES: usize = 100_000;

/// Bookings that are known here and that the source may not know yet.
///
/// What was booked is subtracted from every answer until the change's time is over. What was freed
/// is not added, since only the source can say whether it can be booked again; its change is kept
/// so that a late message about the booking does not bring it back.
///
/// An appointment of which neither the resources nor the event type are known subtracts nothing.
///
/// The number of changes is bounded: beyond it, the one whose time is over first makes room and is
/// counted as `slots_overlay_crowded_out_total`.
pub(crate) struct Overlay {
    state: RwLock<State>,
    capacity: usize,
    retain: Duration,
    /// Changes kept. Read before the lock is taken: on most reads there is nothing to do.
    kept: AtomicUsize,
}

#[derive(Default)]
struct State {
    changes: HashMap<TenantId, HashMap<AppointmentId, Arc<Change>>>,
    index: HashMap<TenantId, Index>,
    /// By the end of their time, then by number.
    ends: BTreeMap<(Instant, u64), (TenantId, AppointmentId)>,
    next_number: u64,
}

#[derive(Default)]
struct Index {
    by_resource: HashMap<ResourceId, BTreeMap<u64, Arc<Change>>>,
    by_event_type: HashMap<EventTypeId, BTreeMap<u64, Arc<Change>>>,
}

struct Change {
    number: u64,
    version: Version,
    lives_until: Instant,
}

/// What is said of an appointment; the greater one is the newer.
///
/// What it occupies comes last: of two changes that claim to be the same one, everybody then keeps
/// the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    revision: Revision,
    kind: Kind,
    occupied: Option<Occupied>,
}

/// In the order in which they happen when nothing else tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Booked,
    Rescheduled,
    Cancelled,
}

impl Overlay {
    /// An overlay without changes, for [`MAX_CHANGES`] of them.
    ///
    /// A change is kept for `retain` beyond its time: loads that began within it may end so much
    /// later, and are asked about as of their beginning.
    pub(crate) fn new(retain: Duration) -> Self {
        Self::with_capacity(MAX_CHANGES, retain)
    }

    /// An overlay for so many changes, but at least one.
    fn with_capacity(changes: usize, retain: Duration) -> Self {
        Self {
            state: RwLock::default(),
            capacity: changes.max(1),
            retain,
            kept: AtomicUsize::new(0),
        }
    }

    /// Subtracts a booked appointment until `lives_until`, by when the source has to know it.
    pub(crate) fn book(&self, appointment: &Appointment, lives_until: Instant) {
        let version = Version {
            revision: appointment.revision,
            kind: Kind::Booked,
            occupied: Some(Occupied::of(appointment)),
        };
        self.keep([(appointment, version)], lives_until);
    }

    /// Subtracts the appointment where it is now, and no longer where it was.
    pub(crate) fn reschedule(
        &self,
        previous: &Appointment,
        now: &Appointment,
        lives_until: Instant,
    ) {
        let moved = Version {
            revision: now.revision,
            kind: Kind::Rescheduled,
            occupied: Some(Occupied::of(now)),
        };
        if (&previous.tenant, &previous.id) == (&now.tenant, &now.id) {
            self.keep([(now, moved)], lives_until);
            return;
        }
        // At the newer of the two: a source that books anew may start to count anew.
        let revision = previous.revision.max(now.revision);
        let left = Version {
            revision,
            kind: Kind::Rescheduled,
            occupied: None,
        };
        self.keep([(previous, left), (now, moved)], lives_until);
    }

    /// No longer subtracts an appointment, and until `lives_until` nor when an older booking of it
    /// is reported again.
    pub(crate) fn free(&self, appointment: &Appointment, lives_until: Instant) {
        let version = Version {
            revision: appointment.revision,
            kind: Kind::Cancelled,
            occupied: None,
        };
        self.keep([(appointment, version)], lives_until);
    }

    /// Whether nothing is kept, so that [`apply`](Self::apply) would change nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many changes are kept, those included whose time is over and that no write has removed
    /// yet.
    pub(crate) fn len(&self) -> usize {
        // Pairs with the store in `keep`: a reader that is told of a booking finds it.
        self.kept.load(Ordering::Acquire)
    }

    /// Removes from `slots` of `event_type` what is booked here, as of `now`, and returns how many
    /// slots it removed.
    ///
    /// `asked` are the resources that the query asks for. A slot that lists its resources loses
    /// those that are booked, and goes when none is left of those asked for. A slot that does not
    /// list them is taken to need what the query asks for, else what the rules name; it goes when
    /// any of these is booked, and, when the query asks for nobody, when its own event type is: a
    /// slot too few rather than one that is taken. A booking without resources occupies all slots
    /// of its event type. Where a slot has seats, a booking of the same event type for the same
    /// time takes seats, and the slot goes with the last one.
    ///
    /// Buffers that are not known count as none here; the answer that follows the invalidation has
    /// them.
    pub(crate) fn apply(
        &self,
        tenant: &TenantId,
        event_type: &EventTypeId,
        rules: Option<&EventTypeRules>,
        asked: &[ResourceId],
        slots: &mut Vec<Slot>,
        now: Instant,
    ) -> usize {
        if self.is_empty() || slots.is_empty() {
            return 0;
        }
        let named = rules.map_or(&[][..], |rules| &rules.resources);
        let changes = self.meeting(tenant, event_type, named, asked, slots, now);
        let occupied = changes
            .iter()
            .filter_map(|change| change.version.occupied.as_ref());
        Question::new(event_type, rules, asked).subtract(slots, occupied)
    }

    /// The changes that can matter to these slots, each once.
    fn meeting(
        &self,
        tenant: &TenantId,
        event_type: &EventTypeId,
        named: &[ResourceId],
        asked: &[ResourceId],
        slots: &[Slot],
        now: Instant,
    ) -> Vec<Arc<Change>> {
        let state = self.read();
        let Some(index) = state.index.get(tenant) else {
            return Vec::new();
        };
        let mut found = BTreeMap::new();
        let mut add = |changes: Option<&BTreeMap<u64, Arc<Change>>>| {
            let alive = changes
                .into_iter()
                .flatten()
                .filter(|(_, c)| c.lives_until > now);
            found.extend(alive.map(|(number, change)| (*number, Arc::clone(change))));
        };
        add(index.by_event_type.get(event_type));
        if !index.by_resource.is_empty() {
            let listed = slots.iter().flat_map(|slot| &slot.resources);
            let resources: BTreeSet<_> = named.iter().chain(asked).chain(listed).collect();
            for resource in resources {
                add(index.by_resource.get(resource));
            }
        }
        found.into_values().collect()
    }

    fn keep<const N: usize>(&self, changes: [(&Appointment, Version); N], lives_until: Instant) {
        let now = Instant::now();
        // Dropped after the lock: what leaves may be the last of a large appointment.
        let mut gone = Vec::new();
        let mut state = self.write();
        for (appointment, version) in changes {
            state.put(appointment, version, lives_until, &mut gone);
        }
        while state
            .ends
            .first_key_value()
            .is_some_and(|(&(end, _), _)| end + self.retain <= now)
        {
            gone.extend(state.remove_first());
        }
        while state.ends.len() > self.capacity {
            gone.extend(state.remove_first());
            counter!("slots_overlay_crowded_out_total").increment(1);
        }
        // Pairs with the load in `len`.
        self.kept.store(state.ends.len(), Ordering::Release);
        drop(state);
    }

    // A poisoned lock is entered all the same: no code that can panic runs halfway through a write.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(
        &mut self,
        appointment: &Appointment,
        version: Version,
        lives_until: Instant,
        gone: &mut Vec<Arc<Change>>,
    ) {
        let (tenant, id) = (&appointment.tenant, &appointment.id);
        let known = self
            .changes
            .get(tenant)
            .and_then(|changes| changes.get(id))
            .cloned();
        let (version, lives_until) = match &known {
            None => (version, lives_until),
            // The longest life of all that was said, so that the order of arrival does not matter.
            Some(known) => (
                known.version.clone().max(version),
                known.lives_until.max(lives_until),
            ),
        };
        if let Some(known) = known {
            if known.version == version && known.lives_until == lives_until {
                return;
            }
            self.ends.remove(&(known.lives_until, known.number));
            gone.extend(self.remove(tenant, id));
        }
        let number = self.next_number;
        self.next_number += 1;
        let change = Arc::new(Change {
            number,
            version,
            lives_until,
        });
        self.ends
            .insert((lives_until, number), (tenant.clone(), id.clone()));
        self.index(tenant, &change);
        self.changes
            .entry(tenant.clone())
            .or_default()
            .insert(id.clone(), change);
    }

    fn index(&mut self, tenant: &TenantId, change: &Arc<Change>) {
        let Some(occupied) = &change.version.occupied else {
            return;
        };
        let index = self.index.entry(tenant.clone()).or_default();
        for resource in &occupied.resources {
            let entries = index.by_resource.entry(resource.clone()).or_default();
            entries.insert(change.number, Arc::clone(change));
        }
        if let Some(event_type) = &occupied.event_type {
            let entries = index.by_event_type.entry(event_type.clone()).or_default();
            entries.insert(change.number, Arc::clone(change));
        }
    }

    fn remove_first(&mut self) -> Option<Arc<Change>> {
        let (_, (tenant, id)) = self.ends.pop_first()?;
        self.remove(&tenant, &id)
    }

    /// Removes a change from all but `ends`.
    fn remove(&mut self, tenant: &TenantId, id: &AppointmentId) -> Option<Arc<Change>> {
        let changes = self.changes.get_mut(tenant)?;
        let change = changes.remove(id)?;
        if changes.is_empty() {
            self.changes.remove(tenant);
        }
        let (Some(occupied), Some(index)) = (&change.version.occupied, self.index.get_mut(tenant))
        else {
            return Some(change);
        };
        for resource in &occupied.resources {
            remove_entry(&mut index.by_resource, resource, change.number);
        }
        if let Some(event_type) = &occupied.event_type {
            remove_entry(&mut index.by_event_type, event_type, change.number);
        }
        if index.by_resource.is_empty() && index.by_event_type.is_empty() {
            self.index.remove(tenant);
        }
        Some(change)
    }
}

fn remove_entry<K: Eq + std::hash::Hash>(
    index: &mut HashMap<K, BTreeMap<u64, Arc<Change>>>,
    key: &K,
    number: u64,
) {
    if let Some(entries) = index.get_mut(key) {
        entries.remove(&number);
        if entries.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::appointment::Buffers;
    use crate::interval::Interval;
    use crate::slot::Seats;

    /// Minutes of some day.
    fn minutes(start: i64, end: i64) -> Interval {
        let at = |minute| DateTime::from_timestamp(1_760_486_400 + minute * 60, 0).unwrap();
        Interval::new(at(start), at(end)).unwrap()
    }

    fn revision(sequence: u64) -> Revision {
        Revision::changed_at(DateTime::UNIX_EPOCH).sequence(sequence)
    }

    /// Appointment 1 of tenant 1, of event type 1.
    fn booking(start: i64, end: i64) -> Appointment {
        Appointment::new(1.into(), 1.into(), minutes(start, end))
            .event_type(1)
            .buffers(Buffers::NONE)
            .revision(revision(1))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn left(overlay: &Overlay, event_type: u64, asked: &[u64], slots: &[Slot]) -> Vec<Slot> {
        let mut slots = slots.to_vec();
        let asked: Vec<_> = asked.iter().map(|&id| ResourceId::from(id)).collect();
        overlay.apply(
            &1.into(),
            &event_type.into(),
            None,
            &asked,
            &mut slots,
            Instant::now(),
        );
        slots
    }

    #[tokio::test(start_paused = true)]
    async fn a_booked_resource_is_taken_from_every_event_type() {
        let overlay = Overlay::new(Duration::ZERO);
        overlay.book(&booking(60, 120).resource(7), soon());
        let slot = |start: i64| Slot::new(minutes(start, start + 30)).resource(7);
        let slots = [slot(30), slot(60), slot(100), slot(120)];
        assert_eq!(left(&overlay, 1, &[], &slots), [slot(30), slot(120)]);
        assert_eq!(left(&overlay, 2, &[], &slots), [slot(30), slot(120)]);
        let both = slot(60).resource(8);
        let other = Slot::new(minutes(60, 90)).resource(8);
        assert_eq!(left(&overlay, 2, &[], std::slice::from_ref(&both)), [other]);
        assert_eq!(left(&overlay, 2, &[7], &[both]), []);
    }

    #[tokio::test(start_paused = true)]
    async fn another_tenant_and_another_resource_are_not_affected() {
        let overlay = Overlay::new(Duration::ZERO);
        let mut other = booking(60, 120).resource(7);
        other.tenant = 2.into();
        overlay.book(&other, soon());
        overlay.book(&booking(60, 120).resource(8), soon());
        let slots = [Slot::new(minutes(60, 90)).resource(7)];
        assert_eq!(left(&overlay, 1, &[], &slots), slots);
        assert_eq!(
            left(&overlay, 1, &[7], &[Slot::new(minutes(60, 90))]).len(),
            1
        );
    }

    #[tokio::test(start_paused = true)]
    async fn buffers_of_both_sides_count() {
        let overlay = Overlay::new(Duration::ZERO);
        let ten = Duration::from_secs(600);
        overlay.book(
            &booking(60, 120).resource(7).buffers(Buffers::new(ten, ten)),
            soon(),
        );
        let rules = EventTypeRules::new().buffers(Buffers::new(ten, ten));
        let free = |start: i64| {
            let mut slots = vec![Slot::new(minutes(start, start + 30)).resource(7)];
            let (tenant, event_type) = (1.into(), 1.into());
            overlay.apply(
                &tenant,
                &event_type,
                Some(&rules),
                &[],
                &mut slots,
                Instant::now(),
            );
            slots.len() == 1
        };
        assert!(free(10) && !free(11) && !free(139) && free(140));
    }

    #[tokio::test(start_paused = true)]
    async fn a_booking_whose_resources_are_unknown_hits_its_event_type() {
        let overlay = Overlay::new(Duration::ZERO);
        overlay.book(&booking(60, 120), soon());
        let slots = [
            Slot::new(minutes(60, 90)).resource(7),
            Slot::new(minutes(60, 90)),
        ];
        assert_eq!(left(&overlay, 1, &[], &slots), []);
        assert_eq!(left(&overlay, 2, &[], &slots), slots);
    }

    #[tokio::test(start_paused = true)]
    async fn seats_go_one_by_one() {
        let overlay = Overlay::new(Duration::ZERO);
        let seats = |remaining| {
            Slot::new(minutes(60, 120)).resource(7).seats(Seats {
                remaining,
                total: 3,
            })
        };
        let overlapping = Slot::new(minutes(90, 150)).resource(7);
        overlay.book(&booking(60, 120).resource(7), soon());
        overlay.book(&booking(60, 120).resource(7), soon());
        let slots = [seats(2), overlapping];
        assert_eq!(left(&overlay, 1, &[], &slots), [seats(1)]);
        assert_eq!(left(&overlay, 2, &[], &slots), []);
        let mut second = booking(60, 120).resource(7);
        second.id = 2.into();
        overlay.book(&second, soon());
        assert_eq!(left(&overlay, 1, &[], &slots), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_ends_with_its_time() {
        let overlay = Overlay::new(Duration::ZERO);
        overlay.book(
            &booking(60, 120).resource(7),
            Instant::now() + Duration::from_secs(10),
        );
        let slots = [Slot::new(minutes(60, 90)).resource(7)];
        assert_eq!(left(&overlay, 1, &[], &slots), []);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(left(&overlay, 1, &[], &slots), slots);
        let mut other = booking(0, 1);
        other.id = 2.into();
        overlay.free(&other, soon());
        assert_eq!(overlay.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_booking_does_not_undo_a_cancellation() {
        let overlay = Overlay::new(Duration::ZERO);
        let appointment = booking(60, 120).resource(7);
        overlay.free(&appointment, soon());
        overlay.book(&appointment, soon());
        let slots = [Slot::new(minutes(60, 90)).resource(7)];
        assert_eq!(left(&overlay, 1, &[], &slots), slots);
    }

    #[tokio::test(start_paused = true)]
    async fn a_move_under_a_new_id_frees_the_old_one() {
        let overlay = Overlay::new(Duration::ZERO);
        let before = booking(60, 120).resource(7);
        let mut after = booking(240, 300).resource(7);
        after.id = 2.into();
        overlay.reschedule(&before, &after, soon());
        overlay.book(&before, soon());
        let slots = [
            Slot::new(minutes(60, 90)).resource(7),
            Slot::new(minutes(240, 270)).resource(7),
        ];
        assert_eq!(left(&overlay, 1, &[], &slots), slots[..1]);
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_bound_the_change_that_ends_first_goes() {
        let overlay = Overlay::with_capacity(2, Duration::ZERO);
        for (id, seconds) in [(1_u64, 30), (2, 10), (3, 20)] {
            let mut appointment = booking(60, 120);
            appointment.id = id.into();
            appointment.resources = vec![id.into()];
            overlay.book(&appointment, Instant::now() + Duration::from_secs(seconds));
        }
        assert_eq!(overlay.len(), 2);
        let slot = |id: u64| Slot::new(minutes(60, 90)).resource(id);
        assert_eq!(
            left(&overlay, 9, &[], &[slot(1), slot(2), slot(3)]),
            [slot(2)]
        );
    }

    #[derive(Clone, Debug)]
    enum Step {
        Book(Appointment),
        Move(Appointment, Appointment),
        Free(Appointment),
    }

    fn step() -> impl Strategy<Value = (Step, u64)> {
        let appointment = |(id, sequence, start, resource): (u64, u64, i64, u64)| {
            let mut appointment = booking(start * 30, start * 30 + 60).resource(resource);
            appointment.id = id.into();
            appointment.revision(revision(sequence))
        };
        let fields = || (1..4_u64, 0..4_u64, 0..10_i64, 1..3_u64).prop_map(appointment);
        let step = prop_oneof![
            fields().prop_map(Step::Book),
            (fields(), fields()).prop_map(|(before, after)| Step::Move(before, after)),
            fields().prop_map(Step::Free),
        ];
        (step, 1..50_u64)
    }

    type Kept = BTreeMap<(TenantId, AppointmentId), (Version, Instant)>;

    /// What is kept, after a check that index and ends agree with it.
    fn kept(overlay: &Overlay) -> Kept {
        let state = overlay.read();
        let changes = || {
            let of = |(tenant, changes): (_, &HashMap<_, _>)| {
                let tenant: TenantId = Clone::clone(tenant);
                changes
                    .iter()
                    .map(move |(id, change): (&AppointmentId, &Arc<Change>)| {
                        ((tenant.clone(), id.clone()), Arc::clone(change))
                    })
                    .collect::<Vec<_>>()
            };
            state.changes.iter().flat_map(of).collect::<Vec<_>>()
        };
        let occupied = changes()
            .iter()
            .filter_map(|(_, change)| change.version.occupied.clone())
            .collect::<Vec<_>>();
        let indexed = |by: fn(&Index) -> usize| state.index.values().map(by).sum::<usize>();
        assert_eq!(
            indexed(|index| index.by_resource.values().map(BTreeMap::len).sum()),
            occupied
                .iter()
                .map(|occupied| occupied.resources.len())
                .sum::<usize>()
        );
        assert_eq!(
            indexed(|index| index.by_event_type.values().map(BTreeMap::len).sum()),
            occupied.len()
        );
        assert_eq!(state.ends.len(), changes().len());
        assert_eq!(overlay.len(), changes().len());
        changes()
            .into_iter()
            .map(|(key, c)| (key, (c.version.clone(), c.lives_until)))
            .collect()
    }

    proptest! {
        #[test]
        fn any_order_with_any_repetition_leads_to_the_same_state(
            (steps, shuffled) in prop::collection::vec(step(), 1..12).prop_flat_map(|steps| {
                let twice = [steps.clone(), steps.clone()].concat();
                (Just(steps), Just(twice).prop_shuffle())
            }),
        ) {
            let start = Instant::now() + Duration::from_secs(3600);
            let play = |steps: &[(Step, u64)]| {
                let overlay = Overlay::new(Duration::ZERO);
                for (step, life) in steps {
                    let lives_until = start + Duration::from_secs(*life);
                    match step {
                        Step::Book(appointment) => overlay.book(appointment, lives_until),
                        Step::Move(before, after) => overlay.reschedule(before, after, lives_until),
                        Step::Free(appointment) => overlay.free(appointment, lives_until),
                    }
                }
                kept(&overlay)
            };
            prop_assert_eq!(play(&steps), play(&shuffled));
        }
    }
}
