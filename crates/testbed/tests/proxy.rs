//! Each fault does what it says, to the connections it says.
//!
//! The proxy's own counts say when it has bytes in hand, so nothing here waits for time to pass.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::yield_now,
    time::timeout,
};
use vacancy_testbed::{Direction, Fault, Proxy, RedisServer, Reply};

const LIMIT: Duration = Duration::from_secs(30);

/// A server whose side of each connection the test plays.
struct Upstream {
    listener: TcpListener,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self { listener }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    async fn accept(&self) -> TcpStream {
        let accepted = within(self.listener.accept()).await;
        accepted.expect("the proxy connects").0
    }
}

/// Both ends of a connection through the proxy.
async fn through(proxy: &Proxy, upstream: &Upstream) -> (TcpStream, TcpStream) {
    let client = connect(proxy).await;
    (client, upstream.accept().await)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    let connected = within(TcpStream::connect(proxy.address())).await;
    connected.expect("the proxy listens")
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("it happens in time")
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let written = within(stream.write_all(bytes)).await;
    written.expect("the connection stands");
}

async fn receive(stream: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    let read = within(stream.read_exact(&mut bytes)).await;
    read.expect("the connection stands");
    assert_eq!(bytes, expected);
}

/// What comes until the end of the connection, and how that was.
async fn rest(stream: &mut TcpStream) -> (Vec<u8>, io::Result<()>) {
    let mut bytes = Vec::new();
    let end = within(stream.read_to_end(&mut bytes)).await.map(drop);
    (bytes, end)
}

async fn assert_reset(mut stream: TcpStream) {
    let (bytes, end) = rest(&mut stream).await;
    let kind = end.map_err(|error| error.kind());
    assert_eq!((bytes, kind), (vec![], Err(ErrorKind::ConnectionReset)));
}

/// Waits until the proxy has so many bytes in hand, or has had.
async fn received(proxy: &Proxy, direction: Direction, bytes: u64) {
    within(async {
        while proxy.received(direction) < bytes {
            yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_fault_bytes_and_ends_pass_both_ways() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address()).await.unwrap();
    assert_eq!(proxy.url(), format!("redis://{}", proxy.address()));
    let (mut client, mut server) = through(&proxy, &upstream).await;
    send(&mut client, b"question").await;
    receive(&mut server, b"question").await;
    send(&mut server, b"an answer").await;
    receive(&mut client, b"an answer").await;
    assert_eq!(proxy.delivered(Direction::ToServer), 8);
    assert_eq!(proxy.delivered(Direction::ToClient), 9);
    assert_eq!(proxy.received(Direction::Both), 17);
    assert_eq!(proxy.connections(), 1);

    client.shutdown().await.unwrap();
    assert!(rest(&mut server).await.1.is_ok());
    send(&mut server, b"afterthought").await;
    drop(server);
    let (bytes, end) = rest(&mut client).await;
    assert!(end.is_ok());
    assert_eq!(bytes, b"afterthought");
}

#[tokio::test]
async fn refuse_resets_new_connections_and_leaves_the_others() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address()).await.unwrap();
    let (mut client, mut server) = through(&proxy, &upstream).await;
    proxy.set(Fault::Refuse);
    assert_reset(connect(&proxy).await).await;
    assert_eq!(proxy.connections(), 2);
    send(&mut client, b"still here").await;
    receive(&mut server, b"still here").await;
    proxy.set(Fault::None);
    let (mut client, mut server) = through(&proxy, &upstream).await;
    send(&mut client, b"again").await;
    receive(&mut server, b"again").await;
}

#[tokio::test]
async fn cut_resets_both_ends_and_new_connections_until_it_is_lifted() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address()).await.unwrap();
    let (client, server) = through(&proxy, &upstream).await;
    proxy.set(Fault::Cut);
    assert_reset(client).await;
    assert_reset(server).await;
    assert_reset(connect(&proxy).await).await;
    proxy.set(Fault::None);
    let (mut client, mut server) = through(&proxy, &upstream).await;
    send(&mut client, b"again").await;
    receive(&mut server, b"again").await;
}

