//! What a Redis holds: keys with values and times to live.

use std::collections::BTreeMap;

use crate::resp::Reply;

/// The data of a server. A clone is a snapshot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    keys: BTreeMap<Vec<u8>, Held>,
}

#[derive(Debug, Clone)]
struct Held {
    value: Value,
    /// In milliseconds of the server's clock.
    expires: Option<u64>,
}

#[derive(Debug, Clone)]
enum Value {
    Text(Vec<u8>),
    /// In the order of insertion, which is the order in which Redis lists small ones.
    Hash(Vec<Field>),
}

/// A name and its value.
type Field = (Vec<u8>, Vec<u8>);

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// A command's outcome, where an error is only another reply.
type Outcome = Result<Reply, Reply>;

impl Store {
    /// Runs a command that reads or writes data, at `now` milliseconds; `None` for any other.
    /// The caller has counted the arguments.
    pub(crate) fn run(&mut self, name: &str, arguments: &[Vec<u8>], now: u64) -> Option<Reply> {
        self.keys
            .retain(|_, held| held.expires.is_none_or(|at| at > now));
        let outcome = match name {
            "GET" => self.get(&arguments[0]),
            "SET" => self.set(arguments, now),
            "MGET" => Ok(self.get_many(arguments)),
            "DEL" => Ok(self.delete(arguments)),
            "PEXPIRE" => self.expire(&arguments[0], &arguments[1], now),
            "PTTL" => Ok(self.time_to_live(&arguments[0], now)),
            "HSET" => self.hash_set(&arguments[0], &arguments[1..]),
            "HGET" => self.hash_get(&arguments[0], &arguments[1]),
            "HMGET" => self.hash_get_many(&arguments[0], &arguments[1..]),
            "HGETALL" => self.hash_get_all(&arguments[0]),
            "HDEL" => self.hash_delete(&arguments[0], &arguments[1..]),
            "HINCRBY" => self.hash_increment(&arguments[0], &arguments[1], &arguments[2]),
            "FLUSHALL" => {
                self.keys.clear();
                Ok(Reply::ok())
            }
            _ => return None,
        };
        Some(outcome.unwrap_or_else(|error| error))
    }

    /// Lets go of a key, as a server short of memory does; gives its name. Every `place` names one
    /// as long as there are any.
    pub(crate) fn evict(&mut self, place: usize) -> Option<String> {
        let place = place.checked_rem(self.keys.len())?;
        let key = self.keys.keys().nth(place)?.clone();
        self.keys.remove(&key);
        Some(String::from_utf8_lossy(&key).into_owned())
    }

