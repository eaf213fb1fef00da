//! What Redis is asked: a fixed, small number of commands, none of which grows with what it holds; and
//! what becomes of bytes there that are not ours.

mod support;

use std::{collections::BTreeSet, time::Duration};

use support::{
    diary::{Bookable, Diary},
    nodes::{DAY, Day, Node, Origin, TENANT, ask, day, key, redis, strict},
    salon::{Salon, alone, booking, october, wednesday},
    soon, until,
};
use vacancy::{
    cache::{Redis, Source},
    slots::{AppointmentCancelled, AppointmentRescheduled, BookingEvent},
};
use vacancy_testbed::{Monitor, RedisServer};

/// So long that no pulse falls into the test.
const LONG: Duration = Duration::from_secs(60);

fn quiet(server: &RedisServer) -> Redis {
    redis(&server.url())
        .lease(LONG)
        .time_out(Duration::from_secs(10))
}

/// Counts what a server is asked.
struct Asked<'a> {
    server: &'a RedisServer,
    monitor: Monitor,
    asked: u32,
}

/// A command: by a client, or by one of its scripts.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Command {
    name: String,
    scripted: bool,
}

impl<'a> Asked<'a> {
    async fn of(server: &'a RedisServer) -> Self {
        Self {
            server,
            monitor: server.monitor().await.expect("the server runs"),
            asked: 0,
        }
    }

    /// What it was asked since the last call.
    async fn since(&mut self) -> Vec<Command> {
        self.asked += 1;
        let mark = format!("mark {}", self.asked);
        ask(self.server, &["ECHO", &mark]).await;
        let mut commands = Vec::new();
        loop {
            let line = soon(self.monitor.next()).await.expect("the server runs");
            if line.contains(&mark) {
                return commands;
            }
            let (head, rest) = line.split_once("] \"").expect("a line of MONITOR");
            let name = rest.split('"').next().expect("a command");
            commands.push(Command {
                name: name.to_uppercase(),
                scripted: head.ends_with(" lua"),
            });
        }
    }

    /// The names of what clients asked since the last call.
    async fn by_clients(&mut self) -> Vec<String> {
        let commands = self.since().await;
        let own = commands.into_iter().filter(|command| !command.scripted);
        own.map(|command| command.name).collect()
    }
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// A diary in which a booking reaches as many scopes as it can.
fn diary() -> Diary {
    let diary = Diary::new();
    let bookable = Bookable::new(30).host(42).host(43).host(44).branch(1);
    diary.offer(15, 123, bookable);
    diary
}

#[tokio::test]
async fn no_command_grows_with_what_redis_holds() {
    let server = RedisServer::start().await.unwrap();
    let mut asked = Asked::of(&server).await;
    let diary = diary();
    let settings = || strict(&server.url()).lease(Duration::from_millis(100));
    let [a, b] = [(); 2].map(|()| Salon::sharing(&diary, settings()));
    a.load(&october(1, 31)).await;
    b.keep(&october(1, 31)).await;
    let slots = a.open(&wednesday()).await;
    let booked = booking(1, &slots[0]);
    let hold = soon(a.slots.hold(&booked)).await.unwrap();
    a.commit(&booked);
    a.dispatch(&booked);
    drop(hold);
    b.keep(&wednesday()).await;
    // A node dies and is retired, an incarnation begins, more is pending than one call carries.
    drop(b);
    soon(a.slots.confirmed(&15.into())).await.unwrap();
    ask(&server, &["FLUSHALL"]).await;
    for number in 0..300 {
        a.dispatch(&booking(number, &slots[number as usize % slots.len()]));
    }
    soon(async { while a.slots.confirmed(&15.into()).await.is_err() {} }).await;
    let leases = a.slots.statistics().level2.leases;
    until(|| a.slots.statistics().level2.leases > leases + 70).await;

    let commands = asked.since().await;
    let of = |scripted| -> BTreeSet<String> {
        let own = commands
            .iter()
            .filter(|command| command.scripted == scripted);
        own.map(|command| command.name.clone()).collect()
    };
    let by_clients = names([
        "CLIENT",
        "ECHO",
        "EVALSHA",
        "FLUSHALL",
        "PUBLISH",
        "SCRIPT",
        "SET",
        "SUBSCRIBE",
    ]);
    assert!(of(false).is_subset(&by_clients), "{:?}", of(false));
    let by_scripts = names([
        "DEL", "GET", "HDEL", "HGET", "HGETALL", "HINCRBY", "HMGET", "HSET", "INFO", "PEXPIRE",
        "PUBLISH", "SET", "TIME",
    ]);
    assert!(of(true).is_subset(&by_scripts), "{:?}", of(true));
    let flushes = commands.iter().filter(|command| command.name == "FLUSHALL");
    assert_eq!(flushes.count(), 1, "that of the test");
}

#[tokio::test]
async fn a_read_is_one_call_and_what_it_loads_is_written_with_another() {
    let server = RedisServer::start().await.unwrap();
    let origin = Origin::new();
    let [a, b] = [(); 2].map(|()| Node::new(quiet(&server), &origin));
    for node in [&a, &b] {
        node.leased().await;
    }
    for (node, other) in [(&a, &b), (&b, &a)] {
        node.load(&day(9)).await; // the scripts are known
        node.cache
            .invalidate(&support::nodes::host(TENANT), day(9).span());
        node.confirmed().await;
        // Or it would overtake what the other one loads next, and that would not be written.
        until(|| other.level2().notices == 1).await;
    }
    let mut asked = Asked::of(&server).await;
    a.load(&DAY).await;
    assert_eq!(asked.by_clients().await, ["EVALSHA", "SET"]);
    assert_eq!(b.read(&DAY).await, (1, Source::Level2));
    assert_eq!(asked.by_clients().await, ["EVALSHA"]);
    assert_eq!(b.read(&DAY).await, (1, Source::Level1));
    assert!(asked.since().await.is_empty());
}

#[tokio::test]
async fn an_event_is_one_call_whatever_it_reaches() {
    let server = RedisServer::start().await.unwrap();
    let diary = diary();
    let salon = Salon::new(&diary, alone(&diary).redis(quiet(&server)));
    let slots = salon.load(&wednesday()).await;
    let booked = booking(1, &slots[0]);
    let after = booked.appointment.clone().moved_to(slots[5].interval);
    let moved = AppointmentRescheduled::new(booked.appointment.clone(), after.clone());
    assert_eq!(moved.appointments().len(), 2);
    salon.dispatch(&booked);
    soon(salon.slots.confirmed(&15.into())).await.unwrap(); // the script is known

    let mut asked = Asked::of(&server).await;
    let before = salon.slots.statistics();
    salon.bus.dispatch(moved);
    soon(salon.slots.confirmed(&15.into())).await.unwrap();
    assert_eq!(asked.by_clients().await, ["EVALSHA"]);
    let reached = salon.slots.statistics().invalidations - before.invalidations;
    assert!(reached >= 6, "{reached}");
    salon.bus.dispatch(AppointmentCancelled::new(after));
    soon(salon.slots.confirmed(&15.into())).await.unwrap();
    assert_eq!(asked.by_clients().await, ["EVALSHA"]);
}

/// What is found under the name of an entry, and which counter tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Unreadable,
    Oversized,
}

