//! Runs the booking application until ctrl-c.

#![expect(clippy::print_stdout, reason = "it is a program for people")]

use anyhow::Context;
use booking_app::{Secrets, Settings, exporter, serve};
use clap::Parser;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings {
        secrets: Secrets::from_environment(),
        ..Settings::parse()
    };
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::WARN.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env().context("RUST_LOG cannot be read")?)
        .with_writer(std::io::stderr)
        .init();
    let metrics = exporter()
        .and_then(|exporter| exporter.install_recorder())
        .context("metrics cannot be recorded")?;

    let demo = settings.secrets == Secrets::default();
    let running = serve(settings, metrics).await?;
    let address = running.address();
    println!("open http://{address}");
    println!("  GET  /salon /slots /bookings /events /metrics /topology");
    println!("  POST /bookings   {{\"event_type\",\"host\",\"start\",\"name\",\"key\"}}");
    println!("  POST /webhooks/calcom and /retell/functions, signed");
    if demo {
        println!(
            "  signed with `demo-secret` and `demo-key`; set CALCOM_WEBHOOK_SECRET and RETELL_API_KEY"
        );
    }
    println!("stop with ctrl-c");

    tokio::signal::ctrl_c()
        .await
        .context("ctrl-c cannot be waited for")?;
    let report = running.shutdown().await;
    for left in &report.abandoned {
        println!("abandoned: {} {} at {}", left.event, left.id, left.listener);
    }
    println!("closed; {} events abandoned", report.abandoned.len());
    Ok(())
}
