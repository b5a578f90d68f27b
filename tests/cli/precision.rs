//! Embedding tables stored as half floats, from the configuration to the files of a run.

use safetensors::{Dtype, SafeTensors};

use crate::place::{Place, has_software};

const HALVES: &str = "train.embedding_precision=f16";

/// The types of a file's tensors by name, in the order of the data.
fn types(place: &Place, name: &str) -> Vec<(String, Dtype)> {
    let bytes = place.read(name);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<_> = file.iter().map(|(name, tensor)| (tensor.data().as_ptr(), name, tensor.dtype())).collect();
    found.sort_unstable_by_key(|(start, ..)| *start);
    found.into_iter().map(|(_, name, dtype)| (name.to_owned(), dtype)).collect()
}

fn predictions(place: &Place, run: &str) -> String {
    place.run(&format!("predict {run} --device cpu --data data/data.parquet --out scored.csv")).succeeds();
    place.text("scored.csv")
}

#[test]
fn tables_are_written_as_they_are_stored_and_moments_are_not() {
    let place = Place::with_data();
    place.trained_dnn("run", HALVES);
    place.trained_dnn("wide", "");
    assert!(place.text("run/config.toml").contains("embedding_precision = \"f16\""));
    assert!(place.text("wide/config.toml").contains("embedding_precision = \"f32\""));
    for file in ["model", "checkpoint"] {
        let found = types(&place, &format!("run/{file}.safetensors"));
        let of_halves = |name: &str| name.starts_with("embedding.");
        assert!(found.iter().all(|(name, dtype)| (*dtype == Dtype::F16) == of_halves(name)), "{found:?}");
        assert!(found.iter().any(|(name, _)| of_halves(name)));
        // Wider numbers begin at multiples of their size whatever the sizes: none follows a half.
        assert!(found.is_sorted_by_key(|(_, dtype)| *dtype == Dtype::F16), "{found:?}");
        assert!(types(&place, &format!("wide/{file}.safetensors")).iter().all(|(_, dtype)| *dtype == Dtype::F32));
    }
    let evaluated = place.run("eval run --device cpu --split test --json").succeeds().json();
    assert_eq!(evaluated["auc"], place.json("run/result.json")["test"]["auc"]);
}

#[test]
fn a_stopped_run_goes_on_to_the_same_bits() {
    let place = Place::with_data();
    for (i, line) in ["model.name=dnn train.embedding_adam=dense", "model.name=mi-dpg model.width=5"].iter().enumerate()
    {
        let line = format!("{line} {HALVES} model.dropout=0.3 train.embedding_l2=0.01");
        let [parts, whole, other] = ["parts", "whole", "other"].map(|name| format!("{name}{i}"));
        place.train(&parts, &format!("{line} train.epochs=1")).succeeds();
        let resumed = place.train(&parts, &format!("{line} train.epochs=3 --resume")).succeeds();
        assert!(!resumed.err.contains("arithmetic"), "{}", resumed.err);
        place.train(&whole, &format!("{line} train.epochs=3")).succeeds();
        place.assert_same_runs(&parts, &whole);
        // The bits by which values are rounded are the seed's.
        place.train(&other, &format!("{line} train.epochs=3 train.seed=1")).succeeds();
        assert_ne!(place.read(format!("{other}/model.safetensors")), place.read(format!("{whole}/model.safetensors")));
    }
}

#[test]
fn weights_of_either_precision_are_read_by_either() {
    let place = Place::with_data();
    // First values, which are rounded to the nearest however they come to be stored.
    place.trained_dnn("halves", &format!("{HALVES} train.epochs=0"));
    place.trained_dnn("wide", "train.epochs=0");
    let [of_halves, of_wide] = ["halves", "wide"].map(|run| predictions(&place, run));
    assert_ne!(of_halves, of_wide);
    let [halves, wide] = ["halves", "wide"].map(|run| place.read(format!("{run}/model.safetensors")));
    assert!(halves.len() < wide.len());
    place.write("halves/model.safetensors", &wide);
    assert_eq!(predictions(&place, "halves"), of_halves);
    place.write("wide/model.safetensors", &halves);
    assert_eq!(predictions(&place, "wide"), of_halves);
}

#[test]
fn a_checkpoint_of_another_precision_is_refused() {
    let place = Place::with_data();
    place.trained_dnn("run", "train.epochs=1");
    let resume = || place.train("run", &format!("model.name=dnn {HALVES} train.epochs=2 --resume"));
    resume().fails(6, &["run: was trained with another [train]"]);
    let config = place.text("run/config.toml");
    place.write("run/config.toml", config.replace("embedding_precision = \"f32\"", "embedding_precision = \"f16\""));
    resume().fails(
        6,
        &["run/checkpoint.safetensors: embedding.", "is F32", "train.embedding_precision", "set it to \"f32\""],
    );
}

#[test]
fn other_precisions_are_refused() {
    let place = Place::with_data();
    place
        .train("run", "model.name=dnn train.embedding_precision=bf16")
        .fails(2, &["train.embedding_precision: expected \"f32\" or \"f16\", found \"bf16\""]);
}

#[test]
fn a_run_moves_from_the_cpu_to_a_gpu() {
    if !has_software() {
        return;
    }
    let place = Place::with_data();
    let line = format!("model.name=dnn {HALVES}");
    place.train("run", &format!("{line} train.epochs=1")).succeeds();
    let before = place.read("run/checkpoint.safetensors");
    let moved = place.train("run", &format!("{line} train.epochs=2 --resume --device software")).succeeds();
    assert!(moved.err.contains("warning: the run goes on with other arithmetic (CPU, blocks of "), "{}", moved.err);
    assert_ne!(place.read("run/checkpoint.safetensors"), before);
    place.train("whole", &format!("{line} train.epochs=2")).succeeds();
    let auc = |run: &str| place.json(format!("{run}/result.json"))["test"]["auc"].as_f64().unwrap();
    // 200 rows for the test: rounding may swap some pairs of some 10,000.
    assert!((auc("run") - auc("whole")).abs() < 0.01, "{} and {}", auc("run"), auc("whole"));
}

#[test]
fn mixed_precision_goes_on_to_the_same_bits_and_writes_what_single_does() {
    let place = Place::with_data();
    let line = "model.name=mi-dpg train.precision=mixed model.dropout=0.3";
    place.train("parts", &format!("{line} train.epochs=1")).succeeds();
    place.train("parts", &format!("{line} train.epochs=2 --resume")).succeeds();
    place.train("whole", &format!("{line} train.epochs=2")).succeeds();
    place.assert_same_runs("parts", "whole");
    place.train("single", "model.name=mi-dpg model.dropout=0.3 train.epochs=2").succeeds();
    assert_eq!(types(&place, "single/model.safetensors"), types(&place, "whole/model.safetensors"));
    let [mixed, single] = ["whole", "single"].map(|run| place.tensors(format!("{run}/model.safetensors")));
    let apart = |name: &String| {
        let off = mixed[name].iter().zip(&single[name]).map(|(a, b)| (a - b).abs());
        off.fold(0.0, f32::max)
    };
    let most = single.keys().map(apart).fold(0.0, f32::max);
    // Adam's steps are as large as the rate, however small the gradient whose sign a rounding may turn.
    assert!(most > 0.0 && most < 0.2, "{most}");
    place
        .train("whole", "model.name=mi-dpg model.dropout=0.3 train.epochs=3 --resume")
        .fails(6, &["was trained with another [train]"]);
}
