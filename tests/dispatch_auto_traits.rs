//! Handles, errors and futures can be sent and shared.

mod dispatch;

use std::time::Duration;

use dispatch::{Ping, within};
use vacancy::dispatch::{
    Abandoned, Batch, BuildError, Bus, BusBuilder, DeadLetter, Delivery, Envelope, EventId,
    EventStream, Explanation, Failed, FlightRecorder, InvalidEventId, LaneState, Ledger, Live,
    Outcome, PauseError, Permanent, Policy, Reason, Receipt, ReplayError, Report, Retry,
    ShutdownReport, Skip, Topology, Unreachable,
};

fn shared<T: Send + Sync + 'static>() {}

fn sent<T: Send>(value: T) -> T {
    value
}

#[test]
fn handles_reports_and_errors_are_send_sync_and_static() {
    shared::<Bus>();
    shared::<BusBuilder>();
    shared::<Receipt>();
    shared::<Delivery>();
    shared::<Envelope<Ping>>();
    shared::<EventStream<Ping>>();
    shared::<Live<Ping>>();
    shared::<Batch<Ping>>();
    shared::<Failed<Ping>>();
    shared::<(LaneState, PauseError, ReplayError)>();
    shared::<(Report, Outcome, Reason, EventId, Ledger, Topology)>();
    shared::<(DeadLetter, ShutdownReport, Abandoned)>();
    shared::<(FlightRecorder, Explanation)>();
    shared::<(Policy<Ping>, Retry)>();
    shared::<(BuildError, Unreachable, Permanent, Skip, InvalidEventId)>();
}

#[tokio::test]
async fn futures_can_be_sent() {
    let bus = Bus::builder().build().expect("an empty bus is a bus");
    let mut stream = bus.stream::<Ping>();
    let receipt = bus.dispatch(Ping(1));
    within(sent(receipt.settled())).await;
    within(sent(stream.next())).await;
    within(sent(receipt.reached("nobody")))
        .await
        .expect_err("there is no listener");
    within(sent(bus.shutdown(Duration::from_secs(1)))).await;
}
