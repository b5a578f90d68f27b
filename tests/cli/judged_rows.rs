//! Rows that count more or less than others: weights, and negatives of which only some are drawn.

use crate::place::Place;

/// Rows of every split with small whole weights, some of them 0; and the same where each stands as often as it weighs.
fn weighted_and_repeated() -> Place {
    let place = Place::empty();
    let (mut weighted, mut repeated) =
        (String::from("split,page,user,weight,label\n"), String::from("split,page,user,weight,label\n"));
    for row in 0..900_usize {
        let mix = |salt: usize, count: usize| (((row + 1) * (salt + 3) * 2_654_435_761) >> 9) % count;
        let (split, page, user) = (["train", "train", "valid", "test"][row % 4], mix(0, 3), mix(1, 25));
        let label = u8::from((user * 7 + page) % 5 < 2 || mix(5, 9) == 0);
        let weight = mix(2, 4);
        let line = |weight: usize| format!("{split},p{page},u{user},{weight},{label}\n");
        weighted += &line(weight);
        repeated += &line(1).repeat(weight);
    }
    place.write("data/weighted.csv", weighted);
    place.write("data/repeated.csv", repeated);
    place.write(
        "data/config.toml",
        "[data]\npath = \"weighted.csv\"\nlabel = \"label\"\nscenario = \"page\"\naware = [\"page\"]\nagnostic = [\"user\"]\n\
         user = \"user\"\nweight = \"weight\"\nsplit = { by = \"column\", column = \"split\" }\n\
         fields.page.hash = 8\nfields.user.hash = 64\n",
    );
    place
}

fn without_counts(mut metrics: serde_json::Value) -> serde_json::Value {
    let table = metrics.as_object_mut().unwrap();
    ["rows", "positives", "weight"].iter().for_each(|key| drop(table.remove(*key)));
    if let Some(scenarios) = table.get_mut("scenarios") {
        scenarios.as_object_mut().unwrap().values_mut().for_each(|of| *of = without_counts(of.take()));
    }
    metrics
}

fn numbers(value: &serde_json::Value, out: &mut Vec<f64>) {
    match value {
        serde_json::Value::Object(table) => table.values().for_each(|value| numbers(value, out)),
        other => out.extend(other.as_f64()),
    }
}

#[test]
fn a_row_of_weight_two_is_as_the_row_twice() {
    let place = weighted_and_repeated();
    // One step with all rows, so that nothing depends on their order.
    let line = "model.name=dnn train.optimizer=sgd train.learning_rate=0.5 train.batch_size=4096 train.epochs=1";
    place.train("weighted", line).succeeds();
    place.train("repeated", &format!("{line} data.path={}", place.path("data/repeated.csv").display())).succeeds();
    // Rows of weight 0 are in the vocabulary, so both must have the same values.
    let [weighted, repeated] = ["weighted", "repeated"].map(|run| place.tensors(format!("{run}/model.safetensors")));
    for (name, values) in &weighted {
        let off = values.iter().zip(&repeated[name]).fold(0.0_f32, |max, (a, b)| max.max((a - b).abs()));
        assert!(values.len() == repeated[name].len() && off < 1e-6, "{name}: {off}");
    }
    let metrics = |run: &str| {
        let result = place.json(format!("{run}/result.json"));
        let (mut all, test) = (Vec::new(), result["test"].clone());
        assert_eq!(test["weight"].is_null(), run != "weighted" && test["weight"].is_null());
        numbers(&without_counts(test), &mut all);
        numbers(&without_counts(place.epochs(run)[0]["valid"].clone()), &mut all);
        all.push(place.epochs(run)[0]["train"]["bce"].as_f64().unwrap());
        all
    };
    let (weighted, repeated) = (metrics("weighted"), metrics("repeated"));
    assert!(weighted.len() == repeated.len() && weighted.len() > 40, "{}", weighted.len());
    for (a, b) in weighted.iter().zip(&repeated) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    // In what unit weights are makes no difference.
    let tenfold = place.text("data/weighted.csv").replace(",0,", ",0.0,").replace(",1,", ",10,");
    let tenfold = tenfold.replace(",2,", ",20,").replace(",3,", ",30,");
    place.write("data/tenfold.csv", tenfold);
    place.train("tenfold", &format!("{line} data.path={}", place.path("data/tenfold.csv").display())).succeeds();
    let [one, ten] = ["weighted", "tenfold"].map(|run| place.tensors(format!("{run}/model.safetensors")));
    for (name, values) in &one {
        assert!(values.iter().zip(&ten[name]).all(|(a, b)| (a - b).abs() < 1e-6), "{name}");
    }
}

