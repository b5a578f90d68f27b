use serde_json::json;

use crate::train::run::tensorboard::*;

fn record(epoch: u32, auc: Option<f64>, best: bool) -> EpochRecord {
    let valid = Metrics {
        auc,
        logloss: Some(0.5),
        rows: 10,
        scenarios: vec![("a/b".to_owned(), Metrics { auc, ..Metrics::default() })],
        ..Metrics::default()
    };
    EpochRecord {
        epoch,
        unfinished: false,
        epoch_steps: None,
        steps: u64::from(epoch) * 100,
        train: json!({ "bce": 0.25, "loss": 0.5 }).as_object().unwrap().clone(),
        valid: Some(valid),
        best,
        train_seconds: 2.0,
        learning_rate: 0.001,
        train_rows_per_second: 1000.0,
        valid_rows_per_second: None,
    }
}

fn events(path: &Path) -> Vec<Event> {
    record::read(&fs::read(path).unwrap()).map(|content| Event::decode(content).unwrap()).collect()
}

fn numbers(event: &Event) -> Vec<(String, f32)> {
    let Some(What::Summary(summary)) = &event.what else { panic!("{event:?}") };
    summary.value.iter().map(|value| (value.tag.clone(), value.simple_value.unwrap())).collect()
}

fn without_times(events: Vec<Event>) -> Vec<Event> {
    events.into_iter().map(|event| Event { wall_time: 0.0, ..event }).collect()
}

#[test]
fn an_epoch_has_its_losses_metrics_scenarios_and_speed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    keep(&path, &[]).unwrap();
    append_epoch(&path, &record(1, Some(0.75), true), 1).unwrap();
    let found = events(&path);
    assert_eq!(found[0].what, Some(What::FileVersion("brain.Event:2".to_owned())));
    assert!(found[0].wall_time > 1.7e9);
    assert_eq!(found[1].step, 100);
    let expected = [
        ("train/bce", 0.25),
        ("train/loss", 0.5),
        ("train/learning rate", 0.001),
        ("valid/AUC", 0.75),
        ("valid/LogLoss", 0.5),
        ("valid AUC by scenario/a/b", 0.75),
        ("epoch/number", 1.0),
        ("epoch/best so far", 1.0),
        ("speed/train seconds", 2.0),
        ("speed/train rows per second", 1000.0),
    ];
    assert_eq!(numbers(&found[1]), expected.map(|(tag, number)| (tag.to_owned(), number)));
}

#[test]
fn a_resumed_run_has_the_events_of_one_that_was_not_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let records = [record(1, Some(0.7), true), record(2, None, false), record(3, Some(0.8), true)];
    keep(&whole, &[]).unwrap();
    for (record, best) in records.iter().zip([1, 1, 3]) {
        append_epoch(&whole, record, best).unwrap();
    }
    append_outcome(&whole, 300, &Metrics::default(), 5.0).unwrap();

    keep(&parts, &[]).unwrap();
    append_epoch(&parts, &records[0], 1).unwrap();
    let first = events(&parts)[1].wall_time;
    append_outcome(&parts, 100, &Metrics::default(), 5.0).unwrap();
    // Stopped while it wrote the second epoch's event; the metrics had it already.
    append_epoch(&parts, &records[1], 1).unwrap();
    let bytes = fs::read(&parts).unwrap();
    fs::write(&parts, &bytes[..bytes.len() - 3]).unwrap();
    keep(&parts, &records[..2]).unwrap();
    let kept = fs::read(&parts).unwrap();
    assert_eq!(events(&parts)[1].wall_time, first);
    keep(&parts, &records[..2]).unwrap();
    assert_eq!(fs::read(&parts).unwrap(), kept, "nothing to change");
    append_epoch(&parts, &records[2], 3).unwrap();
    append_outcome(&parts, 300, &Metrics::default(), 5.0).unwrap();
    assert_eq!(without_times(events(&parts)), without_times(events(&whole)));
    assert_eq!(events(&whole).len(), 5);
}

#[test]
fn numbers_that_there_are_not_are_left_out() {
    let names: Vec<String> = metrics_values("test", &Metrics::default()).into_iter().map(|value| value.tag).collect();
    assert_eq!(names, Vec::<String>::new());
}