/// Does something to the entry of a day, and shows that it is a miss, told of, and then healed.
async fn is_a_miss(spoil: &str, counted: Counted) {
    let server = RedisServer::start().await.expect("a server");
    let origin = Origin::new();
    let [a, b, c] = [(); 3].map(|()| Node::new(quiet(&server), &origin));
    a.leased().await;
    b.leased().await;
    a.load(&DAY).await;
    let entry = key(&server, "*:e:*").await;
    let script =
        format!("local was = redis.call('GET', KEYS[1]) redis.call('SET', KEYS[1], {spoil})");
    let spoilt = ask(&server, &["EVAL", &script, "1", &entry]).await;
    assert_eq!(spoilt, vacancy_testbed::Reply::Bulk(None), "{spoil}");

    origin.set(2);
    b.load(&DAY).await;
    let level2 = b.level2();
    let counts = (level2.unreadable, level2.oversized);
    let expected = match counted {
        Counted::Unreadable => (1, 0),
        Counted::Oversized => (0, 1),
    };
    assert_eq!(
        (counts, level2.hits, level2.misses),
        (expected, 0, 1),
        "{spoil}"
    );
    assert_eq!(c.read(&DAY).await, (2, Source::Level2), "{spoil}");
}

#[tokio::test]
async fn bytes_that_are_not_an_entry_are_a_miss_and_healed() {
    for spoil in [
        "''",
        "'garbage'",
        "'[{\"slot\":1}]'",
        "'VCY'",
        "'VCY' .. string.char(1)",
        "string.rep(string.char(255), 100)",
        // Of an older format, and of one to come.
        "string.sub(was, 1, 3) .. string.char(0) .. string.sub(was, 5)",
        "string.sub(was, 1, 3) .. string.char(2) .. string.sub(was, 5)",
        // A flag that nobody has written, and one that is not true.
        "string.sub(was, 1, 4) .. string.char(7) .. string.sub(was, 6)",
        "string.sub(was, 1, 4) .. string.char(1) .. string.sub(was, 6)",
        // Cut: within the head, and before the value.
        "string.sub(was, 1, 5)",
        "string.sub(was, 1, 12)",
        "string.sub(was, 1, -2)",
        "string.sub(was, 2)",
    ] {
        is_a_miss(spoil, Counted::Unreadable).await;
    }
}

#[tokio::test]
async fn an_entry_that_is_too_large_is_a_miss_and_healed() {
    is_a_miss(
        "was .. string.rep('x', 2 * 1024 * 1024)",
        Counted::Oversized,
    )
    .await;
    // Small as it is, it says that it becomes large; its checksum says that somebody else wrote that.
    let bomb = "string.sub(was, 1, 4) .. string.char(1) .. string.sub(was, 6, -2) .. string.rep(string.char(255), 3) .. string.char(127, 31, 65)";
    is_a_miss(bomb, Counted::Unreadable).await;
}

#[tokio::test]
async fn an_entry_under_the_name_of_another_is_a_miss_and_healed() {
    let server = RedisServer::start().await.unwrap();
    let origin = Origin::new();
    let [a, b] = [(); 2].map(|()| Node::new(quiet(&server), &origin));
    a.leased().await;
    b.leased().await;
    a.load(&DAY).await;
    let entry = key(&server, "*:e:*").await;
    let others = [
        day(2),
        Day {
            tenant: "16",
            number: 1,
        },
    ];
    origin.set(2);
    for (nth, other) in (1..).zip(&others) {
        let copy = entry.replace(":e:15:1", &format!(":e:{}:{}", other.tenant, other.number));
        assert_ne!(copy, entry);
        ask(&server, &["COPY", &entry, &copy]).await;
        b.load(other).await;
        assert_eq!((b.level2().unreadable, b.level2().hits), (nth, 0));
        let late = Node::new(quiet(&server), &origin);
        assert_eq!(late.read(other).await, (2, Source::Level2));
    }
    assert_eq!(a.read(&DAY).await, (1, Source::Level1));
}
