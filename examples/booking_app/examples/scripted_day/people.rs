//! Those who book, and those who only look.

use std::sync::{Mutex, PoisonError};

use chrono::NaiveDate;
use fastrand::Rng;

use super::{
    calcom::{About, Calcom, Webhook},
    clock::Moment,
    history::Refusal,
    menu::{Offer, SERVICES},
    visitor::{Answer, Visitor},
};

/// Those who book, and those who only look.
#[derive(Debug)]
pub(crate) struct People {
    pub(crate) visitor: Visitor,
    weeks: Vec<NaiveDate>,
    calcom: Calcom,
    /// Webhooks that were lost, to be delivered at the end.
    lost: Mutex<Vec<Webhook>>,
}

/// In how many weeks somebody looks before he gives up.
const PATIENCE: u32 = 5;

impl People {
    pub(crate) fn new(visitor: Visitor, weeks: Vec<NaiveDate>) -> Self {
        Self {
            visitor,
            weeks,
            calcom: Calcom::default(),
            lost: Mutex::default(),
        }
    }

    /// Somebody looks.
    pub(crate) async fn look(&self, draw: &mut Rng) -> anyhow::Result<()> {
        self.ask(draw).await?;
        Ok(())
    }

    /// Somebody wants an appointment: at Cal.com, on the page, or on the phone.
    pub(crate) async fn wish(&self, draw: &mut Rng, number: u32) -> anyhow::Result<()> {
        let Some((looked, offer)) = self.choose(draw).await? else {
            self.visitor.history.note().found_nothing += 1;
            return Ok(());
        };
        // Now and then somebody else has seen the same, and wants it too.
        let rival = draw.u8(0..100) < 5;
        let rival = async {
            match rival {
                true => self
                    .page(looked, offer, &format!("rival-{number}"))
                    .await
                    .map(drop),
                false => Ok(()),
            }
        };
        let wish = async {
            match draw.u8(0..100) {
                0..60 => self.at_calcom(draw, number, looked, offer).await,
                60..85 => self.on_the_page(draw, number, looked, offer).await,
                _ => self.on_the_phone(draw, number, looked, offer).await,
            }
        };
        let (rival, wish) = tokio::join!(rival, wish);
        rival?;
        wish
    }

    async fn ask(&self, draw: &mut Rng) -> anyhow::Result<(Moment, Vec<Offer>)> {
        let service = draw.usize(0..SERVICES.len());
        let host = draw.bool().then(|| draw.usize(0..SERVICES[service].hosts));
        // Most look at the weeks that come soon.
        let week = (draw.f64().powi(2) * self.weeks.len() as f64) as usize;
        let host = host.map(u8::try_from).transpose()?;
        self.visitor
            .look(u8::try_from(service)?, host, self.weeks[week])
            .await
    }

    /// Looks until something is free, and takes to one of the times.
    async fn choose(&self, draw: &mut Rng) -> anyhow::Result<Option<(Moment, Offer)>> {
        for _ in 0..PATIENCE {
            let (looked, offers) = self.ask(draw).await?;
            if let Some(offer) = draw.choice(offers) {
                return Ok(Some((looked, offer)));
            }
        }
        Ok(None)
    }

    async fn page(
        &self,
        looked: Moment,
        offer: Offer,
        key: &str,
    ) -> anyhow::Result<Option<String>> {
        self.visitor.history.note().page += 1;
        let answer = self.visitor.book(&offer, key).await?;
        Ok(self.answered(answer, looked, offer))
    }

    /// Notes what came of it.
    fn answered(&self, answer: Answer, looked: Moment, wanted: Offer) -> Option<String> {
        let answered = self.visitor.clock.now();
        let mut history = self.visitor.history.note();
        match answer {
            Answer::Booked(id) => {
                history.took(&id, wanted, answered);
                Some(id)
            }
            Answer::Refused => {
                history.refusals.push(Refusal {
                    wanted,
                    looked,
                    lost: false,
                });
                None
            }
        }
    }

    async fn on_the_page(
        &self,
        draw: &mut Rng,
        number: u32,
        looked: Moment,
        offer: Offer,
    ) -> anyhow::Result<()> {
        let Some(id) = self.page(looked, offer, &format!("page-{number}")).await? else {
            return Ok(());
        };
        match draw.u8(0..100) {
            0..15 => {
                let began = self.visitor.clock.now();
                self.visitor.cancel(&id).await?;
                let mut history = self.visitor.history.note();
                history.freed(&id, began);
                history.cancelled += 1;
            }
            15..30 => self.move_on_the_page(draw, &id, offer).await?,
            _ => {}
        }
        Ok(())
    }

    async fn move_on_the_page(&self, draw: &mut Rng, id: &str, offer: Offer) -> anyhow::Result<()> {
        let Some((looked, to)) = self.choose_again(draw, offer).await? else {
            return Ok(());
        };
        let began = self.visitor.clock.now();
        let answer = self.visitor.reschedule(id, &to).await?;
        if answer != Answer::Refused {
            let mut history = self.visitor.history.note();
            history.freed(id, began);
            history.moved += 1;
        }
        self.answered(answer, looked, to);
        Ok(())
    }

