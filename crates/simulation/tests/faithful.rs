//! The simulated Redis answers as a real one does, in all that the cache asks of it.

mod real;

use std::time::SystemTime;

use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};
use vacancy_simulation::{Server, command};

use crate::real::{Client, RealServer};

/// How many random conversations are compared.
const CONVERSATIONS: u32 = 400;

/// One step of a conversation.
#[derive(Debug, Clone)]
enum Step {
    /// Over the first connection.
    Command(Vec<String>),
    /// Over the second, which is to subscribe.
    Listen(Vec<String>),
}

/// Both servers are asked the same, and say the same.
struct Pair {
    real: [Client; 2],
    simulated: Server,
    connections: [u64; 2],
}

impl Pair {
    fn connect(real: &RealServer) -> Self {
        let mut simulated = Server::new();
        let connections = [simulated.connect(), simulated.connect()];
        Self {
            real: [real.connect(), real.connect()],
            simulated,
            connections,
        }
    }

    /// The replies of both, the real one's first.
    fn ask(&mut self, connection: usize, arguments: &[String]) -> (String, String) {
        let bytes = command(arguments);
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("it is later than 1970");
        self.real[connection].send(&bytes);
        let id = self.connections[connection];
        self.simulated.receive(id, &bytes, now);
        let simulated = self.simulated.take_output(id).expect("it is open");
        // As many replies as the simulated server gave: a missing one shows as a time-out.
        let simulated = real::replies(&simulated);
        let real = self.real[connection].read(simulated.len());
        (comparable(&real), comparable(&simulated))
    }
}

