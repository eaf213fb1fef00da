//! What every route answers, to good questions and to bad ones.

mod salon;

use reqwest::{Method, StatusCode, header};
use salon::{Salon, answer, at, cut, monday, settings};
use serde_json::{Value, json};

#[tokio::test]
async fn the_page_comes_with_its_style_and_script() {
    let salon = Salon::open(settings()).await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.css", "text/css; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
    ] {
        let response = salon.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], kind);
        assert!(!response.text().await.unwrap().is_empty(), "{path}");
    }
    salon.close().await;
}

#[tokio::test]
async fn the_salon_tells_who_serves_what() {
    let salon = Salon::open(settings()).await;
    let (status, body) = salon.get("/salon").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["zone"], "Europe/Berlin");
    assert_eq!(body["hosts"][0], json!({"id": "ada", "name": "Ada"}));
    let cut = &body["event_types"][0];
    assert_eq!(cut["minutes"], 45);
    assert_eq!(cut["hosts"], json!(["ada", "grace", "linus"]));
    salon.close().await;
}

#[tokio::test]
async fn slots_are_those_of_the_opening_hours_and_tell_where_they_come_from() {
    let salon = Salon::open(settings()).await;
    for (cache, again) in [("vacancy", "level1"), ("ttl", "level1")] {
        let first = salon.slots("cut", "ada", cache).await;
        // Nine an hour apart from Monday to Saturday.
        assert_eq!(first["slots"].as_array().unwrap().len(), 54, "{cache}");
        assert_eq!(first["slots"][0]["start"], at(9));
        assert_eq!(first["slots"][0]["hosts"], json!(["ada"]));
        assert_eq!(first["days"].as_array().unwrap().len(), 7);
        assert_eq!(first["days"][0]["day"], json!(monday()));
        assert_eq!(first["days"][0]["source"], "loaded", "{cache}");
        let second = salon.slots("cut", "ada", cache).await;
        assert_eq!(second["days"][0]["source"], again, "{cache}");
        assert_eq!(second["slots"], first["slots"]);
    }
    let anybody = salon.slots("colour", "", "vacancy").await;
    assert_eq!(anybody["slots"][0]["hosts"], json!(["ada", "grace"]));
    salon.close().await;
}

#[tokio::test]
async fn an_answer_that_the_client_has_is_not_sent_again() {
    let salon = Salon::open(settings()).await;
    let path = format!("/slots?event_type=cut&host=ada&from={}&days=1", monday());
    let ask = |tag: Option<header::HeaderValue>| {
        let request = salon.request(Method::GET, &path);
        match tag {
            Some(tag) => request.header(header::IF_NONE_MATCH, tag),
            None => request,
        }
    };
    let first = ask(None).send().await.unwrap();
    let tag = first.headers()[header::ETAG].clone();
    assert!(first.headers().contains_key("surrogate-key"));
    let control = first.headers()[header::CACHE_CONTROL].to_str().unwrap();
    assert!(control.contains("max-age=0"), "{control}");
    let known = ask(Some(tag.clone())).send().await.unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(known.headers()[header::ETAG], tag);
    assert!(known.text().await.unwrap().is_empty());

    salon.book(&cut(9, "k")).await;
    let changed = ask(Some(tag.clone())).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    assert_ne!(changed.headers()[header::ETAG], tag);

    let ttl = salon.request(Method::GET, &format!("{path}&cache=ttl"));
    let ttl = ttl.send().await.unwrap();
    assert_eq!(ttl.headers()[header::CACHE_CONTROL], "no-store");
    salon.close().await;
}

#[tokio::test]
async fn a_bad_question_is_answered_with_what_is_wrong() {
    let salon = Salon::open(settings()).await;
    let monday = monday();
    let slots = |rest: &str| format!("/slots?from={monday}&{rest}");
    for (path, status, code) in [
        (slots("event_type=cut&days=32"), 422, "window_too_long"),
        (slots("event_type=cut&days=0"), 400, "bad_query"),
        (slots("event_type=cut"), 400, "bad_query"),
        (slots("event_type=cut&days=1&cache=none"), 400, "bad_query"),
        (slots("event_type=perm&days=1"), 404, "unknown_event_type"),
        (slots("event_type=cut&host=eve&days=1"), 404, "unknown_host"),
        (
            slots("event_type=colour&host=linus&days=1"),
            404,
            "unknown_host",
        ),
        (
            "/slots?event_type=cut&from=tomorrow&days=1".to_owned(),
            400,
            "bad_query",
        ),
        (
            "/slots?event_type=cut&from=9999-12-31&days=2".to_owned(),
            400,
            "bad_query",
        ),
        (
            format!("/bookings?from={monday}&days=32"),
            422,
            "window_too_long",
        ),
        ("/bookings".to_owned(), 400, "bad_query"),
        ("/nothing".to_owned(), 404, "unknown_route"),
    ] {
        let (got, body) = salon.get(&path).await;
        assert_eq!(
            (got.as_u16(), &body["error"]),
            (status, &json!(code)),
            "{path}"
        );
        assert!(!body["message"].as_str().unwrap().is_empty(), "{path}");
    }
    let (got, body) = answer(salon.request(Method::PUT, "/slots")).await;
    assert_eq!(
        (got.as_u16(), &body["error"]),
        (405, &json!("wrong_method"))
    );
    salon.close().await;
}