    /// Looks for another time of the same service.
    async fn choose_again(
        &self,
        draw: &mut Rng,
        offer: Offer,
    ) -> anyhow::Result<Option<(Moment, Offer)>> {
        let week = self.weeks[draw.usize(0..self.weeks.len())];
        let (looked, offers) = self.visitor.look(offer.service, None, week).await?;
        Ok(draw.choice(offers).map(|to| (looked, to)))
    }

    async fn on_the_phone(
        &self,
        draw: &mut Rng,
        number: u32,
        looked: Moment,
        offer: Offer,
    ) -> anyhow::Result<()> {
        self.visitor.history.note().phone += 1;
        let call = format!("call-{number}");
        // The agent did not wait for the answer, and calls again.
        if draw.u8(0..100) < 20 {
            let (one, two) = tokio::join!(
                self.visitor.call(&offer, &call),
                self.visitor.call(&offer, &call)
            );
            let (one, two) = (one?, two?);
            if one != two {
                self.visitor.history.note().retried_differently += 1;
            }
            self.answered(one, looked, offer);
        } else {
            let answer = self.visitor.call(&offer, &call).await?;
            self.answered(answer, looked, offer);
        }
        Ok(())
    }

    async fn at_calcom(
        &self,
        draw: &mut Rng,
        number: u32,
        looked: Moment,
        offer: Offer,
    ) -> anyhow::Result<()> {
        self.visitor.history.note().calcom += 1;
        let uid = format!("uid-{number}");
        if !self.calcom.take(&uid, offer) {
            // Cal.com knows of the other one, and the salon will.
            self.visitor.history.note().refused_at_calcom += 1;
            return Ok(());
        }
        let mut news = vec![Webhook::created(&uid, offer, looked)];
        match draw.u8(0..100) {
            0..15 => {
                self.calcom.free(&uid);
                news.push(news[0].cancelled());
            }
            15..30 => {
                let moved = format!("{uid}-moved");
                if let Some((looked, to)) = self.choose_again(draw, offer).await?
                    && self.calcom.take(&moved, to)
                {
                    self.calcom.free(&uid);
                    news.push(news[0].rescheduled(&moved, to, looked));
                }
            }
            _ => {}
        }
        self.send(draw, news).await
    }

    /// Sends what there is to tell: twice, in the wrong order, or not at all.
    async fn send(&self, draw: &mut Rng, news: Vec<Webhook>) -> anyhow::Result<()> {
        let mut copies = Vec::new();
        for webhook in news {
            if draw.u8(0..100) < 3 {
                self.visitor.history.note().lost += 1;
                let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
                lost.push(webhook);
                continue;
            }
            let more = match draw.u8(0..100) {
                0..5 => 2,
                5..30 => 1,
                _ => 0,
            };
            self.visitor.history.note().duplicates += more;
            copies.extend((0..=more).map(|_| webhook.clone()));
        }
        if copies.len() > 1 && draw.u8(0..100) < 40 {
            draw.shuffle(&mut copies);
            self.visitor.history.note().reordered += 1;
        }
        // Two at a time, as Cal.com's queues do.
        for pair in copies.chunks(2) {
            let second = async {
                match pair.get(1) {
                    Some(webhook) => self.deliver(webhook, false).await,
                    None => Ok(()),
                }
            };
            let (one, two) = tokio::join!(self.deliver(&pair[0], false), second);
            one?;
            two?;
        }
        Ok(())
    }

    /// What was lost arrives after all.
    pub(crate) async fn deliver_what_was_lost(&self) -> anyhow::Result<()> {
        let lost = {
            let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *lost)
        };
        for webhook in &lost {
            self.deliver(webhook, true).await?;
        }
        Ok(())
    }

    async fn deliver(&self, webhook: &Webhook, lost: bool) -> anyhow::Result<()> {
        let began = self.visitor.clock.now();
        let outcome = self.visitor.deliver(&webhook.body()).await?;
        let answered = self.visitor.clock.now();
        let mut history = self.visitor.history.note();
        history.deliveries += 1;
        match (outcome.as_str(), &webhook.about) {
            ("fresh", About::Created) => history.took(&webhook.uid, webhook.offer, answered),
            ("fresh", About::Rescheduled { from, .. }) => {
                history.freed(from, began);
                history.moved += 1;
                history.took(&webhook.uid, webhook.offer, answered);
            }
            ("fresh", About::Cancelled) => {
                history.freed(&webhook.uid, began);
                history.cancelled += 1;
            }
            ("conflict", _) => history.refusals.push(Refusal {
                wanted: webhook.offer,
                looked: webhook.looked,
                lost,
            }),
            ("duplicate" | "superseded", _) => {}
            (other, _) => anyhow::bail!("a webhook was taken for {other}"),
        }
        Ok(())
    }
}
