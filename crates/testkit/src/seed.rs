//! Chance that can be repeated.

use std::time::SystemTime;

/// The seed of this run: `ADPIPE_TEST_SEED`, or the current time; printed, so that a failure can be
/// replayed.
pub fn seed() -> u64 {
    let given = std::env::var("ADPIPE_TEST_SEED").ok().map(|seed| seed.parse().expect("a seed is a number"));
    let seed = given.unwrap_or_else(|| SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    println!("ADPIPE_TEST_SEED={seed} does the same again");
    seed
}

/// How many bits are flipped: `ADPIPE_TEST_FLIPS`, or as many as there is time for every day.
pub fn flips(everyday: u64) -> u64 {
    std::env::var("ADPIPE_TEST_FLIPS").map_or(everyday, |flips| flips.parse().expect("flips are a number"))
}

/// "Random" numbers that the [`seed`] decides (Knuth's MMIX generator).
pub struct Dice(pub u64);

impl Dice {
    /// A number from 0 to just below the limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
