//! The example `scripted_day` at a smaller size: nothing stale, and refused is only who came second.

#[expect(dead_code, reason = "its `main` reads the arguments of a process")]
#[path = "../examples/scripted_day/main.rs"]
mod scripted_day;

use scripted_day::{Arguments, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stale_is_offered_and_refused_is_only_who_came_second() {
    let arguments = Arguments {
        bookings: 120,
        reads: 1_500,
        ttl_reads: 1_500,
        seed: 1,
        calendar_delay: 5,
        calendar_lag: 500,
    };
    let report = tokio::time::timeout(std::time::Duration::from_secs(600), run(&arguments));
    let report = report
        .await
        .expect("the day ends")
        .expect("everybody is answered");
    let vacancy = &report.vacancy;
    assert!(vacancy.holds(), "{report}");
    // What would make the day easier than it is meant to be.
    assert!(
        vacancy.reads >= 1_500 && vacancy.offers > 50_000,
        "{report}"
    );
    assert!(
        vacancy.duplicates > 0 && vacancy.reordered > 0 && vacancy.lost > 0,
        "{report}"
    );
    assert!(
        vacancy.wanted_by_two > 0 && vacancy.moved > 0 && vacancy.cancelled > 0,
        "{report}"
    );
    assert!(
        report.ttl.stale_offers > 0 && report.ttl.refused_stale > 0,
        "{report}"
    );
}
