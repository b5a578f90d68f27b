use super::*;
use crate::train::comparison::{Costs, ExperimentKind};
use crate::train::evaluation::bootstrap::Interval;
use crate::train::evaluation::statistics::Summary;

fn score(mean: f64, deviation: f64) -> Score {
    Some(Summary { mean, deviation: Some(deviation), count: 3 })
}

fn scores(auc: f64, logloss: f64) -> Scores {
    Scores { auc: score(auc, 0.000_21), logloss: score(logloss, 0.001), gauc: None }
}

fn standing(label: &str, ours: bool, auc: f64, logloss: f64) -> Standing {
    Standing {
        label: label.to_owned(),
        model: "m".to_owned(),
        sets: Vec::new(),
        ours,
        seeds: [3, 3],
        test: scores(auc, logloss),
        valid: scores(auc - 0.01, logloss),
        scenarios: vec![scores(auc, logloss), Scores::default()],
        improvement: None,
        against_baseline: None,
        difference: None,
        ahead_of_best: None,
        against_best: None,
        costs: Costs::default(),
    }
}

fn summaries() -> Summaries {
    let mut ours = standing("our|s <b>", true, 0.8125, 0.52);
    ours.improvement = Some(0.0123);
    ours.against_baseline = Some(PairedTest { t: 5.0, p: 0.01234, pairs: 3 });
    ours.ahead_of_best = Some(-0.0003);
    ours.against_best = Some(PairedTest { t: -9.0, p: 0.000_012, pairs: 3 });
    ours.seeds = [2, 3];
    ours.costs = Costs {
        parameters: Some(1_234_567),
        rows_per_second: Some(98_765.4),
        train_seconds: Some(12.34),
        peak_memory_bytes: Some(300 << 20),
        ..Costs::default()
    };
    let mut other = standing("other", false, 0.8128, 0.53);
    other.test.logloss = None;
    Summaries {
        kind: ExperimentKind::Compare,
        standings: vec![standing("plain", false, 0.81, 0.51), other, ours],
        scenarios: vec!["young".to_owned(), "old & <wise>".to_owned()],
        baseline: Some("plain".to_owned()),
        best_baseline: Some("other".to_owned()),
        baselines: vec!["plain".to_owned(), "other".to_owned()],
        devices: vec!["CPU (2 threads)".to_owned()],
        skipped: Vec::new(),
        search: None,
    }
}

