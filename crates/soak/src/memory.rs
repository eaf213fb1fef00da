//! [`Memory`]: how much of it the process has, and whether that grows.

use std::{fs, time::Duration};

use anyhow::Context;

/// The resident memory over time.
#[derive(Default)]
pub(crate) struct Memory {
    /// Minutes since the begin, and KiB.
    readings: Vec<(f64, f64)>,
}

impl Memory {
    /// Takes a reading, and returns it in KiB.
    pub(crate) fn read(&mut self, since_begin: Duration) -> anyhow::Result<f64> {
        let kib = resident().context("/proc/self/status does not say what is resident")?;
        self.readings.push((since_begin.as_secs_f64() / 60.0, kib));
        Ok(kib)
    }

    /// How much it grows after the warm-up, in KiB a minute: the least squares' line.
    pub(crate) fn slope(&self, warm_up: Duration) -> Option<f64> {
        let warm_up = warm_up.as_secs_f64() / 60.0;
        let readings = self
            .readings
            .iter()
            .filter(|(minute, _)| *minute >= warm_up);
        let readings: Vec<_> = readings.copied().collect();
        let count = readings.len() as f64;
        let mean = |sum: f64| sum / count;
        let minute = mean(readings.iter().map(|(minute, _)| minute).sum());
        let kib = mean(readings.iter().map(|(_, kib)| kib).sum());
        let both = readings.iter().map(|(x, y)| (x - minute) * (y - kib));
        let squares = readings.iter().map(|(x, _)| (x - minute).powi(2));
        let (both, squares): (f64, f64) = (both.sum(), squares.sum());
        (squares > 0.0).then(|| both / squares)
    }
}

/// What the process has in memory, in KiB, as Linux says.
fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_readings_after_the_warm_up() {
        let memory = Memory {
            readings: vec![(0.0, 900.0), (1.0, 100.0), (2.0, 103.0), (3.0, 106.0)],
        };
        let slope = memory
            .slope(Duration::from_secs(60))
            .expect("three readings");
        assert!((slope - 3.0).abs() < 1e-9);
    }

    #[test]
    fn one_reading_has_no_slope() {
        let memory = Memory {
            readings: vec![(1.0, 100.0)],
        };
        assert_eq!(memory.slope(Duration::ZERO), None);
    }
}
