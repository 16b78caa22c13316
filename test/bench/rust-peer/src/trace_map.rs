//! The map of buckets in shared data, with compare-and-set.

use crate::bucket::{Bucket, Learned, WAYS};
use proxy_wasm::hostcalls::{get_shared_data, set_shared_data};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::fmt::Write;
use std::hash::Hasher;

const ATTEMPTS: usize = 4;
const HASH_KEY: &str = "peer/trace/key";
const MARK: &str = "peer/trace/ready";
const UUID_LENGTH: usize = 36;
/// The digit of a UUID that Envoy's tracing rewrites.
const UUID_TRACE_DIGIT: usize = 14;

#[derive(Clone, Copy)]
pub struct Id {
    place: u64,
    fingerprint: u64,
}

pub struct TraceMap {
    key: [u8; 16],
    mask: u64,
    ttl: u32,
}

impl TraceMap {
    /// Makes or takes the hash key, and creates every bucket.
    pub fn prepare(entries: usize, ttl: u32) -> Option<Self> {
        let key = match get_shared_data(HASH_KEY).ok()? {
            (Some(bytes), _) => bytes.try_into().ok()?,
            _ => {
                let mut key = [0; 16];
                getrandom::fill(&mut key).ok()?;
                set_shared_data(HASH_KEY, Some(&key), None).ok()?;
                key
            }
        };
        let buckets = (entries / WAYS) as u64;
        let map = TraceMap { key, mask: buckets - 1, ttl };
        if let (None, _) = get_shared_data(MARK).ok()? {
            let empty = Bucket::from_value(None);
            for place in 0..buckets {
                set_shared_data(&map.bucket_key(place), Some(empty.bytes()), None).ok()?;
            }
            set_shared_data(MARK, Some(b"1"), None).ok()?;
        }
        Some(map)
    }

    /// Keyed hash of a trace id, in lower case and without the digit that differs from hop to hop.
    pub fn identify(&self, trace: &[u8]) -> Id {
        let trace = trace.trim_ascii();
        let mut folded = trace.to_ascii_lowercase();
        if folded.len() == UUID_LENGTH && [8, 13, 18, 23].iter().all(|&at| folded[at] == b'-') {
            folded[UUID_TRACE_DIGIT] = b'0';
        }
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&folded);
        let hash = hasher.finish128();
        Id { place: hash.h1, fingerprint: hash.h2.max(1) }
    }

    pub fn learn(&self, id: Id, tag: &[u8], now: u32) -> Option<Learned> {
        self.update(id, |bucket| {
            let learned = bucket.learn(id.fingerprint, tag, now, self.ttl);
            (learned, learned.is_some())
        })
    }

    pub fn find(&self, id: Id, now: u32) -> Option<Vec<u8>> {
        let mut found = None;
        self.update(id, |bucket| {
            let Some(way) = bucket.find(id.fingerprint, now) else {
                return (None, false);
            };
            found = Some(bucket.tag(way).to_vec());
            (Some(()), bucket.touch(way, now, self.ttl))
        });
        found
    }

    pub fn renew(&self, id: Id, now: u32, lease: u32) {
        self.update(id, |bucket| (Some(()), bucket.renew(id.fingerprint, now, self.ttl, lease)));
    }

    pub fn release(&self, id: Id, now: u32, end: u16) {
        self.update(id, |bucket| (Some(()), bucket.release(id.fingerprint, now, end)));
    }

    /// Reads, changes and writes a bucket until nobody was faster, a few times at most.
    fn update<T>(&self, id: Id, mut change: impl FnMut(&mut Bucket) -> (Option<T>, bool)) -> Option<T> {
        let key = self.bucket_key(id.place & self.mask);
        for _ in 0..ATTEMPTS {
            let (value, cas) = get_shared_data(&key).ok()?;
            let mut bucket = Bucket::from_value(value);
            let (answer, changed) = change(&mut bucket);
            if !changed || set_shared_data(&key, Some(bucket.bytes()), cas).is_ok() {
                return answer;
            }
        }
        None
    }

    fn bucket_key(&self, place: u64) -> String {
        let mut key = String::with_capacity(24);
        write!(key, "peer/trace/{place:05x}").expect("a string takes everything");
        key
    }
}
