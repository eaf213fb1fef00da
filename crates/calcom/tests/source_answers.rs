//! What Cal.com documents is understood in each of its forms, and whatever else comes is an error:
//! never 'no slots'.

mod fake_calcom;

use std::{error::Error, num::NonZeroU32, time::Duration};

use chrono_tz::{Europe, Tz};
use fake_calcom::{Bookable, FakeCalcom, Frozen, KEY, days, failure, read, soon, starts, utc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::advance,
};
use vacancy_calcom::{
    CalcomApi, CalcomError, CalcomEventType, CalcomLimit, CalcomSlots, MAX_ANSWER_BYTES, Unreadable,
};
use vacancy_slots::{Seats, Slot, SlotsQuery};

fn wednesday() -> SlotsQuery {
    SlotsQuery::new(15, 123, days("2025-10-15", "2025-10-15", Tz::UTC))
}

/// An hour at nine, ten and eleven.
async fn salon() -> FakeCalcom {
    let calcom = FakeCalcom::start().await;
    calcom.offer(123, Bookable::new(60).hours(9 * 60, 12 * 60).any_length());
    calcom
}

async fn slots(source: &CalcomSlots, query: &SlotsQuery) -> Vec<Slot> {
    read(source, query).await.expect("slots")
}

fn minutes(slots: &[Slot]) -> Vec<u64> {
    let minutes = |slot: &Slot| slot.interval.duration().as_secs() / 60;
    slots.iter().map(minutes).collect()
}

