//! Eight ways of a set-associative map, as they lie in one shared-data value.

pub const WAYS: usize = 8;
pub const MAX_TAG: usize = 63;
const MAX_PINNED: usize = 6;
const WAY_SIZE: usize = 84;
const HEADER: usize = 8;
pub const SIZE: usize = HEADER + WAYS * WAY_SIZE;
const LAYOUT: u8 = 1;
const MAX_LIFE_MS: u32 = 86_400_000;
pub const FIRST_LEASE_MS: u32 = 2_500;
pub const MAX_LEASE_MS: u32 = 16_000;
const LEASE_UNIT_LOG2: u32 = 6;
/// From this many pins on leases are given back.
const CROWD: usize = 4;

const EXPIRY: usize = 8;
const TOUCHED: usize = 12;
const LEASE: usize = 16;
const LOOKED_UP: usize = 18;
const TAG_LENGTH: usize = 19;
const TAG: usize = 20;

#[derive(Clone, Copy)]
pub struct Learned {
    /// The entry is safe for the first lease.
    pub pinned: bool,
    /// Leases should be given back.
    pub crowded: bool,
}

/// End of a lease that begins `now`, as `Bucket::release` wants it.
pub fn lease_end(now: u32, lease: u32) -> u16 {
    (((now >> LEASE_UNIT_LOG2) + (lease.min(MAX_LEASE_MS) >> LEASE_UNIT_LOG2) + 1) as u16).max(1)
}

/// A bucket's bytes, owned, so that it can be changed and written back.
pub struct Bucket(Vec<u8>);

