//! [`FunctionCall`]: a body of Retell, taken apart.

use std::fmt;

use serde_json::{Map, Value};

use crate::json;

/// The longest id of a call, in bytes.
pub const MAX_CALL_ID_BYTES: usize = 256;

/// Which phone call a function call belongs to. From 1 to [`MAX_CALL_ID_BYTES`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallId(Box<str>);

impl CallId {
    /// A call id; `None` where the text is empty or too long to be one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (1..=MAX_CALL_ID_BYTES)
            .contains(&text.len())
            .then(|| Self(text.into()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a body with a right signature cannot be read. None of these shows what the body contains.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is not JSON, or ends too early.
    #[error("the body is not JSON at line {line}, column {column}")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// An object has a name twice, and nothing says which one counts.
    #[error("an object in the body has a name twice")]
    DuplicateName,
    /// Objects and lists lie in one another more than 32 times.
    #[error("the body is nested too deep")]
    TooDeep,
    /// Something that every function call has is missing, or is something else.
    #[error("the body's {field} is missing or is not what it should be")]
    Field {
        /// Which.
        field: &'static str,
    },
}

/// A function call as it came, not yet understood.
pub(crate) struct FunctionCall {
    pub(crate) name: String,
    pub(crate) call_id: Option<CallId>,
    pub(crate) agent: Option<String>,
    pub(crate) arguments: Map<String, Value>,
}

impl FunctionCall {
    /// Reads `{"name", "call": {"call_id", ..}, "args"}`.
    pub(crate) fn read(body: &[u8]) -> Result<Self, BodyError> {
        let mut body = object(json::read(body)?, "content")?;
        let mut take = |field| body.remove(field).ok_or(BodyError::Field { field });
        let Value::String(name) = take("name")? else {
            return Err(BodyError::Field { field: "name" });
        };
        let mut call = object(take("call")?, "call")?;
        let call_id = match call.remove("call_id") {
            Some(Value::String(id)) => CallId::new(&id),
            _ => None,
        };
        let agent = match call.remove("agent_id") {
            Some(Value::String(agent)) => Some(agent),
            _ => None,
        };
        Ok(Self {
            name,
            call_id: Some(call_id.ok_or(BodyError::Field { field: "call_id" })?),
            agent,
            arguments: object(take("args")?, "args")?,
        })
    }

    /// Reads a body that is the arguments alone.
    pub(crate) fn read_arguments(
        name: &str,
        call_id: Option<&str>,
        body: &[u8],
    ) -> Result<Self, BodyError> {
        let call_id = match call_id {
            None => None,
            Some(id) => Some(CallId::new(id).ok_or(BodyError::Field { field: "call_id" })?),
        };
        Ok(Self {
            name: name.to_owned(),
            call_id,
            agent: None,
            arguments: object(json::read(body)?, "args")?,
        })
    }
}

fn object(value: Value, field: &'static str) -> Result<Map<String, Value>, BodyError> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(BodyError::Field { field }),
    }
}
