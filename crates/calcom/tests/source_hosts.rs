//! Which event types of Cal.com answer for which hosts.

mod fake_calcom;

use chrono_tz::Tz;
use fake_calcom::{Bookable, FakeCalcom, days, failure, read, starts};
use vacancy_calcom::{CalcomError, CalcomEventType, CalcomSlots, MAX_EVENT_TYPES};
use vacancy_slots::{ResourceId, SlotsQuery, SlotsRequest};

fn wednesday() -> SlotsQuery {
    SlotsQuery::new(15, 123, days("2025-10-15", "2025-10-15", Tz::UTC))
}

/// Marie, who is resource 7, works at nine and ten; Paul, who is 8, at ten and eleven.
async fn salon() -> FakeCalcom {
    let calcom = FakeCalcom::start().await;
    calcom.offer(1007, Bookable::new(60).hours(9 * 60, 11 * 60));
    calcom.offer(1008, Bookable::new(60).hours(10 * 60, 12 * 60));
    calcom
}

/// Each host has an event type of his own: 1000 and his number.
fn own(request: &SlotsRequest) -> Vec<CalcomEventType> {
    let of_host = |host: &ResourceId| {
        let number: u64 = host.as_str().parse().expect("a number");
        CalcomEventType::id(1000 + number).resource(host.clone())
    };
    request.resources.iter().map(of_host).collect()
}

fn mapped(
    calcom: &FakeCalcom,
    event_types: impl Fn(&SlotsRequest) -> Vec<CalcomEventType> + Send + Sync + 'static,
) -> CalcomSlots {
    calcom
        .builder()
        .event_types(event_types)
        .build()
        .expect("settings that can be used")
}

#[tokio::test(start_paused = true)]
async fn each_host_is_asked_for_and_named() {
    let calcom = salon().await;
    let source = mapped(&calcom, own);
    let hers = read(&source, &wednesday().resource(7)).await.unwrap();
    assert_eq!(starts(&hers), ["15T09:00", "15T10:00"]);
    assert!(hers.iter().all(|slot| slot.resources == [7.into()]));
    assert_eq!(calcom.calls(), 1);

    let both = read(&source, &wednesday().resource(8).resource(7))
        .await
        .unwrap();
    assert_eq!(starts(&both), ["15T09:00", "15T10:00", "15T11:00"]);
    assert_eq!(calcom.calls(), 3);
    assert_eq!(both[0].resources, [7.into()]);
    let mut at_ten = both[1].resources.clone();
    at_ten.sort();
    assert_eq!(at_ten, [7.into(), 8.into()]);
    assert_eq!(both[2].resources, [8.into()]);
}

#[tokio::test(start_paused = true)]
async fn a_part_of_the_answer_is_no_answer() {
    let calcom = salon().await;
    let source = mapped(&calcom, own);
    // 9 has no event type at Cal.com, which refuses the question.
    let error = failure(&source, &wednesday().resource(7).resource(9)).await;
    assert!(matches!(
        error.downcast_ref(),
        Some(CalcomError::Refused { status: 400 })
    ));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_an_error_and_not_sent() {
    let calcom = salon().await;
    let error = failure(&mapped(&calcom, |_| vec![]), &wednesday()).await;
    assert!(matches!(error.downcast_ref(), Some(CalcomError::Unmapped)));
    let many = |_: &SlotsRequest| (0..17).map(CalcomEventType::id).collect();
    let error = failure(&mapped(&calcom, many), &wednesday()).await;
    match error.downcast_ref() {
        Some(CalcomError::TooManyEventTypes { asked: 17, max }) => {
            assert_eq!(*max, MAX_EVENT_TYPES);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(calcom.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_mapping_ids_are_the_same_and_nobody_is_guessed() {
    let calcom = salon().await;
    let source = calcom.source();
    let query = |event_type: &str| {
        let event_type: vacancy_slots::EventTypeId = event_type.parse().expect("an id");
        SlotsQuery::new(15, event_type, wednesday().window)
    };
    assert_eq!(read(&source, &query("1007")).await.unwrap().len(), 2);
    for not_asked in [query("01007"), query("9f4d"), query("1007").resource(7)] {
        let error = failure(&source, &not_asked).await;
        assert!(matches!(error.downcast_ref(), Some(CalcomError::Unmapped)));
    }
    assert_eq!(calcom.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_type_that_is_named_twice_is_asked_once() {
    let calcom = salon().await;
    let team = |request: &SlotsRequest| {
        let either = |host: &ResourceId| CalcomEventType::id(1007).resource(host.clone());
        request.resources.iter().map(either).collect()
    };
    let both = wednesday().resource(7).resource(8);
    let slots = read(&mapped(&calcom, team), &both).await.unwrap();
    assert_eq!(starts(&slots), ["15T09:00", "15T10:00"]);
    assert_eq!(slots[0].resources, [7.into(), 8.into()]);
    assert_eq!(calcom.calls(), 1);

    // Where one time nobody is named, anybody may serve it.
    let anybody = |_: &SlotsRequest| {
        vec![
            CalcomEventType::id(1007).resource(7),
            CalcomEventType::id(1007),
        ]
    };
    let slots = read(&mapped(&calcom, anybody), &wednesday()).await.unwrap();
    assert!(slots.iter().all(|slot| slot.resources.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn what_anybody_may_serve_stays_apart_from_what_somebody_serves() {
    let calcom = salon().await;
    calcom.offer(1009, Bookable::new(60).hours(10 * 60, 11 * 60));
    let mixed = |_: &SlotsRequest| {
        vec![
            CalcomEventType::id(1007).resource(7),
            CalcomEventType::id(1009),
            CalcomEventType::id(1008).resource(8),
        ]
    };
    let slots = read(&mapped(&calcom, mixed), &wednesday()).await.unwrap();
    assert_eq!(
        starts(&slots),
        ["15T09:00", "15T10:00", "15T10:00", "15T11:00"]
    );
    assert_eq!(slots[1].resources, [7.into(), 8.into()]);
    assert_eq!(slots[2].resources, []);
}
