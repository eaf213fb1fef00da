//! `VACANCY_RENEW_LOCK=1 cargo test` writes the file that the test compares with otherwise.

use std::{env, process::Command};

use tempfile::TempDir;
use vacancy_console::{EventsLock, assert_locked};
use vacancy_dispatch::{Bus, Event, inline_fn};

struct Booked;

impl Event for Booked {
    const NAME: &'static str = "appointment.booked";
}

const PATH: &str = "EVENTS_LOCK_OF_THE_TEST";

/// Runs this very test in a process of its own, whose environment can be set.
fn passes(directory: &TempDir, renew: Option<&str>) -> bool {
    let mut test = Command::new(env::current_exe().expect("this program has a path"));
    test.args(["--exact", "a_lock_is_renewed_where_the_environment_says_so"])
        .env(PATH, directory.path().join("events.lock"))
        .env_remove("VACANCY_RENEW_LOCK");
    if let Some(renew) = renew {
        test.env("VACANCY_RENEW_LOCK", renew);
    }
    test.output().expect("it starts").status.success()
}

#[tokio::test]
async fn a_lock_is_renewed_where_the_environment_says_so() {
    if let Some(path) = env::var_os(PATH) {
        let bus = Bus::builder().inline(inline_fn("fence", |_: &Booked| ()));
        let topology = bus.build().expect("fits together").topology();
        return assert_locked(&EventsLock::of(&topology), path);
    }
    let directory = TempDir::new().expect("a directory");
    assert!(!passes(&directory, None), "there is no file yet");
    assert!(!passes(&directory, Some("0")), "0 does not renew");
    assert!(passes(&directory, Some("1")), "it is written");
    assert!(passes(&directory, None), "it is up to date");
}
