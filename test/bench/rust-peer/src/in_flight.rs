//! What the requests in flight of this VM hold in the map, by context id.

use crate::bucket::{lease_end, FIRST_LEASE_MS, MAX_LEASE_MS};
use crate::trace_map::{Id, TraceMap};
use std::collections::HashMap;

/// How long after the last crowded bucket leases are given back.
const CROWDED_FOR_MS: u32 = 5_000;

struct Holding {
    id: Id,
    lease: u32,
    begun: u32,
}

#[derive(Default)]
pub struct InFlight {
    held: HashMap<u32, Holding>,
    crowded_at: Option<u32>,
}

impl InFlight {
    pub fn press(&mut self, now: u32) {
        self.crowded_at = Some(now);
    }

    pub fn begin(&mut self, context: u32, id: Id, now: u32) {
        self.held.insert(context, Holding { id, lease: FIRST_LEASE_MS, begun: now });
    }

    /// The request is over: its lease runs out by itself, unless buckets are crowded.
    pub fn end(&mut self, context: u32, map: &TraceMap, now: impl Fn() -> u32) {
        let Some(holding) = self.held.remove(&context) else {
            return;
        };
        if self.crowded_at.is_some() {
            map.release(holding.id, now(), lease_end(holding.begun, holding.lease));
        }
    }

    pub fn renew_due(&mut self, map: &TraceMap, now: u32) {
        if self.crowded_at.is_some_and(|at| now.wrapping_sub(at) > CROWDED_FOR_MS) {
            self.crowded_at = None;
        }
        for holding in self.held.values_mut() {
            if now.wrapping_sub(holding.begun) < holding.lease / 2 {
                continue;
            }
            holding.lease = (holding.lease * 2).min(MAX_LEASE_MS);
            holding.begun = now;
            map.renew(holding.id, now, holding.lease);
        }
    }
}
