//! A lock finds what disappeared or became something else, names it, and tells it from what was added.

use std::{fs, num::NonZeroUsize, path::PathBuf};

use proptest::prelude::*;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tempfile::TempDir;
use vacancy_console::{
    Change, EventChange, EventsLock, FieldChange, ListenerChange, LockError, assert_locked,
};
use vacancy_dispatch::{Bus, BusBuilder, Event, Listener, Policy, inline_fn, listen_fn};

/// An event in two versions, whose fields each test chooses.
struct Booked<const VERSION: u16>(Value);

impl<const VERSION: u16> Event for Booked<VERSION> {
    const NAME: &'static str = "appointment.booked";
    const VERSION: u16 = VERSION;
}

impl<const VERSION: u16> Serialize for Booked<VERSION> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

struct Cancelled;

impl Event for Cancelled {
    const NAME: &'static str = "appointment.cancelled";
}

fn idle<E: Event>(name: &str) -> impl Listener<E> + use<E> {
    listen_fn::<E, _, _>(name.to_owned(), |_| async { Ok(()) })
}

fn lock(bus: BusBuilder) -> EventsLock {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime starts");
    let _inside = runtime.enter();
    EventsLock::of(&bus.build().expect("fits together").topology())
}

/// A bus with an inline listener that is required, and one with a lane.
fn bus() -> BusBuilder {
    Bus::builder()
        .inline(inline_fn("fence", |_: &Booked<2>| ()))
        .listen(idle::<Booked<2>>("mail"))
        .require::<Booked<2>>("fence")
}

fn sampled<const VERSION: u16>(bus: BusBuilder, fields: Value) -> EventsLock {
    let sample = Booked::<VERSION>(fields);
    lock(bus).sample(&sample).expect("JSON is serializable")
}

struct Locked {
    _directory: TempDir,
    path: PathBuf,
}

impl Locked {
    fn new(lock: &EventsLock) -> Self {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("events.lock");
        lock.write(&path).expect("writable");
        Self {
            _directory: directory,
            path,
        }
    }

    /// What breaks by a change, after the check that the message names each and how to renew.
    fn broken(&self, lock: &EventsLock) -> Vec<Change> {
        let error = lock.check(&self.path).expect_err("something changed");
        let message = error.to_string();
        let LockError::Broken { changes, .. } = error else {
            panic!("{error:?}");
        };
        let breaking: Vec<_> = changes.into_iter().filter(Change::is_breaking).collect();
        for change in &breaking {
            assert!(message.contains(&change.to_string()), "{change}: {message}");
        }
        assert!(
            message.contains("; if that is meant, renew ")
                && message.ends_with("events.lock with `VACANCY_RENEW_LOCK=1 cargo test`"),
            "{message}"
        );
        breaking
    }

    /// What was only added or set differently, after the same check.
    fn outdated(&self, lock: &EventsLock) -> Vec<Change> {
        let error = lock.check(&self.path).expect_err("something changed");
        let message = error.to_string();
        let LockError::Outdated { changes, .. } = error else {
            panic!("{error:?}");
        };
        for change in &changes {
            assert!(!change.is_breaking(), "{change}");
            assert!(message.contains(&change.to_string()), "{change}: {message}");
        }
        assert!(
            message.ends_with("events.lock with `VACANCY_RENEW_LOCK=1 cargo test`"),
            "{message}"
        );
        changes
    }
}

fn texts(changes: &[Change]) -> Vec<String> {
    changes.iter().map(Change::to_string).collect()
}

#[test]
fn a_listener_that_is_registered_no_more_is_named() {
    let locked = Locked::new(&lock(bus()));
    let bus = Bus::builder()
        .inline(inline_fn("fence", |_: &Booked<2>| ()))
        .require::<Booked<2>>("fence");
    let broken = locked.broken(&lock(bus));
    assert_eq!(
        broken,
        [Change::Listener {
            event: "appointment.booked".to_owned(),
            listener: "mail".to_owned(),
            change: ListenerChange::Disappeared,
        }]
    );
    assert_eq!(
        texts(&broken),
        ["listener mail of appointment.booked disappeared"]
    );
}

