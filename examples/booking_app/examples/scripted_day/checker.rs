//! Says of a history which offers were stale, and which refusals were deserved.

use std::{collections::BTreeSet, time::Duration};

use super::{
    history::{Events, Read, Refusal, Taking},
    menu::{HOSTS, Offer},
};

/// What came of a day.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) reads: usize,
    /// Reads that were answered without the calendar.
    pub(crate) kept: usize,
    pub(crate) offers: usize,
    /// Offers of what somebody else had, and had been told so, before the question was asked.
    pub(crate) stale_offers: usize,
    pub(crate) stale_reads: usize,
    /// Offers of what the diary had as taken when the question came in, by the application's own count.
    pub(crate) said_stale: u64,
    /// Wishes by where they were made.
    pub(crate) page: u32,
    pub(crate) phone: u32,
    pub(crate) calcom: u32,
    pub(crate) found_nothing: u32,
    pub(crate) booked: usize,
    pub(crate) moved: u32,
    pub(crate) cancelled: u32,
    pub(crate) deliveries: u32,
    pub(crate) duplicates: u32,
    pub(crate) reordered: u32,
    pub(crate) lost: u32,
    /// Refused, and somebody else was told that he has it after this one had looked.
    pub(crate) wanted_by_two: usize,
    pub(crate) refused_at_calcom: u32,
    /// Refused what had been taken, and told so, before he looked.
    pub(crate) refused_stale: usize,
    /// Refused because the webhook of his own booking had been lost.
    pub(crate) refused_untold: usize,
    /// Refused what nobody has.
    pub(crate) refused_for_nothing: usize,
    pub(crate) retried_differently: u32,
    /// Bookings that the diary lacks, or has too many.
    pub(crate) diary_differs: usize,
    /// What listeners had not finished ten seconds after closing time; the hosts' calendars are slow.
    pub(crate) abandoned: usize,
    pub(crate) took: Duration,
    /// How long half, and all but one in a hundred, of the reads took at most.
    pub(crate) half: Duration,
    pub(crate) most: Duration,
}

impl Verdict {
    /// Whether every promise was kept.
    pub(crate) fn holds(&self) -> bool {
        self.stale_offers == 0
            && self.said_stale == 0
            && self.refused_stale == 0
            && self.refused_for_nothing == 0
            && self.retried_differently == 0
            && self.diary_differs == 0
    }
}

/// Judges a day by its history and by what is in the diary in the end.
pub(crate) fn check(events: Events, diary: Vec<String>, took: Duration) -> Verdict {
    let hosts: Vec<Vec<&Taking>> = (0..HOSTS.len())
        .map(|host| {
            let takings = events.takings.iter();
            takings
                .filter(|taking| usize::from(taking.offer.host) == host)
                .collect()
        })
        .collect();
    let of_host = |host: u8| &hosts[usize::from(host)][..];
    let stale: Vec<_> = events
        .reads
        .iter()
        .map(|read| {
            let offers = read.offers.iter();
            offers
                .filter(|offer| is_stale(read, offer, of_host(offer.host)))
                .count()
        })
        .collect();
    let mut verdict = Verdict {
        reads: events.reads.len(),
        kept: events.reads.iter().filter(|read| read.kept).count(),
        offers: events.reads.iter().map(|read| read.offers.len()).sum(),
        stale_offers: stale.iter().sum(),
        stale_reads: stale.iter().filter(|stale| **stale > 0).count(),
        said_stale: events.reads.iter().map(|read| read.said_stale).sum(),
        page: events.page,
        phone: events.phone,
        calcom: events.calcom,
        found_nothing: events.found_nothing,
        booked: events.takings.len(),
        moved: events.moved,
        cancelled: events.cancelled,
        deliveries: events.deliveries,
        duplicates: events.duplicates,
        reordered: events.reordered,
        lost: events.lost,
        refused_at_calcom: events.refused_at_calcom,
        retried_differently: events.retried_differently,
        diary_differs: differences(&events, diary),
        took,
        ..Verdict::default()
    };
    for refusal in &events.refusals {
        verdict.judge(refusal, of_host(refusal.wanted.host));
    }
    let mut times: Vec<_> = events.reads.iter().map(|read| read.took).collect();
    times.sort_unstable();
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    (verdict.half, verdict.most) = (at(50), at(99));
    verdict
}

impl Verdict {
    fn judge(&mut self, refusal: &Refusal, takings: &[&Taking]) {
        let in_the_way = takings
            .iter()
            .filter(|taking| taking.offer.excludes(&refusal.wanted));
        let in_the_way: Vec<_> = in_the_way.collect();
        let stands = |taking: &&&Taking| taking.freed.is_none_or(|freed| freed > refusal.looked);
        if refusal.lost {
            self.refused_untold += 1;
        } else if in_the_way
            .iter()
            .any(|taking| taking.answered > refusal.looked)
        {
            self.wanted_by_two += 1;
        } else if in_the_way.iter().any(stands) {
            self.refused_stale += 1;
        } else {
            self.refused_for_nothing += 1;
        }
    }
}

/// Whether somebody had it before the question was asked, and had not begun to give it up when the answer came.
fn is_stale(read: &Read, offer: &Offer, takings: &[&Taking]) -> bool {
    takings.iter().any(|taking| {
        taking.offer.excludes(offer)
            && taking.answered < read.began
            && taking.freed.is_none_or(|freed| freed > read.ended)
    })
}

fn differences(events: &Events, diary: Vec<String>) -> usize {
    let held = events
        .takings
        .iter()
        .filter(|taking| taking.freed.is_none());
    let held: BTreeSet<_> = held.map(|taking| taking.id.clone()).collect();
    let diary: BTreeSet<_> = diary.into_iter().collect();
    held.symmetric_difference(&diary).count()
}