#[test]
fn what_is_no_weight_is_refused() {
    let place = weighted_and_repeated();
    let text = place.text("data/weighted.csv");
    let other = |name: &str, text: String| {
        place.write(format!("data/{name}"), text);
        format!("model.name=dnn data.path={}", place.path(format!("data/{name}")).display())
    };
    let bad = other("negative.csv", text.replacen(",0,", ",-1,", 1));
    place.train("run", &bad).fails(3, &["negative.csv", "column \"weight\"", "a weight of at least 0", "\"-1\""]);
    let bad = other("missing.csv", text.replacen(",0,", ",,", 1));
    place.train("run", &bad).fails(3, &["column \"weight\"", "found nothing"]);
    let none = other("none.csv", text.replace(",1,", ",0,").replace(",2,", ",0,").replace(",3,", ",0,"));
    place.train("run", &none).fails(2, &["data.weight", "a weight above 0"]);
    // Evaluating needs the weights too, predicting does not.
    place.train("run", "model.name=dnn train.epochs=1").succeeds();
    let without: String = text
        .lines()
        .map(|line| {
            let [split, page, user, _, label] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
            format!("{split},{page},{user},{label}\n")
        })
        .collect();
    place.write("data/without.csv", without);
    let [eval, predict] = ["eval run --device cpu --data", "predict run --device cpu --out scored.csv --data"]
        .map(|command| place.run(&format!("{command} data/without.csv")));
    eval.fails(3, &["data.weight", "\"weight\""]);
    predict.succeeds();
}

/// With a tenth of the negatives a model would promise far too much, if its logits were not corrected.
#[test]
fn drawn_negatives_leave_predictions_calibrated() {
    let place = Place::empty();
    place.run("synth --out data --rows 20000 --vocab 50 --seed 3").succeeds();
    let line = "model.name=dnn train.batch_size=64 train.epochs=4 train.learning_rate=0.003";
    place.train("all", line).succeeds();
    place.train("drawn", &format!("{line} train.negative_rate=0.1")).succeeds();
    let test = |run: &str, key: &str| place.json(format!("{run}/result.json"))["test"][key].as_f64().unwrap();
    let [all, drawn] = ["all", "drawn"].map(|run| place.position(run)["total_steps"].as_u64().unwrap());
    assert!(drawn < all * 6 / 10, "{drawn} of {all} steps");
    for run in ["all", "drawn"] {
        assert!((test(run, "calibration") - 1.0).abs() < 0.2, "{run}: {}", test(run, "calibration"));
    }
    assert!(test("drawn", "auc") > test("all", "auc") - 0.02);
    // Another epoch draws others, and the same ones when it is resumed.
    place.train("again", &format!("{line} train.negative_rate=0.1")).succeeds();
    place.assert_same_runs("drawn", "again");
    let half = format!("{line} train.negative_rate=0.1 train.epochs=2");
    place.train("half", &half).succeeds();
    place.train("half", &format!("{line} train.negative_rate=0.1 --resume")).succeeds();
    place.assert_same_runs("drawn", "half");
    let bad = place.train("bad", &format!("{line} train.negative_rate=0"));
    bad.fails(2, &["train.negative_rate", "a number above 0, at most 1"]);
}