#[test]
fn a_field_that_is_no_more_is_named() {
    let fields = json!({"old": {"start": "14:00", "end": "15:00"}, "id": 1});
    let locked = Locked::new(&sampled::<2>(bus(), fields));
    let broken = locked.broken(&sampled::<2>(
        bus(),
        json!({"old": {"end": "15:00"}, "id": 1}),
    ));
    assert_eq!(
        broken[0],
        Change::Field {
            event: "appointment.booked".to_owned(),
            field: "old.start".to_owned(),
            change: FieldChange::Disappeared,
        }
    );
    assert_eq!(
        texts(&broken),
        [
            "field old.start of appointment.booked disappeared",
            "event appointment.booked has other fields and still version 2",
        ]
    );
    // What was inside of it is not named again.
    let broken = locked.broken(&sampled::<2>(bus(), json!({"id": 1})));
    assert_eq!(
        texts(&broken)[0],
        "field old of appointment.booked disappeared"
    );
    assert_eq!(broken.len(), 2, "{broken:?}");
}

#[test]
fn a_field_of_another_type_is_named() {
    let locked = Locked::new(&sampled::<2>(bus(), json!({"seats": 1, "guests": [1]})));
    let broken = locked.broken(&sampled::<2>(bus(), json!({"seats": "1", "guests": [1.5]})));
    assert_eq!(
        texts(&broken),
        [
            "field guests[] of appointment.booked was integer and is number",
            "field seats of appointment.booked was integer and is string",
            "event appointment.booked has other fields and still version 2",
        ]
    );
    assert_eq!(
        broken[2],
        Change::Event {
            event: "appointment.booked".to_owned(),
            change: EventChange::VersionNotRaised { version: 2 },
        }
    );
}

#[test]
fn a_version_that_was_raised_with_the_fields_is_not_asked_for_again() {
    let locked = Locked::new(&sampled::<1>(Bus::builder(), json!({"seats": 1})));
    let lock = sampled::<2>(Bus::builder(), json!({"places": 1}));
    let broken = locked.broken(&lock);
    assert_eq!(
        texts(&broken),
        ["field seats of appointment.booked disappeared"]
    );
}

#[test]
fn a_lower_version_is_named() {
    let locked = Locked::new(&lock(Bus::builder().declare::<Booked<2>>()));
    let broken = locked.broken(&lock(Bus::builder().declare::<Booked<1>>()));
    assert_eq!(
        broken,
        [Change::Event {
            event: "appointment.booked".to_owned(),
            change: EventChange::VersionLowered { was: 2, is: 1 },
        }]
    );
    assert_eq!(
        texts(&broken),
        ["event appointment.booked had version 2 and has 1, a lower one"]
    );
}

#[test]
fn an_event_that_is_no_more_is_named() {
    let locked = Locked::new(&lock(bus().declare::<Cancelled>()));
    assert_eq!(
        texts(&locked.broken(&lock(bus()))),
        ["event appointment.cancelled disappeared"]
    );
}

#[test]
fn a_sample_that_is_no_more_is_named() {
    let locked = Locked::new(&sampled::<2>(bus(), json!({"id": 1})));
    assert_eq!(
        texts(&locked.broken(&lock(bus()))),
        ["event appointment.booked has no sample any more"]
    );
}

#[test]
fn a_listener_that_is_not_required_any_more_is_named() {
    let locked = Locked::new(&lock(bus()));
    let bus = Bus::builder()
        .inline(inline_fn("fence", |_: &Booked<2>| ()))
        .listen(idle::<Booked<2>>("mail"));
    assert_eq!(
        texts(&locked.broken(&lock(bus))),
        ["listener fence of appointment.booked is no longer required"]
    );
}

#[test]
fn a_listener_that_is_disabled_is_named() {
    let locked = Locked::new(&lock(bus()));
    assert_eq!(
        texts(&locked.broken(&lock(bus().disable("mail")))),
        ["listener mail of appointment.booked is disabled"]
    );
    let locked = Locked::new(&lock(bus().disable("mail")));
    assert_eq!(
        texts(&locked.outdated(&lock(bus()))),
        ["listener mail of appointment.booked is no longer disabled"]
    );
}

