//! Barriers where only some threads of a workgroup may come by.
//!
//! WGSL forbids them, browsers refuse them, naga lets them pass, and a GPU then hangs or computes garbage, if not on the
//! machine at hand. So the tests ask this analysis about every shader. It is stricter than WGSL's: what it accepts is
//! uniform, what it refuses can be written more simply.
//!
//! Subgroup operations are held to the same: what they get from threads that do not come by is no number.
//!
//! A value is *uniform* when all threads of a workgroup have the same: constants, workgroup ids, uniform and read-only
//! storage reads at uniform places, and local variables that are only ever given uniform values in uniform control
//! flow. A barrier must stand where only uniform conditions decide: under uniform `if`s and loops, and after no
//! `return`, `break` or `continue` that some threads take and others not.

use std::collections::HashMap;

use naga::{AddressSpace, Binding, Block, BuiltIn, Expression, Function, Handle, Module, Span, Statement};

/// Where the first misplaced barrier stands.
pub(super) fn misplaced(module: &Module) -> Option<Span> {
    let mut known = Summaries::new();
    module.entry_points.iter().find_map(|entry| {
        let builtin = |argument: &naga::FunctionArgument| {
            let uniform = [BuiltIn::WorkGroupId, BuiltIn::WorkGroupSize, BuiltIn::NumWorkGroups];
            uniform.into_iter().any(|builtin| argument.binding == Some(Binding::BuiltIn(builtin)))
        };
        let arguments = entry.function.arguments.iter().map(builtin).collect();
        summary(module, &entry.function, arguments, &mut known).misplaced
    })
}

/// Whether a statement is a barrier, or a subgroup operation.
fn needs_all_threads(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::ControlBarrier(_)
            | Statement::WorkGroupUniformLoad { .. }
            | Statement::SubgroupGather { .. }
            | Statement::SubgroupCollectiveOperation { .. }
            | Statement::SubgroupBallot { .. }
    )
}

/// What is known of a function, by which of its arguments are uniform.
type Summaries = HashMap<(Handle<Function>, Vec<bool>), Summary>;

/// What a call does, made where control flow is uniform.
#[derive(Clone, Copy, Default)]
struct Summary {
    misplaced: Option<Span>,
    /// Whether all threads get the same value back.
    uniform: bool,
}

fn summary(module: &Module, function: &Function, arguments: Vec<bool>, known: &mut Summaries) -> Summary {
    let locals = function.local_variables.len();
    let mut analysis = Analysis {
        module,
        function,
        arguments,
        varying: vec![false; locals],
        calls: HashMap::new(),
        returns_uniform: true,
        known,
    };
    // A variable found varying makes others so; each round finds at least one, or is the last.
    loop {
        let before = analysis.varying.clone();
        analysis.block(&function.body, Flow { uniform: true }, &mut None);
        if analysis.varying == before {
            break;
        }
    }
    let mut misplaced = None;
    analysis.returns_uniform = true;
    analysis.block(&function.body, Flow { uniform: true }, &mut misplaced);
    Summary { misplaced, uniform: analysis.returns_uniform }
}

struct Analysis<'a, 'k> {
    module: &'a Module,
    function: &'a Function,
    /// Of each argument, whether it is uniform.
    arguments: Vec<bool>,
    /// By the index of a local variable: whether it is given a value that is not uniform, or by some threads only.
    varying: Vec<bool>,
    /// Of the results of calls so far, whether they are uniform.
    calls: HashMap<Handle<Expression>, bool>,
    returns_uniform: bool,
    known: &'k mut Summaries,
}

/// The control flow that a statement stands in.
#[derive(Clone, Copy)]
struct Flow {
    /// All threads come by, or none.
    uniform: bool,
}

/// What a block does to the flow after it.
#[derive(Clone, Copy, Default)]
struct Exits {
    /// Some threads may have returned.
    returned: bool,
    /// Some threads may have left the loop, or this round of it.
    left: bool,
}

impl Exits {
    fn any(self) -> bool {
        self.returned || self.left
    }

    fn or(self, other: Self) -> Self {
        Self { returned: self.returned || other.returned, left: self.left || other.left }
    }
}

