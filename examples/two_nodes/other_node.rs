//! The process of node B, as A sees it.

use std::{env, io, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::order::{Answer, Order};

/// The process of node B. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct OtherNode {
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl OtherNode {
    /// Starts this very program again, as B.
    pub(crate) fn start() -> io::Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .arg("--node")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let piped = || io::Error::other("a pipe is missing");
        let orders = process.stdin.take().ok_or_else(piped)?;
        let answers = process.stdout.take().ok_or_else(piped)?;
        Ok(Self {
            process,
            orders,
            answers: BufReader::new(answers).lines(),
        })
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Gives an order and waits for the answer.
    pub(crate) async fn tell(&mut self, order: &Order) -> io::Result<Answer> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await?;
        let answer = self.answers.next_line().await?;
        let answer = answer.ok_or_else(|| io::Error::other("the process has ended"))?;
        Ok(serde_json::from_str(&answer)?)
    }
}
