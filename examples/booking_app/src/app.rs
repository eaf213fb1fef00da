//! What the routes share.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use vacancy::{dispatch::Bus, slots::SlotsCache};

use crate::{
    counts::Counts, desk::Desk, diary::Diary, feed::Feed, salon::Salon, ttl_cache::TtlCache,
};

/// The application, as its routes see it.
pub(crate) struct App {
    pub(crate) salon: Arc<Salon>,
    pub(crate) diary: Diary,
    pub(crate) slots: SlotsCache,
    pub(crate) ttl: TtlCache,
    pub(crate) bus: Bus,
    pub(crate) desk: Desk,
    pub(crate) feed: Feed,
    pub(crate) counts: Arc<Counts>,
    pub(crate) metrics: PrometheusHandle,
}
