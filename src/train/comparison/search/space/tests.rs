use super::*;

fn space(text: &str) -> Result<Space, ConfigError> {
    let table: Table = text.parse().unwrap();
    Space::read(&table, &[], "s.toml")
}

/// The only axis of a space.
fn axis(text: &str) -> Axis {
    space(text).unwrap().axes.remove(0)
}

fn value(axis: &Axis, coordinate: f64) -> Value {
    axis.settings(coordinate)[0].1.clone()
}

#[test]
fn coordinates_are_values_and_back() {
    for (text, ends, values) in [
        (r#""train.learning_rate" = { min = 1e-4, max = 1e-2, log = true }"#, (1e-4, 1e-2), None),
        (r#""model.dropout" = { min = 0, max = 0.5 }"#, (0.0, 0.5), None),
        (r#""model.dropout" = { min = 0, max = 0.5, step = 0.1 }"#, (0.0, 0.5), Some(6)),
        (r#""model.width" = { min = 4, max = 16, step = 4 }"#, (4.0, 16.0), Some(4)),
        (r#""train.batch_size" = { min = 16, max = 4096, log = true }"#, (16.0, 4096.0), Some(4081)),
        (r#"model.width = { min = -2, max = 2 }"#, (-2.0, 2.0), Some(5)),
    ] {
        let axis = axis(text);
        assert_eq!(axis.count(), values, "{text}");
        let (low, high) = axis.bounds();
        let number = |value: &Value| value.as_float().or(value.as_integer().map(|whole| whole as f64)).unwrap();
        let mut seen = Vec::new();
        for i in 0..=1000 {
            let at = (low + (high - low) * f64::from(i) / 1000.0).min(high.next_down());
            let drawn = axis.settings(at);
            // What is written down is the value that was drawn, at a coordinate that gives it again.
            let again = axis.coordinate(&drawn).unwrap();
            assert_eq!(axis.settings(again), drawn, "{text} at {at}");
            seen.push(number(&drawn[0].1));
        }
        assert!(seen.is_sorted(), "{text}");
        assert_eq!((seen[0], seen[1000]), ends, "{text}");
    }
}

#[test]
fn values_are_evenly_spread() {
    // Whole numbers have equal shares of the line, or of its logarithm; the first as much as others.
    let steps = axis(r#""model.width" = { min = 4, max = 16, step = 4 }"#);
    let at = [-0.5, 0.49, 0.51, 1.4, 2.6].map(|at| value(&steps, at).as_integer().unwrap());
    assert_eq!(at, [4, 4, 8, 8, 16]);
    let log = axis(r#""model.width" = { min = 1, max = 4, log = true }"#);
    let at = [0.51_f64, 1.49, 1.51, 2.4, 4.49].map(|at| value(&log, at.ln()).as_integer().unwrap());
    assert_eq!(at, [1, 1, 2, 2, 4]);
    // Tenths are tenths; what may be any number has five digits.
    let tenths = axis(r#""model.dropout" = { min = 0.1, max = 0.5, step = 0.1 }"#);
    assert_eq!(value(&tenths, 2.0).to_string(), "0.3");
    let rate = axis(r#""train.learning_rate" = { min = 1e-4, max = 1e-2, log = true }"#);
    assert_eq!(value(&rate, (1.0_f64 / 700.0).ln()).to_string(), "0.0014286");
    let any = axis(r#""model.dropout" = { min = 0.0, max = 0.5 }"#);
    assert_eq!(value(&any, 1.0 / 3.0).to_string(), "0.33333");
    let narrow = axis(r#""model.dropout" = { min = 1000.0, max = 1000.002 }"#);
    assert_eq!(value(&narrow, 1_000.000_123_44).to_string(), "1000.0001234");
}

#[test]
fn choices_are_of_anything_and_move_together() {
    let table: Table = r#""model.hidden" = [[64, 32], [128]]
"train.optimizer" = ["adam", "adagrad", "sgd"]"#
        .parse()
        .unwrap();
    let both: Table = r#"model.row_div = [1, 2]
model.col_div = [1, 4]"#
        .parse()
        .unwrap();
    let space = Space::read(&table, &[both], "s.toml").unwrap();
    assert_eq!(space.count(), Some(12));
    let settings = space.settings(&[1.9, 0.0, 1.0]);
    let text: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(text, ["model.hidden=[128]", "train.optimizer=\"adam\"", "model.row_div=2", "model.col_div=4"]);
    assert_eq!(space.point(&settings), Some(vec![1.0, 0.0, 1.0]));
    let mut other = settings.clone();
    other[3].1 = 1.into();
    assert_eq!(space.point(&other), None, "1 is not beside 2");
    assert_eq!(space.point(&settings[..3]), None);
    assert_eq!(space.edges(&settings).len(), 2 + 3 + 2);
    assert!(space.edges(&settings).iter().all(|edge| space.point(edge).is_some()));
}

#[test]
fn faults_say_where_and_what_would_be_right() {
    for (text, says) in [
        ("", "[sweep] needs the key `space`"),
        ("width = [1]", "sweep.space.width: is not a key; expected \"section.key\""),
        (r#""train.seed" = [1, 2]"#, "a run's seed is one of `seeds`"),
        (r#""model.width" = 3"#, "sweep.space.model.width: expected a list of different values"),
        (r#""model.width" = [1, 1]"#, "found 1 twice"),
        (r#""model.width" = { min = 1 }"#, "[sweep.space.model.width] needs the key `max`"),
        (r#""model.width" = { min = 1, max = 9, steps = 2 }"#, "did you mean `step`?"),
        (
            r#""model.width" = { min = 9, max = 1 }"#,
            "sweep.space.model.width.max: expected a number above min, which is 9, found 1",
        ),
        (r#""model.width" = { min = "a", max = 1 }"#, "sweep.space.model.width.min: expected a number, found \"a\""),
        (r#""model.width" = { min = 1, max = inf }"#, "sweep.space.model.width.max: expected a number"),
        (
            r#""model.width" = { min = 0, max = 9, log = true }"#,
            "sweep.space.model.width.min: expected a number above 0",
        ),
        (r#""model.width" = { min = 1, max = 9, log = true, step = 2 }"#, "has no effect with log = true"),
        (
            r#""model.width" = { min = 1, max = 9, step = 0 }"#,
            "sweep.space.model.width.step: expected a number above 0",
        ),
        (r#""model.width" = { min = 4, max = 17, step = 4 }"#, "a whole number of steps of 4, such as 16, found 17"),
    ] {
        let error = space(text).unwrap_err().to_string();
        assert!(error.starts_with("s.toml: ") && error.contains(says), "{text}: {error}");
    }
}
