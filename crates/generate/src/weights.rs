//! Drawing an index by weight in constant time: Walker's alias method (Walker 1977, built as in
//! Vose 1991), in integers.

use crate::chance::{Chance, scale};

/// Indexes with their weights.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    columns: Vec<Column>,
}

/// One column of the alias table: its own index below the threshold, the alias above.
#[derive(Debug, Clone, Copy)]
struct Column {
    threshold: u32,
    alias: u32,
}

impl Weights {
    /// A table over `weights`; an empty or all-zero one always draws 0.
    pub(crate) fn new(weights: &[u32]) -> Self {
        let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
        if total == 0 {
            return Self { columns: vec![Column { threshold: u32::MAX, alias: 0 }] };
        }
        // A column is full at `total`; its index alone fills `weight * columns`.
        let mut fill: Vec<u128> =
            weights.iter().map(|&weight| u128::from(weight) * weights.len() as u128).collect();
        let mut columns: Vec<Column> =
            (0..weights.len() as u32).map(|index| Column { threshold: u32::MAX, alias: index }).collect();
        let (mut under, mut over): (Vec<usize>, Vec<usize>) =
            (0..fill.len()).partition(|&index| fill[index] < total);
        while let (Some(poor), Some(&rich)) = (under.pop(), over.last()) {
            columns[poor] = Column { threshold: ((fill[poor] << 32) / total) as u32, alias: rich as u32 };
            fill[rich] -= total - fill[poor];
            if fill[rich] < total {
                over.pop();
                under.push(rich);
            }
        }
        Self { columns }
    }

    /// A table of `count` indexes whose weight falls with the rank like Zipf's law,
    /// 1 / (rank + `flatness`); the larger `flatness`, the less the first ones dominate.
    pub(crate) fn zipf(count: u32, flatness: u32) -> Self {
        let weights: Vec<u32> = (0..count).map(|rank| u32::MAX / (rank + flatness.max(1))).collect();
        Self::new(&weights)
    }

    /// Draws an index.
    pub(crate) fn draw(&self, chance: &mut Chance) -> usize {
        let bits = chance.bits();
        let index = scale((bits >> 32) as u32, self.columns.len() as u32) as usize;
        let column = self.columns[index];
        if (bits as u32) < column.threshold { index } else { column.alias as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_weights() {
        let wanted = [700_u32, 250, 49, 1, 0];
        let weights = Weights::new(&wanted);
        let mut chance = Chance::new(5);
        let mut counts = [0_u32; 5];
        for _ in 0..1_000_000 {
            counts[weights.draw(&mut chance)] += 1;
        }
        for (count, weight) in counts.iter().zip(wanted) {
            let difference = count.abs_diff(weight * 1_000);
            assert!(difference < 2_500, "{counts:?}");
        }
    }

    #[test]
    fn nothing_draws_zero() {
        let mut chance = Chance::new(5);
        assert_eq!(Weights::new(&[]).draw(&mut chance), 0);
        assert_eq!(Weights::new(&[0, 0]).draw(&mut chance), 0);
    }
}
