//! What goes over the channels: `partition|incarnation|number|writer|acknowledge|` and a body, and
//! `partition|incarnation|number|node`.
//!
//! The head of a notice is written by the script, which knows the number; the body by the writer.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::store::{Deed, Item, Message, NodeId, Notice, Position};
use crate::cover::{Scope, Span};

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    from: i64,
    to: i64,
    deed: Deed,
}

/// The body of a notice of these items.
pub(crate) fn body(items: &[Item]) -> Vec<u8> {
    let line = |item: &'_ Item| {
        let Item { scope, span, deed } = item;
        postcard::to_stdvec(&Line {
            tenant: scope.tenant().into(),
            kind: scope.kind().into(),
            id: scope.id().into(),
            from: span.from(),
            to: span.to(),
            deed: *deed,
        })
        .expect("texts and integers can be written to a vector")
    };
    items.iter().flat_map(line).collect()
}

/// Reads a notice.
pub(crate) fn read(payload: &[u8]) -> Message {
    read_notice(payload).map_or(Message::Unreadable, Message::Notice)
}

fn read_notice(payload: &[u8]) -> Option<Notice> {
    let mut parts = payload.splitn(6, |byte| *byte == b'|');
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    let partition = text()?.parse().ok()?;
    let incarnation = text()?.into();
    let number = text()?.parse().ok()?;
    let writer = NodeId::from_str_radix(text()?, 16).ok()?;
    let acknowledge = text()? == "1";
    let mut body = parts.next()?;
    let mut items = Vec::new();
    while !body.is_empty() {
        let (line, rest) = postcard::take_from_bytes::<Line<'_>>(body).ok()?;
        let scope = Scope::new(&*line.tenant, line.kind.into_owned(), &*line.id);
        items.push(Item {
            scope,
            span: Span::new(line.from, line.to),
            deed: line.deed,
        });
        body = rest;
    }
    Some(Notice {
        partition,
        at: Position {
            incarnation,
            number,
        },
        writer,
        acknowledge,
        items,
    })
}

/// Tells up to where a node has heard.
pub(crate) fn acknowledgement(partition: u16, upto: &Position, node: NodeId) -> String {
    let Position {
        incarnation,
        number,
    } = upto;
    format!("{partition}|{incarnation}|{number}|{node:x}")
}

/// Reads an acknowledgement.
pub(crate) fn read_acknowledgement(payload: &[u8]) -> Message {
    let read = || {
        let mut parts = std::str::from_utf8(payload).ok()?.split('|');
        let partition = parts.next()?.parse().ok()?;
        let upto = Position {
            incarnation: parts.next()?.into(),
            number: parts.next()?.parse().ok()?,
        };
        let node = NodeId::from_str_radix(parts.next()?, 16).ok()?;
        parts.next().is_none().then_some(Message::Acknowledged {
            partition,
            upto,
            node,
        })
    };
    read().unwrap_or(Message::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::{acknowledgement, body, read, read_acknowledgement};
    use crate::{
        cover::{Scope, Span},
        level2::store::{Deed, Item, Message, Position},
    };

    #[test]
    fn a_notice_is_read_back_whatever_the_scopes_contain() {
        let item = |id: &str, span| Item {
            scope: Scope::new("a|b", "resource", id),
            span,
            deed: Deed::Raise,
        };
        let items = [item("1|0\n", Span::ALL), item("", Span::new(-5, 7))];
        let payload = [b"3|abc.1|17|ff|1|".as_slice(), &body(&items)].concat();
        let Message::Notice(notice) = read(&payload) else {
            panic!("a notice");
        };
        assert_eq!(
            (notice.partition, notice.writer, notice.acknowledge),
            (3, 255, true)
        );
        assert_eq!((&*notice.at.incarnation, notice.at.number), ("abc.1", 17));
        assert_eq!(notice.items, items);
        for cut in 0..payload.len() {
            // A shorter body may be whole; nothing may panic.
            let _ = read(&payload[..cut]);
        }
    }

    #[test]
    fn an_acknowledgement_is_read_back() {
        let upto = Position {
            incarnation: "abc.1".into(),
            number: 9,
        };
        let text = acknowledgement(3, &upto, 255);
        let read = read_acknowledgement(text.as_bytes());
        assert_eq!(
            read,
            Message::Acknowledged {
                partition: 3,
                upto,
                node: 255
            }
        );
        assert_eq!(read_acknowledgement(b"3|abc"), Message::Unreadable);
    }
}