    fn text(&self, key: &[u8]) -> Result<Option<&Vec<u8>>, Reply> {
        match self.keys.get(key).map(|held| &held.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Hash(_)) => Err(Reply::Error(WRONG_TYPE.to_owned())),
        }
    }

    fn hash(&self, key: &[u8]) -> Result<&[Field], Reply> {
        match self.keys.get(key).map(|held| &held.value) {
            None => Ok(&[]),
            Some(Value::Hash(fields)) => Ok(fields),
            Some(Value::Text(_)) => Err(Reply::Error(WRONG_TYPE.to_owned())),
        }
    }

    fn hash_mut(&mut self, key: &[u8]) -> Result<&mut Vec<Field>, Reply> {
        let held = self.keys.entry(key.to_vec()).or_insert(Held {
            value: Value::Hash(Vec::new()),
            expires: None,
        });
        match &mut held.value {
            Value::Hash(fields) => Ok(fields),
            Value::Text(_) => Err(Reply::Error(WRONG_TYPE.to_owned())),
        }
    }

    fn get(&self, key: &[u8]) -> Outcome {
        Ok(bulk_or_nil(self.text(key)?))
    }

    fn get_many(&self, keys: &[Vec<u8>]) -> Reply {
        let get = |key: &Vec<u8>| bulk_or_nil(self.text(key).unwrap_or(None));
        Reply::Array(keys.iter().map(get).collect())
    }

    fn set(&mut self, arguments: &[Vec<u8>], now: u64) -> Outcome {
        let (key, value) = (&arguments[0], &arguments[1]);
        let (mut expires, mut only_new) = (None, false);
        let mut options = arguments[2..].iter();
        while let Some(option) = options.next() {
            match option.to_ascii_uppercase().as_slice() {
                b"NX" => only_new = true,
                b"PX" => {
                    let lasts = options.next().ok_or_else(|| Reply::err("syntax error"))?;
                    let lasts = integer(lasts)?;
                    if lasts <= 0 || lasts.checked_add_unsigned(now).is_none() {
                        return Err(Reply::err("invalid expire time in 'set' command"));
                    }
                    expires = Some(now.saturating_add_signed(lasts));
                }
                _ => return Err(Reply::err("syntax error")),
            }
        }
        if only_new && self.keys.contains_key(key) {
            return Ok(Reply::Nil);
        }
        let value = Value::Text(value.clone());
        self.keys.insert(key.clone(), Held { value, expires });
        Ok(Reply::ok())
    }

    fn delete(&mut self, keys: &[Vec<u8>]) -> Reply {
        let gone = keys.iter().filter(|key| self.keys.remove(*key).is_some());
        Reply::Integer(gone.count() as i64)
    }

    fn expire(&mut self, key: &[u8], lasts: &[u8], now: u64) -> Outcome {
        let lasts = integer(lasts)?;
        if lasts.checked_add_unsigned(now).is_none() {
            return Err(Reply::err("invalid expire time in 'pexpire' command"));
        }
        let Some(held) = self.keys.get_mut(key) else {
            return Ok(Reply::Integer(0));
        };
        held.expires = Some(now.saturating_add_signed(lasts));
        if lasts <= 0 {
            self.keys.remove(key);
        }
        Ok(Reply::Integer(1))
    }

    fn time_to_live(&self, key: &[u8], now: u64) -> Reply {
        Reply::Integer(match self.keys.get(key).map(|held| held.expires) {
            None => -2,
            Some(None) => -1,
            Some(Some(at)) => at.saturating_sub(now) as i64,
        })
    }

    fn hash_set(&mut self, key: &[u8], pairs: &[Vec<u8>]) -> Outcome {
        if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
            return Err(wrong_number("hset"));
        }
        let fields = self.hash_mut(key)?;
        let mut added = 0;
        for pair in pairs.chunks_exact(2) {
            match fields.iter_mut().find(|(field, _)| *field == pair[0]) {
                Some((_, value)) => value.clone_from(&pair[1]),
                None => {
                    fields.push((pair[0].clone(), pair[1].clone()));
                    added += 1;
                }
            }
        }
        Ok(Reply::Integer(added))
    }

    fn hash_get(&self, key: &[u8], field: &[u8]) -> Outcome {
        Ok(bulk_or_nil(find(self.hash(key)?, field)))
    }

    fn hash_get_many(&self, key: &[u8], names: &[Vec<u8>]) -> Outcome {
        let fields = self.hash(key)?;
        let values = names.iter().map(|name| bulk_or_nil(find(fields, name)));
        Ok(Reply::Array(values.collect()))
    }

    fn hash_get_all(&self, key: &[u8]) -> Outcome {
        let fields = self.hash(key)?.iter();
        let parts = fields.flat_map(|(field, value)| [field, value]);
        Ok(Reply::Map(parts.cloned().map(Reply::Bulk).collect()))
    }

    fn hash_delete(&mut self, key: &[u8], names: &[Vec<u8>]) -> Outcome {
        if self.hash(key)?.is_empty() {
            return Ok(Reply::Integer(0));
        }
        let fields = self.hash_mut(key)?;
        let before = fields.len();
        fields.retain(|(field, _)| !names.contains(field));
        let (gone, empty) = (before - fields.len(), fields.is_empty());
        if empty {
            self.keys.remove(key);
        }
        Ok(Reply::Integer(gone as i64))
    }

    fn hash_increment(&mut self, key: &[u8], field: &[u8], by: &[u8]) -> Outcome {
        let by = integer(by)?;
        let present = match find(self.hash(key)?, field) {
            Some(value) => {
                integer(value).map_err(|_| Reply::err("hash value is not an integer"))?
            }
            None => 0,
        };
        let sum = present
            .checked_add(by)
            .ok_or_else(|| Reply::err("increment or decrement would overflow"))?;
        self.hash_set(key, &[field.to_vec(), sum.to_string().into_bytes()])?;
        Ok(Reply::Integer(sum))
    }
}

/// What a command is told that has too few arguments or too many.
pub(crate) fn wrong_number(name: &str) -> Reply {
    Reply::err(format!("wrong number of arguments for '{name}' command"))
}

fn bulk_or_nil(value: Option<&Vec<u8>>) -> Reply {
    value.cloned().map_or(Reply::Nil, Reply::Bulk)
}

fn find<'a>(fields: &'a [Field], name: &[u8]) -> Option<&'a Vec<u8>> {
    let found = fields.iter().find(|(field, _)| field == name);
    found.map(|(_, value)| value)
}

fn integer(text: &[u8]) -> Result<i64, Reply> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Reply::err("value is not an integer or out of range"))
}
