//! One way of one connection: bytes are read as they come, queued, and handed on as the fault allows.
//!
//! Reading does not wait for the handing on, so a delay is a delay of each chunk, not of the next
//! read.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::{ReadHalf, WriteHalf},
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use crate::{
    fault::{Fault, Way},
    proxy::{Counts, State},
};

/// Bytes of one read.
const CHUNK: usize = 16 * 1024;

/// Chunks that wait to be handed on; then the sender's own buffers fill, and it waits.
const CHUNKS: usize = 1024;

/// A throttle passes what is due in this time at once.
const BEAT: Duration = Duration::from_millis(10);

/// Carries one way of a connection.
pub(crate) struct Pump {
    pub(crate) valve: Valve,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) counts: Arc<Counts>,
}

/// Why a connection ends before both of its ends have closed it.
#[derive(Debug)]
pub(crate) enum Over {
    Cut,
    Truncated,
}

/// What has been read. Without bytes it is the end, as for a read.
struct Chunk {
    since: Instant,
    bytes: Vec<u8>,
}

impl Pump {
    /// Runs until the end has been handed on or lost.
    pub(crate) async fn run(self, from: ReadHalf<'_>, into: WriteHalf<'_>) -> Result<(), Over> {
        let (queue, chunks) = mpsc::channel(CHUNKS);
        let (way, counts) = (self.valve.way, Arc::clone(&self.counts));
        let read = async {
            read(from, queue, way, &counts).await;
            Ok(())
        };
        tokio::try_join!(read, self.write(chunks, into)).map(drop)
    }

    async fn write(
        mut self,
        mut chunks: mpsc::Receiver<Chunk>,
        mut into: WriteHalf<'_>,
    ) -> Result<(), Over> {
        while let Some(chunk) = chunks.recv().await {
            let is_end = chunk.bytes.is_empty();
            let mut rest = &chunk.bytes[..];
            loop {
                match self.step(&chunk, rest, &into) {
                    Step::Wrote(count) => rest = &rest[count..],
                    Step::End => {
                        // Fails when the receiver is gone already.
                        let _ = into.shutdown().await;
                    }
                    Step::Lost => rest = &[],
                    Step::Full => {
                        // An error shows again in the next write.
                        let _ = into.writable().await;
                        continue;
                    }
                    Step::Wait(until) => {
                        self.changed_or(until).await?;
                        continue;
                    }
                    Step::Over(over) => return Err(over),
                }
                if rest.is_empty() {
                    break;
                }
            }
            if is_end {
                break;
            }
        }
        Ok(())
    }

    /// Hands on what is allowed now, without waiting, under the lock of the fault.
    fn step(&mut self, chunk: &Chunk, rest: &[u8], into: &WriteHalf<'_>) -> Step {
        let state = self.state.borrow_and_update();
        let most = match self.valve.verdict(&state, chunk.since) {
            Verdict::Pass(most) => most,
            Verdict::Lose => return Step::Lost,
            Verdict::Wait(until) => return Step::Wait(until),
            Verdict::Cut => return Step::Over(Over::Cut),
        };
        if rest.is_empty() {
            return Step::End;
        }
        if most == 0 {
            return Step::Over(Over::Truncated);
        }
        match into.try_write(&rest[..rest.len().min(most)]) {
            Ok(count) => {
                self.valve.passed(&state, count);
                let delivered = &self.counts.passage(self.valve.way).delivered;
                delivered.fetch_add(count as u64, Ordering::Relaxed);
                Step::Wrote(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Full,
            // The receiver is gone. The sender learns it when the receiver's own end is handed on.
            Err(_) => Step::Lost,
        }
    }

    /// Waits for another fault, or for `until` if that is sooner.
    async fn changed_or(&mut self, until: Option<Instant>) -> Result<(), Over> {
        let due = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.state.changed() => changed.map_err(|_| Over::Cut),
            () = due => Ok(()),
        }
    }
}

enum Step {
    Wrote(usize),
    End,
    Lost,
    /// The receiver's buffers are full.
    Full,
    Wait(Option<Instant>),
    Over(Over),
}

/// What the fault makes of bytes that go one way of one connection.
pub(crate) struct Valve {
    way: Way,
    cuts: u64,
    losses: u64,
    /// Once lost, lost for ever.
    lost: bool,
    /// The setting that `left` counts from.
    setting: u64,
    left: u64,
    /// When a throttle lets the next bytes pass.
    free_at: Instant,
}

enum Verdict {
    /// At most so many bytes may pass now.
    Pass(usize),
    Wait(Option<Instant>),
    Lose,
    Cut,
}

impl Valve {
    /// For a connection that began under `birth`.
    pub(crate) fn new(way: Way, birth: &State) -> Self {
        let mut valve = Self {
            way,
            cuts: birth.cuts,
            losses: birth.losses(way),
            lost: birth.fault.loses(way),
            setting: birth.settings,
            left: 0,
            free_at: Instant::now(),
        };
        valve.count_from(birth);
        valve
    }

    fn count_from(&mut self, state: &State) {
        self.setting = state.settings;
        if let Fault::TruncateAfter(bytes) = state.fault {
            self.left = bytes;
        }
    }

    fn verdict(&mut self, state: &State, since: Instant) -> Verdict {
        if state.cuts != self.cuts {
            return Verdict::Cut;
        }
        self.lost |= state.losses(self.way) != self.losses;
        if self.lost {
            return Verdict::Lose;
        }
        if state.settings != self.setting {
            self.count_from(state);
        }
        let now = Instant::now();
        match state.fault {
            Fault::BlackHole(direction) if direction.covers(self.way) => Verdict::Wait(None),
            Fault::Delay(delay) if since + delay > now => Verdict::Wait(Some(since + delay)),
            Fault::Throttle(_) if self.free_at > now => Verdict::Wait(Some(self.free_at)),
            Fault::Throttle(rate) => {
                let share = f64::from(rate) * BEAT.as_secs_f64();
                Verdict::Pass((share as usize).max(1))
            }
            Fault::TruncateAfter(_) if self.way == Way::ToClient => {
                Verdict::Pass(usize::try_from(self.left).unwrap_or(usize::MAX))
            }
            _ => Verdict::Pass(usize::MAX),
        }
    }

    fn passed(&mut self, state: &State, count: usize) {
        match state.fault {
            Fault::Throttle(rate) => {
                let takes = Duration::from_secs_f64(count as f64 / f64::from(rate.max(1)));
                // What was not used while nothing was sent is not saved up, but for a late timer's.
                let now = Instant::now();
                self.free_at = self.free_at.max(now.checked_sub(BEAT).unwrap_or(now)) + takes;
            }
            Fault::TruncateAfter(_) => self.left = self.left.saturating_sub(count as u64),
            _ => {}
        }
    }
}

/// Reads until the end, which a reset is too, and queues what comes.
async fn read(mut from: ReadHalf<'_>, queue: mpsc::Sender<Chunk>, way: Way, counts: &Counts) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        let received = &counts.passage(way).received;
        received.fetch_add(count as u64, Ordering::Relaxed);
        let chunk = Chunk {
            since: Instant::now(),
            bytes: buffer[..count].to_vec(),
        };
        if queue.send(chunk).await.is_err() || count == 0 {
            return;
        }
    }
}
