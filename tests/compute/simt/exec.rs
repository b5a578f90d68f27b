//! Executes instructions for all invocations of a workgroup at once.

use naga::BuiltIn;

use super::lower::{Inst, Local, Memory, Pointer, Program, Root, Shuffle, Site, Stmt};
use super::trace::{Recorder, Touch};
use super::{Buffers, Fault, FaultKind, Options, Space, Trace};

const MOST: usize = 1024;

/// A set of invocations of a workgroup.
#[derive(Clone, Copy, Default, PartialEq)]
struct Mask([u64; MOST / 64]);

impl Mask {
    fn first(count: usize) -> Self {
        let mut mask = Self::default();
        for lane in 0..count {
            mask.0[lane / 64] |= 1 << (lane % 64);
        }
        mask
    }

    fn with(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    fn without(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; MOST / 64]
    }

    fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    fn has(&self, lane: usize) -> bool {
        self.0[lane / 64] >> (lane % 64) & 1 != 0
    }

    fn lanes(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(|(_, word)| **word != 0).flat_map(|(i, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let lane = (rest != 0).then(|| 64 * i + rest.trailing_zeros() as usize);
                rest &= rest.wrapping_sub(1);
                lane
            })
        })
    }

    /// The lanes whose word has a property.
    fn filter(&self, row: &[u32], property: impl Fn(u32) -> bool) -> Self {
        let mut mask = *self;
        for (bits, words) in mask.0.iter_mut().zip(row.chunks(64)) {
            let found = words.iter().enumerate().fold(0, |found, (i, &word)| found | u64::from(property(word)) << i);
            *bits &= found;
        }
        mask
    }
}

/// Lanes that have left the innermost loop or switch, or the rest of a loop's body.
#[derive(Default)]
struct Flow {
    broken: Mask,
    continued: Mask,
}

struct Run<'r> {
    program: &'r Program,
    options: &'r Options,
    lanes: usize,
    full: Mask,
    /// Values, row by row.
    rows: Vec<u32>,
    /// Function and private variables, row by row.
    own: Vec<u32>,
    slots: Vec<usize>,
    /// Bound buffers, workgroup variables, and the empty buffer of unbound ones.
    data: Vec<Vec<u32>>,
    /// The buffer of each variable.
    places: Vec<usize>,
    /// Which buffers can be written at all: races need that.
    writable: Vec<bool>,
    recorder: Recorder<'r>,
    trace: Trace,
    group: [u32; 3],
}

pub(crate) fn run(
    program: &Program,
    buffers: &mut Buffers,
    groups: &[[u32; 3]],
    num_workgroups: [u32; 3],
    options: &Options,
) -> Result<Trace, Fault> {
    let lanes = program.workgroup.iter().product::<u32>() as usize;
    if lanes > MOST || !(1..=64).contains(&options.subgroup) {
        let site = Site { function: "main".to_owned(), span: naga::Span::UNDEFINED, write: false };
        let what = format!("a workgroup of {lanes} or a subgroup of {} invocations", options.subgroup);
        return Err(Fault::new(FaultKind::Unsupported(what), &site));
    }
    let bound = buffers.words.len();
    let mut data = std::mem::take(&mut buffers.words);
    data.push(Vec::new());
    let mut places = Vec::new();
    for variable in &program.variables {
        if variable.space == Space::Workgroup {
            places.push(data.len());
            data.push(vec![0; variable.words as usize]);
        } else {
            places.push(variable.binding.and_then(|at| buffers.bindings.get(&at).copied()).unwrap_or(bound));
        }
    }
    let mut writable = vec![false; data.len()];
    for (variable, &place) in program.variables.iter().zip(&places) {
        writable[place] |= variable.writable;
    }
    let mut rows = Vec::with_capacity(program.rows.len() * lanes);
    for word in &program.rows {
        rows.resize(rows.len() + lanes, word.unwrap_or(0));
    }
    let mut run = Run {
        program,
        options,
        lanes,
        full: Mask::first(lanes),
        rows,
        own: vec![0; program.own as usize * lanes],
        slots: vec![0; program.slots],
        places,
        writable,
        recorder: Recorder::new(options, &program.sites, &program.variables, groups, data.len()),
        data,
        trace: Trace::default(),
        group: [0; 3],
    };
    let mut done = Ok(());
    for &group in groups {
        done = run.workgroup(group, num_workgroups, bound + 1);
        if done.is_err() {
            break;
        }
    }
    run.data.truncate(bound);
    buffers.words = run.data;
    done?;
    (run.trace.accesses, run.trace.races) = run.recorder.finish();
    Ok(run.trace)
}

