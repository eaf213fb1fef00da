//! Browsers ask every time, edges keep for a short time, and equal slots have equal tags.

mod edge;

use std::time::Duration;

use async_trait::async_trait;
use chrono_tz::Europe::Berlin;
use edge::calendar::{Calendar, appointment, day_of, hour, id, utc};
use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;
use vacancy_http::{Addressee, CachePolicy, MAX_ANSWER_KEYS, Strength};
use vacancy_slots::{
    Interval, OpenSlots, Seats, Slot, SlotSource, SlotsCache, SlotsQuery, SlotsRequest, SourceError,
};

/// A source that offers what it is made of.
struct Offers(Vec<Slot>);

#[async_trait]
impl SlotSource for Offers {
    async fn slots(&self, _: &SlotsRequest) -> Result<Vec<Slot>, SourceError> {
        Ok(self.0.clone())
    }
}

const DATE: &str = "2026-11-24";

async fn tag(offers: Vec<Slot>) -> String {
    let slots = SlotsCache::builder(Offers(offers)).build();
    let headers = headers(&CachePolicy::new(slots.clone()), &slots).await;
    headers[header::ETAG].to_str().expect("text").to_owned()
}

async fn headers(policy: &CachePolicy, slots: &SlotsCache) -> HeaderMap {
    let query = day_of("ada", DATE);
    let open = slots.open(&query).await.expect("an answer");
    policy
        .headers(&query, &open)
        .expect("headers")
        .into_headers()
}

fn at(clock: &str) -> Slot {
    Slot::new(hour(utc(&format!("{DATE}T{clock}:00Z"))))
}

fn by(slot: Slot, hosts: &[&str]) -> Slot {
    hosts.iter().fold(slot, |slot, host| {
        slot.resource(id::<vacancy_slots::ResourceKind>(host))
    })
}

#[tokio::test]
async fn equal_slots_have_equal_tags_in_every_process() {
    let offers = || vec![by(at("09:00"), &["ada", "grace"]), at("10:00")];
    let first = tag(offers()).await;
    assert_eq!(tag(offers()).await, first);
    let reordered = vec![at("10:00"), by(at("09:00"), &["grace", "ada"])];
    assert_eq!(tag(reordered).await, first);
    // By another implementation: printf '\0\0\0\0UTC' | sha256sum | head -c 32
    let empty = "W/\"fd63fa57ec01ac6ffaced6babd7801c4\"";
    assert_eq!(tag(vec![]).await, empty);
}

#[tokio::test]
async fn whatever_differs_in_the_slots_differs_in_the_tag() {
    let longer = Interval::new(utc("2026-11-24T09:00:00Z"), utc("2026-11-24T10:00:01Z")).unwrap();
    let seats = |remaining, total| at("09:00").seats(Seats { remaining, total });
    let all = [
        vec![],
        vec![at("09:00")],
        vec![at("09:00"), at("09:00")],
        vec![at("10:00")],
        vec![Slot::new(longer)],
        vec![by(at("09:00"), &["ada"])],
        vec![by(at("09:00"), &["grace"])],
        vec![by(at("09:00"), &["ada", "grace"])],
        vec![by(at("09:00"), &["adagrace"])],
        vec![seats(1, 2)],
        vec![seats(2, 2)],
        vec![seats(1, 3)],
    ];
    let mut tags = std::collections::BTreeSet::new();
    for offers in &all {
        tags.insert(tag(offers.clone()).await);
    }
    assert_eq!(tags.len(), all.len());
}

#[tokio::test]
async fn a_tag_tells_its_strength_its_format_and_its_zone() {
    let slots = SlotsCache::builder(Offers(vec![at("09:00")])).build();
    let policy = CachePolicy::new(slots.clone());
    let weak = headers(&policy, &slots).await;
    let strong = headers(&policy.clone().strength(Strength::Strong), &slots).await;
    let weak = weak[header::ETAG].to_str().unwrap();
    assert_eq!(weak.strip_prefix("W/"), strong[header::ETAG].to_str().ok());
    let format = headers(&policy.clone().format(1), &slots).await;
    assert_ne!(format[header::ETAG], weak);
    let query = day_of("ada", DATE).zone(Berlin);
    let open = slots.open(&query).await.unwrap();
    assert_ne!(
        policy.headers(&query, &open).unwrap().tag().to_string(),
        weak
    );
}

#[tokio::test]
async fn a_booking_changes_the_tag_and_its_cancellation_brings_it_back() {
    let calendar = Calendar::default();
    let slots = calendar.cached();
    let policy = CachePolicy::new(slots.clone());
    let free = headers(&policy, &slots).await;
    let booked = appointment(1, "ada", "2026-11-24T14:00:00Z");
    let anew = || slots.invalidate(&15.into(), &vacancy_slots::Target::Tenant, None);
    calendar.book(&booked);
    anew();
    let taken = headers(&policy, &slots).await;
    assert_ne!(taken[header::ETAG], free[header::ETAG]);
    calendar.cancel(&booked);
    anew();
    assert_eq!(
        headers(&policy, &slots).await[header::ETAG],
        free[header::ETAG]
    );
}

