//! A trained model's state in a model of more rows: more values, more scenarios, other options.

use crate::graph::{Cross, EmbeddingTable, Graph, Parameter, ParameterRole, TableField};
use crate::ops::{ModelState, TableState};

/// A model and what it has learned.
#[derive(Clone, Copy)]
pub struct Learned<'a> {
    /// Its graph.
    pub graph: &'a Graph,
    /// Its state.
    pub state: &'a ModelState<f32>,
    /// How many scenarios it knows.
    pub scenarios: usize,
}

/// Gives the state of `graph`, which has its first values, all that `from` has learned of the same parameters and rows,
/// moments included; in words, what does not fit and so begins anew, or is left behind.
///
/// Rows of a table go by field, and by scenario where each has its own; those that `from` does not have keep their first
/// values. So do the parts of a parameter for scenarios that are new, where the parts lie one after another.
pub fn take_over(from: Learned<'_>, graph: &Graph, scenarios: usize, state: &mut ModelState<f32>) -> Vec<String> {
    let mut told = Vec::new();
    for (at, parameter) in graph.parameters.iter().enumerate().filter(|(_, p)| p.role != ParameterRole::Derived) {
        let name = &parameter.name;
        let Some(old) = from.graph.parameters.iter().position(|known| known.name == *name) else {
            told.push(format!("{name} begins anew: there is none in it"));
            continue;
        };
        let before = &from.graph.parameters[old];
        if !same_parts(before, from.scenarios, parameter, scenarios) {
            let (rows, cols) = (before.rows, before.cols);
            let (now, across) = (parameter.rows, parameter.cols);
            told.push(format!("{name} begins anew: it is {rows}×{cols} there and {now}×{across} now"));
            continue;
        }
        let (learned, dense) = (&from.state.dense, &mut state.dense);
        for (values, learned) in [
            (&mut dense.weights[at], &learned.weights[old]),
            (&mut dense.first[at], &learned.first[old]),
            (&mut dense.second[at], &learned.second[old]),
        ] {
            values[..learned.len()].copy_from_slice(learned);
        }
    }
    let left = |known: &&Parameter| {
        known.role != ParameterRole::Derived && !graph.parameters.iter().any(|now| now.name == known.name)
    };
    told.extend(from.graph.parameters.iter().filter(left).map(|p| format!("{} is left behind", p.name)));
    for (table, state) in graph.tables.iter().zip(&mut state.tables) {
        let Some(old) = from.graph.tables.iter().position(|known| known.name == table.name) else {
            told.push(format!("table {} begins anew: there is none in it", table.name));
            continue;
        };
        take_over_table(&from.graph.tables[old], &from.state.tables[old], table, state, &mut told);
    }
    told
}

/// Whether what a parameter was is the beginning of what it is: the same, or more scenarios' parts of the same size.
fn same_parts(before: &Parameter, scenarios_before: usize, now: &Parameter, scenarios: usize) -> bool {
    let grown =
        |before: usize, now: usize| scenarios > scenarios_before && before * scenarios == now * scenarios_before;
    let below = before.cols == now.cols && grown(before.rows, now.rows);
    let beside = before.rows == 1 && now.rows == 1 && grown(before.cols, now.cols);
    (before.rows, before.cols) == (now.rows, now.cols) || below || beside
}

fn take_over_table(
    before: &EmbeddingTable,
    learned: &TableState<f32>,
    table: &EmbeddingTable,
    state: &mut TableState<f32>,
    told: &mut Vec<String>,
) {
    let width = table.width;
    for field in table.stored_fields() {
        let name = format!("{}.{}", table.name, field.name);
        let Some(known) = before.stored_fields().find(|known| known.name == field.name) else {
            told.push(format!("{name} begins anew: there is none in it"));
            continue;
        };
        let Some(rows) = same_rows(known, field).filter(|_| before.width == width) else {
            let was = format!("{} rows of {} values", known.rows, before.width);
            told.push(format!("{name} begins anew: it has {was} there and {} of {width} now", field.rows));
            continue;
        };
        let mut vectors = Vec::new();
        for (from, to, count) in rows {
            let (from, to) = (known.offset + from, field.offset + to);
            vectors.resize(count * width, 0.0);
            learned.weights.copy_to(from * width, &mut vectors);
            state.weights.set(to * width, &vectors);
            let kept = table.optimizer.kept(width);
            for (width, now, before) in
                [(kept[0], &mut state.first, &learned.first), (kept[1], &mut state.second, &learned.second)]
            {
                now[to * width..][..count * width].copy_from_slice(&before[from * width..][..count * width]);
            }
        }
    }
    let left = before.stored_fields().filter(|known| !table.stored_fields().any(|field| field.name == known.name));
    told.extend(left.map(|field| format!("{}.{} is left behind", table.name, field.name)));
}

