//! A topology as a Mermaid flowchart.

use std::fmt::Write;

use super::{Row, Topology};

impl Topology {
    /// The topology as a [Mermaid](https://mermaid.js.org) flowchart, from events to listeners.
    ///
    /// A thick arrow leads to an inline listener, which is a hexagon; a thin one to a listener with a
    /// lane, which is a rectangle. What is required has a thick border, what is disabled a dashed one
    /// and dashed arrows. A listener that hears an event after another one has an arrow from it that
    /// says so. A listener of several events is drawn once.
    ///
    /// Names become text whatever they contain: they cannot end their label or add to the chart.
    ///
    /// # Examples
    ///
    /// ```
    /// # use vacancy_dispatch::{Bus, Event, inline_fn};
    /// # struct AppointmentBooked;
    /// # impl Event for AppointmentBooked {
    /// #     const NAME: &'static str = "appointment.booked";
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bus = Bus::builder()
    ///     .inline(inline_fn("fence", |_: &AppointmentBooked| ()))
    ///     .build()?;
    /// let expected = r#"flowchart LR
    ///     e0(["appointment.booked v1"])
    ///     l0{{"fence"}}
    ///     e0 ==> l0
    /// "#;
    /// assert_eq!(bus.topology().to_mermaid(), expected);
    /// # Ok(())
    /// # }
    /// ```
    pub fn to_mermaid(&self) -> String {
        let mut chart = Chart::default();
        for row in self.rows() {
            chart.add(row);
        }
        for row in self.rows() {
            chart.add_order(row, self.rows());
        }
        chart.finish()
    }
}

/// A flowchart as it is drawn. Nodes are named by number, so that no name is part of the syntax.
#[derive(Default)]
struct Chart<'a> {
    events: Vec<&'a str>,
    listeners: Vec<Node<'a>>,
    lines: String,
}

struct Node<'a> {
    name: &'a str,
    inline: bool,
    required: bool,
    enabled: bool,
}

impl<'a> Chart<'a> {
    fn add(&mut self, row: &'a Row) {
        let event = match self.events.iter().position(|event| *event == row.event) {
            Some(event) => event,
            None => {
                self.events.push(row.event);
                let (number, label) = (self.events.len() - 1, label(row.event));
                self.line(format_args!("e{number}([\"{label} v{}\"])", row.version));
                number
            }
        };
        let Some(name) = row.listener.as_deref() else {
            return;
        };
        let listener = self.listener(name, row.lane.is_none());
        let node = &mut self.listeners[listener];
        node.required |= row.required;
        node.enabled |= row.enabled;
        let arrow = match (row.enabled, node.inline) {
            (false, _) => "-.->",
            (true, true) => "==>",
            (true, false) => "-->",
        };
        self.line(format_args!("e{event} {arrow} l{listener}"));
    }

    /// The number of a listener's node, which is drawn if it is not there yet.
    fn listener(&mut self, name: &'a str, inline: bool) -> usize {
        let known = |node: &Node<'_>| node.name == name && node.inline == inline;
        if let Some(number) = self.listeners.iter().position(known) {
            return number;
        }
        let (number, label) = (self.listeners.len(), label(name));
        self.listeners.push(Node {
            name,
            inline,
            required: false,
            enabled: false,
        });
        match inline {
            true => self.line(format_args!("l{number}{{{{\"{label}\"}}}}")),
            false => self.line(format_args!("l{number}[\"{label}\"]")),
        }
        number
    }

    /// Draws whom the listener of a row waits for.
    fn add_order(&mut self, row: &'a Row, rows: &'a [Row]) {
        let (Some(name), Some(lane)) = (row.listener.as_deref(), &row.lane) else {
            return;
        };
        for first in &lane.after {
            let is_first =
                |other: &&Row| other.event == row.event && other.listener.as_ref() == Some(first);
            let Some(first_row) = rows.iter().find(is_first) else {
                continue;
            };
            let arrow = match row.enabled && first_row.enabled {
                true => "-->",
                false => "-.->",
            };
            let (then, event) = (self.listener(name, false), label(row.event));
            let first = self.listener(first, first_row.lane.is_none());
            self.line(format_args!(
                "l{first} {arrow}|\"then, for {event}\"| l{then}"
            ));
        }
    }

    fn finish(mut self) -> String {
        let numbers = |wanted: fn(&Node<'_>) -> bool| {
            let nodes = self.listeners.iter().enumerate();
            let nodes = nodes.filter(|(_, node)| wanted(node));
            nodes.map(|(number, _)| format!("l{number}")).collect()
        };
        let required: Vec<_> = numbers(|node| node.required);
        let disabled: Vec<_> = numbers(|node| !node.enabled);
        for (class, style, nodes) in [
            ("required", "stroke-width: 3px", required),
            ("disabled", "stroke-dasharray: 4 4", disabled),
        ] {
            if !nodes.is_empty() {
                self.line(format_args!("classDef {class} {style}"));
                self.line(format_args!("class {} {class}", nodes.join(",")));
            }
        }
        format!("flowchart LR\n{}", self.lines)
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.lines, "    {line}");
    }
}

/// A name as the text of a label. What could be syntax, HTML or Markdown is written as its number.
fn label(name: &str) -> String {
    // No text at all is no label either.
    let name = if name.is_empty() { "\"\"" } else { name };
    let mut label = String::new();
    for (place, character) in name.chars().enumerate() {
        // At the beginning, a digit or a dash makes Markdown of the text: a list.
        let plain = match place {
            0 => character.is_alphabetic(),
            _ => character.is_alphanumeric() || " .-_:/".contains(character),
        };
        if plain {
            label.push(character);
        } else {
            // Writing to a string does not fail.
            let _ = write!(label, "#{};", u32::from(character));
        }
    }
    label
}
