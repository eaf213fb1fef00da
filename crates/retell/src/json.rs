//! JSON that can be read in one way only: no name twice, and no deeper than it needs to be.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::function_call::BodyError;

/// How deep objects and lists may lie in one another.
pub(crate) const MAX_DEPTH: usize = 32;

/// Reads a whole body.
pub(crate) fn read(body: &[u8]) -> Result<Value, BodyError> {
    let fault = Cell::new(None);
    let seed = Strict {
        depth: 0,
        fault: &fault,
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = seed.deserialize(&mut json);
    let read = read.and_then(|value| json.end().map(|()| value));
    // The parser's own words may quote the body.
    read.map_err(|error| {
        fault.take().unwrap_or(BodyError::NotJson {
            line: error.line(),
            column: error.column(),
        })
    })
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    fault: &'a Cell<Option<BodyError>>,
}

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth {
            MAX_DEPTH => Err(self.fail(BodyError::TooDeep)),
            depth => Ok(Self {
                depth: depth + 1,
                ..self
            }),
        }
    }

    fn fail<E: Error>(self, fault: BodyError) -> E {
        let error = E::custom(&fault);
        self.fault.set(Some(fault));
        error
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(deeper)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut values = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let value = object.next_value_seed(deeper)?;
            if values.insert(name, value).is_some() {
                return Err(self.fail(BodyError::DuplicateName));
            }
        }
        Ok(Value::Object(values))
    }
}
