use crate::data::datasets::synthetic::*;

fn auc(rows: impl Iterator<Item = (f32, bool)>) -> f64 {
    let mut rows: Vec<(f32, bool)> = rows.collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut negatives, mut won, mut positives) = (0u64, 0u64, 0u64);
    for (_, label) in rows {
        if label {
            positives += 1;
            won += negatives;
        } else {
            negatives += 1;
        }
    }
    won as f64 / (positives * negatives) as f64
}

#[test]
fn the_scenarios_weights_matter() {
    let options = SyntheticOptions { scenarios: 6, ..Default::default() };
    let population = Population::new(&options);
    let teacher = Teacher::new(&population, &options);
    // The same users and items, as if all were in one scenario: the truth must rank them otherwise.
    let rows: Vec<_> = (0..20_000).map(|row| teacher.label(&population, population.pilot(1, row))).collect();
    let elsewhere: Vec<_> = (0..20_000)
        .map(|row| {
            let mut features = population.pilot(1, row);
            features.ids[fields::Field::Scenario as usize] = 2;
            teacher.label(&population, features)
        })
        .collect();
    let own = auc(rows.iter().map(|row| (row.probability, row.label)));
    let foreign = auc(rows.iter().zip(&elsewhere).map(|(row, other)| (other.probability, row.label)));
    assert!(own - foreign > 0.03, "own truth {own}, another scenario's {foreign}");
    for row in &rows {
        assert!(teacher.weights(&row.features).iter().all(|weight| (0.0..=2.0).contains(weight)));
    }
}

#[test]
fn days_bring_other_rows_new_users_and_items_and_a_truth_that_drifts() {
    let of_day = |day| {
        let options = SyntheticOptions { vocabulary: 500, day, ..Default::default() };
        let population = Population::new(&options);
        let teacher = Teacher::new(&population, &options);
        (population, teacher)
    };
    let (population, teacher) = of_day(5);
    let rows: Vec<_> = (0..20_000).map(|row| teacher.label(&population, population.row(row))).collect();
    for field in [fields::Field::UserId, fields::Field::ItemId] {
        let ids: std::collections::BTreeSet<u64> = rows.iter().map(|row| row.features.of(field)).collect();
        let new = ids.iter().filter(|id| **id >= 500).count() as f64 / ids.len() as f64;
        assert!((0.15..0.35).contains(&new), "{field:?}: {new} are new, of a quarter that should be");
    }
    let own = auc(rows.iter().map(|row| (row.probability, row.label)));
    let mut before = own;
    for (day, least) in [(4, 0.0005), (0, 0.01)] {
        let (_, earlier) = of_day(day);
        let known = (0..20_000).map(|row| earlier.label(&population, population.row(row)).probability);
        let foreign = auc(known.zip(rows.iter().map(|row| row.label)));
        assert!(before - foreign > least, "day {day}: {foreign}, and {before} of the day after");
        before = foreign;
    }
    let (first, _) = of_day(0);
    assert!((0..1_000).all(|row| first.row(row).of(fields::Field::UserId) < 500));
}

#[test]
fn the_configuration_names_columns_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let options = SyntheticOptions { rows: 10, ..Default::default() };
    let files = generate(&options, folder.path(), &mut |_| {}).unwrap();
    let config: toml::Table = std::fs::read_to_string(&files.config).unwrap().parse().unwrap();
    let data = config["data"].as_table().unwrap();
    assert_eq!(folder.path().join(data["path"].as_str().unwrap()), files.data);
    let names =
        |key: &str| -> Vec<&str> { data[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect() };
    assert_eq!(names("aware"), ["scenario", "channel", "age_group", "daypart"]);
    assert_eq!(names("agnostic").len(), 12);
    let schema = table::schema(false, false);
    for key in ["label", "scenario", "user", "probability"] {
        assert!(schema.column_with_name(data[key].as_str().unwrap()).is_some(), "{key}");
    }
    for name in names("aware").into_iter().chain(names("agnostic")) {
        assert!(schema.column_with_name(name).is_some(), "{name}");
    }
}
