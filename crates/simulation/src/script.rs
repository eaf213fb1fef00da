//! Lua scripts as a Redis runs them.

use std::{cell::RefCell, collections::HashMap, fmt};

use mlua::{Function, Lua, MultiValue, Table, Value};

use crate::resp::Reply;

/// What scripts see of the world: functions of Lua, and nothing that is not there.
const ENVIRONMENT: &str = "
local base = ...
local env = {}
for _, name in ipairs({ 'assert', 'error', 'ipairs', 'math', 'next', 'pairs', 'pcall', 'select',
    'string', 'table', 'tonumber', 'tostring', 'type', 'unpack' }) do
  env[name] = base[name]
end
return setmetatable(env, {
  __index = function(_, name)
    error('Script attempted to access nonexistent global variable ' .. tostring(name), 2)
  end,
  __newindex = function()
    error('Attempt to modify a readonly table', 2)
  end,
})
";

thread_local! {
    /// One interpreter a thread, since starting one takes longer than a simulated second. Scripts
    /// leave nothing behind in it.
    static INTERPRETER: Interpreter = Interpreter::new().expect("Lua starts");
}

struct Interpreter {
    lua: Lua,
    environment: Table,
    /// By their SHA-1.
    compiled: RefCell<HashMap<String, Function>>,
}

/// An error reply of a command that the script let through.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// Whether `body` is Lua; the error reply otherwise.
pub(crate) fn check(sha: &str, body: &[u8]) -> Result<(), Reply> {
    INTERPRETER.with(|interpreter| interpreter.function(sha, body).map(drop).map_err(refused))
}

/// Runs `body`. Its `redis.call` goes to `call`; an error reply ends the script there.
pub(crate) fn run(
    sha: &str,
    body: &[u8],
    keys: &[Vec<u8>],
    arguments: &[Vec<u8>],
    call: impl FnMut(Vec<Vec<u8>>) -> Reply,
) -> Reply {
    INTERPRETER.with(|interpreter| {
        let function = match interpreter.function(sha, body) {
            Ok(function) => function,
            Err(error) => return refused(error),
        };
        interpreter
            .run(&function, keys, arguments, call)
            .unwrap_or_else(|error| Reply::Error(message(&error)))
    })
}

impl Interpreter {
    fn new() -> mlua::Result<Self> {
        let lua = Lua::new();
        let environment: Table = lua.load(ENVIRONMENT).call(lua.globals())?;
        let redis = lua.create_table()?;
        redis.raw_set("error_reply", reply_function(&lua, "err")?)?;
        redis.raw_set("status_reply", reply_function(&lua, "ok")?)?;
        environment.raw_set("redis", redis)?;
        Ok(Self {
            lua,
            environment,
            compiled: RefCell::default(),
        })
    }

    fn function(&self, sha: &str, body: &[u8]) -> mlua::Result<Function> {
        if let Some(function) = self.compiled.borrow().get(sha) {
            return Ok(function.clone());
        }
        let chunk = self.lua.load(body).set_name("@user_script");
        let function = chunk
            .set_environment(self.environment.clone())
            .into_function()?;
        let mut compiled = self.compiled.borrow_mut();
        compiled.insert(sha.to_owned(), function.clone());
        Ok(function)
    }

    fn run(
        &self,
        function: &Function,
        keys: &[Vec<u8>],
        arguments: &[Vec<u8>],
        mut call: impl FnMut(Vec<Vec<u8>>) -> Reply,
    ) -> mlua::Result<Reply> {
        let strings = |values: &[Vec<u8>]| {
            let values = values.iter().map(|value| self.lua.create_string(value));
            self.lua
                .create_sequence_from(values.collect::<mlua::Result<Vec<_>>>()?)
        };
        self.environment.raw_set("KEYS", strings(keys)?)?;
        self.environment.raw_set("ARGV", strings(arguments)?)?;
        let redis: Table = self.environment.raw_get("redis")?;
        self.lua.scope(|scope| {
            let calls = scope.create_function_mut(|lua, values: MultiValue| {
                let command = values.iter().map(argument).collect::<mlua::Result<_>>()?;
                to_lua(lua, call(command))
            })?;
            redis.raw_set("call", calls)?;
            from_lua(&function.call(())?)
        })
    }
}

fn reply_function(lua: &Lua, field: &'static str) -> mlua::Result<Function> {
    lua.create_function(move |lua, text: mlua::LuaString| {
        let table = lua.create_table()?;
        table.raw_set(field, text)?;
        Ok(table)
    })
}

fn argument(value: &Value) -> mlua::Result<Vec<u8>> {
    match value {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        Value::Integer(number) => Ok(number.to_string().into_bytes()),
        Value::Number(number) => Ok(number.to_string().into_bytes()),
        _ => Err(mlua::Error::external(Raised(
            "ERR Lua redis lib command arguments must be strings or integers".to_owned(),
        ))),
    }
}

fn to_lua(lua: &Lua, reply: Reply) -> mlua::Result<Value> {
    Ok(match reply {
        Reply::Status(text) => {
            let table = lua.create_table()?;
            table.raw_set("ok", text)?;
            Value::Table(table)
        }
        Reply::Error(text) => return Err(mlua::Error::external(Raised(text))),
        Reply::Integer(number) => Value::Integer(number),
        Reply::Bulk(bytes) => Value::String(lua.create_string(bytes)?),
        Reply::Verbatim(text) => Value::String(lua.create_string(text)?),
        Reply::Nil => Value::Boolean(false),
        Reply::Array(parts) | Reply::Map(parts) | Reply::Push(parts) => {
            let parts = parts.into_iter().map(|part| to_lua(lua, part));
            Value::Table(lua.create_sequence_from(parts.collect::<mlua::Result<Vec<_>>>()?)?)
        }
    })
}

fn from_lua(value: &Value) -> mlua::Result<Reply> {
    Ok(match value {
        Value::String(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Value::Integer(number) => Reply::Integer(*number),
        Value::Number(number) => Reply::Integer(*number as i64),
        Value::Boolean(true) => Reply::Integer(1),
        Value::Table(table) => {
            if let Some(text) = table.raw_get::<Option<mlua::LuaString>>("err")? {
                return Ok(Reply::Error(text.to_string_lossy()));
            }
            if let Some(text) = table.raw_get::<Option<mlua::LuaString>>("ok")? {
                return Ok(Reply::Status(text.to_string_lossy()));
            }
            let mut parts = Vec::new();
            for place in 1.. {
                match table.raw_get::<Value>(place)? {
                    Value::Nil => break,
                    part => parts.push(from_lua(&part)?),
                }
            }
            Reply::Array(parts)
        }
        _ => Reply::Nil,
    })
}

fn refused(error: mlua::Error) -> Reply {
    Reply::err(format!("Error compiling script (new function): {error}"))
}

fn message(error: &mlua::Error) -> String {
    match error {
        mlua::Error::CallbackError { cause, .. } => message(cause),
        mlua::Error::ExternalError(raised) => raised.to_string(),
        other => format!("ERR {other}"),
    }
}
