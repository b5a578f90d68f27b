//! Rows with what a model says of them.

/// What the two towers of an entire-space model say of n rows ([`entire_space`](crate::models::entire_space)).
#[derive(Clone, Copy, Debug)]
pub struct Towers<'a> {
    /// Whether each row was clicked, 0 or 1 `[n]`.
    pub clicks: &'a [f32],
    /// Log-odds of the click `[n]`.
    pub ctr: &'a [f32],
    /// Log-odds of the label after a click `[n]`.
    pub cvr: &'a [f32],
}

/// Predictions of n rows and all that scores them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scored<'a> {
    /// What the model says: log-odds, `[n]`.
    pub logits: &'a [f32],
    /// 0 or 1 `[n]`.
    pub labels: &'a [f32],
    /// Scenario numbers `[n]`.
    pub scenarios: &'a [u32],
    /// User keys `[n]`, for GAUC.
    pub users: Option<&'a [u64]>,
    /// How much each row counts `[n]`, finite and not negative; each counts 1 without them.
    pub weights: Option<&'a [f32]>,
    /// What stands behind the prediction, where that is a product.
    pub towers: Option<Towers<'a>>,
}

impl Scored<'_> {
    /// # Panics
    /// When the slices have different lengths.
    pub(in crate::train::evaluation) fn check(&self) {
        let rows = self.logits.len();
        assert_eq!(rows, self.labels.len(), "one label per logit");
        assert_eq!(rows, self.scenarios.len(), "one scenario per logit");
        if let Some(users) = self.users {
            assert_eq!(rows, users.len(), "one user per logit");
        }
        if let Some(weights) = self.weights {
            assert_eq!(rows, weights.len(), "one weight per logit");
        }
        if let Some(Towers { clicks, ctr, cvr }) = self.towers {
            assert_eq!([rows; 3], [clicks.len(), ctr.len(), cvr.len()], "one click and two logits of towers per logit");
        }
    }

    /// The rows with these numbers, in that order.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn select(&self, chosen: &[usize]) -> ScoredRows {
        fn pick<T: Copy>(values: &[T], chosen: &[usize]) -> Vec<T> {
            chosen.iter().map(|&row| values[row]).collect()
        }
        ScoredRows {
            logits: pick(self.logits, chosen),
            labels: pick(self.labels, chosen),
            scenarios: pick(self.scenarios, chosen),
            users: self.users.map(|users| pick(users, chosen)),
            weights: self.weights.map(|weights| pick(weights, chosen)),
            towers: self.towers.map(|towers| [towers.clicks, towers.ctr, towers.cvr].map(|of| pick(of, chosen))),
        }
    }
}

/// [`Scored`] that owns its rows.
#[derive(Clone, Debug, Default)]
pub struct ScoredRows {
    /// As [`Scored::logits`].
    pub logits: Vec<f32>,
    /// As [`Scored::labels`].
    pub labels: Vec<f32>,
    /// As [`Scored::scenarios`].
    pub scenarios: Vec<u32>,
    /// As [`Scored::users`].
    pub users: Option<Vec<u64>>,
    /// As [`Scored::weights`].
    pub weights: Option<Vec<f32>>,
    /// As [`Scored::towers`]: clicks, and the logits of clicks and of labels after them.
    pub towers: Option<[Vec<f32>; 3]>,
}

impl ScoredRows {
    /// Adds rows behind those that are there. All have users, weights and towers, or none has.
    pub fn extend(&mut self, rows: &Scored<'_>) {
        self.logits.extend_from_slice(rows.logits);
        self.labels.extend_from_slice(rows.labels);
        self.scenarios.extend_from_slice(rows.scenarios);
        if let Some(users) = rows.users {
            self.users.get_or_insert_default().extend_from_slice(users);
        }
        if let Some(weights) = rows.weights {
            self.weights.get_or_insert_default().extend_from_slice(weights);
        }
        if let Some(Towers { clicks, ctr, cvr }) = rows.towers {
            let all = self.towers.get_or_insert_default();
            all.iter_mut().zip([clicks, ctr, cvr]).for_each(|(all, more)| all.extend_from_slice(more));
        }
    }

    /// The rows, borrowed.
    pub fn view(&self) -> Scored<'_> {
        Scored {
            logits: &self.logits,
            labels: &self.labels,
            scenarios: &self.scenarios,
            users: self.users.as_deref(),
            weights: self.weights.as_deref(),
            towers: self.towers.as_ref().map(|[clicks, ctr, cvr]| Towers { clicks, ctr, cvr }),
        }
    }
}