#[tokio::test]
async fn a_cut_that_is_lifted_at_once_has_cut() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address()).await.unwrap();
    let (client, _server) = through(&proxy, &upstream).await;
    proxy.set(Fault::Cut);
    proxy.set(Fault::None);
    assert_reset(client).await;
}

#[tokio::test]
async fn a_black_hole_holds_one_way_back_and_delivers_when_it_is_healed() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address()).await.unwrap();
    let (mut client, mut server) = through(&proxy, &upstream).await;
    proxy.set(Fault::BlackHole(Direction::ToClient));
    send(&mut client, b"question").await;
    receive(&mut server, b"question").await;
    send(&mut server, b"an ").await;
    received(&proxy, Direction::ToClient, 3).await;
    send(&mut server, b"answer").await;
    drop(server);
    received(&proxy, Direction::ToClient, 9).await;

    // New connections are accepted, and held back too.
    let (mut other, mut server) = through(&proxy, &upstream).await;
    send(&mut server, b"more").await;
    received(&proxy, Direction::ToClient, 13).await;
    assert_eq!(proxy.delivered(Direction::ToClient), 0);

    proxy.set(Fault::None);
    let (bytes, end) = rest(&mut client).await;
    assert!(end.is_ok(), "the end comes after the bytes");
    assert_eq!(bytes, b"an answer");
    receive(&mut other, b"more").await;
}

#[tokio::test]
async fn a_black_hole_to_the_server_keeps_commands_from_it() {
    let mut redis = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(redis.address()).await.unwrap();
    let mut client = connect(&proxy).await;
    proxy.set(Fault::BlackHole(Direction::Both));
    send(&mut client, b"INCR key\r\n").await;
    received(&proxy, Direction::ToServer, 10).await;
    let key = redis.command(&["GET", "key"]).await.unwrap();
    assert_eq!(key, Reply::Bulk(None));
    proxy.set(Fault::None);
    receive(&mut client, b":1\r\n").await;
    redis.kill().await.unwrap();
    assert_eq!(rest(&mut client).await.0, b"");
}

#[tokio::test]
async fn drop_leaves_its_connections_half_open_for_ever() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address()).await.unwrap();
    let (mut client, mut server) = through(&proxy, &upstream).await;
    proxy.set(Fault::Drop(Direction::ToClient));
    send(&mut server, b"lost").await;
    received(&proxy, Direction::ToClient, 4).await;
    let (_born_under_it, mut its_server) = through(&proxy, &upstream).await;

    proxy.set(Fault::None);
    send(&mut client, b"heard").await;
    receive(&mut server, b"heard").await;
    send(&mut server, b"lost too").await;
    send(&mut its_server, b"and this").await;
    received(&proxy, Direction::ToClient, 20).await;

    let (mut fresh, mut fresh_server) = through(&proxy, &upstream).await;
    send(&mut fresh_server, b"fresh").await;
    receive(&mut fresh, b"fresh").await;
    assert_eq!(proxy.delivered(Direction::ToClient), 5, "the fresh one's");
}

#[tokio::test]
async fn drop_hides_the_end_of_a_connection() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address()).await.unwrap();
    let (client, mut server) = through(&proxy, &upstream).await;
    proxy.set(Fault::Drop(Direction::ToServer));
    proxy.set(Fault::None);
    drop(client);
    // The proxy has no more than the end of it in hand by the time another connection has passed.
    let (mut other, mut other_server) = through(&proxy, &upstream).await;
    send(&mut other, b"x").await;
    receive(&mut other_server, b"x").await;
    send(&mut server, b"is anybody there?").await;
    received(&proxy, Direction::ToClient, 17).await;
    let end = server.try_read(&mut [0]);
    assert_eq!(end.unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_delay_keeps_order_and_does_not_wait_for_the_one_before() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address()).await.unwrap();
    let (mut client, mut server) = through(&proxy, &upstream).await;
    // Longer than any wait of this test: what passes, passes because the delay was lifted.
    proxy.set(Fault::Delay(LIMIT * 100));
    let mut sent = Vec::new();
    for number in 0..100_u8 {
        send(&mut client, &[number]).await;
        sent.push(number);
        // All are in hand at once, each in a chunk of its own.
        received(&proxy, Direction::ToServer, sent.len() as u64).await;
    }
    send(&mut server, b"early answer").await;
    received(&proxy, Direction::ToClient, 12).await;
    assert_eq!(proxy.delivered(Direction::Both), 0);
    proxy.set(Fault::Delay(Duration::from_millis(3)));
    receive(&mut server, &sent).await;
    receive(&mut client, b"early answer").await;
    client.shutdown().await.unwrap();
    assert!(rest(&mut server).await.1.is_ok());
}

