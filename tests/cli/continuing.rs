//! Runs that go on from another, begin with vectors from elsewhere, or leave some of the model as it is.

use std::collections::BTreeMap;

use crate::place::{Place, has_software};

/// Two days of rows: on the second there are new users, and a page that was not there on the first.
fn two_days() -> Place {
    let place = Place::empty();
    let day = |first: usize, users: usize, pages: usize| {
        let mut text = "page,user,item,price,label\n".to_owned();
        for row in first..first + 600 {
            let mix = |salt: usize, count: usize| (((row + 1) * (salt + 3) * 2_654_435_761) >> 9) % count;
            let (page, user, item) = (mix(0, pages), mix(1, users), mix(2, 20));
            let label = u8::from((user * 7 + item * 3 + page) % 5 < 2);
            text += &format!("p{page},{user},{item},{}.5,{label}\n", mix(3, 40) + first / 100);
        }
        text
    };
    place.write("data/day1.csv", day(0, 12, 3));
    place.write("data/day2.csv", day(600, 17, 4));
    place.write(
        "data/config.toml",
        "[data]\npath = \"day1.csv\"\nlabel = \"label\"\nscenario = \"page\"\naware = [\"page\"]\n\
         agnostic = [\"user\", \"item\", \"price\"]\nfields.price.kind = \"numeric\"\n",
    );
    place
}

/// The vocabulary of a run: rows and counts by field and value.
fn vocabulary(place: &Place, run: &str) -> BTreeMap<(String, String), (u32, u64)> {
    let text = place.text(format!("{run}/vocabularies/vocabularies.csv"));
    let entry = |line: &str| {
        let [field, row, value, count] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        ((field.to_owned(), value.to_owned()), (row.parse().unwrap(), count.parse().unwrap()))
    };
    text.lines().skip(1).map(entry).collect()
}

fn day2(place: &Place) -> String {
    format!("data.path={}", place.path("data/day2.csv").display())
}

#[test]
fn known_values_keep_their_rows_and_new_ones_follow() {
    let place = two_days();
    for model in ["saml", "star", "dnn"] {
        let [first, second] = ["first", "second"].map(|day| format!("{model}-{day}"));
        place.train(&first, &format!("model.name={model}")).succeeds();
        let options = format!("model.name={model} train.epochs=0 {} --from {first}", day2(&place));
        let said = place.train(&second, &options).succeeds();
        said.says(&["going on from", "new scenarios: p3", "new values: page 1, user 5"]);
        let [before, now] = [&first, &second].map(|run| vocabulary(&place, run));
        for (key, (row, count)) in &before {
            assert!(now[key].0 == *row && now[key].1 > *count, "{model}: {key:?}");
        }
        assert_eq!(now[&("page".to_owned(), "p3".to_owned())].0, 4);
        // What was learned stays; with no step taken, in its place and unchanged.
        let [before, now] = [&first, &second].map(|run| place.tensors(format!("{run}/model.safetensors")));
        for (name, values) in before.iter().filter(|(name, _)| !name.starts_with("specific.")) {
            assert_eq!(now[name][..values.len()], values[..], "{model}: {name}");
        }
        // Standardised prices are the first day's.
        let statistics = |run: &str| {
            let text = place.text(format!("{run}/vocabularies/encoder.toml"));
            text.lines().find(|line| line.starts_with("mean")).unwrap().to_owned()
        };
        assert_eq!(statistics(&first), statistics(&second));
        let refitted = format!("{model}-refitted");
        place.train(&refitted, &format!("{options} train.refit_numbers=true")).succeeds();
        assert_ne!(statistics(&first), statistics(&refitted));
        // The run is whole: it is evaluated on its own rows, and resumed.
        let result = place.json(format!("{second}/result.json"));
        let again = place.run(&format!("eval {second} --device cpu --split test --json")).succeeds().json();
        assert_eq!(again["auc"], result["test"]["auc"]);
    }
}

