//! Reservations: what somebody keeps from others while he makes up his mind.

mod claimed;
mod request;
mod reservation;
mod reserved;

use std::{fmt, time::Duration};

use metrics::counter;
use tokio::time::Instant;
use vacancy_cache::{
    Claim, ClaimError, ClaimsUnavailable, Cover, ExtendClaimError, InvalidClaim, Unconfirmed,
};

use self::claimed::{event_type_scope, resource_scope, span_of};
#[cfg(feature = "redis")]
pub(crate) use self::reserved::Ends;
pub(crate) use self::reserved::{Offer, Reserved};
pub use self::{request::ReservationRequest, reservation::Reservation};
use crate::{
    appointment::{Appointment, Buffers},
    ids::{OwnerId, ReservationId, ResourceId, TenantId},
    slots_cache::SlotsCache,
};

/// Reservations: slots that are kept from others while their owner makes up his mind.
///
/// A reservation names its owner, an interval, and the resources that it would occupy. It ends when it is
/// released or its time is over. While it is active, [`SlotsCache::open`] offers what it meets to its owner
/// alone, to whom the query says it [belongs](crate::SlotsQuery::owner), and nobody else can reserve it.
/// Where several hosts or seats are free, the slot is offered until all of them are reserved or booked; a
/// slot that does not tell its hosts goes with the first that may be its own, since nobody can say which are
/// left.
///
/// It is not the hold of [`SlotsCache::hold`], which lasts as long as a transaction and keeps answers
/// true meanwhile, and it prevents no double booking: that is for the write path. There, what of others is
/// [in the way](Self::blocking) is asked for first; one's own never is.
///
/// A handle: `clone` is cheap and shares everything with the [`SlotsCache`] it is from.
///
/// # From reservation to booking
///
/// Reserve; let the customer decide; ask what is [in the way](Self::blocking) and commit; dispatch the event;
/// then [`release`](Self::release). In this order the slot does not reappear in between: until the event is
/// dispatched the reservation hides it, and from then on the booking does.
///
/// # Where they are kept
///
/// In the process, unless the settings [say otherwise](crate::SlotsCacheBuilder::reservations). Then a
/// reservation hides slots from the moment it is made to the very end of its time, without delay.
///
/// Over Redis, all processes have to be built with it. A reservation that was made, extended or released
/// invalidates what it meets, as a booking does, and the call returns when that is confirmed: at once
/// everywhere in strict consistency, within the lease in bounded consistency. Loads ask Redis what is
/// reserved; when it does not answer, they go on without knowing, and what they load is kept for
/// nobody. When Redis loses its memory the reservations are gone; a failover to a replica that lags may
/// bring a released one back for what was left of its time.
///
/// The server's clock decides when a reservation is over. What is left of its time travels as a duration
/// and is counted on by the clock of each process, so clocks need not agree on what time it is. A slot
/// comes back at the end to within the time of an answer of Redis. A clock that is wrong by one part in 1,000
/// makes that a second for every 17 minutes, and a machine that sleeps goes on hiding the slot for as
/// long as it slept; `reserve` is right all the same, since it asks the server.
///
/// # Examples
///
/// ```
/// # use async_trait::async_trait;
/// # use vacancy_slots::{Slot, SlotSource, SlotsRequest, SourceError};
/// # struct Calendar;
/// # #[async_trait]
/// # impl SlotSource for Calendar {
/// #     async fn slots(&self, request: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
/// #         Ok(vec![Slot::new(request.window().expect("a day of UTC"))])
/// #     }
/// # }
/// use vacancy_slots::{OwnerId, ReservationRequest, SlotsCache, SlotsQuery};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let slots = SlotsCache::builder(Calendar).build();
/// let today = "2025-10-15T00:00:00Z/2025-10-16T00:00:00Z".parse()?;
/// let query = SlotsQuery::new(15, 123, today).resource(42);
/// let open = slots.open(&query).await?;
///
/// let ann = OwnerId::try_from("ann")?;
/// let request = ReservationRequest::new(15, 123, open[0].interval, ann.clone()).resource(42);
/// let reserved = slots.reservations().reserve(&request).await?;
/// assert!(slots.open(&query).await?.is_empty());
/// assert_eq!(slots.open(&query.clone().owner(ann.clone())).await?.len(), 1);
///
/// slots.reservations().release(&15.into(), &ann, &reserved.id).await?;
/// assert_eq!(slots.open(&query).await?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Reservations {
    slots: SlotsCache,
}

