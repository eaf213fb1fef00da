//! Servers start, die, come back, stand still and replicate as they are told.

use std::{io::ErrorKind, net::TcpStream, path::PathBuf, time::Duration};

use tokio::time::timeout;
use vacancy_testbed::{RedisServer, Reply, StartError};

fn ok() -> Reply {
    Reply::Text("OK".into())
}

fn value(text: &str) -> Reply {
    Reply::Bulk(Some(text.into()))
}

async fn folder(redis: &RedisServer) -> PathBuf {
    let setting = redis.command(&["CONFIG", "GET", "dir"]).await;
    let Ok(Reply::Array(name_and_value)) = &setting else {
        panic!("settings are an array: {setting:?}");
    };
    let folder = name_and_value[1].text().expect("the path is plain text");
    PathBuf::from(folder)
}

#[tokio::test]
async fn a_server_answers_when_it_has_started() {
    let redis = RedisServer::start().await.unwrap();
    assert_eq!(
        redis.command(&["PING"]).await.unwrap(),
        Reply::Text("PONG".into())
    );
    assert_eq!(redis.url(), format!("redis://127.0.0.1:{}", redis.port()));
    let info = redis.command(&["INFO", "server"]).await.unwrap();
    let process = format!("process_id:{}\r\n", redis.pid());
    assert!(info.text().unwrap().contains(&process), "it is our process");
}

#[tokio::test]
async fn several_servers_run_side_by_side() {
    let (first, second) = tokio::join!(RedisServer::start(), RedisServer::start());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first.port(), second.port());
    first.command(&["SET", "key", "first"]).await.unwrap();
    assert_eq!(
        second.command(&["GET", "key"]).await.unwrap(),
        Reply::Bulk(None)
    );
}

#[tokio::test]
async fn a_refusal_is_a_reply() {
    let redis = RedisServer::start().await.unwrap();
    let reply = redis.command(&["NO-SUCH-COMMAND"]).await.unwrap();
    assert!(matches!(reply, Reply::Error(reason) if reason.starts_with("ERR unknown command")));
}

#[tokio::test]
async fn a_dropped_server_leaves_no_process_and_no_folder() {
    let redis = RedisServer::start_with(&[("appendonly", "yes")])
        .await
        .unwrap();
    let (address, folder) = (redis.address(), folder(&redis).await);
    assert!(folder.join("appendonlydir").exists());
    drop(redis);
    assert_eq!(
        TcpStream::connect(address).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_killed_server_is_gone_until_it_is_restarted_empty_on_the_same_port() {
    let mut redis = RedisServer::start().await.unwrap();
    let (port, pid) = (redis.port(), redis.pid());
    redis.command(&["SET", "key", "value"]).await.unwrap();

    redis.kill().await.unwrap();
    redis.kill().await.unwrap(); // nothing left to kill
    let refused = redis.command(&["PING"]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(redis.pause().unwrap_err().kind(), ErrorKind::NotFound);

    redis.restart().await.unwrap();
    assert_eq!(redis.port(), port);
    assert_ne!(redis.pid(), pid);
    assert_eq!(
        redis.command(&["GET", "key"]).await.unwrap(),
        Reply::Bulk(None)
    );
}

#[tokio::test]
async fn a_restart_keeps_what_the_settings_keep() {
    let settings = [("appendonly", "yes"), ("appendfsync", "always")];
    let mut redis = RedisServer::start_with(&settings).await.unwrap();
    redis.command(&["SET", "key", "value"]).await.unwrap();
    redis.restart().await.unwrap(); // kills it first
    assert_eq!(
        redis.command(&["GET", "key"]).await.unwrap(),
        value("value")
    );
}

#[tokio::test]
async fn a_password_is_asked_for_and_given() {
    let settings = [("requirepass", "secret"), ("maxmemory", "5mb")];
    let mut redis = RedisServer::start_with(&settings).await.unwrap();
    assert_eq!(
        redis.url(),
        format!("redis://:secret@127.0.0.1:{}", redis.port())
    );
    assert_eq!(redis.command(&["SET", "key", "value"]).await.unwrap(), ok());
    redis.restart().await.unwrap();
    assert_eq!(
        redis
            .command(&["CONFIG", "SET", "requirepass", ""])
            .await
            .unwrap(),
        ok()
    );
    // Now that it wants none, giving one is refused.
    assert!(redis.command(&["PING"]).await.is_err());
}

#[tokio::test]
async fn a_wrong_setting_is_reported_with_the_log() {
    let Err(error) = RedisServer::start_with(&[("maxmemory", "plenty")]).await else {
        panic!("there is no such amount");
    };
    assert!(matches!(error, StartError::Ended { .. }), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_paused_server_answers_when_it_goes_on() {
    let redis = RedisServer::start().await.unwrap();
    redis.pause().unwrap();
    let mut asked = Box::pin(redis.command(&["INCR", "key"]));
    // It accepts, since the system does that for it, and stays silent. That nothing comes cannot be
    // awaited, so this only gives a running server the chance to answer.
    let silent = timeout(Duration::from_millis(50), &mut asked).await;
    assert!(silent.is_err());
    redis.resume().unwrap();
    assert_eq!(asked.await.unwrap(), Reply::Integer(1));
}

#[cfg(unix)]
#[tokio::test]
async fn a_paused_server_can_be_killed_and_restarted() {
    let mut redis = RedisServer::start().await.unwrap();
    redis.pause().unwrap();
    redis.restart().await.unwrap();
    assert_eq!(
        redis.command(&["INCR", "key"]).await.unwrap(),
        Reply::Integer(1)
    );
}

#[tokio::test]
async fn a_replica_has_what_its_primary_has_and_can_take_its_place() {
    let mut primary = RedisServer::start_with(&[("requirepass", "secret")])
        .await
        .unwrap();
    primary.command(&["SET", "key", "value"]).await.unwrap();
    let replica = RedisServer::replica_of(&primary).await.unwrap();
    assert_eq!(
        replica.command(&["GET", "key"]).await.unwrap(),
        value("value")
    );
    let refused = replica.command(&["SET", "key", "other"]).await.unwrap();
    assert!(matches!(refused, Reply::Error(reason) if reason.starts_with("READONLY")));

    primary.kill().await.unwrap();
    replica.promote().await.unwrap();
    assert_eq!(
        replica.command(&["SET", "key", "other"]).await.unwrap(),
        ok()
    );
}

#[tokio::test]
async fn a_monitor_sees_the_commands_in_order() {
    let redis = RedisServer::start().await.unwrap();
    let mut monitor = redis.monitor().await.unwrap();
    redis.command(&["SET", "key", "value"]).await.unwrap();
    redis.command(&["GET", "key"]).await.unwrap();
    for expected in [r#""SET" "key" "value""#, r#""GET" "key""#] {
        let line = timeout(Duration::from_secs(30), monitor.next());
        let line = line.await.unwrap().unwrap();
        assert!(line.ends_with(expected), "{line}");
    }
    drop(redis);
    assert!(monitor.next().await.is_err());
}
