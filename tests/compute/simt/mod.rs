//! Executes compute shaders in naga's IR on the host, one workgroup after the other and all invocations of a workgroup in
//! lock step, as a SIMT machine does: a statement is executed once for all invocations that reach it together. Records
//! how memory is accessed, and finds data races and accesses out of bounds.
//!
//! Arithmetic is Rust's `f32`. Of subgroup operations it knows `subgroupShuffleXor` and `subgroupShuffleDown`. Not supported:
//! atomics, textures, overrides, `f16`, scalars of 64 bits.

mod exec;
mod layout;
mod lower;
mod ops;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::BTreeMap;
use std::fmt;

use naga::{Module, Span};

pub use trace::{Access, Race, Traffic};

/// The contents of storage and uniform buffers as words.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    words: Vec<Vec<u32>>,
    bindings: BTreeMap<(u32, u32), usize>,
}

impl Buffers {
    /// No buffers. What is not bound has no words, so that access to it is out of bounds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a new buffer; of a dynamic offset, give what lies from there on.
    pub fn set(&mut self, group: u32, binding: u32, words: Vec<u32>) {
        self.bindings.insert((group, binding), self.words.len());
        self.words.push(words);
    }

    /// Binds the buffer that is bound at `of` a second time; false if there is none.
    pub fn alias(&mut self, group: u32, binding: u32, of: (u32, u32)) -> bool {
        let found = self.bindings.get(&of).copied();
        found.map(|buffer| self.bindings.insert((group, binding), buffer)).is_some()
    }

    /// The words of a bound buffer, which is then empty; none if there is none.
    pub fn take(&mut self, group: u32, binding: u32) -> Vec<u32> {
        let buffer = self.bindings.get(&(group, binding)).copied();
        buffer.map(|buffer| std::mem::take(&mut self.words[buffer])).unwrap_or_default()
    }
}

/// What a run looks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Lanes that a device executes together, at most 64.
    pub subgroup: usize,
    /// Whether to look for data races.
    pub races: bool,
    /// Whether to count what memory instructions move; else [`Trace::accesses`] is empty.
    pub traffic: bool,
    /// Whether stores of different components of one vector race: WGSL allows a store to write the whole vector.
    pub partial_vectors: bool,
    /// Whether to stop where a word of a workgroup variable is read that the workgroup has not written.
    pub uninitialised: bool,
    /// Instructions after which to stop.
    pub limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { subgroup: 32, races: true, traffic: true, partial_vectors: true, uninitialised: true, limit: u64::MAX }
    }
}

/// Where a variable lies that invocations share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// A uniform buffer; its traffic is not recorded.
    Uniform,
    /// A storage buffer.
    Storage,
    /// Workgroup memory.
    Workgroup,
}

/// What a run recorded. An instruction is an operation on scalars, of which one on vectors of four is four; or a load, a
/// store, also of a function's variables, a branch or a barrier. Renaming values, as a swizzle does, is none.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Memory accesses in the text's order by function.
    pub accesses: Vec<Access>,
    /// Data races in the order found, each pair of accesses of the text once.
    pub races: Vec<Race>,
    /// Instructions executed by workgroups.
    pub instructions: u64,
    /// Instructions executed by invocations.
    pub lane_instructions: u64,
    /// Lanes of the subgroups that executed them, active or not.
    pub lane_slots: u64,
    /// The most invocations that executed an instruction together.
    pub max_active: u32,
}

impl Trace {
    /// The mean share of the lanes of an executing subgroup that are active.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        self.lane_instructions as f64 / self.lane_slots.max(1) as f64
    }

    /// The loads or stores of a variable together.
    #[must_use]
    pub fn traffic(&self, variable: &str, write: bool) -> Traffic {
        let mut sum = Traffic::default();
        for access in self.accesses.iter().filter(|a| a.variable == variable && a.write == write) {
            sum.add(&access.traffic);
        }
        sum
    }
}

/// Why a run stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Something that this crate does not know.
    Unsupported(String),
    /// An access beyond a buffer.
    OutOfBounds {
        /// Its name.
        variable: String,
        /// The first word of the access.
        word: u32,
        /// Words of the buffer.
        words: u32,
    },
    /// An index beyond an array, a matrix or a vector.
    Index {
        /// The index.
        index: u32,
        /// How many elements there are.
        length: u32,
    },
    /// A read of a workgroup variable where the workgroup has not written.
    Uninitialised {
        /// Its name.
        variable: String,
        /// The word.
        word: u32,
    },
    /// A barrier that only some invocations reach.
    DivergentBarrier {
        /// How many reach it.
        active: u32,
        /// Of how many.
        invocations: u32,
    },
    /// More instructions than [`Options::limit`].
    Limit,
}

/// A run's or a module's error and its place.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What happened.
    pub kind: FaultKind,
    /// In which function.
    pub function: String,
    /// Where in the text, if that is known.
    pub span: Span,
    /// The workgroup.
    pub group: [u32; 3],
    /// The invocation, if it was one.
    pub lane: Option<u32>,
}

impl Fault {
    fn new(kind: FaultKind, site: &lower::Site) -> Self {
        Self { kind, function: site.function.clone(), span: site.span, group: [0; 3], lane: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FaultKind::Unsupported(what) => write!(f, "unsupported: {what}")?,
            FaultKind::OutOfBounds { variable, word, words } => {
                write!(f, "out of bounds: word {word} of {variable}, which has {words}")?;
            }
            FaultKind::Index { index, length } => write!(f, "index {index} of {length} elements")?,
            FaultKind::Uninitialised { variable, word } => {
                write!(f, "word {word} of {variable} is read but has not been written")?;
            }
            FaultKind::DivergentBarrier { active, invocations } => {
                write!(f, "a barrier that {active} of {invocations} invocations reach")?;
            }
            FaultKind::Limit => write!(f, "too many instructions")?,
        }
        write!(f, ", in {} at {:?}, workgroup {:?}", self.function, self.span.to_range(), self.group)?;
        self.lane.map_or(Ok(()), |lane| write!(f, ", invocation {lane}"))
    }
}

impl std::error::Error for Fault {}

/// A module's entry point `main`, ready to run.
pub struct Machine {
    program: lower::Program,
}

impl Machine {
    /// Prepares a module, which should be valid.
    ///
    /// # Errors
    /// [`FaultKind::Unsupported`] if it has something that this crate does not know.
    pub fn new(module: &Module) -> Result<Self, Fault> {
        Ok(Self { program: lower::lower(module)? })
    }

    /// Runs these workgroups of a dispatch of `num_workgroups`, and leaves what they store in the buffers.
    ///
    /// # Errors
    /// The first [`Fault`]; races are none.
    pub fn run(
        &self,
        buffers: &mut Buffers,
        groups: &[[u32; 3]],
        num_workgroups: [u32; 3],
        options: &Options,
    ) -> Result<Trace, Fault> {
        exec::run(&self.program, buffers, groups, num_workgroups, options)
    }
}