impl Run<'_> {
    /// `shared` is the first workgroup variable's buffer.
    fn workgroup(&mut self, group: [u32; 3], num_workgroups: [u32; 3], shared: usize) -> Result<(), Fault> {
        self.group = group;
        for words in &mut self.data[shared..] {
            words.fill(0);
        }
        self.recorder.begin_group();
        let size = self.program.workgroup;
        for (builtin, to) in &self.program.builtins {
            for lane in 0..self.lanes {
                let index = lane as u32;
                let id = [index % size[0], index / size[0] % size[1], index / size[0] / size[1]];
                let value = match builtin {
                    BuiltIn::WorkGroupId => group,
                    BuiltIn::NumWorkGroups => num_workgroups,
                    BuiltIn::LocalInvocationId => id,
                    BuiltIn::LocalInvocationIndex => [index; 3],
                    BuiltIn::GlobalInvocationId => std::array::from_fn(|i| group[i] * size[i] + id[i]),
                    BuiltIn::WorkGroupSize => size,
                    other => {
                        return Err(Fault {
                            kind: FaultKind::Unsupported(format!("{other:?}")),
                            function: "main".to_owned(),
                            span: naga::Span::UNDEFINED,
                            group,
                            lane: None,
                        });
                    }
                };
                for (&row, word) in to.iter().zip(value) {
                    self.rows[row as usize * self.lanes + lane] = word;
                }
            }
        }
        self.initialise(&self.program.privates);
        self.function(self.program.functions.len() - 1, self.full)
    }

    fn initialise(&mut self, variables: &[Local]) {
        let n = self.lanes;
        for (first, words, init) in variables {
            let own = &mut self.own[*first as usize * n..(first + words) as usize * n];
            match init {
                None => own.fill(0),
                Some(rows) => {
                    for (to, &from) in own.chunks_mut(n).zip(rows) {
                        to.copy_from_slice(&self.rows[from as usize * n..][..n]);
                    }
                }
            }
        }
    }

    fn function(&mut self, function: usize, active: Mask) -> Result<(), Fault> {
        let function = &self.program.functions[function];
        self.initialise(&function.locals);
        self.block(&function.body, &function.result, active, &mut Flow::default()).map(drop)
    }

    fn fault<T>(&self, kind: FaultKind, site: u32, lane: Option<usize>) -> Result<T, Fault> {
        let lane = lane.map(|lane| lane as u32);
        Err(Fault { group: self.group, lane, ..Fault::new(kind, &self.program.sites[site as usize]) })
    }

    fn count(&mut self, instructions: u64, active: &Mask) {
        let (lanes, size) = (active.count(), self.options.subgroup);
        let subgroups = (0..self.lanes.div_ceil(size)).filter(|&s| part(active, s, size) != 0).count();
        self.trace.instructions += instructions;
        self.trace.lane_instructions += instructions * u64::from(lanes);
        self.trace.lane_slots += instructions * (subgroups * size) as u64;
        self.trace.max_active = self.trace.max_active.max(lanes);
    }

    /// Executes statements; the result is the lanes that reach the end.
    fn block(&mut self, block: &[Stmt], result: &[u32], active: Mask, flow: &mut Flow) -> Result<Mask, Fault> {
        let n = self.lanes;
        let mut active = active;
        for stmt in block {
            if active.is_empty() {
                break;
            }
            match stmt {
                Stmt::Run(instructions) => {
                    self.count(instructions.len() as u64, &active);
                    for inst in instructions {
                        self.inst(inst, &active)?;
                    }
                }
                Stmt::Nested(block) => active = self.block(block, result, active, flow)?,
                Stmt::If { condition, accept, reject } => {
                    self.count(1, &active);
                    let taken = active.filter(self.row(*condition), |word| word != 0);
                    let rest = active.without(taken);
                    active = self.block(accept, result, taken, flow)?.with(self.block(reject, result, rest, flow)?);
                }
                Stmt::Switch { selector, cases } => {
                    self.count(1, &active);
                    let row = self.row(*selector);
                    let entering: Vec<_> =
                        cases.iter().map(|c| c.value.map(|v| active.filter(row, |w| w == v))).collect();
                    let default = entering.iter().flatten().fold(active, |rest, &mask| rest.without(mask));
                    let mut inner = Flow::default();
                    let (mut done, mut falling) = (Mask::default(), Mask::default());
                    for (case, enter) in cases.iter().zip(entering) {
                        let through = enter.unwrap_or(default).with(falling);
                        let through = self.block(&case.body, result, through, &mut inner)?;
                        falling = if case.fall_through { through } else { Mask::default() };
                        done = done.with(through.without(falling));
                    }
                    flow.continued = flow.continued.with(inner.continued);
                    active = done.with(falling).with(inner.broken);
                }
                Stmt::Loop { body, continuing, break_if, site } => {
                    let mut done = Mask::default();
                    while !active.is_empty() {
                        self.count(1, &active);
                        let mut inner = Flow::default();
                        let through = self.block(body, result, active, &mut inner)?;
                        done = done.with(inner.broken);
                        active = self.block(continuing, result, through.with(inner.continued), &mut Flow::default())?;
                        if let Some(row) = *break_if {
                            let leaving = active.filter(self.row(row), |word| word != 0);
                            done = done.with(leaving);
                            active = active.without(leaving);
                        }
                        if self.trace.instructions > self.options.limit {
                            return self.fault(FaultKind::Limit, *site, None);
                        }
                    }
                    active = done;
                }
                Stmt::Break => {
                    flow.broken = flow.broken.with(active);
                    active = Mask::default();
                }
                Stmt::Continue => {
                    flow.continued = flow.continued.with(active);
                    active = Mask::default();
                }
                Stmt::Return(rows) => {
                    for (&to, &from) in result.iter().zip(rows) {
                        let (to, from) = (to as usize * n, from as usize * n);
                        for lane in active.lanes() {
                            self.rows[to + lane] = self.rows[from + lane];
                        }
                    }
                    active = Mask::default();
                }
                Stmt::Barrier { storage, workgroup, site } => {
                    self.count(1, &active);
                    self.barrier(*storage, *workgroup, *site, &active)?;
                }
                Stmt::Store { to, rows } => {
                    self.count(1, &active);
                    self.store(to, rows, &active)?;
                }
                Stmt::UniformLoad { out, from } => {
                    self.count(1, &active);
                    self.barrier(false, true, from.site, &active)?;
                    self.load(*out, from, &active)?;
                    self.barrier(false, true, from.site, &active)?;
                }
                Stmt::Shuffle { out, rows, from, by } => {
                    self.count(rows.len() as u64, &active);
                    self.shuffle(*out, rows, *from, *by, &active);
                }
                Stmt::Call { function, values, pointers, out } => {
                    for (to, from) in values {
                        let from = *from as usize * n;
                        self.rows.copy_within(from..from + n, *to as usize * n);
                    }
                    for (to, slot, pointer) in pointers {
                        if let Some(slot) = *slot {
                            self.slots[slot] = self.variable(pointer);
                        }
                        for lane in 0..n {
                            self.rows[*to as usize * n + lane] = self.address(pointer, lane);
                        }
                    }
                    self.function(*function, active)?;
                    let returned = &self.program.functions[*function].result;
                    if let Some(&first) = returned.first() {
                        let first = first as usize * n;
                        self.rows.copy_within(first..first + returned.len() * n, *out as usize * n);
                    }
                }
            }
        }
        Ok(active)
    }

    fn barrier(&mut self, storage: bool, workgroup: bool, site: u32, active: &Mask) -> Result<(), Fault> {
        if *active != self.full {
            let (active, invocations) = (active.count(), self.lanes as u32);
            return self.fault(FaultKind::DivergentBarrier { active, invocations }, site, None);
        }
        self.recorder.barrier(storage, workgroup);
        Ok(())
    }

    fn shuffle(&mut self, out: u32, rows: &[u32], from: Shuffle, by: u32, active: &Mask) {
        let (n, size) = (self.lanes, self.options.subgroup);
        for (out, &row) in (out..).zip(rows) {
            for lane in 0..n {
                let by = self.rows[by as usize * n + lane] as usize;
                let (first, own) = (lane / size * size, lane % size);
                let other = match from {
                    Shuffle::Xor => own ^ by,
                    Shuffle::Down => own + by,
                };
                let there = other < size && first + other < n && active.has(first + other);
                // What is not there is no number, so that nothing may come of it.
                let value = if there { self.rows[row as usize * n + first + other] } else { f32::NAN.to_bits() };
                self.rows[out as usize * n + lane] = value;
            }
        }
    }

    fn row(&self, row: u32) -> &[u32] {
        &self.rows[row as usize * self.lanes..][..self.lanes]
    }

    fn address(&self, pointer: &Pointer, lane: usize) -> u32 {
        let moved = pointer.row.map_or(0, |row| self.rows[row as usize * self.lanes + lane]);
        moved.saturating_add(pointer.offset)
    }

    fn variable(&self, pointer: &Pointer) -> usize {
        match pointer.root {
            Root::Variable(variable) => variable,
            Root::Slot(slot) => self.slots[slot],
            Root::Own => unreachable!("it is no shared variable"),
        }
    }

    /// Results are computed for inactive lanes too, where nothing reads them.
    fn inst(&mut self, inst: &Inst, active: &Mask) -> Result<(), Fault> {
        let n = self.lanes;
        match inst {
            Inst::One(f, out, a) => {
                let (rows, out) = split(&mut self.rows, *out, n);
                f(out, &rows[*a as usize * n..][..n]);
            }
            Inst::Two(f, out, operands) => {
                let (rows, out) = split(&mut self.rows, *out, n);
                let [a, b] = operands.map(|row| &rows[row as usize * n..][..n]);
                f(out, a, b);
            }
            Inst::Three(f, out, operands) => {
                let (rows, out) = split(&mut self.rows, *out, n);
                let [a, b, c] = operands.map(|row| &rows[row as usize * n..][..n]);
                f(out, a, b, c);
            }
            Inst::Pick { out, rows, width, index, site } => {
                let length = rows.len() as u32 / width;
                for lane in active.lanes() {
                    let index = self.row(*index)[lane];
                    if index >= length {
                        return self.fault(FaultKind::Index { index, length }, *site, Some(lane));
                    }
                    for word in 0..*width {
                        let from = rows[(index * width + word) as usize] as usize;
                        self.rows[(out + word) as usize * n + lane] = self.rows[from * n + lane];
                    }
                }
            }
            Inst::Offset { out, base, index, stride, count, site } => {
                if let Some(length) = *count {
                    let outside = active.filter(self.row(*index), |index| index >= length);
                    if let Some(lane) = outside.lanes().next() {
                        let index = self.row(*index)[lane];
                        return self.fault(FaultKind::Index { index, length }, *site, Some(lane));
                    }
                }
                let (rows, out) = split(&mut self.rows, *out, n);
                for (out, &index) in out.iter_mut().zip(&rows[*index as usize * n..][..n]) {
                    *out = index.saturating_mul(*stride);
                }
                if let Some(base) = *base {
                    for (out, &base) in out.iter_mut().zip(&rows[base as usize * n..][..n]) {
                        *out = out.saturating_add(base);
                    }
                }
            }
            Inst::Load { out, from } => self.load(*out, from, active)?,
            Inst::Length { out, array, stride } => {
                let words = self.data[self.places[self.variable(array)]].len() as u32;
                let count = words.saturating_sub(self.address(array, 0)) / stride;
                split(&mut self.rows, *out, n).1.fill(count);
            }
        }
        Ok(())
    }

    /// The address in all active lanes, if it is the same.
    fn uniform(&self, pointer: &Pointer, active: &Mask) -> Option<usize> {
        let Some(row) = pointer.row else { return Some(pointer.offset as usize) };
        let row = self.row(row);
        let first = row[active.lanes().next()?];
        let same = active.filter(row, |word| word == first) == *active;
        same.then_some((first + pointer.offset) as usize)
    }

    fn load(&mut self, out: u32, from: &Memory, active: &Mask) -> Result<(), Fault> {
        let (n, words) = (self.lanes, from.words as usize);
        let first = out as usize * n;
        let Some(leaves) = &from.leaves else {
            if let Some(at) = self.uniform(&from.pointer, active) {
                self.rows[first..first + words * n].copy_from_slice(&self.own[at * n..(at + words) * n]);
            } else {
                for lane in active.lanes() {
                    let at = self.address(&from.pointer, lane) as usize;
                    for word in 0..words {
                        self.rows[first + word * n + lane] = self.own[(at + word) * n + lane];
                    }
                }
            }
            return Ok(());
        };
        let mut to = first;
        for leaf in leaves {
            self.shared(from, leaf.at, leaf.words, active, |run, buffer, lane, at, word| {
                run.rows[to + word * n + lane] = run.data[buffer][at];
            })?;
            to += leaf.words as usize * n;
        }
        Ok(())
    }

    fn store(&mut self, to: &Memory, from: &[u32], active: &Mask) -> Result<(), Fault> {
        let n = self.lanes;
        let Some(leaves) = &to.leaves else {
            let uniform = self.uniform(&to.pointer, active);
            for (word, &row) in from.iter().enumerate() {
                let row = &self.rows[row as usize * n..][..n];
                match uniform {
                    Some(at) if *active == self.full => self.own[(at + word) * n..][..n].copy_from_slice(row),
                    _ => {
                        for lane in active.lanes() {
                            let at = self.address(&to.pointer, lane) as usize;
                            self.own[(at + word) * n + lane] = row[lane];
                        }
                    }
                }
            }
            return Ok(());
        };
        let mut rows = from;
        for leaf in leaves {
            let (these, rest) = rows.split_at(leaf.words as usize);
            self.shared(to, leaf.at, leaf.words, active, |run, buffer, lane, at, word| {
                run.data[buffer][at] = run.rows[these[word] as usize * n + lane];
            })?;
            rows = rest;
        }
        Ok(())
    }

    /// One memory instruction: checks and records it, and moves the words.
    fn shared(
        &mut self,
        memory: &Memory,
        at: u32,
        words: u32,
        active: &Mask,
        mut transfer: impl FnMut(&mut Self, usize, usize, usize, usize),
    ) -> Result<(), Fault> {
        let (variable, site) = (self.variable(&memory.pointer), memory.site);
        let (info, buffer) = (&self.program.variables[variable], self.places[variable]);
        let write = self.program.sites[site as usize].write;
        let length = self.data[buffer].len() as u32;
        let touched = info.space == Space::Workgroup || self.options.races && self.writable[buffer];
        let size = self.options.subgroup;
        for subgroup in 0..self.lanes.div_ceil(size) {
            let mut starts = [0; 64];
            let mut count = 0;
            let mut rest = part(active, subgroup, size);
            while rest != 0 {
                let lane = subgroup * size + rest.trailing_zeros() as usize;
                rest &= rest - 1;
                let start = self.address(&memory.pointer, lane).saturating_add(at);
                if start.checked_add(words).is_none_or(|end| end > length) {
                    let (variable, word) = (info.name.clone(), start);
                    return self.fault(FaultKind::OutOfBounds { variable, word, words: length }, site, Some(lane));
                }
                for i in 0..words {
                    let word = start + i;
                    transfer(self, buffer, lane, word as usize, i as usize);
                    if touched {
                        let touch = Touch { variable, buffer, word, lane: lane as u32, site, vector: memory.vector };
                        if write {
                            self.recorder.write(&touch);
                            continue;
                        }
                        let shared = info.space == Space::Workgroup;
                        if shared && self.options.uninitialised && !self.recorder.is_written(buffer, word) {
                            let variable = info.name.clone();
                            return self.fault(FaultKind::Uninitialised { variable, word }, site, Some(lane));
                        }
                        self.recorder.read(&touch);
                    }
                }
                starts[count] = start;
                count += 1;
            }
            if self.options.traffic && count > 0 && info.space != Space::Uniform {
                self.recorder.traffic(site, variable, &mut starts[..count], words);
            }
        }
        Ok(())
    }
}

/// The active lanes of a subgroup.
fn part(mask: &Mask, subgroup: usize, size: usize) -> u64 {
    let first = subgroup * size;
    let (word, shift) = (first / 64, first % 64);
    let next = mask.0.get(word + 1).copied().unwrap_or(0);
    let bits = mask.0[word] >> shift | if shift > 0 { next << (64 - shift) } else { 0 };
    bits & (u64::MAX >> (64 - size))
}

/// The rows before one and that one: operands come before results.
fn split(rows: &mut [u32], out: u32, n: usize) -> (&[u32], &mut [u32]) {
    let (before, rest) = rows.split_at_mut(out as usize * n);
    (before, &mut rest[..n])
}
