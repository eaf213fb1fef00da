//! Which types of the source may go to another thread, and stay there.

use std::{error::Error, fmt::Debug, time::Duration};

use vacancy_calcom::{
    CalcomApi, CalcomBuildError, CalcomError, CalcomEventType, CalcomLimit, CalcomSlots,
    CalcomSlotsBuilder, RateLimited, Unreadable,
};
use vacancy_slots::{SlotSource, SlotsRequest};

fn anywhere<T: Debug + Send + Sync + 'static>() {}
fn error<T: Error + Send + Sync + 'static>() {}

#[test]
fn handles_can_be_shared_by_all_threads() {
    fn handle<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}
    handle::<CalcomSlots>();
    handle::<CalcomLimit>();
    handle::<CalcomEventType>();
    handle::<CalcomApi>();
    anywhere::<CalcomSlotsBuilder>();
}

#[test]
fn errors_can_be_passed_on() {
    error::<CalcomError>();
    error::<CalcomBuildError>();
    error::<RateLimited>();
    error::<Unreadable>();
}

#[test]
fn futures_can_be_spawned() {
    fn spawnable<T: Send + 'static>(future: T) {
        drop(future);
    }
    fn turns(limit: CalcomLimit) {
        spawnable(async move { limit.turn(Duration::ZERO).await });
    }
    fn loads(source: CalcomSlots, request: SlotsRequest) {
        spawnable(async move { source.slots(&request).await });
    }
    let _ = (turns, loads);
}
