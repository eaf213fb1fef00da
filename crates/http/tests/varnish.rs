//! A real Varnish answers by itself until a booking changes the answer, and forgets nothing else.

mod edge;

use edge::application::Application;
use edge::calendar::{Calendar, appointment};
use edge::soon;
use edge::varnish::Varnish;
use http::{HeaderMap, StatusCode, header};
use vacancy_dispatch::{Bus, Outcome, Reason};
use vacancy_http::{Addressee, CachePolicy, Edge, PurgeEdge};
use vacancy_slots::{
    Appointment, AppointmentBooked, AppointmentCancelled, AppointmentRescheduled,
    InvalidateSlotsCache, SlotsCache,
};

/// A calendar, the application before it, Varnish before that, and a bus that purges it.
struct Site {
    calendar: Calendar,
    slots: SlotsCache,
    application: Application,
    varnish: Varnish,
    bus: Bus,
    browser: reqwest::Client,
}

const ADA: &str = "/slots/ada/2026-11-24";
const ADA_LATER: &str = "/slots/ada/2026-11-27";
const GRACE: &str = "/slots/grace/2026-11-24";

impl Site {
    async fn open(purgers: &str, addressee: Addressee) -> Self {
        let calendar = Calendar::default();
        let slots = calendar.cached();
        // Longer than the test, so that what is fresh was purged and did not grow old.
        let age = std::time::Duration::from_secs(250);
        let policy = CachePolicy::new(slots.clone())
            .shared_max_age(age)
            .addressee(addressee);
        let (application, origin) = Application::serve(slots.clone(), policy).await;
        let varnish = Varnish::before(origin, purgers).await;
        // The browser below has no TLS settings of its own; another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let edge = Edge::varnish("front", &varnish.url("/")).expect("it works");
        let purge = PurgeEdge::new(slots.clone(), [edge]).expect("it works");
        let bus = Bus::builder()
            .subscribe(InvalidateSlotsCache::new(slots.clone()))
            .subscribe(purge)
            .build()
            .expect("it works");
        Self {
            calendar,
            slots,
            application,
            varnish,
            bus,
            browser: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("it works"),
        }
    }

    async fn ask(&self, path: &str, headers: HeaderMap) -> reqwest::Response {
        let request = self.browser.get(self.varnish.url(path)).headers(headers);
        soon(request.send()).await.expect("it works")
    }

    async fn get(&self, path: &str) -> String {
        let response = self.ask(path, HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.text().await.expect("it works")
    }

    async fn book(&self, appointment: &Appointment) {
        self.calendar.book(appointment);
        let receipt = self
            .bus
            .dispatch(AppointmentBooked::new(appointment.clone()));
        assert!(soon(receipt.settled()).await.all_done());
    }

    /// How often the application was asked for each of the paths.
    fn asked(&self) -> [u32; 3] {
        [ADA, ADA_LATER, GRACE].map(|path| self.application.asked(path))
    }

    async fn get_all(&self) {
        for path in [ADA, ADA_LATER, GRACE] {
            self.get(path).await;
        }
    }
}

#[tokio::test]
async fn a_booking_makes_its_answers_fresh_and_leaves_the_others() {
    let site = Site::open("127.0.0.1", Addressee::SharedCaches).await;
    for _ in 0..3 {
        site.get_all().await;
    }
    assert_eq!(site.asked(), [1, 1, 1]);
    assert!(site.get(ADA).await.contains("T14:00"));

    let first = appointment(1, "ada", "2026-11-24T14:00:00Z");
    site.book(&first).await;
    let fresh = site.get(ADA).await;
    assert!(
        !fresh.contains("T14:00") && fresh.contains("T15:00"),
        "{fresh}"
    );
    site.get_all().await;
    assert_eq!(site.asked(), [2, 1, 1]);

    // To another host, three days later: both hosts' days, old and new.
    let moved = appointment(1, "grace", "2026-11-24T10:00:00Z");
    site.calendar.cancel(&first);
    site.calendar.book(&moved);
    let event = AppointmentRescheduled::new(first, moved.clone());
    assert!(soon(site.bus.dispatch(event).settled()).await.all_done());
    assert!(site.get(ADA).await.contains("T14:00"));
    assert!(!site.get(GRACE).await.contains("T10:00"));
    site.get_all().await;
    assert_eq!(site.asked(), [3, 1, 2]);

    site.calendar.cancel(&moved);
    let event = AppointmentCancelled::new(moved);
    assert!(soon(site.bus.dispatch(event).settled()).await.all_done());
    assert!(site.get(GRACE).await.contains("T10:00"));
    site.get_all().await;
    assert_eq!(site.asked(), [3, 1, 3]);

    // Who is booked is not known: all of the tenant's near that day, and not three days later.
    let mut nobody = appointment(2, "ada", "2026-11-24T12:00:00Z");
    nobody.resources.clear();
    site.book(&nobody).await;
    site.get_all().await;
    assert_eq!(site.asked(), [4, 1, 4]);
}

#[tokio::test]
async fn the_edge_keeps_the_keys_to_itself_and_answers_304() {
    for addressee in [Addressee::SharedCaches, Addressee::OwnEdges] {
        let site = Site::open("127.0.0.1", addressee).await;
        site.get(ADA).await;
        let response = site.ask(ADA, HeaderMap::new()).await;
        let headers = response.headers();
        assert!(!headers.contains_key("surrogate-key"), "{headers:?}");
        assert!(!headers.contains_key("surrogate-control"), "{headers:?}");
        let known = HeaderMap::from_iter([(header::IF_NONE_MATCH, headers[header::ETAG].clone())]);
        let response = site.ask(ADA, known).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        // All of it without the application.
        assert_eq!(site.asked(), [1, 0, 0], "{addressee:?}");
        site.book(&appointment(1, "ada", "2026-11-24T14:00:00Z"))
            .await;
        site.get(ADA).await;
        assert_eq!(site.asked(), [2, 0, 0], "{addressee:?}");
    }
}

#[tokio::test]
async fn a_tenant_can_be_purged_by_hand_and_a_stranger_purges_nothing() {
    let site = Site::open("127.0.0.1", Addressee::SharedCaches).await;
    let edge = Edge::varnish("front", &site.varnish.url("/")).unwrap();
    let purge = PurgeEdge::new(site.slots.clone(), [edge]).unwrap();
    site.get_all().await;
    soon(purge.purge_tenant(&16.into())).await.unwrap();
    site.get_all().await;
    assert_eq!(site.asked(), [1, 1, 1]);
    soon(purge.purge_tenant(&15.into())).await.unwrap();
    site.get_all().await;
    assert_eq!(site.asked(), [2, 2, 2]);

    // A site whose list of purgers we are not in.
    let site = Site::open("192.0.2.1", Addressee::SharedCaches).await;
    site.get_all().await;
    let booked = appointment(1, "ada", "2026-11-24T14:00:00Z");
    let receipt = site.bus.dispatch(AppointmentBooked::new(booked));
    let report = soon(receipt.settled()).await;
    assert_eq!(
        report.outcome("http.purge"),
        Some(Outcome::Dead(Reason::Failed))
    );
    site.get_all().await;
    assert_eq!(site.asked(), [1, 1, 1]);
}
