//! Who is shown what: the features of each row, before anyone decides whether it converts.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};
use rand_pcg::Pcg64Mcg;

use crate::data::datasets::synthetic::SyntheticOptions;
use crate::data::datasets::synthetic::fields::{FIELDS, Field, sizes};

/// One row's features. `ids[field as usize]` is a field's value, from 0 to the field's size.
pub(crate) struct Features {
    pub(crate) ids: [u64; FIELDS.len()],
    /// Items the user has seen before, the latest last.
    pub(crate) history: Vec<u64>,
    /// A uniform number in [0, 1) that decides the label.
    pub(crate) chance: f64,
    /// Another that decides the click.
    pub(crate) click_chance: f64,
}

impl Features {
    pub(crate) fn of(&self, field: Field) -> u64 {
        self.ids[field as usize]
    }
}

/// The users, the items and how they meet.
pub(crate) struct Population {
    seed: u64,
    sizes: [u64; FIELDS.len()],
    /// Cumulative shares of the scenarios, the largest first.
    shares: Vec<f64>,
    users: Ids,
    items: Ids,
    longest_history: u32,
    vocabulary: u64,
    day: u64,
}

/// What a hash or a random stream is for: its salt.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Row,
    Pilot,
    History,
    ScenarioItems,
    InterestItems,
    Attribute,
    Circumstance,
    Price,
    Hidden,
    Weight,
    Effect,
    Offset,
    Rate,
    BestAuc,
    Drift,
    Renewal,
    Click,
}

/// Days for which a user or an item is there.
const LIFE: u64 = 20;

impl Population {
    pub(crate) fn new(options: &SyntheticOptions) -> Population {
        let mut total = 0.0;
        let mut shares: Vec<f64> = (0..options.scenarios)
            .map(|scenario| {
                total += 1.0 / f64::from(scenario + 1);
                total
            })
            .collect();
        shares.iter_mut().for_each(|share| *share /= total);
        Population {
            seed: options.seed,
            sizes: sizes(options),
            shares,
            // A few users see much, yet none sees everything; items are as skewed as in shops.
            users: Ids::new(options.vocabulary, 0.8),
            items: Ids::new(options.vocabulary, 1.1),
            longest_history: options.sequence,
            vocabulary: options.vocabulary,
            day: options.day.into(),
        }
    }

    /// The features of row `number` of the file.
    pub(crate) fn row(&self, number: u64) -> Features {
        // Files have at most 2^48 rows.
        let mut stream = stream(self.seed, Purpose::Row, [number | self.day << 48]);
        let u: f64 = stream.random();
        let scenario = self.shares.partition_point(|&share| share <= u).min(self.shares.len() - 1);
        self.meet(scenario as u64, &mut stream)
    }

    /// Row `number` of a sample of one scenario; such rows are not in the file.
    pub(crate) fn pilot(&self, scenario: u32, number: u64) -> Features {
        let mut stream = stream(self.seed, Purpose::Pilot, [scenario.into(), number]);
        self.meet(scenario.into(), &mut stream)
    }

    /// What describes an item: the ids of its category, brand, shop and price bucket.
    pub(crate) fn describe_item(&self, item: u64) -> [u64; 4] {
        [Field::Category, Field::Brand, Field::Shop, Field::PriceBucket].map(|field| self.attribute(field, item))
    }

    /// An item's price: the buckets are ranges of it, each 1.6 times as wide as the one before.
    pub(crate) fn price(&self, item: u64) -> f32 {
        let bucket = self.attribute(Field::PriceBucket, item) as i32;
        let within = unit(hash(self.seed, Purpose::Price, [item]));
        (1.6f64.powi(bucket) * (1.0 + 0.6 * within)) as f32
    }

