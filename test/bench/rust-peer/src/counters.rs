//! Counters that are added up here and handed over on the tick.

use proxy_wasm::hostcalls::{define_metric, increment_metric};
use proxy_wasm::types::MetricType;

const NAMES: [&str; 7] = ["stored", "cas_exhausted", "invalid_tag", "explicit", "hit", "miss", "leaked_no_id"];

#[derive(Clone, Copy)]
pub enum Event {
    Stored,
    CasExhausted,
    InvalidTag,
    Explicit,
    Hit,
    Miss,
    LeakedNoId,
}

pub struct Counters {
    metrics: [Option<u32>; NAMES.len()],
    pending: [i64; NAMES.len()],
}

impl Counters {
    pub fn define() -> Self {
        let metrics = NAMES.map(|name| define_metric(MetricType::Counter, &format!("peer_trace_{name}_total")).ok());
        Counters { metrics, pending: [0; NAMES.len()] }
    }

    pub fn add(&mut self, event: Event) {
        self.pending[event as usize] += 1;
    }

    pub fn flush(&mut self) {
        for (metric, pending) in self.metrics.iter().zip(&mut self.pending) {
            if let (Some(metric), true) = (metric, *pending != 0) {
                // A metric that cannot be raised now is raised by the next tick.
                if increment_metric(*metric, *pending).is_ok() {
                    *pending = 0;
                }
            }
        }
    }
}