#[tokio::test]
async fn a_throttle_passes_everything_in_small_pieces() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address()).await.unwrap();
    let (mut client, mut server) = through(&proxy, &upstream).await;
    proxy.set(Fault::Throttle(1));
    // Half of it would take longer than any wait of this test.
    let slow = vec![b's'; 2 * LIMIT.as_secs() as usize];
    send(&mut server, &slow).await;
    receive(&mut client, b"s").await;
    assert!(proxy.delivered(Direction::ToClient) < slow.len() as u64);
    proxy.set(Fault::Throttle(1_000_000));
    receive(&mut client, &slow[1..]).await;
    let sent: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    let (mut reader, mut writer) = client.split();
    let mut read = vec![0; sent.len()];
    let (wrote, _) =
        within(async { tokio::join!(server.write_all(&sent), reader.read_exact(&mut read)) }).await;
    wrote.unwrap();
    assert_eq!(read, sent);
    writer.shutdown().await.unwrap();
}

#[tokio::test]
async fn truncate_closes_each_connection_after_so_many_bytes() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address()).await.unwrap();
    let (mut old, mut old_server) = through(&proxy, &upstream).await;
    send(&mut old_server, b"counts for nothing").await;
    receive(&mut old, b"counts for nothing").await;

    proxy.set(Fault::TruncateAfter(4));
    for (mut client, mut server) in [(old, old_server), through(&proxy, &upstream).await] {
        send(&mut client, b"more than four bytes").await;
        receive(&mut server, b"more than four bytes").await;
        send(&mut server, b"four").await;
        receive(&mut client, b"four").await;
        send(&mut server, b"five").await;
        let (bytes, end) = rest(&mut client).await;
        assert!(end.is_ok());
        assert_eq!(bytes, b"");
        assert_eq!(rest(&mut server).await.0, b"");
    }
}

#[tokio::test]
async fn truncate_at_once_lets_the_command_run_and_loses_its_reply() {
    let redis = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(redis.address()).await.unwrap();
    let mut client = connect(&proxy).await;
    proxy.set(Fault::TruncateAfter(0));
    send(&mut client, b"INCR key\r\n").await;
    assert_eq!(rest(&mut client).await.0, b"");
    let key = redis.command(&["GET", "key"]).await.unwrap();
    assert_eq!(key, Reply::Bulk(Some(b"1".into())));
}

#[tokio::test]
async fn a_redirect_cuts_the_old_connections_and_sends_new_ones_elsewhere() {
    let (upstream, successor) = (Upstream::start().await, Upstream::start().await);
    let proxy = Proxy::start(upstream.address()).await.unwrap();
    let (client, server) = through(&proxy, &upstream).await;
    proxy.redirect(successor.address());
    assert_reset(client).await;
    assert_reset(server).await;
    let (mut client, mut server) = through(&proxy, &successor).await;
    send(&mut client, b"moved").await;
    receive(&mut server, b"moved").await;
}

#[tokio::test]
async fn a_client_of_a_dead_server_is_reset() {
    let mut redis = RedisServer::start().await.unwrap();
    let proxy = Proxy::start(redis.address()).await.unwrap();
    redis.kill().await.unwrap();
    assert_reset(connect(&proxy).await).await;
}

#[tokio::test]
async fn the_last_handle_ends_the_proxy() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(upstream.address()).await.unwrap();
    let handle = proxy.clone();
    drop(proxy);
    let (mut client, mut server) = through(&handle, &upstream).await;
    let address = handle.address();
    drop(handle);
    assert_eq!(rest(&mut client).await.0, b"");
    assert_eq!(rest(&mut server).await.0, b"");
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}
