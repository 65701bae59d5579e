//! The random numbers: a PCG generator and the few draws this crate needs from it.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng;

use crate::mix::mix64;

/// A seeded source of choices, the same on every platform.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    pcg: Pcg64Mcg,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        let high = u128::from(mix64(seed));
        let low = u128::from(mix64(seed ^ 0x6164_7069_7065));
        Self { pcg: Pcg64Mcg::new(high << 64 | low) }
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.pcg.next_u64()
    }

    /// 32 random bits.
    pub(crate) fn bits32(&mut self) -> u32 {
        (self.pcg.next_u64() >> 32) as u32
    }

    /// A number in `0..bound` (0 when `bound` is 0). The bias of the multiplication, at most
    /// bound / 2^32, is nothing that these data could show.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        scale(self.bits32(), bound)
    }

    /// A number in `from..=to`.
    pub(crate) fn between(&mut self, from: u32, to: u32) -> u32 {
        debug_assert!(from <= to);
        from + self.below(to - from + 1)
    }

    /// A number in `0..bound` in which low numbers are more frequent: the product of two uniform
    /// draws, whose density falls like -ln(x).
    pub(crate) fn skewed_below(&mut self, bound: u32) -> u32 {
        let bits = self.bits();
        let product = scale((bits >> 32) as u32, bits as u32);
        scale(product, bound)
    }

    /// One element of `choices`, or `None` of nothing.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let index = self.below(choices.len() as u32) as usize;
        choices.get(index)
    }
}

/// Maps 32 uniform bits to `0..bound`.
pub(crate) fn scale(bits: u32, bound: u32) -> u32 {
    ((u64::from(bits) * u64::from(bound)) >> 32) as u32
}