impl Bucket {
    /// Takes over a value of the map; anything that is not a bucket becomes an empty one.
    pub fn from_value(value: Option<Vec<u8>>) -> Self {
        match value {
            Some(bytes) if bytes.len() == SIZE && bytes[0] == LAYOUT => Bucket(bytes),
            _ => {
                let mut bytes = vec![0; SIZE];
                bytes[0] = LAYOUT;
                Bucket(bytes)
            }
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn learn(&mut self, fingerprint: u64, tag: &[u8], now: u32, ttl: u32) -> Option<Learned> {
        let way = match self.find(fingerprint, now) {
            Some(way) if self.tag(way) == tag => {
                let learned = self.pin(way, now, FIRST_LEASE_MS);
                self.prolong(way, now, ttl + FIRST_LEASE_MS);
                return Some(learned);
            }
            Some(way) if self.lease_left(way, now) > 0 => return None,
            Some(way) => way,
            None => self.victim(now),
        };
        self.way_mut(way).fill(0);
        let learned = self.pin(way, now, FIRST_LEASE_MS);
        let length = tag.len().min(MAX_TAG);
        let bytes = self.way_mut(way);
        bytes[..8].copy_from_slice(&fingerprint.to_le_bytes());
        bytes[TAG_LENGTH] = length as u8;
        bytes[TAG..TAG + length].copy_from_slice(&tag[..length]);
        let life = if learned.pinned { ttl + FIRST_LEASE_MS } else { ttl };
        self.set_u32(way, EXPIRY, now.wrapping_add(life));
        self.set_u32(way, TOUCHED, now);
        Some(learned)
    }

    /// Goes on holding an entry; true when the bucket changed.
    pub fn renew(&mut self, fingerprint: u64, now: u32, ttl: u32, lease: u32) -> bool {
        let Some(way) = self.find(fingerprint, now) else {
            return false;
        };
        self.pin(way, now, lease);
        self.prolong(way, now, ttl + lease);
        true
    }

    /// Gives back a lease that ends at `end`; true when the bucket changed.
    pub fn release(&mut self, fingerprint: u64, now: u32, end: u16) -> bool {
        match self.find(fingerprint, now) {
            Some(way) if self.lease(way) == end => {
                self.set_lease(way, 0);
                true
            }
            _ => false,
        }
    }

    /// Notes a look-up; true when that is worth writing back.
    pub fn touch(&mut self, way: usize, now: u32, ttl: u32) -> bool {
        let first = self.way(way)[LOOKED_UP] == 0;
        if !first && self.remaining(way, now) >= ttl / 2 {
            return false;
        }
        self.way_mut(way)[LOOKED_UP] = 1;
        self.prolong(way, now, ttl);
        true
    }

    pub fn find(&self, fingerprint: u64, now: u32) -> Option<usize> {
        (0..WAYS).find(|&way| self.fingerprint(way) == fingerprint && self.is_live(way, now))
    }

    pub fn tag(&self, way: usize) -> &[u8] {
        let bytes = self.way(way);
        &bytes[TAG..TAG + usize::from(bytes[TAG_LENGTH]).min(MAX_TAG)]
    }

    /// A free or expired way, else the oldest that nobody looked up, else the oldest; never a pinned one.
    fn victim(&self, now: u32) -> usize {
        let rank = |way: &usize| {
            if !self.is_live(*way, now) {
                return (3u8, 0);
            }
            if self.lease_left(*way, now) > 0 {
                return (0, 0);
            }
            let age = now.wrapping_sub(self.u32_at(*way, TOUCHED));
            (if self.way(*way)[LOOKED_UP] == 0 { 2 } else { 1 }, age)
        };
        (0..WAYS).max_by_key(rank).unwrap_or(0)
    }

    fn pinned_ways(&self, now: u32) -> usize {
        (0..WAYS).filter(|&way| self.lease_left(way, now) > 0 && self.is_live(way, now)).count()
    }

    /// Takes a lease, or keeps a longer one, unless the bucket has its pins already.
    fn pin(&mut self, way: usize, now: u32, lease: u32) -> Learned {
        let left = self.lease_left(way, now);
        let others = self.pinned_ways(now);
        let pinned = left > 0 || others < MAX_PINNED;
        if pinned && left <= (lease.min(MAX_LEASE_MS) >> LEASE_UNIT_LOG2) as u16 {
            self.set_lease(way, lease_end(now, lease));
        }
        Learned { pinned, crowded: others >= CROWD }
    }

    fn lease_left(&self, way: usize, now: u32) -> u16 {
        let end = self.lease(way);
        let left = end.wrapping_sub((now >> LEASE_UNIT_LOG2) as u16);
        let longest = (MAX_LEASE_MS >> LEASE_UNIT_LOG2) as u16 + 1;
        if end != 0 && left <= longest { left } else { 0 }
    }

    fn is_live(&self, way: usize, now: u32) -> bool {
        self.fingerprint(way) != 0 && (1..=MAX_LIFE_MS).contains(&self.remaining(way, now))
    }

    fn remaining(&self, way: usize, now: u32) -> u32 {
        self.u32_at(way, EXPIRY).wrapping_sub(now)
    }

    fn prolong(&mut self, way: usize, now: u32, life: u32) {
        if self.remaining(way, now) < life {
            self.set_u32(way, EXPIRY, now.wrapping_add(life));
        }
        self.set_u32(way, TOUCHED, now);
    }

    fn way(&self, way: usize) -> &[u8] {
        &self.0[HEADER + way * WAY_SIZE..HEADER + (way + 1) * WAY_SIZE]
    }

    fn way_mut(&mut self, way: usize) -> &mut [u8] {
        &mut self.0[HEADER + way * WAY_SIZE..HEADER + (way + 1) * WAY_SIZE]
    }

    fn fingerprint(&self, way: usize) -> u64 {
        u64::from_le_bytes(self.way(way)[..8].try_into().expect("eight bytes"))
    }

    fn lease(&self, way: usize) -> u16 {
        u16::from_le_bytes(self.way(way)[LEASE..LEASE + 2].try_into().expect("two bytes"))
    }

    fn set_lease(&mut self, way: usize, end: u16) {
        self.way_mut(way)[LEASE..LEASE + 2].copy_from_slice(&end.to_le_bytes());
    }

    fn u32_at(&self, way: usize, at: usize) -> u32 {
        u32::from_le_bytes(self.way(way)[at..at + 4].try_into().expect("four bytes"))
    }

    fn set_u32(&mut self, way: usize, at: usize, value: u32) {
        self.way_mut(way)[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}
