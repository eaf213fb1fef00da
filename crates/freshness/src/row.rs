//! What goes wrong, again and again, while a cell is measured: the rows of the table.

use std::time::Duration;

use clap::ValueEnum;
use fastrand::Rng;
use tokio::time::sleep;
use vacancy_testbed::{Direction, Fault};

use crate::field::Field;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// Nothing goes wrong
    None,
    /// Connections to Redis are reset, and new ones too for a while
    Cut,
    /// Bytes between nodes and Redis are held back and delivered late
    BlackHole,
    /// Connections lose everything and stay open
    HalfOpen,
    /// The Redis process stands still
    Stall,
    /// Redis is killed and comes back empty
    Restart,
    /// Redis forgets everything
    Flush,
    /// The primary is killed and a replica promoted that lacks the latest writes
    Failover,
    /// A node is killed behind its commit, before it has told anybody
    WriterKilled,
    /// A node stands still for longer than its lease
    NodePaused,
}

impl Row {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::None => "no faults",
            Self::Cut => "connections cut",
            Self::BlackHole => "black hole",
            Self::HalfOpen => "half-open",
            Self::Stall => "redis stalls",
            Self::Restart => "redis restarts",
            Self::Flush => "flush",
            Self::Failover => "failover",
            Self::WriterKilled => "writer killed",
            Self::NodePaused => "node paused",
        }
    }

    /// How long all goes well before each fault. Where strict writers have to wait for a lease
    /// after it, they shall get to write in between.
    pub(crate) fn calm(self, lease: Duration, dice: &mut Rng) -> Duration {
        let leases = match self {
            Self::Restart | Self::Flush | Self::Failover | Self::WriterKilled => {
                1.5 + 2.0 * dice.f64()
            }
            _ => 0.5 + dice.f64(),
        };
        lease.mul_f64(leases)
    }

    /// What has to be there before the first fault.
    pub(crate) async fn prepare(self, field: &mut Field) -> anyhow::Result<()> {
        match self {
            Self::Failover => field.add_replica().await,
            _ => Ok(()),
        }
    }

    /// Lets it go wrong for the `number`th time, for about `lease`, and repairs it. Returns what was done.
    pub(crate) async fn inject(
        self,
        number: usize,
        field: &mut Field,
        lease: Duration,
        dice: &mut Rng,
    ) -> anyhow::Result<String> {
        // Longer than a lease and its call, so that everybody has to notice, and shorter, so that
        // nobody has to. In turn: a short race by chance would see only one of them.
        let leases = match number % 2 {
            0 => 1.4 + 0.4 * dice.f64(),
            _ => 0.2 + 0.8 * dice.f64(),
        };
        let lasting = lease.mul_f64(leases);
        let place = dice.usize(..field.places());
        let places = places(field.places(), place, dice);
        Ok(match self {
            Self::None => {
                sleep(lasting).await;
                "nothing".to_owned()
            }
            Self::Cut => {
                field.set(&places, Fault::Cut);
                sleep(lasting.mul_f64(dice.f64())).await;
                field.set(&places, Fault::None);
                format!("cut {places:?}")
            }
            Self::BlackHole => {
                let direction = direction(dice);
                field.set(&places, Fault::BlackHole(direction));
                sleep(lasting).await;
                field.set(&places, Fault::None);
                format!("black hole {places:?} {direction:?}")
            }
            Self::HalfOpen => {
                let direction = direction(dice);
                field.set(&places, Fault::Drop(direction));
                sleep(lasting).await;
                // The path is good again for those who open another connection.
                field.set(&places, Fault::None);
                sleep(lease * 2).await;
                // The system gives up the old ones in the end.
                field.set(&places, Fault::Cut);
                field.set(&places, Fault::None);
                format!("half-open {places:?} {direction:?}")
            }
            Self::Stall => {
                field.primary.pause()?;
                sleep(lasting).await;
                field.primary.resume()?;
                "stall".to_owned()
            }
            Self::Restart => {
                field.primary.kill().await?;
                sleep(lasting.mul_f64(dice.f64())).await;
                field.primary.restart().await?;
                "restart".to_owned()
            }
            Self::Flush => {
                field.primary.command(&["FLUSHALL"]).await?;
                "flush".to_owned()
            }
            Self::Failover => {
                field.hold_back_replication()?;
                sleep(lasting.mul_f64(dice.f64())).await;
                field.fail_over().await?;
                "failover".to_owned()
            }
            Self::WriterKilled => {
                let node = field.node(place).id;
                field.kill_writer(place).await?;
                format!("node {node} killed")
            }
            Self::NodePaused => {
                let node = field.node(place);
                node.pause()?;
                sleep(lease + lasting).await;
                node.resume()?;
                format!("node {} paused", node.id)
            }
        })
    }
}

/// Most often one node, else all of them.
fn places(all: usize, one: usize, dice: &mut Rng) -> Vec<usize> {
    match dice.u8(..3) {
        0 => (0..all).collect(),
        _ => vec![one],
    }
}

fn direction(dice: &mut Rng) -> Direction {
    match dice.u8(..3) {
        0 => Direction::ToServer,
        1 => Direction::ToClient,
        _ => Direction::Both,
    }
}