#[tokio::test(start_paused = true)]
async fn a_request_is_what_the_api_documents() {
    let calcom = salon().await;
    let query = wednesday()
        .zone(Europe::Berlin)
        .duration(Duration::from_secs(5400));
    slots(&calcom.source(), &query).await;
    let asked = calcom.last();
    assert_eq!(asked.path, "/v2/slots");
    assert_eq!(asked.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(asked.headers["cal-api-version"], "2024-09-04");
    let query: Vec<_> = asked.query.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(
        query,
        [
            ("duration", "90"),
            ("end", "2025-10-17T22:00:00Z"),
            ("eventTypeId", "123"),
            ("format", "range"),
            ("start", "2025-10-13T22:00:00Z"),
            ("timeZone", "Europe/Berlin"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn slots_come_with_both_their_ends() {
    let calcom = salon().await;
    let open = slots(&calcom.source(), &wednesday()).await;
    assert_eq!(starts(&open), ["15T09:00", "15T10:00", "15T11:00"]);
    assert_eq!(minutes(&open), [60, 60, 60]);
    assert_eq!(open[0].start(), utc("2025-10-15T09:00:00Z"));
}

#[tokio::test(start_paused = true)]
async fn a_length_that_is_asked_for_is_the_length_of_the_slots() {
    let calcom = salon().await;
    let query = wednesday().duration(Duration::from_secs(7200));
    assert_eq!(minutes(&slots(&calcom.source(), &query).await), [120, 120]);
    for seconds in [0, 30, 90] {
        let query = wednesday().duration(Duration::from_secs(seconds));
        let error = failure(&calcom.source(), &query).await;
        assert!(matches!(
            error.downcast_ref(),
            Some(CalcomError::UnusableLength { .. })
        ));
    }
    assert_eq!(calcom.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn starts_alone_need_a_length_that_somebody_said() {
    let calcom = salon().await;
    calcom.gives_starts_alone();
    let source = calcom.source();
    let error = failure(&source, &wednesday()).await;
    assert!(matches!(
        error.downcast_ref(),
        Some(CalcomError::LengthUnknown)
    ));
    let asked = wednesday().duration(Duration::from_secs(5400));
    assert_eq!(minutes(&slots(&source, &asked).await), [90, 90]);
    let told = calcom
        .builder()
        .event_types(|_| vec![CalcomEventType::id(123).length(Duration::from_secs(3600))]);
    let told = told.build().unwrap();
    assert_eq!(minutes(&slots(&told, &wednesday()).await), [60, 60, 60]);
    // What was asked for is what was answered.
    assert_eq!(minutes(&slots(&told, &asked).await), [90, 90]);
}

#[tokio::test(start_paused = true)]
async fn the_older_api_is_asked_its_own_way() {
    let calcom = salon().await;
    let source = calcom
        .builder()
        .api(CalcomApi::V2024_04_15)
        .event_types(|_| vec![CalcomEventType::id(123).length(Duration::from_secs(3600))])
        .build()
        .unwrap();
    let open = slots(&source, &wednesday()).await;
    assert_eq!(starts(&open), ["15T09:00", "15T10:00", "15T11:00"]);
    assert_eq!(minutes(&open), [60, 60, 60]);
    let asked = calcom.last();
    assert_eq!(asked.path, "/v2/slots/available");
    assert_eq!(asked.headers["cal-api-version"], "2024-04-15");
    assert_eq!(asked.query["startTime"], "2025-10-14T00:00:00Z");
    assert_eq!(asked.query["endTime"], "2025-10-17T00:00:00Z");

    let by_slug = calcom
        .builder()
        .api(CalcomApi::V2024_04_15)
        .event_types(|_| vec![CalcomEventType::of_user("cut", "marie")])
        .build()
        .unwrap();
    let error = failure(&by_slug, &wednesday()).await;
    assert!(matches!(error.downcast_ref(), Some(CalcomError::NeedsId)));
    assert_eq!(calcom.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_type_is_found_by_its_slug() {
    let calcom = salon().await;
    calcom.offer(7, Bookable::new(30).hours(540, 570).slug("marie", "cut"));
    calcom.offer(8, Bookable::new(30).hours(600, 630).slug("salon", "cut"));
    for (event_type, start) in [
        (CalcomEventType::of_user("cut", "marie"), "15T09:00"),
        (
            CalcomEventType::of_team("cut", "salon").organization("chain"),
            "15T10:00",
        ),
    ] {
        let source = calcom
            .builder()
            .event_types(move |_| vec![event_type.clone()]);
        let open = slots(&source.build().unwrap(), &wednesday()).await;
        assert_eq!(starts(&open), [start]);
    }
    assert_eq!(calcom.last().query["organizationSlug"], "chain");
}

#[tokio::test(start_paused = true)]
async fn seats_are_told_and_a_full_slot_is_not_offered() {
    let calcom = FakeCalcom::start().await;
    calcom.offer(123, Bookable::new(60).hours(540, 660).seats(2));
    let nine = "2025-10-15T09:00:00Z/2025-10-15T10:00:00Z".parse().unwrap();
    let ten = "2025-10-15T10:00:00Z/2025-10-15T11:00:00Z".parse().unwrap();
    calcom.book(1, 123, nine);
    for id in [2, 3] {
        calcom.book(id, 123, ten);
    }
    let open = slots(&calcom.source(), &wednesday()).await;
    assert_eq!(starts(&open), ["15T09:00"]);
    let left = Seats {
        remaining: 1,
        total: 2,
    };
    assert_eq!(open[0].seats, Some(left));
}

#[tokio::test(start_paused = true)]
async fn a_day_without_slots_is_absent_and_empty() {
    let calcom = FakeCalcom::start().await;
    calcom.offer(123, Bookable::new(60).hours(0, 0));
    assert_eq!(slots(&calcom.source(), &wednesday()).await, []);
}

const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[tokio::test(start_paused = true)]
async fn what_is_not_an_answer_is_an_error_and_never_no_slots() {
    use CalcomError as E;
    use Unreadable as U;

    type Case<'a> = (u16, &'a [(&'static str, &'a str)], &'a str, fn(&E) -> bool);
    let calcom = salon().await;
    let limit = CalcomLimit::per_minute(NonZeroU32::new(1000).unwrap());
    let source = calcom.builder().retries(0).limit(limit).build().unwrap();
    let html = [("content-type", "text/html")];
    let page = "<html><body>{}</body></html>";
    let nothing = r#"{"status":"success","data":{}}"#;
    let away = [JSON, ("location", "/v2/elsewhere")];
    let cases: &[Case<'_>] = &[
        (200, &html, page, |it| {
            matches!(it, E::Unreadable(U::ContentType))
        }),
        (200, &html, nothing, |it| {
            matches!(it, E::Unreadable(U::ContentType))
        }),
        (200, &[], nothing, |it| {
            matches!(it, E::Unreadable(U::ContentType))
        }),
        (200, &[JSON], page, |it| {
            matches!(it, E::Unreadable(U::NotJson { .. }))
        }),
        (200, &[JSON], "", |it| matches!(it, E::Unreadable(U::Empty))),
        (
            200,
            &[JSON],
            r#"{"status":"success","data":{"2025-"#,
            |it| matches!(it, E::Unreadable(U::NotJson { .. })),
        ),
        (200, &[JSON], r#"{"status":"error","data":{}}"#, |it| {
            matches!(it, E::Unreadable(U::NotSuccess))
        }),
        (200, &[JSON], r#"{"status":"success"}"#, |it| {
            matches!(it, E::Unreadable(U::NoData))
        }),
        (
            200,
            &[JSON],
            r#"{"status":"success","data":{"slots":{}}}"#,
            |it| matches!(it, E::Unreadable(U::Shape { .. })),
        ),
        (204, &[], "", |it| matches!(it, E::Refused { status: 204 })),
        (201, &[JSON], nothing, |it| {
            matches!(it, E::Refused { status: 201 })
        }),
        (302, &away, nothing, |it| {
            matches!(it, E::Refused { status: 302 })
        }),
        (304, &[], "", |it| matches!(it, E::Refused { status: 304 })),
        (400, &[JSON], nothing, |it| {
            matches!(it, E::Refused { status: 400 })
        }),
        (401, &[JSON], nothing, |it| {
            matches!(it, E::Unauthorized { status: 401 })
        }),
        (403, &[JSON], nothing, |it| {
            matches!(it, E::Unauthorized { status: 403 })
        }),
        (404, &[JSON], nothing, |it| {
            matches!(it, E::Refused { status: 404 })
        }),
        (500, &[JSON], nothing, |it| {
            matches!(it, E::Refused { status: 500 })
        }),
        (503, &html, page, |it| {
            matches!(it, E::Refused { status: 503 })
        }),
    ];
    for (status, headers, body, expected) in cases {
        calcom.answers(*status, headers, body);
        let error = failure(&source, &wednesday()).await;
        let calcom_error = error.downcast_ref().expect("ours");
        assert!(expected(calcom_error), "{status} {body}: {error:?}");
        // A call that succeeds, so that the breaker does not open.
        assert_eq!(slots(&source, &wednesday()).await.len(), 3);
    }
    assert_eq!(calcom.calls(), 2 * cases.len(), "nothing is followed");
}

#[tokio::test(start_paused = true)]
async fn an_endless_answer_is_not_read_to_its_end() {
    let calcom = salon().await;
    let spaces = " ".repeat(MAX_ANSWER_BYTES);
    let answer = format!(r#"{{"status":"success","data":{{}}}}{spaces}"#);
    calcom.answers(200, &[JSON], &answer);
    let error = failure(&calcom.source(), &wednesday()).await;
    assert!(matches!(
        error.downcast_ref(),
        Some(CalcomError::Unreadable(Unreadable::TooLong {
            max: MAX_ANSWER_BYTES
        }))
    ));
}

/// Answers one connection with these bytes, and then lets go of it.
async fn raw(bytes: &'static [u8]) -> CalcomSlots {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        let mut request = [0; 4096];
        let read = connection.read(&mut request).await.expect("a request");
        assert!(read > 0);
        connection.write_all(bytes).await.expect("it listens");
    });
    let source = CalcomSlots::builder(KEY).base_url(format!("http://{address}"));
    source
        .retries(0)
        .build()
        .expect("settings that can be used")
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_is_an_error() {
    let _frozen = Frozen::new();
    for bytes in [
        b"" as &[u8],
        b"HTTP/1.1 200 OK\r\ncontent-ty",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{\"status\":\"success\",\"data\":{}}",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1e\r\n{\"status\":\"success\",\"data\":{}}\r\n",
        b"not http at all",
    ] {
        let error = failure(&raw(bytes).await, &wednesday()).await;
        assert!(
            matches!(error.downcast_ref(), Some(CalcomError::Unreachable(_))),
            "{error:?}"
        );
        assert!(error.source().is_some(), "the cause can be walked to");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_an_error() {
    let _frozen = Frozen::new();
    let gone = salon().await.url();
    let source = CalcomSlots::builder(KEY).base_url(gone).retries(0);
    let listener_dropped = source.build().unwrap();
    let error = failure(&listener_dropped, &wednesday()).await;
    assert!(matches!(
        error.downcast_ref(),
        Some(CalcomError::Unreachable(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_in_time_is_an_error() {
    let calcom = salon().await;
    calcom.holds();
    let source = calcom.source();
    let reader = tokio::spawn(async move { failure(&source, &wednesday()).await });
    calcom.entered().await;
    advance(Duration::from_secs(5)).await;
    let error = soon(reader).await.unwrap();
    let limit = match error.downcast_ref() {
        Some(CalcomError::TimedOut { limit }) => *limit,
        other => panic!("{other:?}"),
    };
    assert_eq!(limit, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_is_refused_and_not_tried_again() {
    let calcom = salon().await;
    let source = CalcomSlots::builder("cal_live_other").base_url(calcom.url());
    let error = failure(&source.build().unwrap(), &wednesday()).await;
    assert!(matches!(
        error.downcast_ref(),
        Some(CalcomError::Unauthorized { status: 401 })
    ));
    assert_eq!(calcom.calls(), 1);
}