fn bare(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_best_is_bold_and_the_second_best_underlined() {
    let markdown = text(&summaries(), TableStyle::Markdown);
    let lines: Vec<String> = markdown.lines().map(bare).collect();
    assert_eq!(lines[0], "### Test rows");
    assert_eq!(
        lines[2],
        "| model | seeds | AUC | LogLoss | RelaImpr | p, against plain | AUC, less other's | p, against other |"
    );
    // LogLoss: smaller is better, and one that is missing is no second.
    assert_eq!(lines[4], "| plain | 3 | 0.8100 ± 0.0002 | **0.5100 ± 0.0010** | | | | |");
    assert_eq!(lines[5], "| other | 3 | **0.8128 ± 0.0002** | n/a | n/a | n/a | | |");
    assert_eq!(
        lines[6],
        "| our\\|s \\<b\\> | 2 of 3 | <ins>0.8125 ± 0.0002</ins> | <ins>0.5200 ± 0.0010</ins> | +1.23 % | 0.012 | -0.0003 | 1.2e-5 |"
    );
    assert!(markdown.contains("### Test AUC by scenario") && markdown.contains("### Test LogLoss by scenario"));
    assert!(markdown.contains("the best baseline: the one with the highest mean test AUC among plain, other."));
    assert!(markdown.contains("Not finished yet: 1 run."));
    assert!(
        lines.contains(&"| our\\|s \\<b\\> | 1,234,567 | n/a | 98,765 | 12.3 | 300 MiB |".to_owned()),
        "{markdown}"
    );
    let terminal = text(&summaries(), TableStyle::Terminal);
    assert!(terminal.contains("\u{1b}[4m") && terminal.contains("\u{1b}[1m"), "underlined and bold");
    let plain = text(&summaries(), TableStyle::Plain);
    assert!(!plain.contains('\u{1b}') && !plain.contains("in bold"), "{plain}");
}

#[test]
fn differences_stand_with_both_ends_of_their_interval() {
    let mut found = summaries();
    let interval = Interval { low: -0.000_44, high: 0.005_46 };
    let (resamples, by) = (1000, Unit::Users);
    found.standings[2].difference = Some(Difference { auc: 0.0025, interval, seeds: 2, resamples, by, units: 6040 });
    let markdown = text(&found, TableStyle::Markdown);
    let lines: Vec<String> = markdown.lines().map(bare).collect();
    assert!(lines[2].contains("| p, against plain | AUC, less plain's (95 %) |"), "{}", lines[2]);
    assert!(
        lines[5].contains("| n/a | n/a | n/a |") && lines[6].contains("| +0.0025 (-0.0004 to +0.0055) |"),
        "{}",
        lines[6]
    );
    assert!(markdown.contains("1,000 bootstrap resamples of the test rows' 6,040 users"), "{markdown}");
    let csv = models_csv(&found);
    assert!(csv.contains("bootstrap_auc_low") && csv.contains("-0.00044,0.00546"), "{csv}");
}

#[test]
fn equals_are_both_best_and_one_alone_is_not() {
    let marks = |means: &[f64]| {
        let scores: Vec<Score> = means.iter().map(|&mean| score(mean, 0.0)).collect();
        Column::of_scores("AUC", &scores, true).cells.into_iter().map(|cell| cell.mark).collect::<Vec<_>>()
    };
    assert_eq!(marks(&[0.7, 0.8, 0.8, 0.6]), [Mark::Second, Mark::Best, Mark::Best, Mark::None]);
    assert_eq!(marks(&[0.7]), [Mark::None]);
    assert_eq!(marks(&[]), []);
}

#[test]
fn a_terminal_gets_many_scenarios_in_several_tables() {
    let mut many = summaries();
    many.scenarios = (0..20).map(|number| format!("page {number}")).collect();
    for standing in &mut many.standings {
        standing.scenarios = vec![scores(0.7, 0.5); 20];
    }
    let titles = |parts: &[Part]| parts.iter().filter(|part| part.title.contains("AUC")).count();
    assert_eq!(titles(&parts(&many, 8)), 3);
    assert_eq!(titles(&parts(&many, usize::MAX)), 1);
    let heads: usize =
        parts(&many, 8).iter().filter(|part| part.title.contains("AUC")).map(|part| part.heads.len()).sum();
    // The labels three times, all scenarios together once.
    assert_eq!(heads, 3 + 1 + 20);
}

#[test]
fn html_is_plain_ascii_and_takes_no_name_for_markup() {
    let page = html(&summaries());
    assert!(page.is_ascii());
    assert!(page.contains("<th scope=\"row\">our|s &#60;b&#62;</th>"), "{page}");
    assert!(page.contains("old &#38; &#60;wise&#62;"));
    assert!(page.contains("<b>0.8128 &#177; 0.0002</b>") && page.contains("<u>0.8125 &#177; 0.0002</u>"));
    for tag in ["table", "tr", "td", "th", "thead", "tbody", "p", "section"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert!(!page.contains("http") && !page.contains("<script"));
}

#[test]
fn csv_has_every_digit() {
    let text = models_csv(&summaries());
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heads: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let lines: Vec<Vec<String>> =
        reader.records().map(|line| line.unwrap().iter().map(str::to_owned).collect()).collect();
    let value = |line: usize, head: &str| lines[line][heads.iter().position(|own| own == head).unwrap()].clone();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (value(2, "label"), value(2, "seeds"), value(2, "ours")),
        ("our|s <b>".into(), "2".into(), "true".into())
    );
    assert_eq!(value(0, "test_auc_sd"), "0.00021");
    assert_eq!((value(2, "against_baseline_p"), value(0, "against_baseline_p")), ("0.01234".into(), String::new()));
    assert_eq!(
        (value(1, "test_logloss_mean"), value(0, "test[old & <wise>]_auc_mean")),
        (String::new(), String::new())
    );
    assert_eq!(value(2, "peak_memory_bytes"), (300_u64 << 20).to_string());
}

#[test]
fn a_sweep_shows_validation_first() {
    let mut sweep = summaries();
    (sweep.kind, sweep.baseline, sweep.best_baseline) = (ExperimentKind::Sweep, None, None);
    sweep.skipped = vec!["row_div=3".to_owned()];
    let text = text(&sweep, TableStyle::Plain);
    let heads = bare(text.lines().nth(1).unwrap());
    assert_eq!(heads, "combination seeds valid AUC valid LogLoss test AUC test LogLoss");
    assert!(text.contains("Ordered by mean validation AUC") && text.contains("cannot be trained: row_div=3"));
    assert!(!text.contains("RelaImpr"));
}
