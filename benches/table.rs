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
            .find(|sample| sample.name == contender)
            .map(Sample::median)
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
        let width = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0);
        writeln!(
            f,
            "{} (median, [quartiles], ratio to '{}'), at {}",
            self.title,
            self.baseline,
            revision()
        )?;
        write!(f, "{:width$}", "")?;
        for (heading, _) in &self.columns {
            write!(f, " | {heading:^28}")?;
        }
        writeln!(f)?;
        for name in names {
            write!(f, "{name:width$}")?;
            for (heading, samples) in &self.columns {
                match samples.iter().find(|sample| sample.name == name) {
                    Some(sample) => {
                        let quartiles = format!(
                            "[{:.0}, {:.0}]",
                            sample.lower_quartile(),
                            sample.upper_quartile()
                        );
                        let ratio = self
                            .median(heading, &self.baseline)
                            .map(|base| sample.median() / base);
                        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
                        write!(f, " | {:>7.1} {quartiles:>14} {ratio:>5}", sample.median())?;
                    }
                    None => write!(f, " | {:>28}", "")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
