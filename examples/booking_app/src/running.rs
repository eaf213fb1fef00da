//! The application from start to end.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use chrono::Utc;
use metrics_exporter_prometheus::PrometheusHandle;
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};
use vacancy::{cache::Redis, dispatch::ShutdownReport, slots::SlotsCache};
use vacancy_http::CachePolicy;
use vacancy_retell::{ApiKey, Retell};

use crate::{
    app::App,
    calcom::Calcom,
    calendar::Calendar,
    counts::Counts,
    days::TellFilled,
    desk::Desk,
    diary::Diary,
    feed::Feed,
    first_bookings::first_bookings,
    lanes::DeadLetters,
    listeners,
    phone::Phone,
    routes::router,
    salon::{Salon, ZONE},
    settings::Settings,
    ttl_cache::TtlCache,
    under_way::UnderWay,
    watch::Watch,
};

/// The application while it runs.
///
/// It owns the server's task. Dropped, it takes no more requests, and leaves what is under way to the end of the
/// runtime; [`shutdown`](Self::shutdown) waits for it.
pub struct Running {
    address: SocketAddr,
    app: Arc<App>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
    ticker: JoinSet<()>,
    /// The diary of this run, when none was named. Removed when it is dropped.
    folder: Option<TempDir>,
}

/// How long requests under way, and after them the listeners, may take at the end.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a booking waits for a Redis that does not answer.
const HELD_WITHIN: Duration = Duration::from_millis(500);
/// How much longer than the calendar says its old answers are reckoned with.
const MARGIN: Duration = Duration::from_millis(500);

/// Starts the application on 127.0.0.1.
///
/// `metrics` is what `GET /metrics` renders; installing its recorder is for the program.
///
/// # Cancel safety
///
/// Dropped before its end, it leaves nothing behind but the file of a diary that was named.
///
/// # Errors
///
/// When there is no port, or the diary cannot be opened.
pub async fn serve(settings: Settings, metrics: PrometheusHandle) -> anyhow::Result<Running> {
    let listener = listen(settings.port).await?;
    let address = listener.local_addr()?;
    let (folder, file) = match &settings.database {
        Some(file) => (None, file.clone()),
        None => {
            let folder = TempDir::new()?;
            let file = folder.path().join("diary.sqlite");
            (Some(folder), file)
        }
    };
    let salon = Arc::new(Salon::new());
    let diary = Diary::open(&file, Arc::clone(&salon)).await?;
    if !settings.empty {
        first_bookings(&diary, &salon, settings.seed, Utc::now())
            .await
            .context("the first bookings cannot be written")?;
    }
    let (feed, counts) = (Feed::new(), Arc::new(Counts::default()));
    let calendar = Calendar::new(
        Arc::clone(&salon),
        diary.clone(),
        settings.calendar_delay,
        settings.calendar_lag,
    );
    let source = TellFilled {
        calendar: calendar.clone(),
        counts: Arc::clone(&counts),
        feed: feed.clone(),
    };
    let slots = SlotsCache::builder(source)
        .directory(salon.directory())
        .source_lag(settings.calendar_lag + MARGIN);
    let slots = match &settings.redis {
        Some(url) => {
            let redis = Redis::at(url.clone()).namespace("booking_app");
            slots.redis(redis.confirm_within(HELD_WITHIN))
        }
        None => slots,
    };
    let slots = slots.build();
    let bus = listeners::listeners(&slots, &salon, &diary, &feed, &settings)?.build()?;
    let (watch, under_way) = (Watch::new(feed.clone()), UnderWay::default());
    let desk = Desk::new(
        Arc::clone(&salon),
        diary.clone(),
        slots.clone(),
        bus.clone(),
        watch.clone(),
        under_way.clone(),
    );
    let calcom = Calcom::new(
        &settings.secrets,
        Arc::clone(&salon),
        diary.clone(),
        slots.clone(),
        bus.clone(),
        watch.clone(),
        under_way.clone(),
    );
    let phone = Phone {
        salon: Arc::clone(&salon),
        diary: diary.clone(),
        slots: slots.clone(),
        desk: desk.clone(),
    };
    let retell = Retell::builder(phone, ZONE)
        .api_key(ApiKey::new(settings.secrets.retell))
        .build();
    let app = Arc::new(App {
        desk,
        calcom,
        retell,
        watch,
        under_way,
        ttl: TtlCache::new(calendar, Arc::clone(&counts), settings.ttl),
        salon,
        diary,
        policy: CachePolicy::new(slots.clone()),
        slots,
        bus,
        feed,
        counts,
        metrics,
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, router(Arc::clone(&app)));
    let server = server.with_graceful_shutdown(async {
        // Dropped or sent: either way it is to end.
        let _ = stopped.await;
    });
    Ok(Running {
        address,
        server: tokio::spawn(server.into_future()),
        ticker: JoinSet::from_iter([tick(Arc::clone(&app))]),
        app,
        stop,
        folder,
    })
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, finishes those under way, lets the listeners finish, closes the diary.
    /// Gives up on either after ten seconds, and names what the listeners did not finish.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, requests and listeners are left to the end of the runtime.
    pub async fn shutdown(mut self) -> ShutdownReport {
        let _ = self.stop.send(());
        self.app.feed.close();
        let abort = self.server.abort_handle();
        if timeout(PATIENCE, self.server).await.is_err() {
            tracing::warn!("requests did not end in time");
            abort.abort();
        }
        self.ticker.shutdown().await;
        self.app.retell.close().await;
        self.app.calcom.close().await;
        self.app.desk.close().await;
        let report = self.app.bus.shutdown(PATIENCE).await;
        self.app.watch.end().await;
        self.app.diary.close().await;
        drop(self.folder);
        report
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let at = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match at(port).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => at(0).await,
        other => other,
    };
    listener.context("no port to listen on")
}

/// Tells the page every second how the caches did, and more often what the lanes gave up on.
async fn tick(app: Arc<App>) {
    let mut letters = DeadLetters::new(app.bus.clone(), app.feed.clone());
    let mut ticks = interval(Duration::from_millis(250));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 0_u64.. {
        ticks.tick().await;
        letters.tell();
        if number % 4 == 0 {
            app.feed.send("counts", &app.counts.report());
        }
        if number % 20 == 0 {
            app.metrics.run_upkeep();
        }
    }
}