#[tokio::test]
async fn a_bad_order_is_refused_with_what_is_wrong() {
    let salon = Salon::open(settings()).await;
    let but = |change: Value| {
        let mut order = cut(9, "k");
        let change = change.as_object().unwrap().clone();
        order.as_object_mut().unwrap().extend(change);
        order
    };
    for (order, status, code) in [
        (
            but(json!({"event_type": "perm"})),
            404,
            "unknown_event_type",
        ),
        (but(json!({"host": "eve"})), 404, "unknown_host"),
        (
            but(json!({"event_type": "colour", "host": "linus"})),
            404,
            "unknown_host",
        ),
        (but(json!({"start": at(8)})), 422, "not_offered"),
        (
            but(json!({"start": at(9).replace(":00:00Z", ":20:00Z")})),
            422,
            "not_offered",
        ),
        (
            but(json!({"start": "2020-01-06T09:00:00Z"})),
            422,
            "not_offered",
        ),
        (but(json!({"start": "soon"})), 400, "bad_json"),
        (but(json!({"name": ""})), 422, "bad_name"),
        (but(json!({"name": "x".repeat(201)})), 422, "bad_name"),
        (but(json!({"key": ""})), 422, "bad_key"),
        (json!({"event_type": "cut"}), 400, "bad_json"),
        (json!([]), 400, "bad_json"),
    ] {
        let (got, body) = salon.book(&order).await;
        assert_eq!(
            (got.as_u16(), &body["error"]),
            (status, &json!(code)),
            "{order}"
        );
    }
    let post = |body: String| answer(salon.request(Method::POST, "/bookings").body(body));
    let (got, body) = post("{".to_owned()).await;
    assert_eq!((got.as_u16(), &body["error"]), (400, &json!("bad_json")));
    let (got, body) = post(format!("\"{}\"", "x".repeat(64 << 10))).await;
    assert_eq!((got.as_u16(), &body["error"]), (413, &json!("too_large")));

    let (got, body) = salon.reschedule("nobody", &json!({"start": at(10)})).await;
    assert_eq!(
        (got.as_u16(), &body["error"]),
        (404, &json!("unknown_booking"))
    );
    assert_eq!(salon.cancel("nobody").await, StatusCode::NOT_FOUND);
    assert!(salon.bookings().await.is_empty());
    salon.close().await;
}

#[tokio::test]
async fn what_is_not_signed_is_not_read() {
    let salon = Salon::open(settings()).await;
    for path in ["/webhooks/calcom", "/retell/functions"] {
        let (status, _) = answer(salon.request(Method::POST, path).body("{}")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        let long = salon.request(Method::POST, path).body("x".repeat(65 << 10));
        assert_eq!(
            answer(long).await.0,
            StatusCode::PAYLOAD_TOO_LARGE,
            "{path}"
        );
    }
    salon.close().await;
}

#[tokio::test]
async fn the_topology_lists_who_listens_to_what() {
    let salon = Salon::open(settings()).await;
    let (status, rows) = salon.get("/topology").await;
    assert_eq!(status, StatusCode::OK);
    let row = |listener: &str| {
        let rows = rows.as_array().unwrap().iter();
        let mut rows = rows.filter(|row| row["event"] == "appointment.booked");
        rows.find(|row| row["listener"] == listener).unwrap()
    };
    assert_eq!(row("slots.fence")["kind"], "inline");
    assert_eq!(row("slots.fence")["required"], true);
    assert_eq!(row("calendar.sync")["policy"]["concurrency"], 4);
    for listener in ["slots.invalidate", "confirmation", "statistics"] {
        assert_eq!(row(listener)["kind"], "lane", "{listener}");
    }
    let table = salon.request(Method::GET, "/topology");
    let (_, table) = answer(table.header(header::ACCEPT, "text/plain")).await;
    assert!(table.as_str().unwrap().starts_with("event"), "{table}");
    salon.close().await;
}

#[tokio::test]
async fn metrics_are_text_for_prometheus() {
    let salon = Salon::open(settings()).await;
    let response = salon.request(Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap();
    assert!(kind.starts_with("text/plain"), "{kind}");
    salon.close().await;
}
