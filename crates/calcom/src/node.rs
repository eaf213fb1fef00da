//! [`Node`]: JSON that remembers when a key was given twice.

use std::{collections::BTreeMap, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value.
///
/// A key may be given twice: identical values count once, and of different ones nothing counts but that they
/// contradict each other. So a body has no second meaning for a parser that takes the other value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// Negative, or not whole.
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Object(BTreeMap<String, Node>),
    /// Given twice, and not the same.
    Contradiction,
}

/// A key was given twice with different values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contradiction(pub(crate) &'static str);

impl Node {
    /// The value of a key, unless it is absent or null.
    pub(crate) fn get(&self, key: &'static str) -> Result<Option<&Self>, Contradiction> {
        let Self::Object(object) = self else {
            return Ok(None);
        };
        match object.get(key) {
            None | Some(Self::Null) => Ok(None),
            Some(Self::Contradiction) => Err(Contradiction(key)),
            Some(value) => Ok(Some(value)),
        }
    }

    /// The value of a key that is a text, and not an empty one.
    pub(crate) fn text(&self, key: &'static str) -> Result<Option<&str>, Contradiction> {
        Ok(match self.get(key)? {
            Some(Self::Text(text)) if !text.trim().is_empty() => Some(text.trim()),
            _ => None,
        })
    }

    /// The value of a key that is an id: a text, or a whole number.
    pub(crate) fn id(&self, key: &'static str) -> Result<Option<String>, Contradiction> {
        Ok(match self.get(key)? {
            Some(Self::Unsigned(number)) => Some(number.to_string()),
            _ => self.text(key)?.map(str::to_owned),
        })
    }

    /// The value of a key that is a whole number.
    pub(crate) fn whole(&self, key: &'static str) -> Result<Option<u64>, Contradiction> {
        Ok(match self.get(key)? {
            Some(Self::Unsigned(number)) => Some(*number),
            Some(Self::Text(text)) => text.trim().parse().ok(),
            _ => None,
        })
    }

    /// The members of a key that is a list.
    pub(crate) fn list(&self, key: &'static str) -> Result<&[Self], Contradiction> {
        Ok(match self.get(key)? {
            Some(Self::List(list)) => list,
            _ => &[],
        })
    }

    /// What both values say.
    fn agreed(self, other: Self) -> Self {
        match (self, other) {
            (Self::Object(one), Self::Object(mut other)) => {
                let mut agreed: BTreeMap<_, _> = one
                    .into_iter()
                    .map(|(key, value)| {
                        let second = other.remove(&key).unwrap_or(Self::Contradiction);
                        (key, value.agreed(second))
                    })
                    .collect();
                agreed.extend(other.into_keys().map(|key| (key, Self::Contradiction)));
                Self::Object(agreed)
            }
            (one, other) if one == other => one,
            _ => Self::Contradiction,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(u64::try_from(value).map_or(Node::Number(value as f64), Node::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(member) = members.next_element()? {
            list.push(member);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut object = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry::<String, Node>()? {
            let value = match object.remove(&key) {
                None => value,
                Some(first) => value.agreed(first),
            };
            object.insert(key, value);
        }
        Ok(Node::Object(object))
    }
}
