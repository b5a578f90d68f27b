//! What is recorded of a run: memory traffic and data races.

use std::collections::HashMap;

use naga::Span;

use super::lower::{Site, Variable};
use super::{Options, Space};

/// Bytes of one line of a device's cache.
pub const LINE: u64 = 128;
const LINE_WORDS: u32 = 32;
const BANKS: u32 = 32;
const PAGE: usize = 1024;

/// What memory instructions moved. One instruction moves a scalar or a vector for each active lane of a subgroup; a load
/// of a struct, a matrix or an array is several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Executions by subgroups with an active lane.
    pub executions: u64,
    /// Bytes asked for by active lanes.
    pub asked: u64,
    /// Distinct bytes of each execution.
    pub used: u64,
    /// Distinct 128-byte lines of each execution; buffers begin at a line. 0 in workgroup memory.
    pub lines: u64,
    /// Cycles that workgroup memory of 32 banks takes, and those it would take without conflicts.
    pub cycles: u64,
    /// As `cycles`, without bank conflicts.
    pub ideal_cycles: u64,
}

impl Traffic {
    /// The share of the bytes of the touched lines that is used: 1 where access is coalesced.
    #[must_use]
    pub fn efficiency(&self) -> f64 {
        self.used as f64 / (LINE * self.lines.max(1)) as f64
    }

    /// Adds what other instructions moved.
    pub fn add(&mut self, other: &Self) {
        self.executions += other.executions;
        self.asked += other.asked;
        self.used += other.used;
        self.lines += other.lines;
        self.cycles += other.cycles;
        self.ideal_cycles += other.ideal_cycles;
    }

    /// `starts` are the lanes' first words; they are left in order.
    fn count(&mut self, space: Space, starts: &mut [u32], words: u32, subgroup: usize) {
        self.executions += 1;
        self.asked += 4 * u64::from(words) * starts.len() as u64;
        if space == Space::Workgroup {
            // A quarter of the lanes at a time for vectors of four, so that a phase asks for one word of each bank.
            let phase = (BANKS / words.next_power_of_two()).max(1) as usize;
            for lanes in starts.chunks(phase.min(subgroup)) {
                self.cycles += conflicts(lanes, words);
                self.ideal_cycles += 1;
            }
        }
        if !starts.is_sorted() {
            starts.sort_unstable();
        }
        let (mut end, mut next_line) = (0, 0);
        for &start in &*starts {
            self.used += 4 * u64::from((start + words).saturating_sub(end.max(start)));
            end = end.max(start + words);
            if space == Space::Storage {
                let last = (start + words - 1) / LINE_WORDS + 1;
                self.lines += u64::from(last.saturating_sub(next_line.max(start / LINE_WORDS)));
                next_line = next_line.max(last);
            }
        }
    }
}

/// The most distinct words that the lanes of one phase, at most 32 words, ask of one bank.
fn conflicts(starts: &[u32], words: u32) -> u64 {
    let mut asked = [0; BANKS as usize];
    let (mut count, mut seen) = (0, 0u32);
    for word in starts.iter().flat_map(|&start| start..start + words) {
        asked[count] = word;
        count += 1;
        seen |= 1 << (word % BANKS);
    }
    let asked = &mut asked[..count];
    if seen.count_ones() as usize == count {
        return 1;
    }
    asked.sort_unstable_by_key(|&word| (word % BANKS, word));
    let (mut most, mut run) = (1, 1);
    for pair in asked.windows(2).filter(|pair| pair[0] != pair[1]) {
        run = if pair[0] % BANKS == pair[1] % BANKS { run + 1 } else { 1 };
        most = most.max(run);
    }
    most
}

/// The traffic of one instruction of the text and one variable.
#[derive(Clone, Debug)]
pub struct Access {
    /// The variable's name.
    pub variable: String,
    /// Where it lies.
    pub space: Space,
    /// The function that has the instruction.
    pub function: String,
    /// Its place in the text.
    pub span: Span,
    /// Whether it is a store.
    pub write: bool,
    /// What it moved.
    pub traffic: Traffic,
}

