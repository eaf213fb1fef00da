//! What a visitor of the page sees and does, in a Chromium that these tests start.

mod browser {
    pub(crate) mod overheard;
    pub(crate) mod visit;
    pub(crate) mod window;
}

use booking_app::Settings;
use browser::{
    visit::{Visit, empty_salon, open, shows_card, slot, slot_is, tells},
    window::{Size, Window},
};
use serde_json::json;

/// Writes down each state that the cell of each day goes through: `[["2026-11-24", "fenced"], ..]`.
const WATCH_CELLS: &str = "window.seen = []; \
    new MutationObserver((changes) => changes.forEach(({ target }) => \
      target.matches('.cell') && seen.push([target.closest('.day').dataset.day, target.dataset.state]) \
    )).observe(document.querySelector('#days'), { attributes: true, attributeFilter: ['data-state'], subtree: true })";

const OPEN_DIALOG: &str = "document.querySelector('#told').open";

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_is_made_moved_and_cancelled_by_click() {
    let visit = Visit::begin(Size::Wide).await;
    let (first, second) = visit.free_days().await;
    let (from, to) = (slot(&first, 3), slot(&second, 5));

    visit.book(&from, "Greta").await;
    visit
        .window
        .until(&tells("Booked Greta: Cut with Ada"))
        .await;
    visit.window.until(&slot_is(&from, "gone")).await;

    visit
        .window
        .click(&format!("[data-day='{first}'] .card button"))
        .await;
    visit.window.until(&tells("Moving Greta")).await;
    visit.window.click(&to).await;
    visit.window.until(&tells("Moved Greta")).await;
    visit.window.until(&slot_is(&to, "gone")).await;
    visit.window.until(&slot_is(&from, "open")).await;
    let where_it_is =
        format!("document.querySelector('[data-day=\"{second}\"] .card-name')?.textContent");
    visit
        .window
        .until(&format!("{where_it_is} === 'Greta'"))
        .await;

    visit
        .window
        .click(&format!("[data-day='{second}'] .card button:last-child"))
        .await;
    visit.window.until(&tells("Cancelled Greta")).await;
    visit.window.until(&slot_is(&to, "open")).await;
    visit
        .window
        .until("document.querySelectorAll('.card').length === 0")
        .await;
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn escape_ends_a_move_and_returns_the_focus() {
    let visit = Visit::begin(Size::Wide).await;
    let (day, _) = visit.free_days().await;
    visit.book(&slot(&day, 1), "Greta").await;

    visit.window.click(".card button").await;
    visit
        .window
        .until("'moving' in document.body.dataset")
        .await;
    visit
        .window
        .until("document.activeElement.matches('.slot')")
        .await;
    visit.window.press("Escape").await;
    visit
        .window
        .until("!('moving' in document.body.dataset)")
        .await;
    visit
        .window
        .until("document.activeElement.matches('.card button')")
        .await;
    visit.window.until(&shows_card("Greta")).await;
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_fences_its_day_alone_and_the_next_read_refills_it() {
    let visit = Visit::begin(Size::Wide).await;
    let (day, _) = visit.free_days().await;
    let start = format!(
        "document.querySelector({}).dataset.start",
        json!(slot(&day, 4))
    );
    let start: String = visit.window.read(&start).await;
    let neighbour = format!(
        "JSON.stringify(document.querySelector('[data-start=\"{start}\"]').getBoundingClientRect())"
    );
    let before: String = visit.window.read(&neighbour).await;
    visit.window.run(WATCH_CELLS).await;

    visit.book(&slot(&day, 3), "Greta").await;
    // The last, as the first load of the day may be told after the watch has begun.
    let last = |state: &str| {
        format!("seen.findLastIndex(([day, is]) => day === '{day}' && is === '{state}')")
    };
    visit
        .window
        .until(&format!("{} >= 0", last("fenced")))
        .await;
    visit
        .window
        .until(&format!("{} > {}", last("filled"), last("fenced")))
        .await;
    let others: Vec<(String, String)> = visit
        .window
        .read("seen.filter(([, is]) => is === 'fenced')")
        .await;
    assert!(
        others.iter().all(|(fenced, _)| *fenced == day),
        "{others:?}"
    );
    let after: String = visit.window.read(&neighbour).await;
    assert_eq!(before, after, "the slot beside it has moved");
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_listener_has_a_row_that_tells_what_became_of_each_event() {
    let visit = Visit::begin(Size::Wide).await;
    let (day, _) = visit.free_days().await;
    let rows = "[...document.querySelectorAll('.lane')].map((lane) => lane.dataset.listener)";
    let rows: Vec<String> = visit.window.read(rows).await;
    for listener in [
        "slots.fence",
        "slots.invalidate",
        "confirmation",
        "statistics",
        "calendar.sync",
    ] {
        assert!(
            rows.iter().any(|row| row == listener),
            "{listener} in {rows:?}"
        );
    }

    visit.book(&slot(&day, 1), "Greta").await;
    let ended = ".chip:is([data-outcome=done], [data-outcome=dead])";
    visit
        .window
        .until(&format!(
            "[...document.querySelectorAll('.lane')].every((lane) => lane.querySelector('{ended}'))"
        ))
        .await;

    // The calendar fails about every third attempt.
    for nth in 2..=9 {
        visit.book(&slot(&day, nth), &format!("Greta {nth}")).await;
    }
    let calendar = "document.querySelector('[data-listener=\"calendar.sync\"]')";
    let again = ".chip[data-outcome=done]:has(.mark[data-outcome=failed])";
    visit
        .window
        .until(&format!("{calendar}.querySelector('{again}')"))
        .await;
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ttl_cache_offers_what_is_taken_and_the_visitor_gets_alternatives() {
    let visit = Visit::begin(Size::Narrow).await;
    let (day, _) = visit.free_days().await;
    let slot = slot(&day, 3);
    visit.window.click("input[value=ttl]").await;
    visit
        .window
        .until("document.querySelector('.cell-generation').textContent === ''")
        .await;

    visit.book(&slot, "Greta").await;
    visit.window.until(&slot_is(&slot, "stale")).await;
    let note = format!("document.querySelector('[data-day=\"{day}\"] .cell-note').textContent");
    visit
        .window
        .until(&format!("{note} === '1 offered, but taken'"))
        .await;
    visit
        .window
        .until("Number(document.querySelector('#stale-ttl').textContent) > 0")
        .await;

    visit.window.click(&slot).await;
    visit.window.until(OPEN_DIALOG).await;
    let title: String = visit
        .window
        .read("document.querySelector('#told-title').textContent")
        .await;
    assert_eq!(title, "Taken (409)");
    visit.window.screenshot("ttl-narrow-taken").await;
    visit.window.click("#alternatives button").await;
    visit.window.until(&format!("!{OPEN_DIALOG}")).await;
    visit.window.until(&tells("Booked Greta")).await;

    // The same bookings, as the other cache tells them.
    visit.window.click("input[value=vacancy]").await;
    visit.window.until(&slot_is(&slot, "gone")).await;
    let stale: String = visit
        .window
        .read("document.querySelector('#stale-vacancy').textContent")
        .await;
    assert_eq!(stale, "0");
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_people_one_gets_the_slot_and_the_other_alternatives() {
    let visit = Visit::begin(Size::Narrow).await;
    visit.window.click("#race").await;
    visit.window.until(OPEN_DIALOG).await;
    let told: String = visit
        .window
        .read("document.querySelector('#told-lines').innerText")
        .await;
    assert_eq!(told.matches(" got ").count(), 1, "{told}");
    assert_eq!(told.matches(" did not: ").count(), 1, "{told}");
    visit.window.click("#alternatives button").await;
    visit.window.until(&format!("!{OPEN_DIALOG}")).await;
    // The alternative may be somebody else's.
    visit
        .window
        .run("host.value = ''; host.dispatchEvent(new Event('change'))")
        .await;
    visit
        .window
        .until(&format!(
            "{} && {}",
            shows_card("Alma"),
            shows_card("Bruno")
        ))
        .await;
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_needs_nothing_but_a_keyboard() {
    let visit = Visit::begin(Size::Wide).await;
    let window = &visit.window;
    window.press("Tab").await;
    window
        .until("document.activeElement.matches('.skip')")
        .await;
    window.press("Enter").await;
    tab_to(window, ".slot").await;
    let ring: String = window
        .read("getComputedStyle(document.activeElement).outlineStyle")
        .await;
    assert_eq!(ring, "solid", "the focus is not seen");
    window.press("ArrowRight").await;

    window.press("Enter").await;
    window.until("document.activeElement.id === 'name'").await;
    window.write("Greta").await;
    window.press("Enter").await;
    window.until(&tells("Booked Greta")).await;
    window
        .until("document.activeElement.ariaLabel?.startsWith('Move Greta')")
        .await;

    window.press("Enter").await;
    window
        .until("document.activeElement.matches('.slot')")
        .await;
    window.press("ArrowRight").await;
    window.press("Enter").await;
    window.until(&tells("Moved Greta")).await;

    window
        .until("document.activeElement.ariaLabel?.startsWith('Move Greta')")
        .await;
    window.press("Tab").await;
    window.press("Enter").await;
    window.until(&tells("Cancelled Greta")).await;
    visit.end().await;
}

/// Presses the tab key until the focus is on what `selector` finds.
async fn tab_to(window: &Window, selector: &str) {
    for _ in 0..30 {
        if window
            .read(&format!("document.activeElement.matches('{selector}')"))
            .await
        {
            return;
        }
        window.press("Tab").await;
    }
    panic!("{selector} is not within thirty presses of the tab key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_shown_as_text_whatever_it_contains() {
    let visit = Visit::begin(Size::Narrowest).await;
    let (day, _) = visit.free_days().await;
    let name = "<img src=x onerror=alert(1)><b>Greta</b>";
    visit.book(&slot(&day, 1), name).await;
    let made: usize = visit
        .window
        .read("document.querySelectorAll('main img, main b').length")
        .await;
    assert_eq!(made, 0, "elements made of a name");
    visit.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_told_and_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        database: Some(folder.path().join("diary.sqlite")),
        ..empty_salon()
    };
    let Visit { salon, window } = Visit::to(settings.clone(), Size::Wide, &[]).await;
    let address = salon.address();
    salon.shutdown().await;
    window
        .until("document.querySelector('#connection').dataset.state === 'lost'")
        .await;
    window
        .until("document.querySelector('#connection').textContent.startsWith('Connection lost')")
        .await;

    let port = address.port();
    let salon = open(Settings { port, ..settings }).await;
    assert_eq!(salon.address(), address);
    window
        .until("document.querySelector('#connection').dataset.state === 'live'")
        .await;
    let visit = Visit { salon, window };
    let (day, _) = visit.free_days().await;
    visit.book(&slot(&day, 1), "Greta").await;
    let heard = visit.window.close().await;
    visit.salon.shutdown().await;
    assert!(heard.errors.is_empty(), "{:#?}", heard.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_fits_every_window_in_light_and_dark() {
    let busy_salon = || Settings {
        empty: false,
        ..empty_salon()
    };
    for (size, name) in [
        (Size::Wide, "wide"),
        (Size::Narrow, "narrow"),
        (Size::Narrowest, "narrowest"),
    ] {
        let media = [
            ("prefers-color-scheme", "light"),
            ("prefers-reduced-motion", "reduce"),
        ];
        let visit = Visit::to(busy_salon(), size, &media).await;
        let window = &visit.window;
        visit.book(".slot[data-state=open]", "Greta").await;
        window
            .until("document.querySelector('.chip[data-outcome=done]')")
            .await;
        window
            .until("!document.querySelector('.cell[data-state=fenced]')")
            .await;
        let moving: usize = window.read("document.getAnimations().length").await;
        assert_eq!(moving, 0, "it moves, although that was not wanted");
        window.run("scrollTo(0, 0)").await;
        window.screenshot(&format!("{name}-light")).await;

        window.click("#theme").await;
        window
            .until("getComputedStyle(document.documentElement).colorScheme === 'dark'")
            .await;
        window.run("scrollTo(0, 0)").await;
        window.screenshot(&format!("{name}-dark")).await;
        visit.end().await;
    }
}
