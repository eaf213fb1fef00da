//! A Redis, as far as a cache talks to it: its data, its scripts, its channels and its connections.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::{
    resp::{self, Protocol, Reply},
    rules::{COMMANDS, OF_A_CONNECTION, Rule, find},
    script,
    store::Store,
};

/// A Redis without a network: bytes of connections in, bytes out.
///
/// It has no clock. Whoever hands it bytes says what time it is, since 1970.
#[derive(Debug)]
pub struct Server {
    store: Store,
    scripts: HashMap<String, Arc<[u8]>>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    life: u64,
    lives: u64,
    replica: bool,
    full: bool,
}

/// The data of a server as they were at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot(Store);

#[derive(Debug)]
struct Connection {
    protocol: Protocol,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    channels: BTreeSet<Vec<u8>>,
    closing: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            store: Store::default(),
            scripts: HashMap::new(),
            connections: BTreeMap::new(),
            next_connection: 1,
            life: 1,
            lives: 1,
            replica: false,
            full: false,
        }
    }

    /// Opens a connection.
    pub fn connect(&mut self) -> u64 {
        let id = self.next_connection;
        self.next_connection += 1;
        let connection = Connection {
            protocol: Protocol::Two,
            inbox: Vec::new(),
            outbox: Vec::new(),
            channels: BTreeSet::new(),
            closing: false,
        };
        self.connections.insert(id, connection);
        id
    }

    /// Forgets a connection.
    pub fn disconnect(&mut self, id: u64) {
        self.connections.remove(&id);
    }

    /// Takes what a connection sent, and runs every command that is whole.
    pub fn receive(&mut self, id: u64, bytes: &[u8], now: Duration) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.inbox.extend_from_slice(bytes);
        }
        while let Some(connection) = self.connections.get_mut(&id) {
            match resp::take_command(&mut connection.inbox) {
                Ok(None) => break,
                Ok(Some(arguments)) if arguments.is_empty() => {}
                Ok(Some(arguments)) => {
                    let replies = self.serve(id, &arguments, now);
                    for reply in replies {
                        self.tell(id, &reply);
                    }
                }
                Err(error) => {
                    connection.inbox.clear();
                    connection.closing = true;
                    self.tell(id, &Reply::Error(error.to_owned()));
                    break;
                }
            }
        }
    }

    /// Takes what is to be sent to a connection; `None` when the server has closed it.
    pub fn take_output(&mut self, id: u64) -> Option<Vec<u8>> {
        let connection = self.connections.get_mut(&id)?;
        let output = std::mem::take(&mut connection.outbox);
        if connection.closing && output.is_empty() {
            return None;
        }
        Some(output)
    }

    /// Whether there is something to send to a connection, or it has been closed.
    pub(crate) fn has_news(&self, id: u64) -> bool {
        let connection = self.connections.get(&id);
        connection.is_none_or(|connection| connection.closing || !connection.outbox.is_empty())
    }

    /// The data as they are.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.store.clone())
    }

    /// Dies and comes back with the data of a snapshot, or with none: a restart, or a failover to a
    /// replica that had got that far. Every connection is closed and no script is known.
    pub fn restart(&mut self, data: Option<Snapshot>) {
        self.store = data.map(|snapshot| snapshot.0).unwrap_or_default();
        self.scripts.clear();
        self.connections.clear();
        self.lives += 1;
        self.life = self.lives;
        self.replica = false;
    }

    /// Becomes a replica, which refuses to write, or a master again. As a master it begins a life.
    pub fn set_replica(&mut self, replica: bool) {
        if self.replica && !replica {
            self.lives += 1;
            self.life = self.lives;
        }
        self.replica = replica;
    }

    /// Refuses what needs more memory, or takes it again.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// Lets go of one key, as a server short of memory does; gives its name.
    pub fn evict(&mut self, place: usize) -> Option<String> {
        self.store.evict(place)
    }

    /// Deletes everything.
    pub fn flush(&mut self) {
        self.store = Store::default();
    }

    fn tell(&mut self, id: u64, reply: &Reply) {
        if let Some(connection) = self.connections.get_mut(&id) {
            reply.encode(connection.protocol, &mut connection.outbox);
        }
    }

    fn serve(&mut self, id: u64, command: &[Vec<u8>], now: Duration) -> Vec<Reply> {
        let name = String::from_utf8_lossy(&command[0]).to_ascii_uppercase();
        let arguments = &command[1..];
        let rules = COMMANDS.iter().chain(OF_A_CONNECTION);
        let rule = match find(rules, &name, arguments.len()) {
            Ok(rule) => rule,
            Err(error) => return vec![error],
        };
        if let Some(refusal) = self.refuse_to_subscriber(id, &name) {
            return vec![refusal];
        }
        match name.as_str() {
            "SUBSCRIBE" => return self.subscribe(id, arguments),
            "UNSUBSCRIBE" => return self.unsubscribe(id, arguments),
            _ => {}
        }
        vec![match name.as_str() {
            "HELLO" => self.hello(id, arguments),
            "AUTH" | "CLIENT" | "SELECT" => Reply::ok(),
            "SCRIPT" => self.script(arguments),
            "EVAL" => {
                let body = &arguments[0];
                let sha = sha(body);
                self.scripts.insert(sha.clone(), body.as_slice().into());
                self.eval(&sha, body, &arguments[1..], now)
            }
            "EVALSHA" => {
                let sha = String::from_utf8_lossy(&arguments[0]).to_ascii_lowercase();
                match self.scripts.get(&sha).cloned() {
                    Some(body) => self.eval(&sha, &body, &arguments[1..], now),
                    None => {
                        Reply::Error("NOSCRIPT No matching script. Please use EVAL.".to_owned())
                    }
                }
            }
            "PING" if self.is_subscriber_of_version_two(id) => {
                let text = arguments.first().cloned().unwrap_or_default();
                Reply::Array(vec![Reply::bulk("pong"), Reply::Bulk(text)])
            }
            _ => self.run(rule, arguments, now, &mut false),
        }]
    }

    /// Runs a command that scripts may call, too. `dirty` says whether the script has written.
    fn run(
        &mut self,
        rule: &Rule,
        arguments: &[Vec<u8>],
        now: Duration,
        dirty: &mut bool,
    ) -> Reply {
        if rule.writes && self.replica {
            return Reply::Error(
                "READONLY You can't write against a read only replica.".to_owned(),
            );
        }
        if rule.grows && self.full && !*dirty {
            return Reply::Error(
                "OOM command not allowed when used memory > 'maxmemory'.".to_owned(),
            );
        }
        *dirty |= rule.writes;
        match rule.name {
            "PING" => match arguments.first() {
                Some(text) => Reply::Bulk(text.clone()),
                None => Reply::Status("PONG".to_owned()),
            },
            "INFO" => self.info(),
            "TIME" => Reply::Array(vec![
                Reply::bulk(now.as_secs().to_string()),
                Reply::bulk(now.subsec_micros().to_string()),
            ]),
            "PUBLISH" => self.publish(&arguments[0], &arguments[1]),
            name => {
                let reply = self.store.run(name, arguments, now.as_millis() as u64);
                reply.expect("every other command is the store's")
            }
        }
    }

    fn eval(&mut self, sha: &str, body: &[u8], arguments: &[Vec<u8>], now: Duration) -> Reply {
        let count = std::str::from_utf8(&arguments[0])
            .ok()
            .and_then(|count| count.parse::<usize>().ok());
        let Some(count) = count else {
            return Reply::err("value is not an integer or out of range");
        };
        if count >= arguments.len() {
            return Reply::err("Number of keys can't be greater than number of args");
        }
        let (keys, arguments) = arguments[1..].split_at(count);
        let mut dirty = false;
        script::run(sha, body, keys, arguments, |command| {
            let Some((name, arguments)) = command.split_first() else {
                return Reply::err("Please specify at least one argument for this redis lib call");
            };
            let name = String::from_utf8_lossy(name).to_ascii_uppercase();
            match find(COMMANDS.iter(), &name, arguments.len()) {
                Ok(rule) => self.run(rule, arguments, now, &mut dirty),
                Err(error) => error,
            }
        })
    }

    fn script(&mut self, arguments: &[Vec<u8>]) -> Reply {
        match (
            arguments[0].to_ascii_uppercase().as_slice(),
            &arguments[1..],
        ) {
            (b"LOAD", [body]) => {
                let sha = sha(body);
                match script::check(&sha, body) {
                    Ok(()) => {
                        self.scripts.insert(sha.clone(), body.as_slice().into());
                        Reply::bulk(sha)
                    }
                    Err(error) => error,
                }
            }
            (b"FLUSH", _) => {
                self.scripts.clear();
                Reply::ok()
            }
            (b"EXISTS", shas) => {
                let known = |sha: &Vec<u8>| {
                    let sha = String::from_utf8_lossy(sha).to_ascii_lowercase();
                    Reply::Integer(i64::from(self.scripts.contains_key(&sha)))
                };
                Reply::Array(shas.iter().map(known).collect())
            }
            _ => Reply::err("unknown subcommand or wrong number of arguments"),
        }
    }

    fn info(&self) -> Reply {
        let role = if self.replica { "slave" } else { "master" };
        Reply::Verbatim(format!(
            "# Replication\r\nrole:{role}\r\nconnected_slaves:0\r\nmaster_failover_state:\
             no-failover\r\nmaster_replid:{:040x}\r\nmaster_replid2:{:040x}\r\n",
            self.life, 0
        ))
    }

    fn hello(&mut self, id: u64, arguments: &[Vec<u8>]) -> Reply {
        let connection = self.connections.get_mut(&id).expect("it is talking to us");
        let protocol = match arguments.first().map(Vec::as_slice) {
            None => connection.protocol,
            Some(b"2") => Protocol::Two,
            Some(b"3") => Protocol::Three,
            Some(_) => return Reply::Error("NOPROTO unsupported protocol version".to_owned()),
        };
        connection.protocol = protocol;
        let version = if protocol == Protocol::Two { 2 } else { 3 };
        Reply::Map(vec![
            Reply::bulk("server"),
            Reply::bulk("redis"),
            Reply::bulk("version"),
            Reply::bulk("7.0.15"),
            Reply::bulk("proto"),
            Reply::Integer(version),
            Reply::bulk("id"),
            Reply::Integer(id as i64),
            Reply::bulk("mode"),
            Reply::bulk("standalone"),
            Reply::bulk("role"),
            Reply::bulk(if self.replica { "replica" } else { "master" }),
            Reply::bulk("modules"),
            Reply::Array(Vec::new()),
        ])
    }

    fn is_subscriber_of_version_two(&self, id: u64) -> bool {
        self.connections.get(&id).is_some_and(|connection| {
            connection.protocol == Protocol::Two && !connection.channels.is_empty()
        })
    }

    fn refuse_to_subscriber(&self, id: u64, name: &str) -> Option<Reply> {
        let allowed = matches!(name, "SUBSCRIBE" | "UNSUBSCRIBE" | "PING");
        if allowed || !self.is_subscriber_of_version_two(id) {
            return None;
        }
        Some(Reply::err(format!(
            "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
             are allowed in this context",
            name.to_ascii_lowercase()
        )))
    }

    fn subscribe(&mut self, id: u64, channels: &[Vec<u8>]) -> Vec<Reply> {
        let connection = self.connections.get_mut(&id).expect("it is talking to us");
        let mut replies = Vec::new();
        for channel in channels {
            connection.channels.insert(channel.clone());
            replies.push(Reply::Push(vec![
                Reply::bulk("subscribe"),
                Reply::Bulk(channel.clone()),
                Reply::Integer(connection.channels.len() as i64),
            ]));
        }
        replies
    }

    fn unsubscribe(&mut self, id: u64, channels: &[Vec<u8>]) -> Vec<Reply> {
        let connection = self.connections.get_mut(&id).expect("it is talking to us");
        let all: Vec<_> = connection.channels.iter().cloned().collect();
        let mut replies = Vec::new();
        for channel in if channels.is_empty() { &all } else { channels } {
            connection.channels.remove(channel);
            replies.push(Reply::Push(vec![
                Reply::bulk("unsubscribe"),
                Reply::Bulk(channel.clone()),
                Reply::Integer(connection.channels.len() as i64),
            ]));
        }
        if replies.is_empty() {
            let nothing = vec![Reply::bulk("unsubscribe"), Reply::Nil, Reply::Integer(0)];
            replies.push(Reply::Push(nothing));
        }
        replies
    }

    fn publish(&mut self, channel: &[u8], message: &[u8]) -> Reply {
        let push = Reply::Push(vec![
            Reply::bulk("message"),
            Reply::bulk(channel),
            Reply::bulk(message),
        ]);
        let mut told = 0;
        for connection in self.connections.values_mut() {
            if connection.channels.contains(channel) {
                push.encode(connection.protocol, &mut connection.outbox);
                told += 1;
            }
        }
        Reply::Integer(told)
    }
}

fn sha(body: &[u8]) -> String {
    sha1_smol::Sha1::from(body).digest().to_string()
}