    /// A user meets an item in a scenario.
    fn meet(&self, scenario: u64, stream: &mut Pcg64Mcg) -> Features {
        let mut ids = [0; FIELDS.len()];
        let mut set = |field: Field, id: u64| ids[field as usize] = id;
        let user = self.renewed(Field::UserId, self.users.sample(stream));
        let item = self.item(Purpose::ScenarioItems, scenario, stream);
        set(Field::Scenario, scenario);
        set(Field::UserId, user);
        for field in [Field::AgeGroup, Field::City, Field::Occupation, Field::Interest] {
            set(field, self.attribute(field, user));
        }
        set(Field::ItemId, item);
        let [category, brand, shop, price] = self.describe_item(item);
        set(Field::Category, category);
        set(Field::Brand, brand);
        set(Field::Shop, shop);
        set(Field::PriceBucket, price);
        for field in [Field::Channel, Field::Daypart, Field::Device, Field::Position, Field::Weekday] {
            set(field, self.circumstance(field, scenario, stream));
        }
        let history = self.history(user, stream);
        Features { ids, history, chance: stream.random(), click_chance: stream.random() }
    }

    /// An item: one half of the time what is popular everywhere, else what is popular in this scenario or with users
    /// of this interest.
    fn item(&self, purpose: Purpose, group: u64, stream: &mut Pcg64Mcg) -> u64 {
        let rank = self.items.sample(stream);
        let item = match stream.random::<bool>() {
            true => rank,
            false => (rank + hash(self.seed, purpose, [group]) % self.items.count) % self.items.count,
        };
        self.renewed(Field::ItemId, item)
    }

    /// Who stands in a user's or an item's place on this day: every [`LIFE`] days, not all at once, it is another.
    fn renewed(&self, field: Field, id: u64) -> u64 {
        let phase = hash(self.seed, Purpose::Renewal, [field as u64, id]) % LIFE;
        id + (self.day + phase) / LIFE * self.vocabulary
    }

    /// A value that describes a user or an item and never changes; low values are more common.
    fn attribute(&self, field: Field, id: u64) -> u64 {
        let u = unit(hash(self.seed, Purpose::Attribute, [field as u64, id]));
        skewed(u, self.sizes[field as usize])
    }

    /// A value that goes with the moment; each scenario has other common ones.
    fn circumstance(&self, field: Field, scenario: u64, stream: &mut Pcg64Mcg) -> u64 {
        let size = self.sizes[field as usize];
        let shift = hash(self.seed, Purpose::Circumstance, [field as u64, scenario]);
        (skewed(stream.random(), size) + shift % size) % size
    }

    /// A stretch of the events of a user's life, which do not depend on the row that looks at them.
    fn history(&self, user: u64, stream: &mut Pcg64Mcg) -> Vec<u64> {
        if self.longest_history == 0 {
            return Vec::new();
        }
        let length = stream.random_range(0..=u64::from(self.longest_history));
        let end = length + stream.random_range(0..u64::from(self.longest_history) * 4);
        let interest = self.attribute(Field::Interest, user);
        let event = |event| {
            let mut stream = self::stream(self.seed, Purpose::History, [user, event]);
            self.item(Purpose::InterestItems, interest, &mut stream)
        };
        (end - length..end).map(event).collect()
    }
}

/// Zipf-distributed ids: id 0 is the most common.
struct Ids {
    count: u64,
    ranks: Option<Zipf<f64>>,
}

impl Ids {
    fn new(count: u64, exponent: f64) -> Ids {
        Ids { count, ranks: Zipf::new(count as f64, exponent).ok() }
    }

    fn sample(&self, stream: &mut Pcg64Mcg) -> u64 {
        let rank = self.ranks.map_or(1.0, |ranks| ranks.sample(stream));
        (rank as u64).clamp(1, self.count) - 1
    }
}

/// A value below `size` from a uniform number in [0, 1), the low ones more common.
fn skewed(u: f64, size: u64) -> u64 {
    ((u.powf(1.5) * size as f64) as u64).min(size - 1)
}

/// The random stream that belongs to one thing alone.
fn stream<const N: usize>(seed: u64, purpose: Purpose, of: [u64; N]) -> Pcg64Mcg {
    Pcg64Mcg::seed_from_u64(hash(seed, purpose, of))
}

/// 64 well-mixed bits that belong to one thing alone.
pub(crate) fn hash<const N: usize>(seed: u64, purpose: Purpose, of: [u64; N]) -> u64 {
    of.into_iter().fold(mix(mix(seed) ^ purpose as u64), |hash, word| mix(hash ^ word))
}

/// A uniform number in [0, 1) from 64 random bits.
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// One step of SplitMix64.
fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
