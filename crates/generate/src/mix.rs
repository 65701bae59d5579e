//! Hashes that never collide: ids and codes are mixed counters.

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64 bits.
pub(crate) fn mix64(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The finalizer of MurmurHash3 (Appleby): a bijection of 32 bits, so that the codes of one
/// table differ whenever their indexes do.
pub(crate) fn mix32(value: u32) -> u32 {
    let mut mixed = value;
    mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x85eb_ca6b);
    mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
    mixed ^ (mixed >> 16)
}

/// The code at `index` of the table named by `salt`.
pub(crate) fn code(salt: u32, index: u32) -> u32 {
    mix32(index.wrapping_add(salt.wrapping_mul(0x9e37_79b9)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_a_table_differ() {
        let mut codes: Vec<u32> = (0..100_000).map(|index| code(3, index)).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 100_000);
    }
}
