//! Fields of tags: trained, resumed, scored, taken apart and gone on from.

use crate::place::Place;

const CONFIG: &str = r#"
[data]
path = "rows.csv"
label = "label"
scenario = "page"
aware = ["page", "item"]
agnostic = ["genres", "liked", "age"]
split = { by = "seed", seed = 2 }
[data.fields]
ITEM
genres = { kind = "tags", separator = "|", weights = "shares", max_length = 3 }
liked = { kind = "tags", separator = " ", vocabulary = "item", pooling = "max" }
age.kind = "numeric"
[model]
name = "mi-dpg"
width = 8
hidden = [12, 8]
dropout = 0.1
[train]
epochs = 2
batch_size = 50
patience = 0
learning_rate = 0.03
"#;

fn config(item: &str) -> String {
    CONFIG.replace("ITEM", item)
}

/// Label, page, item, genres, shares, liked, age. The label depends on genres.
fn cells(row: usize) -> [String; 7] {
    let mix = |salt: usize, count: usize| (((row + 1) * (salt + 3) * 2_654_435_761) >> 9) % count;
    let genres: Vec<usize> = (0..mix(1, 5)).map(|i| (mix(2, 7) + 3 * i) % 7).collect();
    let shares: Vec<&str> = (0..genres.len()).map(|i| ["1", "0.5", "2"][mix(3 + i, 3)]).collect();
    let liked: Vec<String> = (0..mix(7, 4)).map(|i| format!("i{}", (mix(8, 6) + 2 * i) % 6)).collect();
    let label = u8::from(genres.iter().any(|genre| *genre < 2) || mix(9, 6) == 0);
    let genres: Vec<String> = genres.iter().map(|genre| format!("g{genre}")).collect();
    [
        label.to_string(),
        (1 + mix(0, 3)).to_string(),
        format!("i{}", mix(10, 6)),
        genres.join("|"),
        shares.join("|"),
        liked.join(" "),
        (20 + mix(11, 40)).to_string(),
    ]
}

fn rows(rows: std::ops::Range<usize>) -> String {
    rows.fold("label,page,item,genres,shares,liked,age\n".to_owned(), |text, row| text + &cells(row).join(",") + "\n")
}

#[test]
fn tags_go_through_everything_that_a_field_does() {
    let place = Place::empty();
    place.write("rows.csv", rows(0..800));
    place.write("config.toml", config(""));
    let whole = place.run("train config.toml --device cpu --out whole").succeeds();
    whole
        .says(&["column \"genres\" has more than 3 values in", "the first 3 are kept (data.fields.genres.max_length)"]);
    // Stopped and resumed, to the same bits.
    place.run("train config.toml --device cpu --out parts --set train.epochs=1").succeeds();
    place.run("train config.toml --device cpu --out parts --resume").succeeds();
    place.assert_same_runs("whole", "parts");
    // Rows of their own, but where they are another field's.
    let names: Vec<String> = place.tensors("whole/model.safetensors").into_keys().collect();
    assert!(
        names.contains(&"embedding.genres".to_owned()) && !names.contains(&"embedding.liked".to_owned()),
        "{names:?}"
    );
    assert!(place.json("whole/result.json")["test"]["auc"].as_f64().unwrap() > 0.8);

    // It relies on genres, and each column of lists is permuted by itself.
    place.run("importance whole --device cpu --repeats 2").succeeds();
    let found = place.json("whole/importance.json");
    let columns: Vec<&str> =
        found["columns"].as_array().unwrap().iter().map(|own| own["column"].as_str().unwrap()).collect();
    assert!(columns[0] == "genres" && columns.contains(&"liked"), "{columns:?}");
    place.run("eval whole --device cpu --by genres").fails(2, &["a column with one value per row", "\"genres\""]);

    // Values that nobody knows are told of; they are the row of missing ones.
    place.write("new.csv", rows(900..940).replace("g0", "g99"));
    let told = place.run("predict whole --device cpu --data new.csv --out new-scored.csv").succeeds();
    told.says(&["column \"genres\"", "are unknown to the model", "g99"]);
    place.run("eval whole --device cpu --data new.csv").succeeds();
    place.run("embeddings whole --field genres --out genres.csv").succeeds();
    assert_eq!(place.text("genres.csv").lines().count(), 1 + 1 + 7);
    let says = ["--field", "expected \"item\", whose rows \"liked\" shares"];
    place.run("embeddings whole --field liked --out liked.csv").fails(2, &says);

    // Going on: new values get rows, known ones keep theirs; what is frozen stays as it is, lists included.
    place.write("rows.csv", rows(1_000..1_600).replace("g6", "g7"));
    let frozen = "--set train.freeze=[\"embedding.item\"]";
    place
        .run(&format!("train config.toml --device cpu --out on --from whole {frozen}"))
        .succeeds()
        .says(&["new values: genres 1"]);
    let (before, after) = (place.tensors("whole/model.safetensors"), place.tensors("on/model.safetensors"));
    assert_eq!(before["embedding.item"], after["embedding.item"]);
    assert_eq!(before["embedding.genres"].len() + 8, after["embedding.genres"].len());
    place
        .run("train config.toml --device cpu --out no --set train.freeze=[\"embedding.liked\"]")
        .fails(2, &["train.freeze", "embedding.liked"]);
}

#[test]
fn lists_of_one_value_are_categories_to_the_bit() {
    let place = Place::empty();
    place.write("rows.csv", rows(0..400));
    for (run, item) in [("category", ""), ("mean", ""), ("largest", ", pooling = \"max\"")] {
        let tags = format!("item = {{ kind = \"tags\", separator = \"|\"{item} }}");
        place.write("config.toml", config(if run == "category" { "" } else { &tags }));
        place.run(&format!("train config.toml --device cpu --out {run} --set train.epochs=1")).succeeds();
    }
    let model = |run: &str| place.read(format!("{run}/model.safetensors"));
    assert!(model("category") == model("mean") && model("category") == model("largest"));
}

#[test]
fn weights_that_are_not_the_lists_are_told_with_their_line() {
    let place = Place::empty();
    let mut lines: Vec<String> = rows(0..100).lines().map(str::to_owned).collect();
    lines[7] = "1,1,i0,g1|g2,1,,20".to_owned();
    lines[8] = "0,1,i0,g1,-1,,20".to_owned();
    place.write("rows.csv", lines.join("\n") + "\n");
    place.write("config.toml", config(""));
    let says =
        ["rows.csv, line 8, column \"shares\": expected as many weights as \"genres\" has values, 2, found \"1\""];
    place.run("train config.toml --device cpu --out run").fails(3, &says);
    let skipped = "train config.toml --device cpu --out run --set data.on_bad_row=skip --set train.epochs=0";
    place.run(skipped).succeeds().says(&["line 9, column \"shares\": expected weights of at least 0"]);
    // As a category its options are of no use, and are left out.
    place
        .run("train config.toml --device cpu --out other --set train.epochs=0 --set data.fields.genres.kind=category")
        .succeeds()
        .says(&["data.fields.genres.separator", "data.fields.genres.weights", "data.fields.genres.max_length"]);
}
