//! How new a reader wants its answers to be.

use std::{fmt, str::FromStr, sync::Arc};

/// A moment in the history of a tenant's invalidations, to be carried to another process.
///
/// A client that has written carries the token of its write, in a cookie or a header, to whichever
/// process answers it next, and is given no answer from before the write.
///
/// `Display` and `FromStr` give its text. Nothing secret is in it. One that is made up costs its reader
/// a level, and nobody else anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token(Option<Moment>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Moment {
    partition: u16,
    incarnation: Arc<str>,
    number: u64,
}

/// Why a text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token of freshness")]
pub struct InvalidToken;

/// Tokens are short; whatever is longer was not written here.
const LONGEST: usize = 100;

impl Token {
    /// Before anything another process could have missed.
    pub(crate) fn local() -> Self {
        Self(None)
    }
}

#[cfg(feature = "redis")]
impl Token {
    pub(crate) fn new(partition: u16, incarnation: Arc<str>, number: u64) -> Self {
        Self(Some(Moment {
            partition,
            incarnation,
            number,
        }))
    }

    pub(crate) fn position(&self) -> Option<(u16, crate::level2::Position)> {
        let moment = self.0.as_ref()?;
        let position = crate::level2::Position {
            incarnation: Arc::clone(&moment.incarnation),
            number: moment.number,
        };
        Some((moment.partition, position))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("local"),
            Some(Moment {
                partition,
                incarnation,
                number,
            }) => write!(f, "{partition}-{number}-{incarnation}"),
        }
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        if text == "local" {
            return Ok(Self(None));
        }
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or(InvalidToken);
        let partition = part()?.parse().map_err(|_| InvalidToken)?;
        let number = part()?.parse().map_err(|_| InvalidToken)?;
        let incarnation = part()?;
        let plain = incarnation
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'.');
        if incarnation.is_empty() || !plain || text.len() > LONGEST {
            return Err(InvalidToken);
        }
        Ok(Self(Some(Moment {
            partition,
            incarnation: incarnation.into(),
            number,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidToken, LONGEST, Token};

    #[test]
    fn a_token_is_read_back_from_its_text() {
        for text in ["local", "0-17-9fa3.1", "31-18446744073709551615-0.0"] {
            assert_eq!(text.parse::<Token>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_token_is_refused() {
        for text in [
            "",
            "0",
            "0-1",
            "0-1-",
            "x-1-a.1",
            "0--1-a.1",
            "0-1-a b",
            "65536-1-a.1",
        ] {
            assert_eq!(text.parse::<Token>(), Err(InvalidToken), "{text}");
        }
        let longest = format!("0-1-{}", "a".repeat(LONGEST - 4));
        assert_eq!(longest.parse::<Token>().unwrap().to_string(), longest);
        assert_eq!((longest + "a").parse::<Token>(), Err(InvalidToken));
    }
}
