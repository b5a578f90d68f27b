//! The metrics of one group of rows under any weights, with all that does not depend on weights done beforehand.

use crate::train::evaluation::metrics::{Scored, descending, entropy, is_positive, row_loss};

/// Metrics that have intervals: AUC, PR-AUC, LogLoss, normalised entropy, GAUC, calibration.
pub(super) const NUMBERS: usize = 6;

/// The metrics of one resample, in the order above.
pub(super) type Numbers = [Option<f64>; NUMBERS];

/// A row in an order: its number in the lower 30 bits, above them what it is.
#[derive(Clone, Copy)]
struct Place(u32);

impl Place {
    const POSITIVE: u32 = 1 << 31;
    /// The next row has another score, or is another user's.
    const LAST: u32 = 1 << 30;

    fn row(self) -> usize {
        (self.0 & (Self::LAST - 1)) as usize
    }

    fn is_positive(self) -> bool {
        self.0 & Self::POSITIVE != 0
    }

    fn is_last(self) -> bool {
        self.0 & Self::LAST != 0
    }
}

/// Rows by score, the highest first; none where a score is not a number.
pub(super) struct Ranking(Option<Vec<Place>>);

impl Ranking {
    /// Of all rows.
    pub(super) fn new(rows: &Scored<'_>) -> Ranking {
        let every: Vec<u32> = counted(rows, &mut (0..rows.logits.len()));
        Ranking(order(rows, &every, &|_| 0).map(|order| places(rows, &order)))
    }

    /// The AUC, where row `r` counts `weights[r]` times.
    pub(super) fn auc(&self, weights: &[f64]) -> Option<f64> {
        self.curve(weights).auc()
    }

    fn curve(&self, weights: &[f64]) -> Curve {
        self.0.as_ref().map(|ranked| Curve::of(ranked, weights)).unwrap_or_default()
    }
}

/// The rows of a group, sorted.
pub(super) struct Group {
    ranking: Ranking,
    /// For each row of the group what it adds: its number, loss and probability, whether it is positive.
    sums: Vec<(u32, bool, f64, f64)>,
    /// By user, then by score; where each user ends.
    by_user: Option<(Vec<Place>, Vec<usize>)>,
}

/// The rows that count at all.
fn counted(rows: &Scored<'_>, chosen: &mut dyn Iterator<Item = usize>) -> Vec<u32> {
    assert!(rows.logits.len() <= Place::LAST as usize, "at most 2^30 rows");
    let counts = |row: &usize| rows.weights.is_none_or(|weights| weights[*row] > 0.0);
    chosen.filter(counts).map(|row| row as u32).collect()
}

/// A row in an order by user and score: the user, what the score sorts by, the row.
type Key = (u64, u32, u32);

/// Rows by user, then by score; `None` where a score is not a number.
fn order(rows: &Scored<'_>, chosen: &[u32], user: &dyn Fn(usize) -> u64) -> Option<Vec<Key>> {
    let key = |&row: &u32| Some((user(row as usize), descending(rows.logits[row as usize])?, row));
    let mut order = chosen.iter().map(key).collect::<Option<Vec<Key>>>()?;
    order.sort_unstable();
    Some(order)
}

fn places(rows: &Scored<'_>, order: &[Key]) -> Vec<Place> {
    let is_last = |at: usize| order.get(at + 1).is_none_or(|next| (next.0, next.1) != (order[at].0, order[at].1));
    let place = |(at, &(_, _, row)): (usize, &Key)| {
        let positive = if is_positive(rows.labels[row as usize]) { Place::POSITIVE } else { 0 };
        Place(row | positive | if is_last(at) { Place::LAST } else { 0 })
    };
    order.iter().enumerate().map(place).collect()
}

impl Group {
    /// Of these rows, but for those of weight 0.
    pub(super) fn new(rows: &Scored<'_>, chosen: &[usize]) -> Group {
        let chosen = counted(rows, &mut chosen.iter().copied());
        let sums = chosen.iter().map(|&row| {
            let (logit, label) = (rows.logits[row as usize], rows.labels[row as usize]);
            let (loss, predicted) = row_loss(logit, label);
            (row, is_positive(label), loss, predicted)
        });
        let sums = sums.collect();
        let by_user = rows.users.and_then(|users| {
            let order = order(rows, &chosen, &|row| users[row])?;
            let mut ends: Vec<usize> = Vec::new();
            for own in order.chunk_by(|a, b| a.0 == b.0) {
                ends.push(ends.last().copied().unwrap_or(0) + own.len());
            }
            Some((places(rows, &order), ends))
        });
        let ranking = Ranking(order(rows, &chosen, &|_| 0).map(|order| places(rows, &order)));
        Group { ranking, sums, by_user }
    }

    /// The metrics, where row `r` counts `weights[r]` times.
    pub(super) fn numbers(&self, weights: &[f64]) -> Numbers {
        let (mut all, mut positives, mut loss, mut predicted) = (0.0, 0.0, 0.0, 0.0);
        for &(row, is_positive, own_loss, own_predicted) in &self.sums {
            let weight = weights[row as usize];
            all += weight;
            positives += if is_positive { weight } else { 0.0 };
            loss += weight * own_loss;
            predicted += weight * own_predicted;
        }
        let logloss = (all > 0.0).then(|| loss / all);
        let curve = self.ranking.curve(weights);
        [
            curve.auc(),
            curve.pr_auc(),
            logloss,
            logloss.zip(entropy(positives, all)).map(|(loss, of)| loss / of),
            self.gauc(weights),
            (positives > 0.0).then(|| predicted / positives),
        ]
    }

    fn gauc(&self, weights: &[f64]) -> Option<f64> {
        let (places, ends) = self.by_user.as_ref()?;
        let (mut sum, mut all, mut start) = (0.0, 0.0, 0);
        for &end in ends {
            let curve = Curve::of(&places[start..end], weights);
            if let Some(auc) = curve.auc() {
                sum += auc * (curve.positives + curve.negatives);
                all += curve.positives + curve.negatives;
            }
            start = end;
        }
        (all > 0.0).then(|| sum / all)
    }
}

/// What one pass over rows finds, the highest scores first.
#[derive(Clone, Copy, Default)]
struct Curve {
    positives: f64,
    negatives: f64,
    /// Over pairs of a positive and a negative row: the weight of those in the right order, ties one half.
    won: f64,
    /// Over positives: weight times precision down to their score.
    precision: f64,
}

impl Curve {
    fn of(places: &[Place], weights: &[f64]) -> Curve {
        let mut curve = Curve::default();
        let (mut positives, mut negatives) = (0.0, 0.0);
        for &place in places {
            let weight = weights[place.row()];
            if place.is_positive() {
                positives += weight;
            } else {
                negatives += weight;
            }
            if place.is_last() {
                curve.add(positives, negatives);
                (positives, negatives) = (0.0, 0.0);
            }
        }
        curve
    }

    /// Adds the rows of the next score.
    fn add(&mut self, positives: f64, negatives: f64) {
        self.won += negatives * (self.positives + positives / 2.0);
        self.positives += positives;
        self.negatives += negatives;
        if positives > 0.0 {
            self.precision += positives * (self.positives / (self.positives + self.negatives));
        }
    }

    fn auc(&self) -> Option<f64> {
        let pairs = self.positives * self.negatives;
        (pairs > 0.0).then(|| self.won / pairs)
    }

    fn pr_auc(&self) -> Option<f64> {
        (self.positives > 0.0).then(|| self.precision / self.positives)
    }
}
