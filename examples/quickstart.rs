//! The booked slot is gone from the answers when `dispatch` returns; the confirmation follows.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]
use vacancy::dispatch::{BoxError, Bus, Listener};
use vacancy::slots::*;

struct Calendar([Slot; 2]); // never hears of a booking: it goes on offering both
#[async_trait::async_trait]
impl SlotSource for Calendar {
    async fn slots(&self, _: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        Ok(self.0.to_vec())
    }
}
struct SendConfirmation;
impl Listener<AppointmentBooked> for SendConfirmation {
    async fn handle(&self, booked: &AppointmentBooked) -> Result<(), BoxError> {
        println!("confirmed: {}", booked.appointment.intervals()[0]);
        Ok(())
    }
}
#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let two = "2025-10-15T14:00:00Z/2025-10-15T15:00:00Z".parse()?;
    let three = "2025-10-15T15:00:00Z/2025-10-15T16:00:00Z".parse()?;
    let slots = SlotsCache::builder(Calendar([two, three].map(Slot::new))).build();
    let bus = Bus::builder()
        .subscribe(InvalidateSlotsCache::new(slots.clone()))
        .listen(SendConfirmation)
        .build()?;

    let day = "2025-10-15T00:00:00Z/2025-10-16T00:00:00Z".parse()?;
    let query = SlotsQuery::new(15, 123, day).resource(42); // tenant, event type, host
    let open = slots.open(&query).await?; // asks the calendar, and keeps the answer
    println!("open: {} and {}", open[0].interval, open[1].interval);
    let booked = Appointment::new(1.into(), 15.into(), open[0].interval).resource(42);
    let receipt = bus.dispatch(AppointmentBooked::new(booked)); // returns at once
    println!("open: {}", slots.open(&query).await?[0].interval); // the slot is gone already
    receipt.settled().await; // only because the program ends here
    Ok(())
}
