//! [`Printable`]: text of which a terminal makes nothing but text.

use std::fmt::{self, Write};

/// Text on one line, its control characters escaped: errors quote what came from outside.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            // The last ones turn the direction of what follows on the line.
            match character {
                '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(f, "{}", character.escape_unicode())?
                }
                _ if character.is_control() => write!(f, "{}", character.escape_default())?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_reach_no_terminal() {
        let text = Printable("no\nmail \u{1b}[31mserver\u{202e} für × Zoë\u{9b}");
        let expected = "no\\nmail \\u{1b}[31mserver\\u{202e} für × Zoë\\u{9b}";
        assert_eq!(text.to_string(), expected);
    }
}
