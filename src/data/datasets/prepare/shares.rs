//! A random split of a known number of rows into shares that are met exactly.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::data::schema::SplitName;

/// Which split each of so many rows is in: every choice of the valid and test rows is as likely as any other.
pub(crate) struct ExactShares {
    seed: u64,
    row: u64,
    /// Rows left to give to train, valid and test.
    left: [u64; 3],
}

impl ExactShares {
    /// So many tenths of the rows, each rounded, are valid and test.
    ///
    /// # Panics
    /// When they are more than half of the rows.
    pub(crate) fn tenths([valid, test]: [u64; 2], rows: u64, seed: u64) -> Self {
        assert!(valid + test <= 5, "most rows are left to learn from");
        let [valid, test] = [valid, test].map(|tenths| (tenths * rows + 5) / 10);
        Self { seed, row: 0, left: [rows - valid - test, valid, test] }
    }

    /// The split of the next row.
    ///
    /// # Panics
    /// When there are more rows than were said.
    pub(crate) fn next(&mut self) -> SplitName {
        let left: u64 = self.left.iter().sum();
        assert!(left > 0, "no more rows than were counted");
        // The high half of a product with a random 64-bit number is uniform below the other factor.
        let random = xxh3_64_with_seed(&self.row.to_le_bytes(), self.seed);
        let mut place = ((u128::from(random) * u128::from(left)) >> 64) as u64;
        self.row += 1;
        for (split, left) in SplitName::ALL.into_iter().zip(&mut self.left) {
            if place < *left {
                *left -= 1;
                return split;
            }
            place -= *left;
        }
        unreachable!("the place is below the sum")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_met_exactly_and_spread_evenly() {
        let splits = |rows, seed| {
            let mut shares = ExactShares::tenths([1, 1], rows, seed);
            (0..rows).map(|_| shares.next()).collect::<Vec<_>>()
        };
        let found = splits(1_005, 1);
        let count = |split, part: &[SplitName]| part.iter().filter(|&&found| found == split).count();
        assert_eq!(SplitName::ALL.map(|split| count(split, &found)), [803, 101, 101]);
        let early = count(SplitName::Test, &found[..500]);
        assert!((35..=65).contains(&early), "{early}");
        assert_eq!(found, splits(1_005, 1));
        assert_ne!(found, splits(1_005, 2));
        assert_eq!(ExactShares::tenths([2, 1], 1_004, 0).left, [703, 201, 100]);
        assert_eq!(splits(3, 0).len(), 3);
        assert!(splits(0, 0).is_empty());
    }
}
