//! The sixteen fields of a synthetic row, four of them scenario-aware as in the papers' workloads.

use crate::data::datasets::synthetic::SyntheticOptions;

/// A field's place in a row, and the salt of all its hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Field {
    Scenario,
    Channel,
    AgeGroup,
    Daypart,
    UserId,
    City,
    Occupation,
    Interest,
    ItemId,
    Category,
    Brand,
    Shop,
    PriceBucket,
    Device,
    Position,
    Weekday,
}

/// A field as a column.
pub(crate) struct Description {
    pub(crate) field: Field,
    pub(crate) name: &'static str,
    pub(crate) aware: bool,
    /// The values' names; none where a value is written as its number.
    pub(crate) values: &'static [&'static str],
}

const CHANNELS: [&str; 6] = ["feed", "search", "push", "mail", "partner", "direct"];
const AGE_GROUPS: [&str; 8] = ["25-29", "30-34", "18-24", "35-44", "45-54", "55-64", "under-18", "65-up"];
const DAYPARTS: [&str; 6] = ["evening", "noon", "afternoon", "morning", "late", "night"];
const DEVICES: [&str; 8] =
    ["android", "iphone", "desktop", "android-tablet", "ipad", "laptop", "television", "console"];
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// All fields in column order, the scenario-aware ones first.
pub(crate) const FIELDS: [Description; 16] = [
    aware(Field::Scenario, "scenario", &[]),
    aware(Field::Channel, "channel", &CHANNELS),
    aware(Field::AgeGroup, "age_group", &AGE_GROUPS),
    aware(Field::Daypart, "daypart", &DAYPARTS),
    agnostic(Field::UserId, "user_id", &[]),
    agnostic(Field::City, "city", &[]),
    agnostic(Field::Occupation, "occupation", &[]),
    agnostic(Field::Interest, "interest", &[]),
    agnostic(Field::ItemId, "item_id", &[]),
    agnostic(Field::Category, "category", &[]),
    agnostic(Field::Brand, "brand", &[]),
    agnostic(Field::Shop, "shop", &[]),
    agnostic(Field::PriceBucket, "price_bucket", &[]),
    agnostic(Field::Device, "device", &DEVICES),
    agnostic(Field::Position, "position", &[]),
    agnostic(Field::Weekday, "weekday", &WEEKDAYS),
];

const fn aware(field: Field, name: &'static str, values: &'static [&'static str]) -> Description {
    Description { field, name, aware: true, values }
}

const fn agnostic(field: Field, name: &'static str, values: &'static [&'static str]) -> Description {
    Description { field, name, aware: false, values }
}

/// How many values each field has, by [`Field`]. Ids of users and items share the vocabulary option; what describes
/// them has far fewer values, so that most of the truth repeats often enough to be learned.
pub(crate) fn sizes(options: &SyntheticOptions) -> [u64; FIELDS.len()] {
    let vocabulary = options.vocabulary;
    let mut sizes = [0; FIELDS.len()];
    for (description, size) in FIELDS.iter().zip(&mut sizes) {
        *size = match description.field {
            Field::Scenario => options.scenarios.into(),
            Field::UserId | Field::ItemId => vocabulary,
            Field::City => (vocabulary / 200).clamp(20, 2000),
            Field::Occupation => 20,
            Field::Interest => 24,
            Field::Category => (vocabulary / 200).clamp(20, 500),
            Field::Brand => (vocabulary / 100).clamp(20, 20_000),
            Field::Shop => (vocabulary / 50).clamp(20, 100_000),
            Field::PriceBucket | Field::Position => 10,
            Field::Channel | Field::AgeGroup | Field::Daypart | Field::Device | Field::Weekday => {
                description.values.len() as u64
            }
        };
    }
    sizes
}

/// The name of a scenario in its column.
pub(crate) fn scenario_name(scenario: u64) -> String {
    format!("s{scenario}")
}
