//! The wire format between a client and a Redis: commands in, replies out.

/// What a command is answered with.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// `+OK` and the like.
    Status(String),
    /// The code and the message, without the leading `-`.
    Error(String),
    /// A whole number.
    Integer(i64),
    /// Bytes.
    Bulk(Vec<u8>),
    /// Text, which version 3 marks as such.
    Verbatim(String),
    /// Nothing.
    Nil,
    /// Replies in order.
    Array(Vec<Reply>),
    /// Keys and values in turn; an array in version 2.
    Map(Vec<Reply>),
    /// What nobody asked for now: a message of a channel. An array in version 2.
    Push(Vec<Reply>),
}

/// The version of the protocol, which a connection chooses by `HELLO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2.
    Two,
    /// RESP3.
    Three,
}

impl Reply {
    /// `+OK`.
    #[must_use]
    pub fn ok() -> Self {
        Self::Status("OK".to_owned())
    }

    /// Bytes of a text.
    pub fn bulk(text: impl Into<Vec<u8>>) -> Self {
        Self::Bulk(text.into())
    }

    /// An error with the code `ERR`.
    #[must_use]
    pub fn err(message: impl AsRef<str>) -> Self {
        Self::Error(format!("ERR {}", message.as_ref()))
    }

    /// Appends the reply as it goes over the wire.
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        let three = protocol == Protocol::Three;
        match self {
            Self::Status(text) => line(out, '+', text),
            Self::Error(text) => line(out, '-', text),
            Self::Integer(number) => line(out, ':', &number.to_string()),
            Self::Bulk(bytes) => blob(out, '$', bytes),
            Self::Verbatim(text) if three => blob(out, '=', format!("txt:{text}").as_bytes()),
            Self::Verbatim(text) => blob(out, '$', text.as_bytes()),
            Self::Nil if three => out.extend_from_slice(b"_\r\n"),
            Self::Nil => out.extend_from_slice(b"$-1\r\n"),
            Self::Map(parts) if three => {
                line(out, '%', &(parts.len() / 2).to_string());
                parts.iter().for_each(|part| part.encode(protocol, out));
            }
            Self::Array(parts) | Self::Map(parts) | Self::Push(parts) => {
                let push = three && matches!(self, Self::Push(_));
                line(out, if push { '>' } else { '*' }, &parts.len().to_string());
                parts.iter().for_each(|part| part.encode(protocol, out));
            }
        }
    }
}

fn line(out: &mut Vec<u8>, kind: char, text: &str) {
    out.push(kind as u8);
    // A line break would end the reply early; Redis puts spaces there, too.
    out.extend(text.bytes().map(|byte| match byte {
        b'\r' | b'\n' => b' ',
        other => other,
    }));
    out.extend_from_slice(b"\r\n");
}

fn blob(out: &mut Vec<u8>, kind: char, bytes: &[u8]) {
    line(out, kind, &bytes.len().to_string());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// A command and its arguments as it goes over the wire.
#[must_use]
pub fn command<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut out = Vec::new();
    line(&mut out, '*', &arguments.len().to_string());
    for argument in arguments {
        blob(&mut out, '$', argument.as_ref());
    }
    out
}

/// Takes the first whole command off `inbox`: `Ok(None)` when it has not arrived yet.
///
/// # Errors
///
/// What the connection is told before it is closed.
pub(crate) fn take_command(inbox: &mut Vec<u8>) -> Result<Option<Vec<Vec<u8>>>, &'static str> {
    let mut at = 0;
    let Some(count) = header(inbox, &mut at, b'*')? else {
        return Ok(None);
    };
    let mut arguments = Vec::new();
    for _ in 0..count {
        let Some(length) = header(inbox, &mut at, b'$')? else {
            return Ok(None);
        };
        if inbox.len() < at + length + 2 {
            return Ok(None);
        }
        arguments.push(inbox[at..at + length].to_vec());
        at += length + 2;
    }
    inbox.drain(..at);
    Ok(Some(arguments))
}

/// Reads the line at `at` and moves past it.
fn header(inbox: &[u8], at: &mut usize, kind: u8) -> Result<Option<usize>, &'static str> {
    let rest = &inbox[*at..];
    let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
        return Ok(None);
    };
    let number = rest[..end]
        .strip_prefix(&[kind])
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .ok_or("ERR Protocol error")?;
    *at += end + 2;
    Ok(Some(number))
}
