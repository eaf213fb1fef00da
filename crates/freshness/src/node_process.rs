//! A node, as the coordinator has it.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    history::{Diary, NodeId},
    subject::Counts,
    wire::{self, Assignment, Order, Report},
};

/// Longer than a node takes for anything but a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process, which is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct NodeProcess {
    pub(crate) id: NodeId,
    child: Child,
    orders: ChildStdin,
    milestones: mpsc::UnboundedReceiver<Milestone>,
    gathering: JoinHandle<anyhow::Result<(Diary, Counts)>>,
}

/// What a node has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Milestone {
    Begun,
    Resting,
    Settled(bool),
    HasReadAll,
}

impl NodeProcess {
    /// Starts a node and waits until it reads and writes. Its reads are counted in `reads`.
    pub(crate) async fn start(
        assignment: Assignment,
        reads: Arc<AtomicU64>,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("node")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("a node could not be started")?;
        let orders = child.stdin.take().expect("standard input is piped");
        let reports = child.stdout.take().expect("standard output is piped");
        let (milestone, milestones) = mpsc::unbounded_channel();
        let mut node = Self {
            id: assignment.node,
            child,
            orders,
            milestones,
            gathering: tokio::spawn(gather(reports, milestone, reads)),
        };
        node.order(Order::Begin(assignment)).await?;
        node.reach(Milestone::Begun).await?;
        Ok(node)
    }

    /// Stops it in its tracks. Its clock goes on.
    pub(crate) fn pause(&self) -> anyhow::Result<()> {
        Ok(kill_process(self.pid()?, Signal::STOP)?)
    }

    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        Ok(kill_process(self.pid()?, Signal::CONT)?)
    }

    /// Lets it die behind its next commit, and returns what it had done.
    pub(crate) async fn die_after_commit(mut self) -> anyhow::Result<(NodeId, Diary)> {
        self.order(Order::DieAfterCommit).await?;
        let ended = timeout(PATIENCE, self.child.wait()).await;
        let status = ended.context("the node does not commit any more")??;
        if status.code().is_some() {
            bail!("node {} was to be killed, and ended with {status}", self.id);
        }
        let (diary, _) = self.gathering.await??;
        Ok((self.id, diary))
    }

    /// Ends all reads and writes.
    pub(crate) async fn rest(&mut self) -> anyhow::Result<()> {
        self.order(Order::Rest).await?;
        self.reach(Milestone::Resting).await
    }

    /// Has everything confirmed that was not.
    pub(crate) async fn settle(&mut self) -> anyhow::Result<()> {
        self.order(Order::Settle).await?;
        self.reach(Milestone::Settled(true)).await
    }

    /// Has each key read once more.
    pub(crate) async fn read_all(&mut self) -> anyhow::Result<()> {
        self.order(Order::ReadAll).await?;
        self.reach(Milestone::HasReadAll).await
    }

    /// Ends it and returns all it did.
    pub(crate) async fn end(mut self) -> anyhow::Result<(NodeId, Diary, Counts)> {
        self.order(Order::End).await?;
        let gathered = timeout(PATIENCE, &mut self.gathering).await;
        let (diary, counts) = gathered.context("a node does not end")???;
        Ok((self.id, diary, counts))
    }

    async fn order(&mut self, order: Order) -> anyhow::Result<()> {
        wire::send_async(&mut self.orders, &order)
            .await
            .with_context(|| format!("node {} is gone", self.id))
    }

    async fn reach(&mut self, expected: Milestone) -> anyhow::Result<()> {
        let reached = timeout(PATIENCE, self.milestones.recv()).await;
        match reached.with_context(|| format!("node {} never {expected:?}", self.id))? {
            Some(milestone) if milestone == expected => Ok(()),
            Some(milestone) => bail!("node {} {milestone:?}, not {expected:?}", self.id),
            None => bail!("node {} ended before it was {expected:?}", self.id),
        }
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        let id = self.child.id().context("the node has ended")?;
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        pid.context("the node has no process id")
    }
}

/// Takes down what a node reports, until it ends.
async fn gather(
    mut reports: ChildStdout,
    milestones: mpsc::UnboundedSender<Milestone>,
    reads: Arc<AtomicU64>,
) -> anyhow::Result<(Diary, Counts)> {
    let mut diary = Diary::default();
    let mut counts = Counts::default();
    let reach = |milestone| {
        // Nobody waits for a node that is being dropped.
        let _ = milestones.send(milestone);
    };
    while let Some(report) = wire::receive_async(&mut reports).await? {
        match report {
            Report::Begun => reach(Milestone::Begun),
            Report::Reads(batch) => {
                reads.fetch_add(batch.len() as u64, Ordering::Relaxed);
                diary.reads.extend(batch);
            }
            Report::Writes(batch) => diary.writes.extend(batch),
            Report::Resting => reach(Milestone::Resting),
            Report::Settled(all) => reach(Milestone::Settled(all)),
            Report::LastReads(last) => {
                diary.last_reads = last;
                reach(Milestone::HasReadAll);
            }
            Report::Counts(last) => counts = last,
        }
    }
    Ok((diary, counts))
}
