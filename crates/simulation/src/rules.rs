//! The commands there are, and what each of them needs.

use crate::{resp::Reply, store::wrong_number};

/// What a command needs.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    /// How many arguments, the name not counted.
    least: usize,
    most: usize,
    pub(crate) writes: bool,
    /// Refused when memory is short.
    pub(crate) grows: bool,
}

const fn rule(name: &'static str, least: usize, most: usize) -> Rule {
    Rule {
        name,
        least,
        most,
        writes: false,
        grows: false,
    }
}

const fn writing(name: &'static str, least: usize, most: usize, grows: bool) -> Rule {
    Rule {
        writes: true,
        grows,
        ..rule(name, least, most)
    }
}

const ANY: usize = usize::MAX;

/// Those that scripts may call, too.
pub(crate) const COMMANDS: &[Rule] = &[
    rule("GET", 1, 1),
    rule("MGET", 1, ANY),
    rule("PTTL", 1, 1),
    rule("HGET", 2, 2),
    rule("HMGET", 2, ANY),
    rule("HGETALL", 1, 1),
    rule("PING", 0, 1),
    rule("INFO", 0, ANY),
    rule("TIME", 0, 0),
    rule("PUBLISH", 2, 2),
    writing("SET", 2, ANY, true),
    writing("DEL", 1, ANY, false),
    writing("PEXPIRE", 2, 3, false),
    writing("HSET", 3, ANY, true),
    writing("HDEL", 2, ANY, false),
    writing("HINCRBY", 3, 3, true),
    writing("FLUSHALL", 0, 1, false),
];

/// Those of a connection.
pub(crate) const OF_A_CONNECTION: &[Rule] = &[
    rule("HELLO", 0, ANY),
    rule("AUTH", 1, 2),
    rule("CLIENT", 1, ANY),
    rule("SELECT", 1, 1),
    rule("SUBSCRIBE", 1, ANY),
    rule("UNSUBSCRIBE", 0, ANY),
    rule("SCRIPT", 1, ANY),
    rule("EVAL", 2, ANY),
    rule("EVALSHA", 2, ANY),
];

/// The rule of a command that is given this many arguments; the error reply otherwise.
pub(crate) fn find<'a>(
    mut rules: impl Iterator<Item = &'a Rule>,
    name: &str,
    arguments: usize,
) -> Result<&'a Rule, Reply> {
    match rules.find(|rule| rule.name == name) {
        None => Err(Reply::err(format!("unknown command '{name}'"))),
        Some(rule) if (rule.least..=rule.most).contains(&arguments) => Ok(rule),
        Some(_) => Err(wrong_number(&name.to_ascii_lowercase())),
    }
}