#[test]
fn a_listener_that_is_not_inline_any_more_is_named_without_its_new_settings() {
    let locked = Locked::new(&lock(bus()));
    let bus = Bus::builder()
        .listen(idle::<Booked<2>>("fence"))
        .listen(idle::<Booked<2>>("mail"))
        .require::<Booked<2>>("fence");
    let error = lock(bus).check(&locked.path).expect_err("it changed");
    let LockError::Broken { changes, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        texts(&changes),
        ["listener fence of appointment.booked was of kind inline and is lane"]
    );
}

#[test]
fn what_was_only_added_asks_for_the_file_to_be_renewed() {
    let locked = Locked::new(&sampled::<2>(bus(), json!({"id": 1})));
    let bus = bus()
        .listen(idle::<Booked<2>>("report"))
        .listen(idle::<Cancelled>("mail"))
        .require::<Booked<2>>("mail");
    let lock = sampled::<2>(bus, json!({"id": 1, "new": {"start": "14:00"}}));
    assert_eq!(
        texts(&locked.outdated(&lock)),
        [
            "field new of appointment.booked is new",
            "listener mail of appointment.booked is required now",
            "listener report of appointment.booked is new",
            "event appointment.cancelled is new",
        ]
    );
}

#[test]
fn a_first_sample_and_a_raised_version_ask_for_the_file_to_be_renewed() {
    let locked = Locked::new(&lock(Bus::builder().declare::<Booked<1>>()));
    let lock = sampled::<2>(Bus::builder(), json!({"id": 1}));
    assert_eq!(
        texts(&locked.outdated(&lock)),
        [
            "event appointment.booked had version 1 and has 2",
            "event appointment.booked has a sample now",
        ]
    );
}

#[test]
fn another_policy_asks_for_the_file_to_be_renewed_and_names_the_settings() {
    let with = |policy| lock(Bus::builder().listen_with(idle::<Cancelled>("mail"), policy));
    let locked = Locked::new(&with(Policy::new()));
    let retry = vacancy_dispatch::Retry::new(std::num::NonZeroU32::MIN);
    let policy = Policy::new().capacity(NonZeroUsize::MIN).retry(retry);
    assert_eq!(
        texts(&locked.outdated(&with(policy))),
        [
            "listener mail of appointment.cancelled had capacity 1024 and has 1",
            "listener mail of appointment.cancelled had retry not set and has \
             {\"attempts\":1,\"first_pause_ms\":100,\"longest_pause_ms\":10000}",
        ]
    );
}

#[test]
fn a_message_about_what_breaks_leaves_out_what_was_added() {
    let locked = Locked::new(&lock(bus()));
    let error = lock(Bus::builder().listen(idle::<Cancelled>("mail")))
        .check(&locked.path)
        .expect_err("an event disappeared");
    assert!(!error.to_string().contains("is new"), "{error}");
    let LockError::Broken { changes, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        texts(&changes),
        [
            "event appointment.booked disappeared",
            "event appointment.cancelled is new",
        ]
    );
}

#[test]
fn a_file_that_is_not_there_is_to_be_written() {
    let directory = TempDir::new().expect("a directory");
    let error = lock(bus()).check(directory.path().join("events.lock"));
    let error = error.expect_err("there is no file");
    assert!(matches!(error, LockError::Missing { .. }), "{error:?}");
    let message = error.to_string();
    assert!(
        message.ends_with(
            "events.lock does not exist; write it with `VACANCY_RENEW_LOCK=1 cargo test`"
        ),
        "{message}"
    );
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let directory = TempDir::new().expect("a directory");
    let error = lock(bus()).check(directory.path());
    let error = error.expect_err("a directory is no file");
    assert!(matches!(error, LockError::Unreadable { .. }), "{error:?}");
}

