//! [`Entrant`]: a contender of which only the name and the measurements are left.

use std::fmt;

use crate::{
    Contender,
    dispatch::{
        Dispatcher, cost,
        latency::{self, QUANTILES, Setting},
        memory::{self, FIGURES},
        throughput::{self, Shape},
    },
};

/// A contender of all tables.
#[derive(Clone, Copy)]
pub struct Entrant {
    pub(crate) name: &'static str,
    pub(crate) cost: fn(usize) -> Contender<'static>,
    pub(crate) throughput: fn(Shape) -> Contender<'static>,
    pub(crate) latency: fn(Setting, usize) -> Contender<'static, [f64; QUANTILES.len()]>,
    pub(crate) memory: fn() -> Contender<'static, [f64; FIGURES.len()]>,
}

impl Entrant {
    /// The contender that dispatches with `D`.
    pub fn of<D: Dispatcher>() -> Self {
        Self {
            name: D::NAME,
            cost: cost::contender::<D>,
            throughput: throughput::contender::<D>,
            latency: latency::contender::<D>,
            memory: memory::contender::<D>,
        }
    }
}

impl fmt::Debug for Entrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrant")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