/// Without what differs from run to run: times, lives, and the words of an error but the first.
fn comparable(replies: &[String]) -> String {
    let mut words = String::new();
    for reply in replies {
        let reply = match reply.strip_prefix('-') {
            Some(error) => format!("-{}", error.split(' ').next().unwrap_or_default()),
            None => reply.clone(),
        };
        let mut digits = String::new();
        for letter in reply.chars().chain(['\n']) {
            if letter.is_ascii_hexdigit() {
                digits.push(letter);
                continue;
            }
            // Milliseconds; or seconds and the microseconds behind them, in the name of an incarnation.
            let time =
                matches!(digits.len(), 10 | 13) && digits.starts_with('1') || words.ends_with("#.");
            words.push_str(if time || digits.len() == 40 {
                "#"
            } else {
                &digits
            });
            digits.clear();
            words.push(letter);
        }
    }
    words
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn key() -> impl Strategy<Value = String> {
    select(vec!["k", "l", "m"]).prop_map(str::to_owned)
}

/// Also a lifetime in milliseconds: over at once, or not before the end of the test.
fn number() -> impl Strategy<Value = String> {
    select(vec!["-3", "0", "70000000", "x", "9223372036854775807"]).prop_map(str::to_owned)
}

fn plain() -> impl Strategy<Value = Vec<String>> {
    let line = (key(), key(), number(), 0..24_u8).prop_map(|(key, other, number, which)| {
        words(&match which {
            0 => format!("GET {key}"),
            1 => format!("SET {key} {number}"),
            2 => format!("SET {key} {other} PX 60000000"),
            3 => format!("SET {key} {other} NX"),
            4 => format!("SET {key} {other} PX {number} NX"),
            5 => format!("MGET {key} {other}"),
            6 => format!("DEL {key} {other}"),
            7 => format!("PEXPIRE {key} {number}"),
            8 => format!("HSET {key} {other} {number}"),
            9 => format!("HSET {key} a 1 b {number}"),
            10 => format!("HSET {key} a"),
            11 => format!("HGET {key} {other}"),
            12 => format!("HMGET {key} {other} a b"),
            13 => format!("HGETALL {key}"),
            14 => format!("HDEL {key} {other} a"),
            15 => format!("HINCRBY {key} {other} {number}"),
            16 => "PING".to_owned(),
            17 => format!("PING {key}"),
            18 => format!("PUBLISH {key} {other}"),
            19 => "GET".to_owned(),
            20 => format!("NONSENSE {key}"),
            21 => format!("EVALSHA {} 0", "0".repeat(40)),
            22 => format!("SET {key} v PX"),
            _ => "FLUSHALL".to_owned(),
        })
    });
    prop_oneof![
        9 => line,
        1 => select(SCRIPTS.to_vec()).prop_map(|body| {
            ["EVAL", body, "2", "k", "l", "30000000", "x"].map(str::to_owned).to_vec()
        }),
    ]
}

/// What Lua and Redis make of each other's values.
const SCRIPTS: &[&str] = &[
    "return { 1, 2.9, 'x', true, false, nil, 4 }",
    "return { ok = 'fine' }",
    "return redis.status_reply('fine')",
    "return redis.error_reply('CODE no')",
    "return redis.call('GET', KEYS[1])",
    "return { redis.call('GET', KEYS[1]), redis.call('HGETALL', KEYS[2]) }",
    "return redis.call('SET', KEYS[1], ARGV[2], 'NX')",
    "return redis.call('SET', KEYS[1], ARGV[1] + 1)",
    "return redis.call('HMGET', KEYS[1], 'a', 'b')",
    "return redis.call('NONSENSE')",
    "return redis.call('GET')",
    "return redis.call('SET', KEYS[1], {})",
    "redis.call('SET', KEYS[2], 1) return redis.call('HGET', KEYS[2], 'a')",
    "return { #redis.call('TIME'), type(redis.call('TIME')[1]) }",
    "return redis.call('PUBLISH', 'k', ARGV[2])",
    "return type(redis.call('GET', 'absent'))",
    "return missing",
    "kept = 1",
    "return redis.call('PEXPIRE', KEYS[1], ARGV[1])",
    "not Lua",
    "return pcall(redis.call, 'NONSENSE')",
    "return select('#', unpack(ARGV)) .. ARGV[1] * 2",
];

macro_rules! protocol_script {
    ($name:literal) => {
        concat!(
            include_str!("../../cache/src/level2/scripts/prelude.lua"),
            include_str!(concat!("../../cache/src/level2/scripts/", $name, ".lua"))
        )
    };
}

/// A script of the cache over its keys, with arguments as the cache gives them.
fn of_the_cache() -> impl Strategy<Value = Vec<String>> {
    let fence = || select(vec!["f1", "f2", "f3"]);
    let span = || select(vec!["0 10", "-5 5", "3 4", "10 20"]);
    let deed = select(vec![
        "raise ",
        "raise ",
        "hold h1=60000000",
        "hold h1=0",
        "hold h2=60000000",
        "release h1",
        "release h2",
    ]);
    let incarnation = select(vec!["i1", "i2"]);
    let item = (fence(), span(), deed);
    prop_oneof![
        (incarnation.clone(), vec(fence(), 1..3)).prop_map(|(incarnation, fences)| {
            let mut eval = eval(protocol_script!("look"), &["e"], &fences);
            eval.extend([incarnation, "60000000"].map(str::to_owned));
            eval
        }),
        (incarnation.clone(), vec(item, 1..3)).prop_map(|(incarnation, items)| {
            let fences: Vec<_> = items.iter().map(|(fence, _, _)| *fence).collect();
            let mut eval = eval(protocol_script!("raise"), &[], &fences);
            let about = [
                incarnation,
                "60000000",
                "3",
                "n1",
                "1",
                "notices",
                "0",
                "body",
            ];
            eval.extend(about.map(str::to_owned));
            for (place, (_, span, deed)) in items.iter().enumerate() {
                eval.push((place + 1).to_string());
                eval.extend(span.split(' ').map(str::to_owned));
                eval.extend(deed.split(' ').map(str::to_owned));
            }
            eval
        }),
        (
            incarnation.clone(),
            select(vec!["n1", "n2"]),
            select(vec!["0", "1"])
        )
            .prop_map(|(incarnation, node, all)| {
                let mut eval = eval(protocol_script!("pulse"), &[], &[]);
                eval.extend([incarnation, node, all].map(str::to_owned));
                eval
            }),
        (incarnation.clone(), select(vec!["n1", "n2"]), 0..3_u8).prop_map(
            |(incarnation, node, mark)| {
                let mut eval = eval(protocol_script!("retire"), &[], &[]);
                let of = [incarnation.to_owned(), node.to_owned(), mark.to_string()];
                eval.extend(of);
                eval.push("i1".to_owned());
                eval
            }
        ),
        incarnation.prop_map(|incarnation| {
            let mut eval = eval(protocol_script!("rebirth"), &[], &[]);
            eval.push(incarnation.to_owned());
            eval
        }),
        select(vec![
            "GET f1",
            "GET f2",
            "GET f3",
            "HGETALL state",
            "SET e entry",
            "DEL state",
            "DEL f1",
            "HSET state life other",
            "FLUSHALL",
        ])
        .prop_map(words),
    ]
}

fn eval(script: &str, keys: &[&str], fences: &[&str]) -> Vec<String> {
    let keys = ["state"].iter().chain(keys).chain(fences);
    let keys: Vec<_> = keys.map(|key| (*key).to_owned()).collect();
    let mut eval = vec!["EVAL".to_owned(), script.to_owned(), keys.len().to_string()];
    eval.extend(keys);
    eval
}

fn listening() -> impl Strategy<Value = Vec<String>> {
    select(vec![
        "SUBSCRIBE k",
        "SUBSCRIBE notices l",
        "UNSUBSCRIBE k",
        "UNSUBSCRIBE notices l",
        "PING",
        "PING x",
        "GET k",
    ])
    .prop_map(words)
}

fn conversation(
    commands: impl Strategy<Value = Vec<String>>,
) -> impl Strategy<Value = (Option<u8>, Vec<Step>)> {
    let step = prop_oneof![
        8 => commands.prop_map(Step::Command),
        1 => listening().prop_map(Step::Listen),
    ];
    (select(vec![None, Some(2), Some(3)]), vec(step, 1..40))
}

fn compare(commands: impl Strategy<Value = Vec<String>>) {
    let real = RealServer::start();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: CONVERSATIONS,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&conversation(commands), |(version, steps)| {
        let mut pair = Pair::connect(&real);
        pair.ask(0, &words("FLUSHALL"));
        pair.ask(0, &words("SCRIPT FLUSH"));
        if let Some(version) = version {
            for connection in 0..2 {
                let hello = words(&format!("HELLO {version}"));
                pair.real[connection].send(&command(&hello));
                pair.real[connection].read(1);
                let id = pair.connections[connection];
                pair.simulated
                    .receive(id, &command(&hello), Default::default());
                pair.simulated.take_output(id);
            }
        }
        for step in steps {
            let (connection, arguments) = match step {
                Step::Command(arguments) => (0, arguments),
                Step::Listen(arguments) => (1, arguments),
            };
            let (real, simulated) = pair.ask(connection, &arguments);
            prop_assert_eq!(real, simulated, "{:?}", arguments);
        }
        // The end of what was published.
        let (real, simulated) = pair.ask(1, &words("PING"));
        prop_assert_eq!(real, simulated);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn commands_are_answered_as_by_a_real_server() {
    compare(plain());
}

#[test]
fn the_scripts_of_the_cache_are_answered_as_by_a_real_server() {
    compare(of_the_cache());
}

#[test]
fn a_replica_refuses_what_a_real_one_refuses() {
    let real = RealServer::start();
    let mut pair = Pair::connect(&real);
    pair.ask(0, &words("SET k v"));
    pair.real[0].send(&command(&words("REPLICAOF 127.0.0.1 1")));
    pair.real[0].read(1);
    pair.simulated.set_replica(true);
    for body in SCRIPTS.iter().copied().chain([protocol_script!("pulse")]) {
        let (real, simulated) = pair.ask(0, &eval(body, &[], &[]));
        assert_eq!(real, simulated, "{body}");
    }
    for line in [
        "SET k w",
        "GET k",
        "DEL k",
        "HINCRBY h a 1",
        "PUBLISH k v",
        "PING",
    ] {
        let (real, simulated) = pair.ask(0, &words(line));
        assert_eq!(real, simulated, "{line}");
    }
}

#[test]
fn a_full_server_refuses_what_a_real_one_refuses() {
    let real = RealServer::start();
    let mut pair = Pair::connect(&real);
    pair.ask(0, &words("SET k v"));
    pair.ask(0, &words("HSET state life x"));
    pair.real[0].send(&command(&words("CONFIG SET maxmemory 1")));
    pair.real[0].read(1);
    pair.simulated.set_full(true);
    let mut pulse = eval(protocol_script!("pulse"), &[], &[]);
    pulse.extend(words("i1 n1 0"));
    // The first deletes a state of another life, and may then write; the second has nothing to delete.
    for _ in 0..2 {
        let (real, simulated) = pair.ask(0, &pulse);
        assert_eq!(real, simulated);
    }
    for line in [
        "SET k w",
        "GET k",
        "HINCRBY h a 1",
        "PEXPIRE k 60000000",
        "DEL k",
    ] {
        let (real, simulated) = pair.ask(0, &words(line));
        assert_eq!(real, simulated, "{line}");
    }
}