/// Why something was not reserved, or not for sure.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// Others have reserved some of it. Nothing was reserved; offer something else, or wait.
    #[error("it is reserved by others for another {over_in:?}")]
    Taken {
        /// Whom they have reserved; `None` where it is the event type.
        resource: Option<ResourceId>,
        /// When all that is in the way there is over, unless it is extended.
        over_in: Duration,
    },
    /// A resource, an event type or the owner has so many reservations that no more are taken:
    /// [`MAX_CLAIMS`](vacancy_cache::MAX_CLAIMS). Nothing was reserved; some of them end in their time.
    #[error("there are too many reservations already")]
    Full,
    /// The owner has used the id for another reservation, or for one that was released. Choose a new id.
    #[error("the id was used before")]
    Used,
    /// It cannot be asked like this: too many resources, or ids that are too long.
    #[error("it cannot be reserved as it is")]
    Invalid(#[source] InvalidClaim),
    /// Redis did not answer. It may have been reserved; the same request can be made again.
    #[error("it is not known whether it was reserved")]
    Unavailable(#[source] ClaimsUnavailable),
    /// It is reserved, and nobody else can reserve it; but other processes may go on offering it, for the
    /// time to live at most. Use it, or release it.
    #[error("it is reserved, but not every process may know of it")]
    Unconfirmed {
        /// What is reserved.
        reservation: Box<Reservation>,
        /// What is not confirmed.
        source: Unconfirmed,
    },
}

/// Why a reservation was not extended, or not for sure.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ExtendError {
    /// Its time was over, or it was released or forgotten. Reserve anew, with a new request.
    #[error("the reservation is over")]
    Over,
    /// Redis did not answer. It may have been extended; extending it again is safe.
    #[error("it is not known whether it was extended")]
    Unavailable(#[source] ClaimsUnavailable),
    /// It is extended, but other processes may offer the slot from its former end on, for the time to live at
    /// most.
    #[error("it is extended, but not every process may know of it")]
    Unconfirmed {
        /// As it is now.
        reservation: Box<Reservation>,
        /// What is not confirmed.
        source: Unconfirmed,
    },
}

/// Why a reservation was not released, or not for sure.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// Redis did not answer. It may have been released; releasing it again is safe, and else it ends in its
    /// time.
    #[error("it is not known whether it was released")]
    Unavailable(#[source] ClaimsUnavailable),
    /// It is released, but other processes may hide the slot until it would have ended.
    #[error("it is released, but not every process may know of it")]
    Unconfirmed(#[source] Unconfirmed),
}

/// Raises the fences of a reservation when it is dropped: whether a call was cancelled, failed or came to its
/// end, what it has changed is then in no answer from before.
struct Raise<'a> {
    slots: &'a SlotsCache,
    covers: Vec<Cover>,
}

impl Reservations {
    pub(crate) fn new(slots: SlotsCache) -> Self {
        Self { slots }
    }

    /// Reserves all that the request names, or nothing.
    ///
    /// A request that is made again, after its answer was lost, is the same reservation. What the owner has
    /// reserved already is not in his way. Whether the slot is free at all is not looked at: it is for
    /// what was offered.
    ///
    /// # Consistency
    ///
    /// When it has returned, no [`open`](SlotsCache::open) that begins later offers what is reserved to
    /// anybody but its owner: in this process; in all that share a Redis, in strict consistency; within the
    /// lease in bounded consistency.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may leave a reservation, which ends in its time; the same request, made again,
    /// gives it back.
    ///
    /// # Errors
    ///
    /// See [`ReserveError`].
    pub async fn reserve(&self, request: &ReservationRequest) -> Result<Reservation, ReserveError> {
        let inner = self.slots.inner();
        let mut request = request.clone();
        request.buffers = request.buffers.or_else(|| {
            let directory = &inner.directory;
            let rules = directory.event_type(&request.tenant, &request.event_type);
            rules.and_then(|rules| rules.buffers)
        });
        let raise = self.raise(&request.granted(Instant::now()));
        let claimed = inner
            .claims
            .claim(&request.claim(inner.longest_reservation))
            .await;
        let claim = match claimed {
            Ok(claim) => claim,
            Err(error) => {
                let refused = ReserveError::from_claim(error);
                counter!("slots_reservations_refused_total").increment(1);
                if !matches!(refused, ReserveError::Unavailable(_)) {
                    raise.not();
                }
                return Err(refused);
            }
        };
        counter!("slots_reservations_total").increment(1);
        drop(raise);
        let reservation = request.granted(claim.until());
        match self.confirmed(&reservation.tenant).await {
            Ok(()) => Ok(reservation),
            Err(source) => Err(ReserveError::Unconfirmed {
                reservation: Box::new(reservation),
                source,
            }),
        }
    }

    /// Lets a reservation last for `lasts` from now, unless it would last longer anyway; no longer than the
    /// [`longest_reservation`](crate::SlotsCacheBuilder::longest_reservation).
    ///
    /// # Consistency
    ///
    /// As for [`reserve`](Self::reserve).
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may have extended it.
    ///
    /// # Errors
    ///
    /// See [`ExtendError`].
    pub async fn extend(
        &self,
        tenant: &TenantId,
        owner: &OwnerId,
        id: &ReservationId,
        lasts: Duration,
    ) -> Result<Reservation, ExtendError> {
        let inner = self.slots.inner();
        let found = self.find(tenant, owner, id).await;
        let (claim, known) = found
            .map_err(ExtendError::Unavailable)?
            .ok_or(ExtendError::Over)?;
        let raise = self.raise(&known);
        let lasts = lasts.min(inner.longest_reservation);
        let claim = match inner.claims.extend(&claim, lasts).await {
            Ok(claim) => claim,
            Err(ExtendClaimError::Unavailable(unavailable)) => {
                return Err(ExtendError::Unavailable(unavailable));
            }
            Err(_) => return Err(ExtendError::Over),
        };
        drop(raise);
        let reservation = Reservation {
            until: claim.until(),
            ..known
        };
        match self.confirmed(tenant).await {
            Ok(()) => Ok(reservation),
            Err(source) => Err(ExtendError::Unconfirmed {
                reservation: Box::new(reservation),
                source,
            }),
        }
    }

    /// Ends a reservation, and gives it as it was; `None` if it had ended already or never was.
    ///
    /// After a booking: dispatch its event first. Then the slot is not offered in between.
    ///
    /// # Consistency
    ///
    /// When it has returned, no [`open`](SlotsCache::open) that begins later hides a slot because of it: in this
    /// process; in all that share a Redis, in strict consistency; within the lease in bounded consistency.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped may have released it.
    ///
    /// # Errors
    ///
    /// See [`ReleaseError`].
    pub async fn release(
        &self,
        tenant: &TenantId,
        owner: &OwnerId,
        id: &ReservationId,
    ) -> Result<Option<Reservation>, ReleaseError> {
        let found = self.find(tenant, owner, id).await;
        let Some((claim, known)) = found.map_err(ReleaseError::Unavailable)? else {
            return Ok(None);
        };
        let raise = self.raise(&known);
        let released = self.slots.inner().claims.release(&claim).await;
        let released = released.map_err(ReleaseError::Unavailable)?;
        drop(raise);
        let confirmed = self.confirmed(tenant).await;
        confirmed.map_err(ReleaseError::Unconfirmed)?;
        Ok(released.then_some(known))
    }

    /// What `owner` has reserved of a tenant, by id.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When Redis did not answer.
    pub async fn of(
        &self,
        tenant: &TenantId,
        owner: &OwnerId,
    ) -> Result<Vec<Reservation>, ClaimsUnavailable> {
        let claims = &self.slots.inner().claims;
        let claims = claims.of(tenant.as_str(), owner.as_str()).await?;
        Ok(claims.iter().filter_map(claimed::read).collect())
    }

    /// What others than `owner` have reserved that is in the way of booking this appointment, by start.
    ///
    /// For the write path, before its own check of what is booked: all resources and intervals of the
    /// appointment count, with its buffers; without resources, its event type does. Where a slot has several
    /// seats, those of others are among them: then the booking has room if the booked seats, the
    /// [`seats`](Reservation::seats) of these, and its own are no more than there are.
    ///
    /// # Consistency
    ///
    /// As things are when it answers; somebody may reserve it right after. The overlap check in the
    /// transaction decides.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// When Redis did not answer. Whether to book all the same is the application's choice.
    pub async fn blocking(
        &self,
        appointment: &Appointment,
        owner: Option<&OwnerId>,
    ) -> Result<Vec<Reservation>, ClaimsUnavailable> {
        let inner = self.slots.inner();
        let tenant = &appointment.tenant;
        let event_type = appointment.event_type.as_ref();
        let rules = event_type.and_then(|id| inner.directory.event_type(tenant, id));
        let buffers = appointment
            .buffers
            .or_else(|| rules.and_then(|rules| rules.buffers))
            .unwrap_or(Buffers::NONE);
        let mut scopes: Vec<_> = appointment
            .resources
            .iter()
            .map(|resource| resource_scope(tenant, resource))
            .collect();
        scopes.extend(event_type.map(|event_type| event_type_scope(tenant, event_type)));
        let needed: Vec<_> = appointment
            .intervals()
            .iter()
            .map(|interval| interval.widened(buffers.before(), buffers.after()))
            .collect();
        let covers: Vec<Cover> = scopes
            .iter()
            .flat_map(|scope| {
                let cover = |needed| Cover::new(scope.clone(), span_of(needed));
                needed.iter().map(cover)
            })
            .collect();
        let claims = inner.claims.list(&covers).await?;
        let in_the_way = |reservation: &Reservation| {
            let of_all = appointment.resources.is_empty() || reservation.resources.is_empty();
            let mut resources = reservation.resources.iter();
            let buffers = reservation.buffers.unwrap_or(Buffers::NONE);
            let busy = reservation
                .interval
                .widened(buffers.before(), buffers.after());
            owner != Some(&reservation.owner)
                && (of_all || resources.any(|resource| appointment.resources.contains(resource)))
                && needed.iter().any(|needed| needed.overlaps(&busy))
        };
        let mut blocking: Vec<Reservation> = claims
            .iter()
            .filter_map(claimed::read)
            .filter(in_the_way)
            .collect();
        blocking.sort_by(|one, other| (one.interval, &one.id).cmp(&(other.interval, &other.id)));
        Ok(blocking)
    }

    async fn find(
        &self,
        tenant: &TenantId,
        owner: &OwnerId,
        id: &ReservationId,
    ) -> Result<Option<(Claim, Reservation)>, ClaimsUnavailable> {
        let claims = &self.slots.inner().claims;
        let found = claims.find(tenant.as_str(), owner.as_str(), id.as_str());
        let found = found.await?;
        Ok(found.and_then(|claim| {
            let reservation = claimed::read(&claim)?;
            Some((claim, reservation))
        }))
    }

    /// Nothing needs to be raised where reservations are looked up at the read.
    fn raise(&self, reservation: &Reservation) -> Raise<'_> {
        let inner = self.slots.inner();
        Raise {
            slots: &self.slots,
            covers: match inner.claims.are_shared() {
                true => inner.covers_of_change(&reservation.appointment()),
                false => Vec::new(),
            },
        }
    }

    async fn confirmed(&self, tenant: &TenantId) -> Result<(), Unconfirmed> {
        if self.slots.inner().claims.are_shared() {
            self.slots.confirmed(tenant).await?;
        }
        Ok(())
    }
}

impl ReserveError {
    fn from_claim(error: ClaimError) -> Self {
        match error {
            ClaimError::Taken { scope, over_in } => Self::Taken {
                resource: claimed::resource_of(&scope),
                over_in,
            },
            ClaimError::Used => Self::Used,
            ClaimError::Invalid(invalid) => Self::Invalid(invalid),
            ClaimError::Unavailable(unavailable) => Self::Unavailable(unavailable),
            _ => Self::Full,
        }
    }
}

impl Raise<'_> {
    /// Nothing has changed.
    fn not(mut self) {
        self.covers.clear();
    }
}

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        if !self.covers.is_empty() {
            self.slots.inner().days.invalidate_all(&self.covers);
        }
    }
}

impl fmt::Debug for Reservations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservations")
            .field("claims", &self.slots.inner().claims)
            .finish_non_exhaustive()
    }
}
