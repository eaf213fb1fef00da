//! [`OperationKey`]: what makes two function calls the same operation.

use std::fmt::{self, Write as _};

use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

use crate::{CallId, Function};

/// Names one operation of one phone call: the same for a retry, another one for another wish.
///
/// It is made of the call's id, the function and its arguments, whose order, spacing and way of
/// writing numbers do not matter; and, where an appointment is given back what was taken from it
/// within one call, of how often that happened. Give it to the write path as its idempotency key, so
/// that a retry that reaches another process is recognised too.
///
/// Prints as 64 hexadecimal digits that tell nothing of what they were made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OperationKey([u8; 32]);

impl OperationKey {
    /// The same for equal requests of one call.
    pub(crate) fn of_request(
        call: Option<&CallId>,
        function: Function,
        arguments: &Map<String, Value>,
    ) -> Self {
        let mut canonical = String::new();
        write_object(&mut canonical, arguments);
        let mut hash = Sha256::new();
        let call = call.map(CallId::as_str).unwrap_or_default();
        for part in [call, function.name(), &canonical] {
            // With its length, or the end of one could be the beginning of the next.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The key of the same request when it was undone `rounds` times before.
    pub(crate) fn again(self, rounds: u32) -> Self {
        if rounds == 0 {
            return self;
        }
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(rounds.to_be_bytes());
        Self(hash.finalize().into())
    }
}

impl fmt::Display for OperationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for OperationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperationKey({self})")
    }
}

fn write_object(text: &mut String, object: &Map<String, Value>) {
    let mut members: Vec<_> = object.iter().collect();
    // Other crates may have asked serde_json to keep the order of the text.
    members.sort_unstable_by_key(|(name, _)| *name);
    text.push('{');
    for (name, value) in members {
        write_string(text, name);
        text.push(':');
        write_value(text, value);
        text.push(',');
    }
    text.push('}');
}

fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => write_number(text, number),
        Value::String(string) => write_string(text, string),
        Value::Array(values) => {
            text.push('[');
            for value in values {
                write_value(text, value);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(object) => write_object(text, object),
    }
}

fn write_string(text: &mut String, string: &str) {
    // Debug escapes quotes and backslashes, so no string can look like its surroundings.
    write!(text, "{string:?}").expect("writing to a string does not fail");
}

/// `60`, `60.0` and `6e1` are one number.
fn write_number(text: &mut String, number: &Number) {
    let written = match number.as_f64() {
        // Exact up to 2^53; beyond, whole numbers are written as they are.
        Some(float) if float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0 => {
            write!(text, "{}", float as i64)
        }
        _ => write!(text, "{number}"),
    };
    written.expect("writing to a string does not fail");
}
