//! What is in the diary of a salon that nobody has used yet.

use chrono::{DateTime, Days, Utc};

use crate::{
    booking::Booking,
    diary::{Diary, DiaryError},
    salon::{Salon, ZONE},
};

const DAYS: u64 = 14;

/// Books about a third of this and the next week, drawn from a seed.
pub(crate) async fn first_bookings(
    diary: &Diary,
    salon: &Salon,
    seed: u64,
    now: DateTime<Utc>,
) -> Result<(), DiaryError> {
    if !diary.is_empty().await? {
        return Ok(());
    }
    let mut draw = fastrand::Rng::with_seed(seed);
    let today = now.with_timezone(&ZONE).date_naive();
    let mut number = 0;
    for day in today
        .iter_days()
        .take_while(|day| *day < today + Days::new(DAYS))
    {
        for host in &salon.hosts {
            for _ in 0..3 {
                let served: Vec<_> = salon
                    .event_types
                    .iter()
                    .filter(|each| each.served_by(&host.id))
                    .collect();
                let Some(event_type) = draw.choice(served) else {
                    continue;
                };
                let Some(time) = draw.choice(event_type.times(day).collect::<Vec<_>>()) else {
                    continue;
                };
                number += 1;
                let booking = Booking {
                    id: format!("first-{number}").parse().expect("a short name"),
                    event_type: event_type.id.clone(),
                    host: host.id.clone(),
                    time,
                    name: (*draw.choice(&NAMES).unwrap_or(&NAMES[0])).to_owned(),
                    revision: 0,
                    changed_at: now,
                    cancelled: false,
                };
                match diary.book(&booking, &format!("first-{number}")).await {
                    Ok(_) | Err(DiaryError::Taken) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}

const NAMES: [&str; 8] = ["Mia", "Noah", "Emma", "Ben", "Lina", "Paul", "Ida", "Finn"];
