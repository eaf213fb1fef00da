//! What is in the diary of a salon that nobody has used yet.

use chrono::{DateTime, Utc};
use vacancy::slots::{Appointment, AppointmentId};
use vacancy_sqlx::{BookError, Booking};

use crate::{
    diary::{Diary, note_customer},
    salon::{Salon, ZONE},
};

const DAYS: usize = 14;

/// Books about a third of this and the next week, drawn from a seed, before anybody can ask.
pub(crate) async fn first_bookings(
    diary: &Diary,
    salon: &Salon,
    seed: u64,
    now: DateTime<Utc>,
) -> Result<(), BookError> {
    if !diary.is_empty().await.map_err(BookError::Database)? {
        return Ok(());
    }
    let mut draw = fastrand::Rng::with_seed(seed);
    let today = now.with_timezone(&ZONE).date_naive();
    let mut tx = diary.guard().begin().await?;
    let days = today.iter_days().take(DAYS);
    let mut wishes: Vec<_> = days
        .flat_map(|day| salon.hosts.iter().map(move |host| (day, host)))
        .flat_map(|wish| [wish; 3])
        .collect();
    draw.shuffle(&mut wishes);
    for (number, (day, host)) in wishes.into_iter().enumerate() {
        let event_types = salon.event_types.iter();
        let served: Vec<_> = event_types
            .filter(|each| each.served_by(&host.id))
            .collect();
        let Some(event_type) = draw.choice(served) else {
            continue;
        };
        let times: Vec<_> = event_type.times(day).collect();
        let (Some(time), Some(name)) = (draw.choice(times), draw.choice(NAMES)) else {
            continue;
        };
        let id: AppointmentId = format!("first-{number}").parse().expect("a short name");
        let appointment = Appointment::new(id.clone(), salon.tenant.clone(), time)
            .branch(salon.branch.clone())
            .event_type(event_type.id.clone())
            .resource(host.id.clone())
            .buffers(event_type.buffers);
        match diary
            .guard()
            .book(&mut tx, &Booking::new(appointment))
            .await
        {
            // Nobody listens yet, and nothing is cached.
            Ok(change) => drop(change),
            Err(BookError::Taken { .. }) => continue,
            Err(error) => return Err(error),
        }
        let noted = note_customer(&mut tx, &id, name).await;
        noted.map_err(BookError::Database)?;
    }
    tx.commit().await.map_err(BookError::Database)
}

const NAMES: [&str; 8] = ["Mia", "Noah", "Emma", "Ben", "Lina", "Paul", "Ida", "Finn"];