impl Analysis<'_, '_> {
    /// What a call does where these arguments are uniform.
    fn call(&mut self, function: Handle<Function>, arguments: Vec<bool>) -> Summary {
        let key = (function, arguments.clone());
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        let made = summary(self.module, &self.module.functions[function], arguments, self.known);
        self.known.insert(key, made);
        made
    }

    fn block(&mut self, block: &Block, mut flow: Flow, found: &mut Option<Span>) -> Exits {
        let mut exits = Exits::default();
        for (statement, span) in block.span_iter() {
            let taken = match statement {
                statement if needs_all_threads(statement) => {
                    if !flow.uniform {
                        found.get_or_insert(*span);
                    }
                    Exits::default()
                }
                Statement::Call { function, arguments, result } => {
                    if !flow.uniform && self.has_barrier(*function) {
                        found.get_or_insert(*span);
                    }
                    // What a pointer leads to may change within the call.
                    let uniform = |&argument: &_| self.local(argument).is_none() && self.uniform(argument);
                    let uniform = arguments.iter().map(uniform).collect();
                    let Summary { misplaced, uniform } = self.call(*function, uniform);
                    if let Some(misplaced) = misplaced {
                        found.get_or_insert(misplaced);
                    }
                    if let Some(result) = result {
                        self.calls.insert(*result, uniform && flow.uniform);
                    }
                    // A callee may write through a pointer to a local variable.
                    for &argument in arguments {
                        self.give(argument, false);
                    }
                    Exits::default()
                }
                Statement::Store { pointer, value } => {
                    let uniform = flow.uniform && self.uniform(*value) && self.place_uniform(*pointer);
                    self.give(*pointer, uniform);
                    Exits::default()
                }
                Statement::Block(inner) => self.block(inner, flow, found),
                Statement::If { condition, accept, reject } => {
                    let inner = Flow { uniform: flow.uniform && self.uniform(*condition) };
                    let accepted = self.block(accept, inner, found);
                    accepted.or(self.block(reject, inner, found))
                }
                Statement::Switch { selector, cases } => {
                    let inner = Flow { uniform: flow.uniform && self.uniform(*selector) };
                    let all = cases.iter().map(|case| self.block(&case.body, inner, found));
                    // A `break` here leaves the switch only, but is taken to leave the loop: stricter, and rare.
                    all.fold(Exits::default(), Exits::or)
                }
                Statement::Loop { body, continuing, break_if } => {
                    // Threads that left in one round are missing in the next, so the loop is gone through twice.
                    let once = self.round(body, continuing, *break_if, flow, found);
                    let again = Flow { uniform: flow.uniform && !once.any() };
                    let twice = self.round(body, continuing, *break_if, again, found);
                    // Who leaves the loop goes on behind it with all others.
                    Exits { returned: once.returned || twice.returned, left: false }
                }
                Statement::Return { value } => {
                    self.returns_uniform &= flow.uniform && value.is_none_or(|value| self.uniform(value));
                    Exits { returned: !flow.uniform, left: false }
                }
                Statement::Kill => Exits { returned: !flow.uniform, left: false },
                Statement::Break | Statement::Continue => Exits { returned: false, left: !flow.uniform },
                _ => Exits::default(),
            };
            exits = exits.or(taken);
            flow.uniform &= !taken.any();
        }
        exits
    }

    fn round(
        &mut self,
        body: &Block,
        continuing: &Block,
        break_if: Option<Handle<Expression>>,
        flow: Flow,
        found: &mut Option<Span>,
    ) -> Exits {
        let exits = self.block(body, flow, found);
        let after = Flow { uniform: flow.uniform && !exits.any() };
        let exits = exits.or(self.block(continuing, after, found));
        let broken = break_if.is_some_and(|condition| !after.uniform || !self.uniform(condition));
        exits.or(Exits { returned: false, left: broken })
    }

    /// Notes what is written through a pointer, where it leads to a local variable.
    fn give(&mut self, pointer: Handle<Expression>, uniform: bool) {
        if let Some(variable) = self.local(pointer) {
            self.varying[variable.index()] |= !uniform;
        }
    }