#[test]
fn a_run_that_goes_on_repeats_and_resumes_to_the_same_bits() {
    let place = two_days();
    place.train("first", "model.name=mi-dpg train.epochs=3").succeeds();
    let line = format!("model.name=mi-dpg {} --from first", day2(&place));
    for (run, options) in [("whole", "train.epochs=3"), ("again", "train.epochs=3"), ("parts", "train.epochs=1")] {
        place.train(run, &format!("{line} {options}")).succeeds();
    }
    place.assert_same_runs("whole", "again");
    place.train("parts", &format!("{line} train.epochs=3 --resume")).succeeds();
    place.assert_same_runs("whole", "parts");
    // Adam goes on: its steps are counted from where the moments are.
    let steps = |run: &str, key: &str| place.position(run)[key].as_u64().unwrap_or(0);
    assert_eq!(steps("whole", "steps_before"), steps("first", "total_steps"));
    place.train("third", &format!("{line} train.epochs=1 --from whole")).fails(2, &["--from"]);
    let on = format!("model.name=mi-dpg {} train.epochs=1", day2(&place));
    place.train("third", &format!("{on} --from whole")).succeeds();
    assert_eq!(steps("third", "steps_before"), steps("first", "total_steps") + steps("whole", "total_steps"));
    place.train("fresh", &format!("{on} --from whole --fresh-moments")).succeeds();
    assert_eq!(steps("fresh", "steps_before"), 0);
    assert_ne!(place.read("fresh/model.safetensors"), place.read("third/model.safetensors"));
    // Its configuration alone repeats it.
    place.run("train third/config.toml --device cpu --out repeated").succeeds();
    place.assert_same_runs("third", "repeated");
}

#[test]
fn what_does_not_fit_another_run_is_named() {
    let place = two_days();
    place.train("first", "model.name=dnn train.epochs=1 data.fields.item.hash=9").succeeds();
    let with =
        |options: &str| format!("{options} {} train.epochs=0 data.fields.item.hash=9 --from first", day2(&place));
    place.train("wide", &with("model.name=dnn model.hidden=[24,8]")).succeeds().says(&[
        "mlp.0.weight begins anew: it is 16×16 there and 24×16 now",
        "mlp.1.weight begins anew: it is 8×16 there and 8×24 now",
    ]);
    place.train("other", &with("model.name=deepfm")).fails(2, &["model.name", "expected \"dnn\"", "found \"deepfm\""]);
    let rehashed = with("model.name=dnn").replace("hash=9", "hash=8");
    place.train("hashed", &rehashed).fails(3, &["data.fields.item.hash: expected 9", "found 8"]);
    place
        .train("typed", &with("model.name=dnn data.fields.user.type=text"))
        .fails(3, &["data.fields.user.type: expected \"integer\"", "found \"text\""]);
    place.train("none", "model.name=dnn --from nowhere").fails(6, &["nowhere", "is not a folder"]);
    place.train("none", "model.name=dnn --fresh-moments").fails(2, &["train.fresh_moments", "--from RUN"]);
    place.train("none", "model.name=dnn train.refit_numbers=true").fails(2, &["train.refit_numbers", "--from RUN"]);
    std::fs::remove_file(place.path("first/checkpoint.safetensors")).unwrap();
    place.train("moments", &with("model.name=dnn")).fails(6, &["checkpoint.safetensors", "--fresh-moments"]);
    place.train("moments", &format!("{} --fresh-moments", with("model.name=dnn"))).succeeds();
}

#[test]
fn what_is_frozen_stays_as_it_is() {
    let place = two_days();
    place.train("first", "model.name=dnn train.epochs=0").succeeds();
    let first = place.tensors("first/model.safetensors");
    let devices: &[&str] = if has_software() { &["cpu", "software"] } else { &["cpu"] };
    for device in devices {
        for (patterns, frozen) in [
            ("[\"embedding.*\"]", &["embedding.page", "embedding.user", "embedding.item", "embedding.price"][..]),
            ("[\"embedding.user\",\"mlp.1.*\"]", &["embedding.user", "mlp.1.weight", "mlp.1.bias"]),
            (
                "[\"*.weight\",\"*.bias\"]",
                &["mlp.0.weight", "mlp.0.bias", "mlp.1.weight", "mlp.2.weight", "mlp.2.bias"],
            ),
        ] {
            let run = format!("{device}-{}", patterns.len());
            place.train(&run, &format!("model.name=dnn train.freeze={patterns} --device {device}")).succeeds();
            let now = place.tensors(format!("{run}/checkpoint.safetensors"));
            for (name, values) in &first {
                let is_frozen =
                    frozen.contains(&name.as_str()) || patterns.contains("*.bias") && name.starts_with("mlp");
                assert_eq!(now[name] == *values, is_frozen, "{device}, {patterns}: {name}");
            }
        }
    }
    place
        .train("wrong", "model.name=dnn train.freeze=[\"embeding.*\"]")
        .fails(2, &["train.freeze", "embedding.", "embeding"]);
    let dense = "model.name=dnn train.freeze=[\"embedding.*\"] train.embedding_adam=dense";
    place.train("wrong", dense).fails(2, &["train.freeze", "embedding_adam"]);
}

