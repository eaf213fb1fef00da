//! Networks and machines fail here as they do elsewhere.

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};
use vacancy_simulation::{Direction, Host, Network, Stream, Streams};

const STEP: Duration = Duration::from_millis(2);

type Heard = Arc<Mutex<Vec<Result<u8, ErrorKind>>>>;

/// One node, and a server that answers each byte with itself.
struct Echo {
    now: Duration,
    network: Network,
    server: Host,
    node: Host,
    heard: Heard,
}

impl Echo {
    /// The node sends 0, 1, 2 and so on, one a millisecond, and writes down what comes back.
    fn start() -> Self {
        let network = Network::new(1, Rng::with_seed(1));
        let server = Host::start(Duration::ZERO, 1.0);
        let handle = server.handle();
        network.listen(move |mut stream| {
            handle.spawn(async move {
                while let Ok(byte) = stream.read_u8().await {
                    if stream.write_u8(byte).await.is_err() {
                        break;
                    }
                }
            });
        });
        let mut echo = Self {
            now: Duration::ZERO,
            network,
            server,
            node: Host::start(Duration::ZERO, 1.0),
            heard: Arc::default(),
        };
        echo.heard = echo.dial();
        echo
    }

    /// Another stream, which carries the same.
    fn dial(&self) -> Heard {
        let heard = Heard::default();
        let (dialled, hears) = (self.network.clone(), Arc::clone(&heard));
        self.node.handle().spawn(async move {
            let stream = dialled.dial(0).await.expect("the server listens");
            let (reader, writer) = tokio::io::split(stream);
            tokio::join!(send(writer), hear(reader, &hears));
        });
        heard
    }

    fn run(&mut self, milliseconds: u64) {
        let until = self.now + Duration::from_millis(milliseconds);
        while self.now < until {
            self.now += STEP;
            self.network.advance(self.now);
            self.server.run_until(self.now);
            self.node.run_until(self.now);
        }
    }

    fn heard(&self) -> Vec<Result<u8, ErrorKind>> {
        self.heard.lock().expect("nobody panics").clone()
    }
}

async fn send(mut writer: tokio::io::WriteHalf<Stream>) {
    for byte in 0..=u8::MAX {
        if writer.write_u8(byte).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn hear(mut reader: tokio::io::ReadHalf<Stream>, heard: &Mutex<Vec<Result<u8, ErrorKind>>>) {
    loop {
        let byte = reader.read_u8().await.map_err(|error| error.kind());
        heard.lock().expect("nobody panics").push(byte);
        if byte.is_err() {
            break;
        }
    }
}

fn in_order(count: usize) -> Vec<Result<u8, ErrorKind>> {
    (0..=u8::MAX).take(count).map(Ok).collect()
}

#[test]
fn what_is_sent_arrives_in_order() {
    let mut echo = Echo::start();
    echo.run(600);
    assert_eq!(echo.heard(), in_order(256));
}

#[test]
fn a_link_that_is_held_delivers_late_and_everything() {
    for direction in [Direction::Up, Direction::Down] {
        let mut echo = Echo::start();
        echo.run(40);
        echo.network.hold(0, direction, Streams::All);
        echo.run(100);
        let before = echo.heard().len();
        echo.run(400);
        assert_eq!(echo.heard(), in_order(before));
        echo.network.release(0);
        echo.run(200);
        assert_eq!(echo.heard(), in_order(256));
    }
}

#[test]
fn a_link_that_was_parted_stays_silent_and_nobody_is_told() {
    let mut echo = Echo::start();
    echo.run(40);
    echo.network.part(0, Streams::All);
    echo.run(100);
    echo.network.join(0);
    let before = echo.heard().len();
    assert!((1..100).contains(&before));
    echo.run(600);
    assert_eq!(echo.heard(), in_order(before));
}

#[test]
fn one_stream_of_a_node_may_fail_alone() {
    for streams in [Streams::Oldest, Streams::Newest] {
        let mut echo = Echo::start();
        let older = Arc::clone(&echo.heard);
        echo.run(20);
        echo.heard = echo.dial();
        echo.run(60);
        echo.network.part(0, streams);
        echo.run(600);
        let (older, newer) = (older.lock().unwrap().len(), echo.heard().len());
        let whole = |count| count == 256;
        assert_eq!(
            (whole(older), whole(newer)),
            match streams {
                Streams::Oldest => (false, true),
                _ => (true, false),
            }
        );
    }
}

#[test]
fn both_ends_are_told_of_a_reset() {
    let mut echo = Echo::start();
    echo.run(40);
    echo.network.reset(0);
    echo.run(100);
    assert_eq!(echo.heard().last(), Some(&Err(ErrorKind::ConnectionReset)));
}

#[test]
fn a_server_that_is_down_refuses_and_later_does_not() {
    let network = Network::new(1, Rng::with_seed(1));
    network.listen(drop);
    network.set_listening(false);
    let mut node = Host::start(Duration::ZERO, 1.0);
    let refused = node.handle().spawn(network.clone().dial(0));
    node.run_until(Duration::from_millis(100));
    network.set_listening(true);
    let accepted = node.handle().spawn(network.clone().dial(0));
    node.run_until(Duration::from_millis(200));
    assert!(refused.is_finished() && accepted.is_finished());
    let handle = node.handle();
    let refused = handle.block_on(refused).unwrap().map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(handle.block_on(accepted).unwrap().is_ok());
}

/// A timer that fired during the pause would end the lease of a node that a reader finds expired
/// only because somebody was awake to see to it.
#[test]
fn a_machine_that_was_paused_finds_that_time_has_passed_without_it() {
    let mut node = Host::start(Duration::ZERO, 1.0);
    let woken = Arc::<Mutex<Vec<u128>>>::default();
    let wakes = Arc::clone(&woken);
    node.handle().spawn(async move {
        let begun = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            wakes.lock().unwrap().push(begun.elapsed().as_millis());
        }
    });
    for step in 0..=110 {
        if step == 10 {
            node.pause_until(Duration::from_millis(200));
        }
        node.run_until(STEP * step);
    }
    let woken = woken.lock().unwrap();
    assert!(woken[0] < 20 && woken[1] >= 180, "{woken:?}");
    assert!(woken.len() > 2);
}

#[test]
fn clocks_go_at_rates_of_their_own() {
    let elapsed = |rate| {
        let mut node = Host::start(Duration::ZERO, rate);
        let elapsed = Arc::<Mutex<u128>>::default();
        let notes = Arc::clone(&elapsed);
        node.handle().spawn(async move {
            let begun = Instant::now();
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                *notes.lock().unwrap() = begun.elapsed().as_millis();
            }
        });
        for step in 0..=500 {
            node.run_until(STEP * step);
        }
        *elapsed.lock().unwrap()
    };
    assert!((989..=991).contains(&elapsed(0.99)));
    assert!((1009..=1011).contains(&elapsed(1.01)));
}
