//! What the routes share.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use vacancy::{dispatch::Bus, slots::SlotsCache};
use vacancy_http::CachePolicy;
use vacancy_retell::Retell;

use crate::{
    calcom::Calcom, counts::Counts, desk::Desk, diary::Diary, feed::Feed, phone::Phone,
    salon::Salon, ttl_cache::TtlCache, under_way::UnderWay, watch::Watch,
};

/// The application, as its routes see it.
pub(crate) struct App {
    pub(crate) salon: Arc<Salon>,
    pub(crate) diary: Diary,
    pub(crate) slots: SlotsCache,
    pub(crate) policy: CachePolicy,
    pub(crate) ttl: TtlCache,
    pub(crate) bus: Bus,
    pub(crate) desk: Desk,
    pub(crate) calcom: Calcom,
    pub(crate) retell: Retell<Phone>,
    pub(crate) watch: Watch,
    pub(crate) under_way: UnderWay,
    pub(crate) feed: Feed,
    pub(crate) counts: Arc<Counts>,
    pub(crate) metrics: PrometheusHandle,
}