    fn local(&self, pointer: Handle<Expression>) -> Option<Handle<naga::LocalVariable>> {
        match self.function.expressions[pointer] {
            Expression::LocalVariable(variable) => Some(variable),
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.local(base),
            _ => None,
        }
    }

    /// Whether all threads mean the same place by a pointer to a local variable.
    fn place_uniform(&self, pointer: Handle<Expression>) -> bool {
        match self.function.expressions[pointer] {
            Expression::Access { base, index } => self.uniform(index) && self.place_uniform(base),
            Expression::AccessIndex { base, .. } => self.place_uniform(base),
            _ => true,
        }
    }

    fn uniform(&self, expression: Handle<Expression>) -> bool {
        let all = |parts: &[Handle<Expression>]| parts.iter().all(|&part| self.uniform(part));
        match &self.function.expressions[expression] {
            Expression::Literal(_)
            | Expression::Constant(_)
            | Expression::Override(_)
            | Expression::ZeroValue(_)
            | Expression::ArrayLength(_) => true,
            Expression::FunctionArgument(index) => self.arguments[*index as usize],
            Expression::CallResult(_) => self.calls.get(&expression).copied().unwrap_or(false),
            Expression::LocalVariable(variable) => !self.varying[variable.index()],
            Expression::GlobalVariable(variable) => match self.module.global_variables[*variable].space {
                AddressSpace::Uniform | AddressSpace::Immediate => true,
                AddressSpace::Storage { access } => !access.contains(naga::StorageAccess::STORE),
                // What other threads write may have changed between two threads' reads.
                _ => false,
            },
            // Loaded once for all threads: that is what it is for.
            Expression::WorkGroupUniformLoadResult { .. } => true,
            Expression::Load { pointer } => self.uniform(*pointer),
            Expression::Access { base, index } => all(&[*base, *index]),
            Expression::AccessIndex { base, .. } => self.uniform(*base),
            Expression::Splat { value, .. } => self.uniform(*value),
            Expression::Swizzle { vector, .. } => self.uniform(*vector),
            Expression::Compose { components, .. } => all(components),
            Expression::Unary { expr, .. } | Expression::As { expr, .. } => self.uniform(*expr),
            Expression::Binary { left, right, .. } => all(&[*left, *right]),
            Expression::Select { condition, accept, reject } => all(&[*condition, *accept, *reject]),
            Expression::Relational { argument, .. } => self.uniform(*argument),
            Expression::Math { arg, arg1, arg2, arg3, .. } => {
                self.uniform(*arg) && [arg1, arg2, arg3].into_iter().flatten().all(|&part| self.uniform(part))
            }
            // Results of atomics and subgroup operations, and all that compute shaders of ours do not use.
            _ => false,
        }
    }

    fn has_barrier(&self, function: Handle<Function>) -> bool {
        fn within(module: &Module, block: &Block) -> bool {
            block.iter().any(|statement| match statement {
                statement if needs_all_threads(statement) => true,
                Statement::Block(inner) => within(module, inner),
                Statement::If { accept, reject, .. } => within(module, accept) || within(module, reject),
                Statement::Switch { cases, .. } => cases.iter().any(|case| within(module, &case.body)),
                Statement::Loop { body, continuing, .. } => within(module, body) || within(module, continuing),
                Statement::Call { function, .. } => within(module, &module.functions[*function].body),
                _ => false,
            })
        }
        within(self.module, &self.module.functions[function].body)
    }
}

#[cfg(test)]
mod tests {
    use crate::gpu::ShaderSource;

