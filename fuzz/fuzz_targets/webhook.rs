//! Whatever a signed webhook says, it is refused, or received; and then its copy invalidates as much and has no
//! events of its own.

#![no_main]

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use vacancy_calcom::{Clue, Listing, SIGNATURE_HEADER, Secret, StaticCalcomDirectory, Webhooks};

const SECRET: &str = "of the fuzzer";

static DIRECTORY: LazyLock<StaticCalcomDirectory> = LazyLock::new(|| {
    StaticCalcomDirectory::new()
        .list(
            Clue::EventType("4711"),
            Listing::new(15).event_type(123).resource(42),
        )
        .list(
            Clue::Email("ada@salon.example"),
            Listing::new(15).resource(42),
        )
});

fuzz_target!(|body: &[u8]| {
    let signature = Secret::new(SECRET).expect("it is not empty").sign(body);
    let signature = HeaderValue::from_str(&signature).expect("it is hexadecimal");
    for version in [None, Some("2021-10-20")] {
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, signature.clone());
        if let Some(version) = version {
            headers.insert("x-cal-webhook-version", HeaderValue::from_static(version));
        }
        let webhooks = Webhooks::builder(DIRECTORY.clone()).secret(SECRET).build();
        let first = match webhooks.receive(&headers, body) {
            Ok(first) => first,
            Err(refusal) => {
                let again = webhooks.receive(&headers, body);
                assert_eq!(again.err(), Some(refusal), "a copy is refused for the same");
                continue;
            }
        };
        let reached = !first.invalidations().is_empty();
        assert!(
            reached || first.events().is_empty(),
            "an event changes what is free"
        );
        first.keep();
        let again = webhooks.receive(&headers, body).expect("it is the same");
        assert!(
            again.events().is_empty(),
            "one of two copies has the events"
        );
        assert_eq!(!again.invalidations().is_empty(), reached);
    }
});
