//! Progress bars on the terminal; plain silence where there is none.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::data::{OpeningPhase, Progress};

fn bar(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A bar for counted work.
pub(super) fn counted(length: u64, what: &str) -> ProgressBar {
    let template = "{prefix:<18} {bar:32} {human_pos}/{human_len} {elapsed} (eta {eta}) {msg}";
    bar(length, template).with_prefix(what.to_owned())
}

/// A bar for bytes, whose number is set later.
pub(super) fn bytes(what: &str) -> ProgressBar {
    bar(0, "{prefix:<18} {bar:32} {bytes}/{total_bytes} {elapsed} (eta {eta})").with_prefix(what.to_owned())
}

/// A sign of life on work that cannot be counted.
pub(super) fn working(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// The bars of opening data, one after another.
#[derive(Default)]
pub(super) struct OpeningBars {
    current: Option<(OpeningPhase, ProgressBar)>,
}

impl OpeningBars {
    /// Shows how far opening has come.
    pub(super) fn show(&mut self, progress: Progress) {
        let shown = self.current.as_ref().is_some_and(|(phase, _)| *phase == progress.phase);
        if !shown {
            self.end();
            let template = if progress.phase.is_in_bytes() {
                "{prefix:<18} {bar:32} {bytes}/{total_bytes} {elapsed} {msg}"
            } else {
                "{prefix:<18} {bar:32} {human_pos}/{human_len} {elapsed} {msg}"
            };
            self.current = Some((progress.phase, bar(progress.total, template).with_prefix(progress.phase.name())));
        }
        if let Some((_, bar)) = &self.current {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            if progress.rows > 0 {
                bar.set_message(format!("{} rows", progress.rows));
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&mut self) {
        if let Some((_, bar)) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}
