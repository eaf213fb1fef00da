//! Whoever purges edges decides nothing about TLS for the rest of the process.

mod edge;

use edge::calendar::Calendar;
use rustls::crypto::CryptoProvider;
use vacancy_http::{Edge, PurgeEdge};

#[test]
fn an_edge_behind_tls_installs_nothing_for_the_process() {
    let slots = Calendar::default().cached();
    let edges = ["http://127.0.0.1:6081", "https://edge.example"]
        .map(|url| Edge::purge_api("front", url).unwrap());
    PurgeEdge::new(slots, edges).unwrap();
    assert!(CryptoProvider::get_default().is_none());
}
