//! [`Window`]: one Chromium with one page.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use chromiumoxide::{
    Browser, BrowserConfig, Page,
    cdp::{
        browser_protocol::{
            emulation::{MediaFeature, SetDeviceMetricsOverrideParams},
            page::CaptureScreenshotFormat,
        },
        js_protocol::runtime::EvaluateParams,
    },
    page::ScreenshotParams,
};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::json;
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};

use super::overheard::{Heard, Overheard};

/// Longer than any machine needs for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How large the window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// On a desk.
    Wide,
    /// On a phone.
    Narrow,
    /// On the smallest phone that the page is made for.
    Narrowest,
}

impl Size {
    fn pixels(self) -> (i64, i64) {
        match self {
            Self::Wide => (1400, 900),
            Self::Narrow => (390, 844),
            Self::Narrowest => (360, 740),
        }
    }
}

/// One Chromium with one page. Dropping it kills the Chromium.
pub(crate) struct Window {
    size: Size,
    page: Page,
    overheard: Overheard,
    events: JoinHandle<()>,
    // Before the profile, in which it writes until its end.
    browser: Browser,
    _profile: TempDir,
}

impl Window {
    /// Opens `address` in a window of `size`, by somebody who prefers what `media` says.
    pub(crate) async fn open(address: SocketAddr, size: Size, media: &[(&str, &str)]) -> Self {
        let profile = TempDir::new().expect("a profile");
        let config = BrowserConfig::builder()
            .chrome_executable(chromium())
            .new_headless_mode()
            // CI runs as root, for whom Chromium has no sandbox; it only opens the page under test.
            .no_sandbox()
            .user_data_dir(profile.path())
            .launch_timeout(PATIENCE)
            .request_timeout(PATIENCE)
            .viewport(None)
            .build()
            .expect("the executable is given");
        let (browser, mut handler) = Browser::launch(config).await.expect("chromium starts");
        let events = tokio::spawn(async move { while handler.next().await.is_some() {} });
        let page = browser.new_page("about:blank").await.expect("a page");
        let overheard = Overheard::of(&page).await;
        let (width, height) = size.pixels();
        page.execute(SetDeviceMetricsOverrideParams::new(
            width,
            height,
            1.0,
            size != Size::Wide,
        ))
        .await
        .expect("a size");
        let media = media
            .iter()
            .map(|(name, value)| MediaFeature::new(*name, *value));
        page.emulate_media_features(media.collect())
            .await
            .expect("preferences");
        page.goto(format!("http://{address}/"))
            .await
            .expect("the page");
        Self {
            size,
            page,
            overheard,
            events,
            browser,
            _profile: profile,
        }
    }

    /// How many pixels wide it is.
    pub(crate) fn width(&self) -> i64 {
        self.size.pixels().0
    }

    /// Waits until `condition`, an expression, holds in the page.
    pub(crate) async fn until(&self, condition: &str) {
        let look = format!(
            "new Promise((done) => {{ \
               const look = () => ({condition}) ? done(true) : requestAnimationFrame(look); \
               look(); \
             }})"
        );
        if timeout(PATIENCE, self.evaluate::<bool>(&look))
            .await
            .is_err()
        {
            let text: String = self.read("document.body.innerText").await;
            panic!("`{condition}` should hold by now; the page says:\n{text}");
        }
    }

    /// What `expression` is in the page.
    pub(crate) async fn read<T: DeserializeOwned>(&self, expression: &str) -> T {
        timeout(PATIENCE, self.evaluate(expression))
            .await
            .expect("an answer of the page")
    }

    /// Runs statements in the page.
    pub(crate) async fn run(&self, statements: &str) {
        self.read::<bool>(&format!("(() => {{ {statements}; return true; }})()"))
            .await;
    }

    async fn evaluate<T: DeserializeOwned>(&self, expression: &str) -> T {
        let params = EvaluateParams::builder()
            .expression(expression)
            .await_promise(true)
            .return_by_value(true)
            .build()
            .expect("an expression");
        let result = self.page.evaluate_expression(params).await;
        let result = result.unwrap_or_else(|error| panic!("`{expression}` failed: {error}"));
        result
            .into_value()
            .unwrap_or_else(|error| panic!("`{expression}`: {error}"))
    }

    /// Clicks with the mouse, in the middle of the first element that `selector` finds.
    pub(crate) async fn click(&self, selector: &str) {
        let quoted = json!(selector);
        self.until(&format!(
            "document.querySelector({quoted})?.matches(':enabled, :not(button)')"
        ))
        .await;
        // Chromium would count what lies below the bar at the bottom as in sight.
        self.run(&format!(
            "document.querySelector({quoted}).scrollIntoView({{ block: 'center' }})"
        ))
        .await;
        let element = self
            .page
            .find_element(selector)
            .await
            .expect("it was there");
        element
            .click()
            .await
            .unwrap_or_else(|error| panic!("{selector} cannot be clicked: {error}"));
    }

    /// Presses keys where the focus is: a name as `Enter`, or a character.
    pub(crate) async fn press(&self, key: &str) {
        let body = self.page.find_element("body").await.expect("a body");
        body.press_key(key)
            .await
            .unwrap_or_else(|error| panic!("{key} cannot be pressed: {error}"));
    }

    /// Types where the focus is.
    pub(crate) async fn write(&self, text: &str) {
        let body = self.page.find_element("body").await.expect("a body");
        body.type_str(text)
            .await
            .unwrap_or_else(|error| panic!("{text} cannot be typed: {error}"));
    }

    /// Writes what is in sight to `target/booking_app/NAME.png`.
    pub(crate) async fn screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("booking_app");
        std::fs::create_dir_all(&folder).expect("a folder for screenshots");
        let params = ScreenshotParams::builder()
            .format(CaptureScreenshotFormat::Png)
            .build();
        let png = self.page.screenshot(params).await.expect("a screenshot");
        std::fs::write(folder.join(format!("{name}.png")), png).expect("a file");
    }

    /// Closes the Chromium, and tells what it said and asked for.
    pub(crate) async fn close(mut self) -> Heard {
        self.browser.close().await.expect("chromium closes");
        timeout(PATIENCE, self.browser.wait())
            .await
            .expect("chromium ends")
            .expect("an exit");
        timeout(PATIENCE, self.events)
            .await
            .expect("the connection ends")
            .expect("no panic");
        drop(self.page);
        timeout(PATIENCE, self.overheard.all())
            .await
            .expect("nothing more is said")
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").finish_non_exhaustive()
    }
}

/// The Chromium that `CHROME` names, or else the first that is on the path.
fn chromium() -> PathBuf {
    if let Some(named) = std::env::var_os("CHROME") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let mut files = folders.flat_map(|folder| NAMES.map(|name| folder.join(name)));
    files.find(|file| file.is_file()).expect(
        "these tests need Chromium: install the package `chromium`, or say in CHROME where it is",
    )
}

const NAMES: [&str; 2] = ["chromium", "google-chrome"];
