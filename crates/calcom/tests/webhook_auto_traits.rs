//! What may cross threads and outlive its maker.

use vacancy_calcom::{
    Applied, Received, Refusal, Secret, StaticCalcomDirectory, Undelivered, Webhooks,
};

fn is_sendable<T: Send + Sync + 'static>() {}

#[test]
fn handles_results_and_errors_cross_threads() {
    is_sendable::<Webhooks>();
    is_sendable::<Received>();
    is_sendable::<Applied>();
    is_sendable::<Refusal>();
    is_sendable::<Undelivered>();
    is_sendable::<Secret>();
    is_sendable::<StaticCalcomDirectory>();
}
