//! The peer of `trace-propagation`: the same job, written as a Rust author would write it with the `proxy-wasm` crate.
//!
//! Inbound it remembers trace id → tag in shared data, for as long as the request is in flight and `ttlSeconds` after it;
//! outbound it adds the tag to requests that lack it. Same hash, same size of map, same rules for eviction and pins.

mod bucket;
mod counters;
mod in_flight;
mod trace_map;

use counters::{Counters, Event};
use in_flight::InFlight;
use log::error;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};
use serde::Deserialize;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trace_map::TraceMap;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root { shared: None }));
}}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Inbound,
    Outbound,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    direction: Direction,
    #[serde(default = "default_tag_header")]
    tag_header: String,
    #[serde(default = "default_trace_header")]
    trace_header: String,
    #[serde(default = "default_entries")]
    entries: usize,
    #[serde(default = "default_ttl")]
    ttl_seconds: u32,
}

fn default_tag_header() -> String {
    "x-asm-traffic-lane".into()
}

fn default_trace_header() -> String {
    "x-request-id".into()
}

fn default_entries() -> usize {
    65_536
}

fn default_ttl() -> u32 {
    30
}

struct Shared {
    config: Config,
    map: TraceMap,
    counters: RefCell<Counters>,
    in_flight: RefCell<InFlight>,
}

struct Root {
    shared: Option<Rc<Shared>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        let bytes = self.get_plugin_configuration().unwrap_or_default();
        let config: Config = match serde_json::from_slice(&bytes) {
            Ok(config) => config,
            Err(reason) => {
                error!("trace-peer: {reason}");
                return false;
            }
        };
        let Some(map) = TraceMap::prepare(config.entries, config.ttl_seconds * 1000) else {
            error!("trace-peer: the trace map cannot be prepared");
            return false;
        };
        let counters = RefCell::new(Counters::define());
        self.shared = Some(Rc::new(Shared { config, map, counters, in_flight: RefCell::default() }));
        self.set_tick_period(Duration::from_secs(1));
        true
    }

    fn on_tick(&mut self) {
        if let Some(shared) = &self.shared {
            shared.counters.borrow_mut().flush();
            shared.in_flight.borrow_mut().renew_due(&shared.map, milliseconds(self.get_current_time()));
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        let shared = Rc::clone(self.shared.as_ref()?);
        Some(Box::new(Stream { shared, context_id }))
    }
}

struct Stream {
    shared: Rc<Shared>,
    context_id: u32,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        match self.shared.config.direction {
            Direction::Inbound => self.learn(),
            Direction::Outbound => self.apply(),
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        let mut in_flight = self.shared.in_flight.borrow_mut();
        in_flight.end(self.context_id, &self.shared.map, || milliseconds(self.get_current_time()));
    }
}

impl Stream {
    fn learn(&mut self) {
        let shared = Rc::clone(&self.shared);
        let Some(tag) = self.get_http_request_header_bytes(&shared.config.tag_header) else {
            return;
        };
        if !is_label_value(&tag) {
            return shared.counters.borrow_mut().add(Event::InvalidTag);
        }
        let Some(trace) = self.get_http_request_header_bytes(&shared.config.trace_header) else {
            return;
        };
        let id = shared.map.identify(&trace);
        let now = milliseconds(self.get_current_time());
        match shared.map.learn(id, &tag, now) {
            Some(learned) => {
                shared.counters.borrow_mut().add(Event::Stored);
                let mut in_flight = shared.in_flight.borrow_mut();
                if learned.crowded {
                    in_flight.press(now);
                }
                if learned.pinned {
                    in_flight.begin(self.context_id, id, now);
                }
            }
            None => shared.counters.borrow_mut().add(Event::CasExhausted),
        }
    }

    fn apply(&mut self) {
        let shared = Rc::clone(&self.shared);
        let config = &shared.config;
        if self.get_http_request_header_bytes(&config.tag_header).is_some() {
            return shared.counters.borrow_mut().add(Event::Explicit);
        }
        let Some(trace) = self.get_http_request_header_bytes(&config.trace_header) else {
            return shared.counters.borrow_mut().add(Event::LeakedNoId);
        };
        let id = shared.map.identify(&trace);
        match shared.map.find(id, milliseconds(self.get_current_time())) {
            Some(tag) => {
                self.add_http_request_header_bytes(&config.tag_header, &tag);
                shared.counters.borrow_mut().add(Event::Hit);
            }
            None => shared.counters.borrow_mut().add(Event::Miss),
        }
    }
}

/// Unix milliseconds, the low 32 bits.
fn milliseconds(time: SystemTime) -> u32 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u32)
}

/// A Kubernetes label value of 1 to 63 bytes.
fn is_label_value(tag: &[u8]) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    tag.len() <= 63
        && edge(tag.first())
        && edge(tag.last())
        && tag.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}