#[test]
fn a_file_that_is_not_a_lock_says_where_it_is_wrong() {
    let locked = Locked::new(&lock(bus()));
    for (text, place) in [
        ("<<<<<<< ours", "line 1"),
        (r#"{"format": 1}"#, "missing field `readme`"),
        (
            r#"{"format": 1, "readme": [], "events": {}, "extra": 1}"#,
            "extra",
        ),
        (r#"{"readme": [], "events": {}}"#, "missing field `format`"),
    ] {
        fs::write(&locked.path, text).expect("writable");
        let error = lock(bus()).check(&locked.path).expect_err("not a lock");
        let LockError::Malformed { source, .. } = error else {
            panic!("{error:?}");
        };
        assert!(source.to_string().contains(place), "{source}");
    }
}

#[test]
fn a_file_of_a_newer_build_is_not_misread() {
    let locked = Locked::new(&lock(bus()));
    fs::write(&locked.path, r#"{"format": 2, "services": []}"#).expect("writable");
    let error = lock(bus()).check(&locked.path).expect_err("too new");
    assert!(
        matches!(error, LockError::Newer { format: 2, .. }),
        "{error:?}"
    );
}

#[test]
fn a_file_that_cannot_be_written_is_what_it_was() {
    let locked = Locked::new(&lock(bus()));
    let directory = locked.path.parent().expect("in a directory");
    let below = directory.join("missing").join("events.lock");
    lock(bus()).write(&below).expect_err("no such directory");
    lock(bus())
        .write(directory.join(".."))
        .expect_err("not a file's name");
    // Nothing can take the place of a directory that is not empty; and no draft is left behind.
    let taken = directory.join("taken");
    fs::create_dir_all(taken.join("inside")).expect("a directory");
    lock(bus()).write(&taken).expect_err("a directory is there");
    let mut names: Vec<_> = fs::read_dir(directory)
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["events.lock", "taken"]);
    lock(bus()).check(&locked.path).expect("what it was");
}

#[test]
fn the_file_says_how_to_renew_it_and_does_not_depend_on_the_order_of_registration() {
    let read = |lock: &EventsLock| fs::read_to_string(Locked::new(lock).path).expect("readable");
    let one = Bus::builder()
        .listen(idle::<Cancelled>("a"))
        .listen(idle::<Cancelled>("b"))
        .declare::<Booked<1>>();
    let other = Bus::builder()
        .declare::<Booked<1>>()
        .listen(idle::<Cancelled>("b"))
        .listen(idle::<Cancelled>("a"));
    let text = read(&lock(one));
    assert_eq!(text, read(&lock(other)));
    let head: String = text.lines().take(4).collect();
    assert!(head.contains("VACANCY_RENEW_LOCK=1 cargo test"), "{head}");
    assert!(text.ends_with("}\n"), "{text}");
}

#[test]
fn a_sample_that_is_no_json_is_refused() {
    struct Failing;
    impl Event for Failing {
        const NAME: &'static str = "failing";
    }
    impl Serialize for Failing {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let error = lock(bus())
        .sample(&Failing)
        .expect_err("it does not serialize");
    assert_eq!(
        error.to_string(),
        "the sample of failing cannot be serialized as JSON"
    );
}

#[test]
#[should_panic(expected = "listener mail of appointment.booked disappeared")]
fn a_test_fails_with_what_is_broken() {
    let locked = Locked::new(&lock(bus()));
    let bus = Bus::builder()
        .inline(inline_fn("fence", |_: &Booked<2>| ()))
        .require::<Booked<2>>("fence");
    assert_locked(&lock(bus), &locked.path);
}

/// Any JSON, with names that try to look like paths.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let name = prop_oneof![any::<String>(), "[a.\\[\\]\"$]{0,4}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..4)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_written_is_up_to_date(
        samples in prop::collection::vec(any_json(), 0..3),
        listeners in prop::collection::btree_set(any::<String>(), 0..4),
        capacity: NonZeroUsize,
        time_out: std::time::Duration,
    ) {
        let bus = listeners.iter().fold(Bus::builder(), |bus, name| {
            let policy = Policy::new().capacity(capacity).time_out(time_out);
            bus.listen_with(idle::<Booked<2>>(name), policy)
        });
        let lock = samples.into_iter().fold(lock(bus), |lock, sample| {
            lock.sample(&Booked::<2>(sample)).expect("JSON is serializable")
        });
        let locked = Locked::new(&lock);
        assert_locked(&lock, &locked.path);
    }

    #[test]
    fn a_file_that_would_be_written_differently_is_not_up_to_date(
        one in any_json(),
        other in any_json(),
    ) {
        let lock = |sample| sampled::<2>(Bus::builder(), sample);
        let (one, other) = (lock(one), lock(other));
        let (locked, written) = (Locked::new(&one), Locked::new(&other));
        let [locked_text, text] = [&locked, &written]
            .map(|file| fs::read_to_string(&file.path).expect("readable"));
        prop_assert_eq!(other.check(&locked.path).is_ok(), locked_text == text);
    }
}