#[tokio::test]
async fn browsers_ask_every_time_and_shared_caches_keep_for_ten_seconds() {
    let slots = Calendar::default().cached();
    let policy = CachePolicy::new(slots.clone());
    let shared = headers(&policy, &slots).await;
    assert_eq!(
        shared[header::CACHE_CONTROL],
        "public, max-age=0, must-revalidate, s-maxage=10"
    );
    assert!(!shared.contains_key("surrogate-control"));
    let own = headers(&policy.addressee(Addressee::OwnEdges), &slots).await;
    assert_eq!(own[header::CACHE_CONTROL], "no-cache");
    assert_eq!(own["surrogate-control"], "max-age=10");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_longer_than_its_time_to_live_has_left() {
    let slots = SlotsCache::builder(Offers(vec![]))
        .ttl(Duration::from_secs(60))
        .source_lag(Duration::ZERO)
        .build();
    let policy = CachePolicy::new(slots.clone());
    let shared = async || {
        let headers = headers(&policy, &slots).await;
        let control = headers[header::CACHE_CONTROL].to_str().unwrap().to_owned();
        control.rsplit_once('=').unwrap().1.parse::<u64>().unwrap()
    };
    assert_eq!(shared().await, 10);
    tokio::time::advance(Duration::from_secs(50)).await;
    assert_eq!(shared().await, 10);
    tokio::time::advance(Duration::from_millis(4500)).await;
    assert_eq!(shared().await, 5);
    tokio::time::advance(Duration::from_millis(5000)).await;
    assert_eq!(shared().await, 0);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(shared().await, 10);
}

#[tokio::test]
async fn headers_stay_small_whatever_is_asked_for() {
    let slots = SlotsCache::builder(Offers(vec![])).build();
    let policy = CachePolicy::new(slots.clone());
    let start = utc("2026-11-24T00:00:00Z");
    let window = Interval::new(start, start + chrono::TimeDelta::days(64)).unwrap();
    let long_id = "x\r\n \u{1f600}".repeat(1000);
    for hosts in [0, 1, 500] {
        let query = SlotsQuery::new(id::<vacancy_slots::TenantKind>(&long_id), 123, window);
        let query = (0..hosts).fold(query, |query, host| query.resource(host));
        let headers = policy
            .headers(&query, &OpenSlots::default())
            .unwrap()
            .into_headers();
        let keys = headers["surrogate-key"].to_str().unwrap();
        assert!(keys.split(' ').count() <= MAX_ANSWER_KEYS);
        assert!(keys.len() < 4096);
        assert!(
            keys.bytes()
                .all(|byte| byte == b' ' || byte.is_ascii_hexdigit())
        );
    }
    let too_long = Interval::new(start, start + chrono::TimeDelta::days(65)).unwrap();
    assert!(
        policy
            .headers(&SlotsQuery::new(1, 2, too_long), &OpenSlots::default())
            .is_err()
    );
}

/// The tag of an answer, and whether a request with these lines of `If-None-Match` is told 304.
async fn known(lines: impl Fn(&str) -> Vec<String>) -> bool {
    let slots = SlotsCache::builder(Offers(vec![at("09:00")])).build();
    let query = day_of("ada", DATE);
    let open = slots.open(&query).await.expect("an answer");
    let headers = CachePolicy::new(slots)
        .headers(&query, &open)
        .expect("headers");
    let tag = headers.tag().to_string();
    let mut request = HeaderMap::new();
    for line in lines(tag.strip_prefix("W/").expect("a weak tag")) {
        let line = HeaderValue::from_str(&line).expect("a header");
        request.append(header::IF_NONE_MATCH, line);
    }
    headers.is_known_to(&request)
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    assert!(known(|tag| vec![tag.into()]).await);
    assert!(known(|tag| vec![format!("W/{tag}")]).await);
    assert!(known(|_| vec!["*".into()]).await);
    assert!(known(|tag| vec![format!("\"a\", W/\"b,c\" ,\t{tag}")]).await);
    assert!(known(|tag| vec![format!(",, {tag},")]).await);
    assert!(known(|tag| vec!["\"a\"".into(), format!("W/{tag}, \"z\"")]).await);
}

#[tokio::test]
async fn what_a_client_has_not_is_sent() {
    assert!(!known(|_| vec![]).await);
    assert!(!known(|_| vec!["".into()]).await);
    assert!(!known(|_| vec!["\"\"".into()]).await);
    assert!(!known(|_| vec!["\"a\", W/\"b\"".into()]).await);
    // Without its quotes it is no tag, in the quotes of another it is another.
    assert!(!known(|tag| vec![tag.trim_matches('"').into()]).await);
    assert!(!known(|tag| vec![format!("\"x,{}\"", tag.trim_matches('"'))]).await);
    assert!(!known(|tag| vec![format!("w/{tag}")]).await);
    assert!(!known(|tag| vec![tag[..tag.len() - 1].into()]).await);
    assert!(!known(|tag| vec![format!("\"a\" {tag}")]).await);
    assert!(!known(|tag| vec![format!("\"*\", {}", &tag[..8])]).await);
}

proptest! {
    #[test]
    fn no_line_makes_it_panic(line in "[W/\"*, a-f0-9\\\\]{0,40}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told = runtime.block_on(known(|_| vec![line.clone()]));
        prop_assert_eq!(told, line.trim() == "*");
    }
}