    /// A kernel of 64 threads around a body; the line of its misplaced barrier, counted within the body from 1.
    fn misplaced(body: &str) -> Option<String> {
        const HEAD: &str = "@group(0) @binding(0) var<storage, read> sizes: array<u32>;\n\
            @group(0) @binding(1) var<storage, read_write> values: array<f32>;\n\
            struct Clock { steps: u32 }\n\
            @group(1) @binding(0) var<uniform> clock: Clock;\n\
            const ROWS: u32 = 4u;\n\
            var<workgroup> tile: array<f32, 64>;\n\
            fn synced(x: f32) -> f32 { tile[0] = x; workgroupBarrier(); return tile[0]; }\n\
            fn half(x: u32) -> u32 { return x / 2u; }\n\
            fn neighbour(x: f32) -> f32 { return subgroupShuffleDown(x, 1u); }\n\
            fn wait(x: u32) { if x > 2u { workgroupBarrier(); } }\n\
            @compute @workgroup_size(64)\n\
            fn main(@builtin(local_invocation_index) l: u32, @builtin(workgroup_id) w: vec3<u32>) {\n";
        let text = format!("{HEAD}{body}\n  values[l] = tile[0];\n}}\n");
        let shader = ShaderSource::new("kernel", text.leak()).expand(|_| None).unwrap();
        shader.reflect().unwrap();
        shader.check().err().map(|error| error.to_string())
    }

    #[test]
    fn uniform_places_are_accepted() {
        for body in [
            "workgroupBarrier();",
            "if ROWS > 2u { workgroupBarrier(); }",
            "if w.x < clock.steps { workgroupBarrier(); }",
            "if sizes[w.x] == 0u { return; } workgroupBarrier();",
            "for (var k = 0u; k < ROWS; k += 1u) { tile[l] = 1.0; workgroupBarrier(); values[l] = tile[0]; workgroupBarrier(); }",
            "for (var s = 32u; s > 0u; s >>= 1u) { if l < s { tile[l] += tile[l + s]; } workgroupBarrier(); }",
            "for (var k = w.x * 4u; k < min(sizes[w.x], w.x * 4u + 4u); k++) { if k == 7u { continue; } workgroupBarrier(); }",
            "for (var r = 0u; r < l; r++) { if r == 3u { break; } } workgroupBarrier();",
            "var n = 0u; loop { n++; workgroupBarrier(); if n == 3u { break; } }",
            "values[l] = synced(2.0);",
            "values[l] = neighbour(values[l]) + subgroupAdd(1.0);",
            "if half(sizes[w.x]) > 3u { workgroupBarrier(); }",
            "wait(w.x);",
            "let all = workgroupUniformLoad(&tile)[0]; if all > 0.0 { workgroupBarrier(); }",
        ] {
            assert_eq!(misplaced(body), None, "{body}");
        }
    }

    #[test]
    fn what_a_call_decides_by_is_seen() {
        let text = misplaced("wait(l);").unwrap();
        assert!(text.starts_with("shaders/kernel.wgsl:10:"), "{text}");
    }

    #[test]
    fn places_that_some_threads_pass_are_refused() {
        for body in [
            "if l < 3u { workgroupBarrier(); }",
            "if l < 3u { values[l] = subgroupShuffleXor(values[l], 1u); }",
            "if l < 3u { values[l] = neighbour(values[l]); }",
            "if l >= 3u { return; } workgroupBarrier();",
            "if values[0] > 0.0 { workgroupBarrier(); }",
            "if tile[0] > 0.0 { workgroupBarrier(); }",
            "for (var k = 0u; k < l; k++) { workgroupBarrier(); }",
            "for (var k = l; k < 64u; k += 64u) { workgroupBarrier(); }",
            "var n = 0u; if l == 0u { n = 1u; } if n == 1u { workgroupBarrier(); }",
            "var n = 0u; var m = 0u; for (var k = 0u; k < 3u; k++) { m = n; n = l; } if m == 1u { workgroupBarrier(); }",
            "for (var k = 0u; k < 4u; k++) { workgroupBarrier(); if k == l { break; } }",
            "for (var k = 0u; k < 4u; k++) { if k == l { continue; } workgroupBarrier(); }",
            "switch l { case 0u: { workgroupBarrier(); } default: {} }",
            "if l == 0u { values[l] = synced(2.0); }",
            "if half(l) > 3u { workgroupBarrier(); }",
        ] {
            let text = misplaced(body).unwrap_or_else(|| panic!("accepted: {body}"));
            assert!(text.starts_with("shaders/kernel.wgsl:13:"), "{text}");
        }
    }
}
