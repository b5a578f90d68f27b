//! What is counted over the train rows: categories, moments, quantiles.

/// How often each id was seen, and in which order ids came first.
pub(crate) struct Counts {
    counts: Vec<u64>,
    order: Vec<u32>,
}

impl Counts {
    /// For ids from 0 to `ids - 1`.
    pub(crate) fn new(ids: usize) -> Counts {
        Counts { counts: vec![0; ids], order: Vec::new() }
    }

    #[inline]
    pub(crate) fn add(&mut self, id: u32) {
        let count = &mut self.counts[id as usize];
        if *count == 0 {
            self.order.push(id);
        }
        *count += 1;
    }

    /// All ids that were seen and their counts, the first seen first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (u32, u64)> {
        self.order.iter().map(|id| (*id, self.counts[*id as usize]))
    }
}

/// Running mean and variance (Welford), which lose no digits to a large mean.
#[derive(Default)]
pub(crate) struct Moments {
    n: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        self.n += 1;
        let before = x - self.mean;
        self.mean += before / self.n as f64;
        self.squares += before * (x - self.mean);
    }

    /// How many numbers were added.
    pub(crate) fn count(&self) -> u64 {
        self.n
    }

    /// Whether all numbers that were added are the same.
    pub(crate) fn is_constant(&self) -> bool {
        self.squares == 0.0
    }

    /// 0 when nothing was added.
    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// The population's standard deviation; 1 where all values are equal, so that it can divide.
    pub(crate) fn std(&self) -> f64 {
        let std = (self.squares / self.n.max(1) as f64).sqrt();
        if std > 0.0 && std.is_finite() { std } else { 1.0 }
    }
}

/// An evenly spaced sample of a stream, for quantiles: all values up to [`Sample::MOST`], then every second, fourth...
pub(crate) struct Sample {
    values: Vec<f64>,
    seen: u64,
    stride: u64,
    max: usize,
}

impl Default for Sample {
    fn default() -> Self {
        Sample { values: Vec::new(), seen: 0, stride: 1, max: Sample::MOST }
    }
}

impl Sample {
    /// Quantiles of 4 million values are exact to far less than a bucket.
    const MOST: usize = 1 << 22;

    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        if self.seen.is_multiple_of(self.stride) {
            if self.values.len() == self.max {
                let mut k = 0;
                self.values.retain(|_| {
                    k += 1;
                    k % 2 == 1
                });
                self.stride *= 2;
            }
            if self.seen.is_multiple_of(self.stride) {
                self.values.push(x);
            }
        }
        self.seen += 1;
    }

    /// Whether nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values at which a new one of at most `buckets` quantile buckets begins; fewer where values repeat.
    pub(crate) fn edges(mut self, buckets: u32) -> Vec<f64> {
        self.values.sort_unstable_by(f64::total_cmp);
        let n = self.values.len();
        let mut edges: Vec<f64> =
            (1..buckets as usize).filter_map(|k| self.values.get(k * n / buckets as usize).copied()).collect();
        edges.dedup();
        // The smallest value begins the first bucket, which needs no edge.
        if edges.first() == self.values.first() {
            edges.drain(..1.min(edges.len()));
        }
        edges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_remember_the_order() {
        let mut counts = Counts::new(5);
        [3, 1, 3, 4, 1, 3].iter().for_each(|id| counts.add(*id));
        assert_eq!(counts.in_order().collect::<Vec<_>>(), [(3, 3), (1, 2), (4, 1)]);
    }

    #[test]
    fn moments_survive_a_large_mean_and_a_constant() {
        let mut moments = Moments::default();
        (0..1000).for_each(|k| moments.add(1e9 + f64::from(k % 2)));
        assert!((moments.mean() - 1e9 - 0.5).abs() < 1e-6);
        assert!((moments.std() - 0.5).abs() < 1e-9);
        let mut constant = Moments::default();
        (0..10).for_each(|_| constant.add(0.1));
        assert_eq!(constant.std(), 1.0);
        assert_eq!((Moments::default().mean(), Moments::default().std()), (0.0, 1.0));
    }

    #[test]
    fn edges_cut_the_values_in_equal_parts() {
        let mut sample = Sample::default();
        (0..100).for_each(|k| sample.add(f64::from((k * 37) % 100)));
        assert_eq!(sample.edges(4), [25.0, 50.0, 75.0]);
        let mut repeated = Sample::default();
        [0.0, 0.0, 0.0, 0.0, 0.0, 1.0].iter().for_each(|x| repeated.add(*x));
        assert_eq!(repeated.edges(6), [1.0]);
        assert!(Sample::default().edges(3).is_empty());
    }

    #[test]
    fn a_long_stream_is_thinned_evenly() {
        let mut sample = Sample { max: 64, ..Sample::default() };
        (0..10_000).for_each(|k| sample.add(f64::from(k)));
        assert!(sample.values.len() <= 64 && sample.values.len() > 20);
        let gaps: Vec<f64> = sample.values.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(gaps.iter().all(|g| *g == sample.stride as f64), "{gaps:?}");
        for (edge, expected) in sample.edges(4).iter().zip([2500.0, 5000.0, 7500.0]) {
            assert!((edge - expected).abs() < 400.0);
        }
    }
}
