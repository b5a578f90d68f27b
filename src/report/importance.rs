//! Which columns a model relies on, as tables.

use crate::data::shortened;
use crate::report::table::{MISSING, TableStyle, draw_marked};
use crate::train::evaluation::importance::{Change, ColumnImportance, Importance, Permuted};

/// Scenarios that stand side by side.
const SCENARIOS: usize = 8;

/// What a column is to the model, in words.
pub fn role(own: &ColumnImportance) -> &'static str {
    match (own.permuted, own.aware) {
        (Permuted::Field, Some(true)) => "aware",
        (Permuted::Field, _) => "agnostic",
        (Permuted::Sequence, _) => "sequence",
        (Permuted::ScenarioParts, _) => "parts for scenarios",
        (Permuted::ScenarioEverywhere, _) => "feature and parts",
    }
}

/// A mean with its deviation.
pub fn change_text(change: Option<Change>) -> String {
    match change {
        Some(Change { mean, deviation: Some(deviation) }) => format!("{mean:.4} ± {deviation:.4}"),
        Some(Change { mean, deviation: None }) => format!("{mean:.4}"),
        None => MISSING.to_owned(),
    }
}

/// A line for each column, the most important first: what the AUC loses, and how much the LogLoss rises.
pub fn importance_table(found: &Importance, style: TableStyle) -> String {
    let line = |own: &ColumnImportance| {
        let changes = [own.all.auc_drop, own.all.logloss_rise].map(change_text);
        [shortened(&own.column), role(own).to_owned()].into_iter().chain(changes).map(Into::into).collect()
    };
    let lines: Vec<_> = found.columns.iter().map(line).collect();
    draw_marked(&["column", "role", "AUC lost", "LogLoss gained"], &lines, style)
}

/// What the AUC loses within each scenario, some of them side by side in each table.
pub fn scenario_tables(found: &Importance, style: TableStyle) -> Vec<String> {
    let numbered: Vec<(usize, String)> = found.scenarios.iter().map(|name| shortened(name)).enumerate().collect();
    let table = |chunk: &[(usize, String)]| {
        let heads: Vec<&str> =
            ["column", "role"].into_iter().chain(chunk.iter().map(|(_, name)| name.as_str())).collect();
        let line = |own: &ColumnImportance| {
            let lost = chunk.iter().map(|(number, _)| {
                let change = own.scenarios.get(*number).and_then(|loss| loss.auc_drop);
                change.map_or_else(|| MISSING.to_owned(), |change| format!("{:.4}", change.mean))
            });
            [shortened(&own.column), role(own).to_owned()].into_iter().chain(lost).map(Into::into).collect()
        };
        draw_marked(&heads, &found.columns.iter().map(line).collect::<Vec<_>>(), style)
    };
    numbered.chunks(SCENARIOS).map(table).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::evaluation::importance::Loss;

    #[test]
    fn columns_stand_with_what_they_are() {
        let change = |mean, deviation| Some(Change { mean, deviation });
        let all = Loss { auc_drop: change(0.0312, Some(0.0011)), logloss_rise: change(0.02, None) };
        let own = |column: &str, permuted, aware| ColumnImportance {
            column: column.to_owned(),
            permuted,
            aware,
            all,
            scenarios: vec![all, Loss::default()],
        };
        let found = Importance {
            split: "test".to_owned(),
            rows: 9,
            repeats: 5,
            seed: 0,
            auc: Some(0.8),
            logloss: Some(0.4),
            scenarios: vec!["news".to_owned(), "mail".to_owned()],
            columns: vec![own("page", Permuted::Field, Some(true)), own("page", Permuted::ScenarioParts, None)],
        };
        let bare = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let table = importance_table(&found, TableStyle::Plain);
        let lines: Vec<String> = table.lines().map(bare).collect();
        assert_eq!(lines[0], "column role AUC lost LogLoss gained");
        assert_eq!(lines[1], "page aware 0.0312 ± 0.0011 0.0200");
        assert_eq!(lines[2], "page parts for scenarios 0.0312 ± 0.0011 0.0200");
        let tables = scenario_tables(&found, TableStyle::Plain);
        assert_eq!(tables.len(), 1);
        assert_eq!(bare(tables[0].lines().nth(1).unwrap()), "page aware 0.0312 n/a");
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Importance>(&text).unwrap(), found);
    }
}