/// One of two accesses that race.
#[derive(Clone, Debug)]
pub struct Party {
    /// The invocation's workgroup.
    pub group: [u32; 3],
    /// Its index in the workgroup.
    pub lane: u32,
    /// The function that has the access.
    pub function: String,
    /// Its place in the text.
    pub span: Span,
    /// Whether it writes.
    pub write: bool,
}

/// Accesses of two invocations that nothing orders, one of which at least writes. The groups are equal where a barrier
/// is missing.
#[derive(Clone, Debug)]
pub struct Race {
    /// The name of the variable, as the second access has it.
    pub variable: String,
    /// The first word found, from the variable's beginning.
    pub word: u32,
    /// Whether the two write different components of one vector; else both touch the word.
    pub partial: bool,
    /// What came first in this run.
    pub first: Party,
    /// What came second.
    pub second: Party,
    /// How often these two accesses of the text race.
    pub count: u64,
}

/// The latest access of a kind to a word. Epochs are the intervals between barriers; 0 is none.
#[derive(Clone, Copy, Default)]
struct Last {
    epoch: u32,
    /// Number of the workgroup in this run, from 1 on.
    group: u32,
    lane: u32,
    site: u32,
}

#[derive(Clone, Copy, Default)]
struct Shadow {
    write: Last,
    /// Of two invocations in the latest epoch.
    reads: [Last; 2],
    /// Of another workgroup than those.
    elsewhere: Last,
}

/// One memory access of one invocation.
pub(crate) struct Touch {
    pub variable: usize,
    pub buffer: usize,
    pub word: u32,
    pub lane: u32,
    pub site: u32,
    /// Components of the vector of which one is written.
    pub vector: Option<u32>,
}

pub(crate) struct Recorder<'r> {
    options: &'r Options,
    sites: &'r [Site],
    variables: &'r [Variable],
    groups: &'r [[u32; 3]],
    traffic: Vec<Traffic>,
    /// By buffer and page of words.
    shadows: Vec<Vec<Option<Vec<Shadow>>>>,
    races: HashMap<(usize, u32, u32, bool), (Race, u64)>,
    epochs: u32,
    storage: u32,
    workgroup: u32,
    group: u32,
}

impl<'r> Recorder<'r> {
    pub(crate) fn new(
        options: &'r Options,
        sites: &'r [Site],
        variables: &'r [Variable],
        groups: &'r [[u32; 3]],
        buffers: usize,
    ) -> Self {
        Self {
            options,
            sites,
            variables,
            groups,
            traffic: vec![Traffic::default(); sites.len() * variables.len()],
            shadows: (0..buffers).map(|_| Vec::new()).collect(),
            races: HashMap::new(),
            epochs: 0,
            storage: 0,
            workgroup: 0,
            group: 0,
        }
    }

    pub(crate) fn begin_group(&mut self) {
        self.group += 1;
        self.barrier(true, true);
    }

    pub(crate) fn barrier(&mut self, storage: bool, workgroup: bool) {
        self.epochs += 1;
        if storage {
            self.storage = self.epochs;
        }
        if workgroup {
            self.workgroup = self.epochs;
        }
    }

    pub(crate) fn traffic(&mut self, site: u32, variable: usize, starts: &mut [u32], words: u32) {
        let at = site as usize * self.variables.len() + variable;
        self.traffic[at].count(self.variables[variable].space, starts, words, self.options.subgroup);
    }

    fn shadow(&mut self, buffer: usize, word: u32) -> &mut Shadow {
        let (page, at) = (word as usize / PAGE, word as usize % PAGE);
        let pages = &mut self.shadows[buffer];
        if pages.len() <= page {
            pages.resize_with(page + 1, || None);
        }
        &mut pages[page].get_or_insert_with(|| vec![Shadow::default(); PAGE])[at]
    }

