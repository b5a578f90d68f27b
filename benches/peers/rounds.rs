//! One comparison: everyone starts, warms up, and has turns.

use std::time::{Duration, Instant};

use crate::child::{Child, Failure, Memory, Ready, Timing};
use crate::options::Options;
use crate::report::{Comparison, Entry};
use crate::variants::{Kind, Programs, Variant, all, group};
use crate::workload::Task;

/// Seconds that everyone trains before it is measured, if one pass over the data takes longer. A program that touches
/// its memory only when it trains needs them, above all with a large table.
const WARM_UP: f64 = 3.0;
/// Blocks of one turn at most: a quick program need not be measured thousands of times.
const MAX_BLOCKS: usize = 50;

/// A variant that takes part, and what it has shown so far.
struct Subject {
    variant: Variant,
    child: Child,
    ready: Ready,
    /// Steps between two looks at the losses.
    steps: usize,
    blocks: usize,
    times: Vec<f64>,
    losses: Vec<f64>,
    failure: Option<Failure>,
}

/// Trains `task` with polyscene and with all peers that are wanted, in turns.
pub(crate) fn compare(task: &Task, options: &Options, programs: &Programs) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::new(task);
    println!("\n{}", comparison.title());
    let (groups, out) = group(&all(task, options), options.memory());
    let ours = &all(task, options)[0];
    for variants in groups {
        let (ours, peers) = together(ours, &variants, task, options, programs)?;
        comparison.add(ours, peers);
    }
    comparison.leave_out(out.into_iter().map(|(variant, why)| Entry::failed(&variant, why)));
    print!("{}", comparison.text());
    Ok(comparison)
}

/// polyscene and one group of variants, all alive at once.
fn together(
    ours: &Variant,
    variants: &[Variant],
    task: &Task,
    options: &Options,
    programs: &Programs,
) -> anyhow::Result<(Entry, Vec<Entry>)> {
    let mut ours = Subject::start(ours, task, options, programs, None)
        .map_err(|why| anyhow::anyhow!("polyscene on {}: {why}", task.device))?;
    // A GPU is kept busy over many steps; a processor is not asked to look ahead.
    let steps = if Kind::of(&task.device) == Kind::Gpu { ours.steps } else { 1 };
    let (mut subjects, mut done) = (Vec::new(), Vec::new());
    for variant in variants {
        match Subject::start(variant, task, options, programs, Some(steps)) {
            Ok(subject) => subjects.push(subject),
            Err(why) => {
                eprintln!("{}: {why}", variant.label());
                done.push(Entry::failed(variant, why));
            }
        }
    }
    for _ in 0..options.rounds {
        for subject in std::iter::once(&mut ours).chain(&mut subjects) {
            subject.turn(options);
        }
    }
    if let Some(why) = &ours.failure {
        anyhow::bail!("polyscene on {}: {why}", task.device);
    }
    done.extend(subjects.into_iter().map(Subject::finish));
    Ok((ours.finish(), done))
}

impl Subject {
    fn start(
        variant: &Variant,
        task: &Task,
        options: &Options,
        programs: &Programs,
        steps: Option<usize>,
    ) -> Result<Self, Failure> {
        let started = Instant::now();
        let task = Task { variant: variant.name.clone(), device: variant.device.clone(), ..task.clone() };
        let log = programs.work.join("stderr");
        let mut child = Child::start(programs.command(variant, &task)?, &log)?;
        let limit = options.prepare_limit();
        let ready = child.prepare(&task, limit)?;
        let steps = steps.or(ready.steps).unwrap_or(1);
        // The first steps compile, tune and bring pages in; Burn's second still tunes.
        child.run(3, 1, limit.saturating_sub(started.elapsed()))?;
        let max = Duration::from_secs_f64(options.step_limit);
        let Timing { ms, .. } = child.run(1, 1, max).map_err(|why| format!("too slow: a step, {why}"))?;
        let pass = (task.samples / task.batch).div_ceil(steps);
        let blocks = (1e3 * WARM_UP / (ms[0] * steps as f64)) as usize;
        child.run(blocks.clamp(1, pass), steps, limit)?;
        let timing = child.run(1, steps, limit)?;
        let block = Duration::from_secs_f64(timing.ms[0] * steps as f64 / 1e3).max(Duration::from_micros(1));
        let blocks = (options.turn().as_secs_f64() / block.as_secs_f64()) as usize;
        Ok(Self {
            variant: variant.clone(),
            child,
            ready,
            steps,
            blocks: blocks.clamp(1, MAX_BLOCKS),
            times: Vec::new(),
            losses: Vec::new(),
            failure: None,
        })
    }

    fn turn(&mut self, options: &Options) {
        if self.failure.is_some() {
            return;
        }
        let limit = Duration::from_secs_f64(options.step_limit) * (self.blocks * self.steps) as u32;
        match self.child.run(self.blocks, self.steps, limit) {
            Ok(Timing { ms, losses }) => {
                self.times.extend(ms);
                self.losses.extend(losses);
            }
            Err(why) => self.failure = Some(why),
        }
    }

    fn finish(mut self) -> Entry {
        if let Some(why) = self.failure.take() {
            return Entry::failed(&self.variant, why);
        }
        let memory: Option<Memory> = self.child.memory().ok();
        Entry::measured(&self.variant, self.times, &self.losses, self.ready, memory)
    }
}
