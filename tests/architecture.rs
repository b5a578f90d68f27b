//! The floors of `docs/architecture.md`: a file imports only from floors below its own, or from its own.

use std::collections::BTreeMap;
use std::path::Path;

/// The floor of each of the crate's modules, as the table of "The house" has it.
fn floors(page: &str) -> BTreeMap<String, u32> {
    let table = page.split("## The house").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut floors = BTreeMap::new();
    for line in table.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, floor, folders, ..] = cells[..] else { continue };
        let Ok(floor) = floor.parse() else { continue };
        for folder in folders.split('`').filter_map(|text| text.strip_prefix("src/")) {
            floors.insert(folder.trim_end_matches('/').trim_end_matches(".rs").to_owned(), floor);
        }
    }
    floors
}

/// The modules that a text names as `crate::NAME` or `crate::{NAME, …}`, comments left aside.
fn imports(text: &str) -> Vec<String> {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap().to_owned() + "\n").collect();
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let Some(list) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let (mut depth, mut is_first) = (0, true);
        for (at, character) in list.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => is_first = true,
                _ if is_first && !character.is_whitespace() => {
                    names.push(word(&list[at..]));
                    is_first = false;
                }
                _ => {}
            }
        }
    }
    names
}

/// What a file of `module` imports from floors above its own.
fn upwards(floors: &BTreeMap<String, u32>, module: &str, text: &str) -> Vec<String> {
    let own = floors[module];
    imports(text).into_iter().filter(|name| floors.get(name).is_some_and(|floor| *floor > own)).collect()
}

fn files(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, visit);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            visit(&path);
        }
    }
}

#[test]
fn nothing_imports_from_a_floor_above_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let floors = floors(&std::fs::read_to_string(root.join("docs/architecture.md")).unwrap());
    let mut faults = Vec::new();
    let mut count = 0;
    files(&root.join("src"), &mut |path| {
        let inside = path.strip_prefix(root.join("src")).unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if module == "lib" {
            return;
        }
        assert!(floors.contains_key(module), "src/{module} stands on no floor of docs/architecture.md");
        let text = std::fs::read_to_string(path).unwrap();
        faults.extend(upwards(&floors, module, &text).into_iter().map(|name| format!("{}: {name}", inside.display())));
        count += 1;
    });
    assert!(count > 100, "{count} files");
    assert!(faults.is_empty(), "imports from floors above:\n{}", faults.join("\n"));
}

#[test]
fn imports_are_seen_however_they_are_written() {
    let text = "use crate::plan::{self, Plan};\nuse crate::{data::{Rows, cli}, train};\n// crate::bench\nfn f() { crate::ops::g() }";
    assert_eq!(imports(text), ["plan", "data", "train", "ops"]);
    let floors = BTreeMap::from([("plan", 3), ("data", 1), ("train", 6), ("ops", 2)].map(|(n, f)| (n.to_owned(), f)));
    assert_eq!(upwards(&floors, "plan", text), ["train"]);
}