    fn now(&self, touch: &Touch) -> Last {
        let shared = self.variables[touch.variable].space == Space::Workgroup;
        let epoch = if shared { self.workgroup } else { self.storage };
        Last { epoch, group: self.group, lane: touch.lane, site: touch.site }
    }

    /// Whether nothing orders an access and this one. Workgroups have their own workgroup variables.
    fn conflict(&self, touch: &Touch, last: Last, now: Last) -> bool {
        let elsewhere = last.group != now.group && self.variables[touch.variable].space == Space::Storage;
        last.group != 0 && (elsewhere || last.epoch == now.epoch && last.lane != now.lane)
    }

    /// Whether the word has been written by this workgroup.
    pub(crate) fn is_written(&mut self, buffer: usize, word: u32) -> bool {
        let group = self.group;
        self.shadow(buffer, word).write.group == group
    }

    pub(crate) fn read(&mut self, touch: &Touch) {
        let now = self.now(touch);
        let shadow = self.shadow(touch.buffer, touch.word);
        let [first, _] = shadow.reads;
        if first.epoch != now.epoch {
            if first.group != now.group {
                shadow.elsewhere = first;
            }
            shadow.reads = [now, Last::default()];
        } else if first.lane != now.lane {
            shadow.reads[1] = now;
        }
        let write = shadow.write;
        if self.options.races && self.conflict(touch, write, now) {
            self.race(touch, write, now, false);
        }
    }

    pub(crate) fn write(&mut self, touch: &Touch) {
        let now = self.now(touch);
        let shadow = self.shadow(touch.buffer, touch.word);
        let Shadow { write, reads: [first, second], elsewhere } = *shadow;
        shadow.write = now;
        if !self.options.races {
            return;
        }
        let found = [write, first, second, elsewhere].into_iter().find(|&last| self.conflict(touch, last, now));
        if let Some(last) = found {
            self.race(touch, last, now, false);
        } else if let Some(components) = touch.vector.filter(|_| self.options.partial_vectors) {
            // Vectors of three and four begin at multiples of four words, those of two at multiples of two.
            let begin = touch.word - touch.word % components.next_power_of_two();
            for word in begin..begin + components {
                let other = self.shadow(touch.buffer, word).write;
                if self.conflict(touch, other, now) {
                    self.race(touch, other, now, true);
                }
            }
        }
    }

    fn race(&mut self, touch: &Touch, last: Last, now: Last, partial: bool) {
        let party = |of: Last| {
            let Site { function, span, write } = self.sites[of.site as usize].clone();
            Party { group: self.groups[of.group as usize - 1], lane: of.lane, function, span, write }
        };
        let order = self.races.len() as u64;
        let (race, _) = self.races.entry((touch.buffer, last.site, now.site, partial)).or_insert_with(|| {
            let variable = self.variables[touch.variable].name.clone();
            (Race { variable, word: touch.word, partial, first: party(last), second: party(now), count: 0 }, order)
        });
        race.count += 1;
    }

    /// The traffic of each instruction that was executed, and the races in the order found.
    pub(crate) fn finish(self) -> (Vec<Access>, Vec<Race>) {
        let mut accesses = Vec::new();
        for (at, &traffic) in self.traffic.iter().enumerate().filter(|(_, traffic)| traffic.executions > 0) {
            let Site { function, span, write } = self.sites[at / self.variables.len()].clone();
            let Variable { name, space, .. } = &self.variables[at % self.variables.len()];
            accesses.push(Access { variable: name.clone(), space: *space, function, span, write, traffic });
        }
        let mut races: Vec<_> = self.races.into_values().collect();
        races.sort_by_key(|(_, order)| *order);
        (accesses, races.into_iter().map(|(race, _)| race).collect())
    }
}
