//! [`Table`]: what contenders measured, side by side.

use std::fmt;

use crate::{Sample, revision};

/// Medians by contender and column, each with its quartiles and its ratio to a baseline contender.
#[derive(Debug)]
pub struct Table {
    title: String,
    baseline: String,
    columns: Vec<(String, Vec<Sample>)>,
}

impl Table {
    /// An empty table; `baseline` names the contender that ratios are given to.
    pub fn new(title: impl Into<String>, baseline: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            baseline: baseline.into(),
            columns: Vec::new(),
        }
    }

    /// Adds one column: the samples of all contenders under one condition.
    pub fn column(&mut self, heading: impl Into<String>, samples: Vec<Sample>) {
        self.columns.push((heading.into(), samples));
    }

    /// The median of `contender` in the column `heading`.
    pub fn median(&self, heading: &str, contender: &str) -> Option<f64> {
        let (_, samples) = self.columns.iter().find(|(column, _)| column == heading)?;
        samples
            .iter()
            .find(|sample| sample.name() == contender)
            .map(Sample::median)
    }

    /// Who is ahead of `contender` in which column, the first of them first.
    ///
    /// Columns in which nobody is are left out, and so are those in which `contender` was not measured.
    pub fn ahead_of(&self, contender: &str, better: Better) -> Vec<Lead> {
        let mut leads = Vec::new();
        for (heading, samples) in &self.columns {
            let Some(own) = self.median(heading, contender) else {
                continue;
            };
            let mut ahead: Vec<(String, f64)> = samples
                .iter()
                .map(|sample| (sample.name().to_owned(), better.ratio(own, sample.median())))
                .filter(|(_, ratio)| *ratio > 1.0)
                .collect();
            ahead.sort_by(|(_, left), (_, right)| right.total_cmp(left));
            if !ahead.is_empty() {
                leads.push(Lead {
                    column: heading.clone(),
                    ahead,
                });
            }
        }
        leads
    }
}

/// Which of two figures is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// The lower: a cost.
    Lower,
    /// The higher: a rate.
    Higher,
}

impl Better {
    /// How much better `other` is than `own`; below one if it is worse.
    fn ratio(self, own: f64, other: f64) -> f64 {
        match self {
            // Of two that cost nothing neither is ahead: the ratio is not a number then.
            Self::Lower => own / other,
            Self::Higher => other / own,
        }
    }
}

/// Who is ahead of a contender in one column of a table, and by what ratio.
#[derive(Debug, Clone, PartialEq)]
pub struct Lead {
    column: String,
    ahead: Vec<(String, f64)>,
}

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.column)?;
        for (place, (name, ratio)) in self.ahead.iter().enumerate() {
            let separator = if place == 0 { "" } else { ";" };
            write!(f, "{separator} {name} ")?;
            if ratio.is_finite() {
                write!(f, "by {ratio:.2}")?;
            } else {
                f.write_str("with none at all")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = Vec::new();
        for sample in self.columns.iter().flat_map(|(_, samples)| samples) {
            if !names.contains(&sample.name()) {
                names.push(sample.name());
            }
        }
        writeln!(
            f,
            "{} (median, [quartiles], ratio to '{}'), at {}",
            self.title,
            self.baseline,
            revision()
        )?;
        let mut lines: Vec<String> = vec![String::new()];
        lines.extend(names.iter().map(|name| (*name).to_owned()));
        pad(&mut lines);
        for (heading, samples) in &self.columns {
            for (line, name) in lines.iter_mut().skip(1).zip(&names) {
                line.push_str(" | ");
                if let Some(sample) = samples.iter().find(|sample| sample.name() == *name) {
                    line.push_str(&self.cell(heading, sample));
                }
            }
            lines[0].push_str(&format!(" | {heading}"));
            pad(&mut lines);
        }
        lines
            .iter()
            .try_for_each(|line| writeln!(f, "{}", line.trim_end()))
    }
}

impl Table {
    fn cell(&self, heading: &str, sample: &Sample) -> String {
        let quartiles = format!(
            "[{}, {}]",
            rounded(sample.lower_quartile()),
            rounded(sample.upper_quartile())
        );
        let ratio = self
            .median(heading, &self.baseline)
            .filter(|base| *base > 0.0)
            .map_or_else(String::new, |base| format!("{:.2}", sample.median() / base));
        format!("{:>7} {quartiles:>14} {ratio:>5}", rounded(sample.median()))
    }
}

/// Makes all lines as long as the longest.
fn pad(lines: &mut [String]) {
    let width = lines.iter().map(|line| line.chars().count()).max();
    for line in lines {
        let missing = width.unwrap_or(0) - line.chars().count();
        line.extend(std::iter::repeat_n(' ', missing));
    }
}

/// With as many places as still say something.
fn rounded(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{figure:.2}"),
        ..100.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(figures: [(&str, f64); 3]) -> Table {
        let mut table = Table::new("figures", "b");
        let samples = figures.map(|(name, figure)| Sample::of(name, [figure]));
        table.column("one", samples.into());
        table
    }

    fn leads(table: &Table, better: Better) -> Vec<String> {
        let leads = table.ahead_of("ours", better);
        leads.iter().map(Lead::to_string).collect()
    }

    #[test]
    fn whoever_is_ahead_is_named_with_the_ratio_and_the_first_of_them_first() {
        let table = table([("ours", 30.0), ("b", 20.0), ("c", 10.0)]);
        assert_eq!(leads(&table, Better::Lower), ["one: c by 3.00; b by 1.50"]);
        assert_eq!(leads(&table, Better::Higher), [] as [&str; 0]);
    }

    #[test]
    fn a_cost_of_nothing_is_ahead_of_any_but_its_equal() {
        let some = table([("ours", 30.0), ("b", 0.0), ("c", 40.0)]);
        assert_eq!(leads(&some, Better::Lower), ["one: b with none at all"]);
        let none = table([("ours", 0.0), ("b", 0.0), ("c", 40.0)]);
        assert_eq!(leads(&none, Better::Lower), [] as [&str; 0]);
    }

    #[test]
    fn a_column_is_as_wide_as_its_widest_cell() {
        let mut table = table([("ours", 30.0), ("b", 20_000_000_000.0), ("c", 10.0)]);
        table.column("two", vec![Sample::of("c", [1.0])]);
        let text = table.to_string();
        let places: Vec<_> = text.lines().skip(1).map(|line| line.rfind('|')).collect();
        assert!(places.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    }
}
