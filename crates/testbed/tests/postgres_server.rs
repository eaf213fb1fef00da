//! PostgreSQL servers start side by side and leave nothing behind.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    path::PathBuf,
};

use vacancy_testbed::PostgresServer;

/// Whether a server answers there: PostgreSQL says no to TLS with one letter.
fn answers(server: &PostgresServer) -> bool {
    let mut stream = TcpStream::connect(server.address()).expect("a server");
    let ask_for_tls = [0, 0, 0, 8, 4, 210, 22, 47];
    stream.write_all(&ask_for_tls).expect("it listens");
    let mut letter = [0];
    stream.read_exact(&mut letter).expect("an answer");
    letter == *b"N"
}

#[tokio::test]
async fn servers_run_side_by_side() {
    let (first, second) = tokio::join!(PostgresServer::start(), PostgresServer::start());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!((first.port(), first.pid()), (second.port(), second.pid()));
    assert!(answers(&first) && answers(&second));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_dropped_server_leaves_no_process_and_no_folder() {
    let server = PostgresServer::start().await.unwrap();
    let (address, process) = (
        server.address(),
        PathBuf::from(format!("/proc/{}", server.pid())),
    );
    let folder = process.join("cwd").canonicalize().unwrap();
    assert!(folder.join("PG_VERSION").exists());
    drop(server);
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(!process.exists() && !folder.exists());
}
