//! What use cases tell, shown: lines on standard error, and progress bars.

use indicatif::ProgressBar;

use super::print::print_line;
use super::progress::{OpeningBars, bytes, counted};
use crate::app::Event;
use crate::report::table::{TableStyle, scenario_table};
use crate::train::LoopEvent;

/// Shows events.
#[derive(Default)]
pub(super) struct Observer {
    opening: OpeningBars,
    bar: Option<ProgressBar>,
    /// What went wrong with standard output, which an event cannot tell its sender.
    pub(super) printed: Option<anyhow::Error>,
}

impl Observer {
    pub(super) fn tell(&mut self, event: Event<'_>) {
        match &event {
            Event::Opening(progress) => self.opening.show(*progress),
            Event::Counting { what, total } => {
                self.end();
                self.bar = Some(if *total == 0 { bytes(what) } else { counted(*total, what) });
            }
            Event::Counted { done, total } => {
                if let Some(bar) = &self.bar {
                    bar.set_length(*total);
                    bar.set_position(*done);
                }
            }
            Event::CountingEnded | Event::TrainingEnded => self.end(),
            Event::Training(LoopEvent::EpochStart { epoch, epochs, steps, done }) => {
                let bar = counted(*steps, &format!("epoch {epoch}/{epochs}"));
                bar.set_position(*done);
                bar.reset_eta();
                self.bar = Some(bar);
            }
            Event::Training(LoopEvent::Steps { done, loss }) => {
                if let Some(bar) = &self.bar {
                    bar.set_position(*done);
                    bar.set_message(loss.map_or_else(String::new, |loss| format!("LogLoss {loss:.4}")));
                }
            }
            Event::Training(LoopEvent::Evaluated(_)) => match &self.bar {
                Some(bar) => bar.suspend(|| note!("{event}")),
                None => note!("{event}"),
            },
            Event::Training(LoopEvent::EpochEnd(_)) => {
                self.end();
                note!("{event}");
            }
            Event::Tested(result) => {
                let table = scenario_table(&result.test, result.best_reachable.as_ref(), TableStyle::for_stdout());
                let which = match result.best_epoch {
                    0 => "the initial weights".to_owned(),
                    epoch => format!("the best weights (epoch {epoch})"),
                };
                self.printed = print_line(&format!("test rows, {which}:\n{table}")).err();
            }
            _ => note!("{event}"),
        }
    }

    fn end(&mut self) {
        self.opening.end();
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