/// Which rows of a field become which: first row before, first row now, and how many.
fn same_rows(before: &TableField, now: &TableField) -> Option<Vec<(usize, usize, usize)>> {
    match (before.cross, now.cross) {
        (Cross::None, Cross::None) => (before.rows <= now.rows).then(|| vec![(0, 0, before.rows)]),
        (Cross::Scenario { each }, Cross::Scenario { each: more }) => (each <= more
            && before.rows / each <= now.rows / more)
            .then(|| (0..before.rows / each).map(|scenario| (scenario * each, scenario * more, each)).collect()),
        // Another number of values or scenarios hashes all of them elsewhere.
        (Cross::Hashed { each }, Cross::Hashed { each: more }) => {
            (each == more && before.rows == now.rows).then(|| vec![(0, 0, before.rows)])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Init, Optimizer, Precision};
    use crate::ops::TableValues;
    use crate::plan::initial_state;

    /// A graph with parts for each scenario, and fields with this many rows.
    fn graph(scenarios: usize, each: [usize; 2], hidden: usize) -> Graph {
        let mut graph = Graph::new();
        graph.parameter("tower.weight", scenarios * 3, 2, Init::GlorotUniform);
        graph.parameter("tower.bias", 1, scenarios * 3, Init::Normal(1.0));
        graph.parameter("hidden.weight", hidden, 2, Init::GlorotUniform);
        let field = |name: &str, offset: usize, rows: usize, cross: Cross| TableField {
            name: name.to_owned(),
            source: 0,
            column: 0,
            offset,
            rows,
            cross,
            value: None,
            frozen: false,
            tags: None,
        };
        let crossed = scenarios * each[1];
        graph.table(EmbeddingTable {
            name: "embedding".to_owned(),
            width: 2,
            fields: vec![
                field("user", 0, each[0], Cross::None),
                field("item", each[0], crossed, Cross::Scenario { each: each[1] }),
                field("page", each[0] + crossed, 5, Cross::Hashed { each: 7 }),
            ],
            tokens: Vec::new(),
            deviation: 0.1,
            precision: Precision::F32,
            optimizer: Optimizer::Adam,
        });
        graph
    }

    /// Every number is another one.
    fn numbered(graph: &Graph) -> ModelState<f32> {
        let mut state = initial_state(graph, 1);
        let mut next = 1000.0;
        let mut fill = |values: &mut [f32]| values.iter_mut().for_each(|value| (*value, next) = (next, next + 1.0));
        let dense = &mut state.dense;
        for list in [&mut dense.weights, &mut dense.first, &mut dense.second] {
            list.iter_mut().for_each(|values| fill(values));
        }
        for table in &mut state.tables {
            fill(table.weights.full_mut().unwrap());
            fill(&mut table.first);
            fill(&mut table.second);
        }
        state
    }

    #[test]
    fn what_was_learned_stays_with_its_value_and_scenario() {
        let (small, large) = (graph(2, [4, 3], 6), graph(3, [6, 5], 6));
        let learned = numbered(&small);
        let mut state = initial_state(&large, 1);
        let first = state.clone();
        let from = Learned { graph: &small, state: &learned, scenarios: 2 };
        assert!(take_over(from, &large, 3, &mut state).is_empty());
        for parameter in 0..3 {
            let known = learned.dense.second[parameter].len();
            assert_eq!(state.dense.weights[parameter][..known], learned.dense.weights[parameter]);
            assert_eq!(state.dense.second[parameter][..known], learned.dense.second[parameter]);
            assert_eq!(state.dense.weights[parameter][known..], first.dense.weights[parameter][known..]);
        }
        let vector = |state: &ModelState<f32>, row: usize| match &state.tables[0].weights {
            TableValues::Full(values) => [values[2 * row], values[2 * row + 1], state.tables[0].first[2 * row]],
            TableValues::Half(_) => unreachable!(),
        };
        for user in 0..6 {
            let expected = if user < 4 { vector(&learned, user) } else { vector(&first, user) };
            assert_eq!(vector(&state, user), expected);
        }
        for (scenario, item) in (0..3).flat_map(|scenario| (0..5).map(move |item| (scenario, item))) {
            let row = 6 + scenario * 5 + item;
            let known = scenario < 2 && item < 3;
            let expected = if known { vector(&learned, 4 + scenario * 3 + item) } else { vector(&first, row) };
            assert_eq!(vector(&state, row), expected, "scenario {scenario}, item {item}");
        }
        assert_eq!(vector(&state, 6 + 15), vector(&learned, 4 + 6));
    }

    #[test]
    fn what_does_not_fit_is_named_and_keeps_its_first_values() {
        let (small, other) = (graph(2, [4, 3], 6), graph(2, [3, 3], 8));
        let learned = numbered(&small);
        let mut state = initial_state(&other, 1);
        let first = state.clone();
        let told = take_over(Learned { graph: &small, state: &learned, scenarios: 2 }, &other, 2, &mut state);
        assert_eq!(
            told,
            [
                "hidden.weight begins anew: it is 6×2 there and 8×2 now",
                "embedding.user begins anew: it has 4 rows of 2 values there and 3 of 2 now",
            ]
        );
        assert_eq!(state.dense.weights[2], first.dense.weights[2]);
        assert_eq!(state.dense.weights[0], learned.dense.weights[0]);
    }
}