#[test]
fn embeddings_begin_with_vectors_from_elsewhere() {
    let place = two_days();
    place.train("first", "model.name=wide-deep train.epochs=2").succeeds();
    for kind in ["csv", "parquet"] {
        place.run(&format!("embeddings first --field user --out user.{kind}")).succeeds();
        let path = place.path(format!("user.{kind}")).display().to_string();
        let options = format!("model.name=wide-deep data.fields.user.pretrained={path}");
        let said = place.train(kind, &format!("{options} {} train.epochs=0", day2(&place))).succeeds();
        said.says(&["12 of 17 values of user begin with vectors of"]);
        let vectors = |run: &str| {
            place.run(&format!("embeddings {run} --field user --out all.csv")).succeeds();
            let text = place.text("all.csv");
            let row = |line: &str| {
                let cells: Vec<String> = line.splitn(3, ',').map(str::to_owned).collect();
                (cells[1].clone(), cells[2].clone())
            };
            text.lines().skip(1).map(row).collect::<BTreeMap<_, _>>()
        };
        let (before, now) = (vectors("first"), vectors(kind));
        assert!(before.iter().all(|(value, vector)| now[value] == *vector) && now.len() == before.len() + 5);
        // Frozen, they are what they were after training, too.
        let frozen = format!("{kind}-frozen");
        place.train(&frozen, &format!("{options} train.freeze=[\"*.user\"]")).succeeds();
        assert!(before == vectors(&frozen));
        place
            .train("narrow", &format!("{options} model.width=3"))
            .fails(2, &["pretrained", "vectors of", "found 4 values"]);
    }
    place.write("wrong.csv", "value,vector_0,vector_1,vector_2,vector_3\n3,1,2,x,4\n");
    let wrong = format!("model.name=dnn data.fields.user.pretrained={}", place.path("wrong.csv").display());
    place.train("wrong", &wrong).fails(6, &["wrong.csv", "line 2", "vector_2", "found \"x\""]);
    place.write("wrong.csv", "user,vector\n3,1\n");
    place.train("wrong", &wrong).fails(6, &["wrong.csv", "expected columns \"value\"", "found user, vector"]);
    place.write("wrong.csv", "value,vector_0\n77,1\n");
    place.train("wrong", &wrong).fails(2, &["values that column \"user\" has", "none of them"]);
    let hashed = "data.fields.user.hash=5 data.fields.user.pretrained=wrong.csv";
    place
        .train("wrong", &format!("model.name=dnn {hashed}"))
        .fails(3, &["data.fields.user", "pretrained has no meaning"]);
}

#[test]
fn another_optimiser_begins_with_fresh_moments() {
    let place = Place::with_data();
    place.trained_dnn("adam", "train.epochs=1");
    let sparse = "train.optimizer=adagrad train.embedding_optimizer=rowwise-adagrad train.epochs=1";
    let refused = place.train("sparse", &format!("model.name=dnn {sparse} --from adam"));
    refused.fails(2, &["train.optimizer: expected \"adam\", whose state", "--fresh-moments", "found \"adagrad\""]);
    place.trained_dnn("sparse", &format!("{sparse} --from adam --fresh-moments"));
    let sums = |run: &str| -> BTreeMap<String, usize> {
        let tensors = place.tensors(format!("{run}/checkpoint.safetensors")).into_iter();
        let kept = tensors.filter(|(name, _)| name.starts_with("adagrad.") || name.starts_with("adam."));
        kept.map(|(name, values)| (name, values.len())).collect()
    };
    let weights = place.tensors("sparse/model.safetensors");
    let expected: BTreeMap<String, usize> = weights
        .iter()
        // Rows are 4 wide.
        .map(|(name, values)| (name, if name.starts_with("embedding.") { values.len() / 4 } else { values.len() }))
        .map(|(name, count)| (format!("adagrad.sum.{name}"), count))
        .collect();
    assert_eq!(sums("sparse"), expected);
    // From there it goes on by itself.
    place.trained_dnn("further", &format!("{sparse} --from sparse"));
    let [before, after] = ["sparse", "further"].map(|run| place.tensors(format!("{run}/checkpoint.safetensors")));
    for name in expected.keys() {
        assert!(before[name].iter().zip(&after[name]).all(|(before, after)| after >= before), "{name} fell");
    }
    place.trained_dnn("plain", "train.optimizer=sgd train.learning_rate=0.1 train.epochs=1");
    assert!(sums("plain").is_empty());
    for (options, key) in [
        ("train.optimizer=rowwise-adagrad", "train.optimizer"),
        ("train.optimizer=sgd train.beta1=0.5", "train.beta1"),
        ("train.optimizer=sgd train.epsilon=1e-4", "train.epsilon"),
        ("train.optimizer=adagrad train.embedding_adam=dense", "train.embedding_adam"),
        ("train.max_gradient_norm=0", "train.max_gradient_norm"),
    ] {
        place.train("bad", &format!("model.name=dnn {options}")).fails(2, &[&format!("{key}: expected")]);
    }
}
