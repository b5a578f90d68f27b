//! naga's IR as instructions on rows. Functions do not recurse, so that each has its rows to itself. Rows are numbered
//! so that an instruction's result comes after its operands. Composing and taking apart values is only renaming of rows.

use std::collections::HashMap;

use naga::front::Typifier;
use naga::proc::ResolveContext;
use naga::{
    AddressSpace, Arena, BinaryOperator, Binding, Block, BuiltIn, Expression, GatherMode, Handle, Literal,
    MathFunction, Module, RelationalFunction, ScalarKind, Span, Statement, SwitchValue, TypeInner,
};

use super::layout::{Layout, Leaf};
use super::ops::{self, Row1, Row2, Row3};
use super::{Fault, FaultKind, Space};

/// Where a pointer's memory is.
#[derive(Clone, Copy)]
pub(crate) enum Root {
    /// The function and private variables of each invocation.
    Own,
    Variable(usize),
    /// The variable that the latest call put in this slot.
    Slot(usize),
}

/// An address in words: that of a row, if any, and a constant.
#[derive(Clone)]
pub(crate) struct Pointer {
    pub root: Root,
    pub row: Option<u32>,
    pub offset: u32,
}

pub(crate) enum Inst {
    One(Row1, u32, u32),
    Two(Row2, u32, [u32; 2]),
    Three(Row3, u32, [u32; 3]),
    /// Element `index` of a value: `width` of its rows.
    Pick {
        out: u32,
        rows: Vec<u32>,
        width: u32,
        index: u32,
        site: u32,
    },
    /// A pointer's row moved by `index` elements.
    Offset {
        out: u32,
        base: Option<u32>,
        index: u32,
        stride: u32,
        count: Option<u32>,
        site: u32,
    },
    Load {
        out: u32,
        from: Memory,
    },
    /// Elements of a runtime-sized array.
    Length {
        out: u32,
        array: Pointer,
        stride: u32,
    },
}

/// What a load or a store touches.
pub(crate) struct Memory {
    pub pointer: Pointer,
    /// None for a function or private variable, whose words follow each other.
    pub leaves: Option<Vec<Leaf>>,
    pub words: u32,
    /// Components of the vector of which this is one: a store may write them all.
    pub vector: Option<u32>,
    pub site: u32,
}

pub(crate) enum Stmt {
    Run(Vec<Inst>),
    Nested(Vec<Stmt>),
    If {
        condition: u32,
        accept: Vec<Stmt>,
        reject: Vec<Stmt>,
    },
    Switch {
        selector: u32,
        cases: Vec<Case>,
    },
    Loop {
        body: Vec<Stmt>,
        continuing: Vec<Stmt>,
        break_if: Option<u32>,
        site: u32,
    },
    Break,
    Continue,
    Return(Vec<u32>),
    Barrier {
        storage: bool,
        workgroup: bool,
        site: u32,
    },
    Store {
        to: Memory,
        rows: Vec<u32>,
    },
    UniformLoad {
        out: u32,
        from: Memory,
    },
    /// Rows of what other lanes of the subgroup have, beginning with `out`.
    Shuffle {
        out: u32,
        rows: Vec<u32>,
        from: Shuffle,
        by: u32,
    },
    /// The function, copies of rows to its arguments' rows, pointers to those and a slot, and the result's first row.
    Call {
        function: usize,
        values: Vec<(u32, u32)>,
        pointers: Vec<(u32, Option<usize>, Pointer)>,
        out: u32,
    },
}

/// The lane that a shuffle reads from.
#[derive(Clone, Copy)]
pub(crate) enum Shuffle {
    /// The own one, with some bits the other way.
    Xor,
    /// Some lanes further on.
    Down,
}

pub(crate) struct Case {
    /// None is the default.
    pub value: Option<u32>,
    pub body: Vec<Stmt>,
    pub fall_through: bool,
}

/// A function or private variable's first word, its words, and the rows of its initial value.
pub(crate) type Local = (u32, u32, Option<Vec<u32>>);

pub(crate) struct Function {
    arguments: Vec<Value>,
    pub result: Vec<u32>,
    pub locals: Vec<Local>,
    pub body: Vec<Stmt>,
}

/// An instruction that can fail or is counted.
#[derive(Clone)]
pub(crate) struct Site {
    pub function: String,
    pub span: Span,
    pub write: bool,
}

pub(crate) struct Variable {
    pub name: String,
    pub space: Space,
    pub binding: Option<(u32, u32)>,
    pub writable: bool,
    /// Of a workgroup variable.
    pub words: u32,
}

#[derive(Clone)]
enum Value {
    Rows(Vec<u32>),
    Pointer(Pointer),
    /// An error only if the value is needed: naga leaves unused expressions behind.
    Unsupported(String),
}

/// The arena whose expressions are lowered.
struct Scope<'m> {
    name: String,
    expressions: &'m Arena<Expression>,
    types: Typifier,
    arguments: Vec<Value>,
    locals: Vec<Pointer>,
    values: Vec<Value>,
}

/// A lowered module.
#[derive(Default)]
pub(crate) struct Program {
    /// For each row, its value if that is the same for all invocations.
    pub rows: Vec<Option<u32>>,
    /// Words of function and private variables.
    pub own: u32,
    pub slots: usize,
    pub sites: Vec<Site>,
    pub variables: Vec<Variable>,
    pub privates: Vec<Local>,
    /// The last is the entry point.
    pub functions: Vec<Function>,
    pub builtins: Vec<(BuiltIn, Vec<u32>)>,
    pub workgroup: [u32; 3],
}

struct Lower<'m> {
    layout: Layout<'m>,
    program: Program,
    literals: HashMap<u32, u32>,
    globals: Vec<Pointer>,
    constants: Vec<Value>,
    /// Instructions of the expression that is being lowered.
    code: Vec<Inst>,
}

/// Lowers a module with the entry point `main`.
pub(crate) fn lower(module: &Module) -> Result<Program, Fault> {
    let mut lower = Lower {
        layout: Layout(module),
        program: Program::default(),
        literals: HashMap::new(),
        globals: Vec::new(),
        constants: Vec::new(),
        code: Vec::new(),
    };
    lower.module(module).map_err(|(function, message)| {
        Fault::new(FaultKind::Unsupported(message), &Site { function, span: Span::UNDEFINED, write: false })
    })?;
    Ok(lower.program)
}

type Lowered<T> = Result<T, String>;

impl<'m> Lower<'m> {
    fn module(&mut self, module: &'m Module) -> Result<(), (String, String)> {
        let global = |message: String| ("module scope".to_owned(), message);
        let (arena, none) = (&module.global_expressions, Arena::new());
        let context = ResolveContext::with_locals(module, &none, &[]);
        let mut scope = Scope::new("module scope", arena, &context).map_err(global)?;
        self.values(&mut scope);
        self.constants = scope.values;
        for (_, variable) in module.global_variables.iter() {
            let pointer = self.variable(variable).map_err(global)?;
            self.globals.push(pointer);
        }
        for (_, function) in module.functions.iter() {
            self.function(function.name.as_deref().unwrap_or("?"), function)?;
        }
        let entry = module.entry_points.iter().find(|e| e.name == "main");
        let entry = entry.ok_or_else(|| global("a module without entry point main".to_owned()))?;
        self.function("main", &entry.function)?;
        self.program.workgroup = entry.workgroup_size;
        for (i, argument) in entry.function.arguments.iter().enumerate() {
            let Value::Rows(rows) = &self.program.functions[module.functions.len()].arguments[i] else { continue };
            match (&argument.binding, self.layout.inner(argument.ty)) {
                (Some(Binding::BuiltIn(builtin)), _) => self.program.builtins.push((*builtin, rows.clone())),
                (None, TypeInner::Struct { members, .. }) => {
                    let mut at = 0;
                    for member in members {
                        let words = self.layout.words(self.layout.inner(member.ty)) as usize;
                        if let Some(Binding::BuiltIn(builtin)) = member.binding {
                            self.program.builtins.push((builtin, rows[at..at + words].to_vec()));
                        }
                        at += words;
                    }
                }
                _ => return Err(("main".to_owned(), "an argument that is not built in".to_owned())),
            }
        }
        Ok(())
    }

    fn variable(&mut self, variable: &naga::GlobalVariable) -> Lowered<Pointer> {
        let inner = self.layout.inner(variable.ty);
        let (space, writable) = match variable.space {
            AddressSpace::Private => {
                let words = self.layout.words(inner);
                let init = match variable.init {
                    Some(init) => Some(self.constants[init.index()].rows()?.to_vec()),
                    None => None,
                };
                self.program.privates.push((self.program.own, words, init));
                let pointer = Pointer { root: Root::Own, row: None, offset: self.program.own };
                self.program.own += words;
                return Ok(pointer);
            }
            AddressSpace::WorkGroup => (Space::Workgroup, true),
            AddressSpace::Uniform => (Space::Uniform, false),
            AddressSpace::Storage { access } => (Space::Storage, access.contains(naga::StorageAccess::STORE)),
            other => return Err(format!("address space {other:?}")),
        };
        self.program.variables.push(Variable {
            name: variable.name.clone().unwrap_or_default(),
            space,
            binding: variable.binding.map(|b| (b.group, b.binding)),
            writable,
            words: self.layout.size(inner),
        });
        Ok(Pointer { root: Root::Variable(self.program.variables.len() - 1), row: None, offset: 0 })
    }

    fn function(&mut self, name: &str, function: &'m naga::Function) -> Result<(), (String, String)> {
        let failed = |message: String| (name.to_owned(), message);
        let module = self.layout.0;
        let context = ResolveContext::with_locals(module, &function.local_variables, &function.arguments);
        let mut scope = Scope::new(name, &function.expressions, &context).map_err(failed)?;
        for argument in &function.arguments {
            let value = match *self.layout.inner(argument.ty) {
                TypeInner::Pointer { space, .. } | TypeInner::ValuePointer { space, .. } => {
                    let root = if own(space) { Root::Own } else { Root::Slot(self.program.slots) };
                    self.program.slots += usize::from(!own(space));
                    Value::Pointer(Pointer { root, row: Some(self.row()), offset: 0 })
                }
                ref inner => Value::Rows(self.rows(self.layout.words(inner))),
            };
            scope.arguments.push(value);
        }
        for (_, local) in function.local_variables.iter() {
            scope.locals.push(Pointer { root: Root::Own, row: None, offset: self.program.own });
            self.program.own += self.layout.words(self.layout.inner(local.ty));
        }
        let result = function.result.as_ref().map_or(0, |r| self.layout.words(self.layout.inner(r.ty)));
        let result = self.rows(result);
        let mut code = self.values(&mut scope);
        let mut locals = Vec::new();
        for ((_, local), pointer) in function.local_variables.iter().zip(&scope.locals) {
            let init = match local.init {
                Some(init) => Some(scope.rows(init).map_err(failed)?.to_vec()),
                None => None,
            };
            locals.push((pointer.offset, self.layout.words(self.layout.inner(local.ty)), init));
        }
        let body = self.block(&scope, &mut code, &function.body).map_err(failed)?;
        self.program.functions.push(Function { arguments: scope.arguments, result, locals, body });
        Ok(())
    }

    /// Lowers all expressions of a scope; the result is the instructions of each.
    fn values(&mut self, scope: &mut Scope) -> Vec<Vec<Inst>> {
        let mut code = Vec::new();
        for (handle, expression) in scope.expressions.iter() {
            let value = self.expression(scope, handle, expression).unwrap_or_else(Value::Unsupported);
            scope.values.push(value);
            code.push(std::mem::take(&mut self.code));
        }
        code
    }

    fn row(&mut self) -> u32 {
        self.program.rows.push(None);
        self.program.rows.len() as u32 - 1
    }

    fn rows(&mut self, count: u32) -> Vec<u32> {
        (0..count).map(|_| self.row()).collect()
    }

    fn literal(&mut self, word: u32) -> u32 {
        if let Some(&row) = self.literals.get(&word) {
            return row;
        }
        let row = self.row();
        self.program.rows[row as usize] = Some(word);
        self.literals.insert(word, row);
        row
    }

    fn one(&mut self, f: Row1, a: u32) -> u32 {
        let mut word = [0];
        if let Some(a) = self.program.rows[a as usize] {
            f(&mut word, &[a]);
            return self.literal(word[0]);
        }
        let out = self.row();
        self.code.push(Inst::One(f, out, a));
        out
    }

    fn two(&mut self, f: Row2, a: u32, b: u32) -> u32 {
        let mut word = [0];
        if let (Some(a), Some(b)) = (self.program.rows[a as usize], self.program.rows[b as usize]) {
            f(&mut word, &[a], &[b]);
            return self.literal(word[0]);
        }
        let out = self.row();
        self.code.push(Inst::Two(f, out, [a, b]));
        out
    }

    fn three(&mut self, f: Row3, a: u32, b: u32, c: u32) -> u32 {
        let mut word = [0];
        if let (Some(a), Some(b), Some(c)) =
            (self.program.rows[a as usize], self.program.rows[b as usize], self.program.rows[c as usize])
        {
            f(&mut word, &[a], &[b], &[c]);
            return self.literal(word[0]);
        }
        let out = self.row();
        self.code.push(Inst::Three(f, out, [a, b, c]));
        out
    }

    /// The sum of products of two lists of rows, from the first on.
    fn dot(&mut self, kind: ScalarKind, terms: impl Iterator<Item = (u32, u32)>) -> Lowered<u32> {
        let product = ops::binary(BinaryOperator::Multiply, kind).ok_or("a product of such scalars")?;
        let mut sum = None;
        for (a, b) in terms {
            sum = Some(match sum {
                None => self.two(product, a, b),
                Some(sum) => self.three(ops::product_sum(kind), a, b, sum),
            });
        }
        sum.ok_or_else(|| "a sum of nothing".to_owned())
    }

    fn site(&mut self, scope: &Scope, span: Span, write: bool) -> u32 {
        self.program.sites.push(Site { function: scope.name.clone(), span, write });
        self.program.sites.len() as u32 - 1
    }

    fn memory(&mut self, scope: &Scope, pointer: Handle<Expression>, span: Span, write: bool) -> Lowered<Memory> {
        let found = scope.pointer(pointer)?.clone();
        let inner = self.pointee(scope, pointer).ok_or("memory access through no pointer")?;
        if matches!(inner, TypeInner::Atomic(_)) {
            return Err("atomics".to_owned());
        }
        let leaves = (!matches!(found.root, Root::Own)).then(|| self.layout.leaves(&inner));
        let vector = match scope.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => self.pointee(scope, base),
            _ => None,
        };
        let vector = if let Some(TypeInner::Vector { size, .. }) = vector { Some(size as u32) } else { None };
        let site = self.site(scope, span, write);
        Ok(Memory { pointer: found, leaves, words: self.layout.words(&inner), vector, site })
    }

    /// The type behind a pointer.
    fn pointee(&self, scope: &Scope, pointer: Handle<Expression>) -> Option<TypeInner> {
        match *scope.inner(pointer, &self.layout) {
            TypeInner::Pointer { base, .. } => Some(self.layout.inner(base).clone()),
            TypeInner::ValuePointer { size: Some(size), scalar, .. } => Some(TypeInner::Vector { size, scalar }),
            TypeInner::ValuePointer { size: None, scalar, .. } => Some(TypeInner::Scalar(scalar)),
            _ => None,
        }
    }

    /// An element of a value or a pointer to one of a variable; the index is known, or that of a row.
    fn access(
        &mut self,
        scope: &Scope,
        base: Handle<Expression>,
        index: Result<u32, u32>,
        span: Span,
    ) -> Lowered<Value> {
        let value = scope.values[base.index()].clone();
        let (packed, inner) = match &value {
            Value::Unsupported(message) => return Err(message.clone()),
            Value::Rows(_) => (true, Some(scope.inner(base, &self.layout).clone())),
            Value::Pointer(pointer) => (matches!(pointer.root, Root::Own), self.pointee(scope, base)),
        };
        let inner = inner.ok_or("access through no pointer")?;
        let step = match (&inner, index) {
            (TypeInner::Struct { members, .. }, Ok(i)) => {
                let words = self.layout.words(self.layout.inner(members[i as usize].ty));
                return value.element(self.layout.member(members, i as usize, packed), words);
            }
            _ => self.layout.step(&inner, packed).ok_or("access to such a type")?,
        };
        match (index, value) {
            (Ok(i), _) if step.count.is_some_and(|count| i >= count) => {
                Err("a constant index out of bounds".to_owned())
            }
            (Ok(i), value) => value.element(i * step.stride, step.stride),
            (Err(index), Value::Pointer(mut pointer)) => {
                let (out, site) = (self.row(), self.site(scope, span, false));
                let (base, stride, count) = (pointer.row, step.stride, step.count);
                self.code.push(Inst::Offset { out, base, index, stride, count, site });
                pointer.row = Some(out);
                Ok(Value::Pointer(pointer))
            }
            (Err(index), value) => {
                let (out, site) = (self.rows(step.stride), self.site(scope, span, false));
                let rows = value.rows()?.to_vec();
                self.code.push(Inst::Pick { out: out[0], rows, width: step.stride, index, site });
                Ok(Value::Rows(out))
            }
        }
    }

    fn expression(&mut self, scope: &Scope, handle: Handle<Expression>, expression: &Expression) -> Lowered<Value> {
        let span = scope.expressions.get_span(handle);
        let kind_of = |h| scope.types.get(h, &self.layout.0.types).scalar_kind().unwrap_or(ScalarKind::AbstractInt);
        let unsupported = || format!("{expression:?}");
        Ok(Value::Rows(match *expression {
            Expression::Literal(literal) => {
                let word = match literal {
                    Literal::F32(x) => x.to_bits(),
                    Literal::U32(x) => x,
                    Literal::I32(x) => x.cast_unsigned(),
                    Literal::Bool(x) => u32::from(x),
                    _ => return Err(unsupported()),
                };
                vec![self.literal(word)]
            }
            Expression::Constant(constant) => {
                return Ok(self.constants[self.layout.0.constants[constant].init.index()].clone());
            }
            Expression::ZeroValue(ty) => {
                let zero = self.literal(0);
                vec![zero; self.layout.words(self.layout.inner(ty)) as usize]
            }
            Expression::Compose { ref components, .. } => {
                let mut rows = Vec::new();
                for &component in components {
                    rows.extend_from_slice(scope.rows(component)?);
                }
                rows
            }
            Expression::Splat { size, value } => vec![scope.rows(value)?[0]; size as usize],
            Expression::Swizzle { size, vector, pattern } => {
                let rows = scope.rows(vector)?;
                pattern[..size as usize].iter().map(|&c| rows[c as usize]).collect()
            }
            Expression::Access { base, index } => {
                let index = scope.rows(index)?[0];
                return self.access(scope, base, self.program.rows[index as usize].ok_or(index), span);
            }
            Expression::AccessIndex { base, index } => return self.access(scope, base, Ok(index), span),
            Expression::FunctionArgument(i) => return Ok(scope.arguments[i as usize].clone()),
            Expression::GlobalVariable(variable) => return Ok(Value::Pointer(self.globals[variable.index()].clone())),
            Expression::LocalVariable(local) => return Ok(Value::Pointer(scope.locals[local.index()].clone())),
            Expression::Load { pointer } => {
                let from = self.memory(scope, pointer, span, false)?;
                let out = self.rows(from.words);
                if !out.is_empty() {
                    self.code.push(Inst::Load { out: out[0], from });
                }
                out
            }
            Expression::Unary { op, expr } => {
                let f = ops::unary(op, kind_of(expr)).ok_or_else(unsupported)?;
                scope.rows(expr)?.iter().map(|&a| self.one(f, a)).collect()
            }
            Expression::Binary { op, left, right } => return self.binary(scope, op, left, right).map(Value::Rows),
            Expression::Select { condition, accept, reject } => {
                let (condition, accept, reject) = (scope.rows(condition)?, scope.rows(accept)?, scope.rows(reject)?);
                let condition = condition.iter().cycle();
                let parts = condition.zip(reject).zip(accept);
                parts.map(|((&c, &no), &yes)| self.three(ops::select(), c, no, yes)).collect()
            }
            Expression::Relational { fun, argument } => {
                let op = match fun {
                    RelationalFunction::All => BinaryOperator::LogicalAnd,
                    RelationalFunction::Any => BinaryOperator::LogicalOr,
                    _ => return Err(unsupported()),
                };
                let f = ops::binary(op, ScalarKind::Bool).ok_or_else(unsupported)?;
                let rows = scope.rows(argument)?;
                vec![rows[1..].iter().fold(rows[0], |found, &row| self.two(f, found, row))]
            }
            Expression::Math { fun, arg, arg1, arg2, .. } => {
                let kind = kind_of(arg);
                let a = scope.rows(arg)?;
                match (fun, arg1, arg2) {
                    (MathFunction::Transpose, ..) => {
                        let &TypeInner::Matrix { columns, rows, .. } = scope.inner(arg, &self.layout) else {
                            return Err(unsupported());
                        };
                        let (columns, rows) = (columns as usize, rows as usize);
                        (0..rows * columns).map(|i| a[i % columns * rows + i / columns]).collect()
                    }
                    (MathFunction::Dot, Some(b), _) => {
                        let b = scope.rows(b)?;
                        vec![self.dot(kind, a.iter().copied().zip(b.iter().copied()))?]
                    }
                    (MathFunction::Unpack2x16float, ..) => ops::halves().map(|half| self.one(half, a[0])).to_vec(),
                    (MathFunction::Length, ..) => {
                        let square = self.dot(kind, a.iter().map(|&x| (x, x)))?;
                        vec![self.one(ops::math1(MathFunction::Sqrt, kind).ok_or_else(unsupported)?, square)]
                    }
                    (_, None, _) => {
                        let f = ops::math1(fun, kind).ok_or_else(unsupported)?;
                        a.iter().map(|&a| self.one(f, a)).collect()
                    }
                    (_, Some(b), None) => {
                        let f = ops::math2(fun, kind).ok_or_else(unsupported)?;
                        a.iter().zip(scope.rows(b)?).map(|(&a, &b)| self.two(f, a, b)).collect()
                    }
                    (_, Some(b), Some(c)) => {
                        let f = ops::math3(fun, kind).ok_or_else(unsupported)?;
                        let (b, c) = (scope.rows(b)?, scope.rows(c)?.iter().cycle());
                        a.iter().zip(b).zip(c).map(|((&a, &b), &c)| self.three(f, a, b, c)).collect()
                    }
                }
            }
            Expression::As { expr, kind, convert } => {
                let f = match convert {
                    None => return Ok(Value::Rows(scope.rows(expr)?.to_vec())),
                    Some(1 | 4) => ops::convert(kind_of(expr), kind).ok_or_else(unsupported)?,
                    Some(_) => return Err(unsupported()),
                };
                scope.rows(expr)?.iter().map(|&a| self.one(f, a)).collect()
            }
            Expression::CallResult(_)
            | Expression::WorkGroupUniformLoadResult { .. }
            | Expression::SubgroupOperationResult { .. } => {
                self.rows(self.layout.words(scope.inner(handle, &self.layout)))
            }
            Expression::ArrayLength(array) => {
                let inner = self.pointee(scope, array).ok_or_else(unsupported)?;
                let stride = self.layout.step(&inner, false).ok_or_else(unsupported)?.stride;
                let (out, array) = (self.row(), scope.pointer(array)?.clone());
                self.code.push(Inst::Length { out, array, stride });
                vec![out]
            }
            _ => return Err(unsupported()),
        }))
    }

    fn binary(
        &mut self,
        scope: &Scope,
        op: BinaryOperator,
        left: Handle<Expression>,
        right: Handle<Expression>,
    ) -> Lowered<Vec<u32>> {
        let (a, b) = (scope.rows(left)?, scope.rows(right)?);
        let (left, right) = (scope.inner(left, &self.layout), scope.inner(right, &self.layout));
        let kind = left.scalar_kind().unwrap_or(ScalarKind::AbstractInt);
        // Rows of one column of the left matrix, and columns and rows of the right one; a vector is a row or a column.
        let shape = match (op, left, right) {
            (BinaryOperator::Multiply, TypeInner::Matrix { rows, .. }, TypeInner::Vector { .. }) => {
                Some((*rows as usize, 1, b.len()))
            }
            (BinaryOperator::Multiply, TypeInner::Vector { .. }, TypeInner::Matrix { columns, rows, .. }) => {
                Some((1, *columns as usize, *rows as usize))
            }
            (
                BinaryOperator::Multiply,
                TypeInner::Matrix { rows, .. },
                TypeInner::Matrix { columns, rows: inner, .. },
            ) => Some((*rows as usize, *columns as usize, *inner as usize)),
            _ => None,
        };
        if let Some((rows, columns, inner)) = shape {
            let places = (0..columns).flat_map(|c| (0..rows).map(move |r| (c, r)));
            return places
                .map(|(c, r)| self.dot(kind, (0..inner).map(|k| (a[k * rows + r], b[c * inner + k]))))
                .collect();
        }
        let f = ops::binary(op, kind).ok_or_else(|| format!("{op:?} of {kind:?}"))?;
        let (a, b, count) = (a.iter().cycle(), b.iter().cycle(), a.len().max(b.len()));
        Ok(a.zip(b).take(count).map(|(&a, &b)| self.two(f, a, b)).collect())
    }

    fn block(&mut self, scope: &Scope, code: &mut [Vec<Inst>], block: &Block) -> Lowered<Vec<Stmt>> {
        let mut found = Vec::new();
        for (statement, &span) in block.span_iter() {
            found.push(match statement {
                Statement::Emit(range) => {
                    let mut run = Vec::new();
                    for handle in range.clone() {
                        if let Value::Unsupported(message) = &scope.values[handle.index()] {
                            return Err(message.clone());
                        }
                        run.append(&mut code[handle.index()]);
                    }
                    if run.is_empty() {
                        continue;
                    }
                    Stmt::Run(run)
                }
                Statement::Block(block) => Stmt::Nested(self.block(scope, code, block)?),
                Statement::If { condition, accept, reject } => Stmt::If {
                    condition: scope.rows(*condition)?[0],
                    accept: self.block(scope, code, accept)?,
                    reject: self.block(scope, code, reject)?,
                },
                Statement::Switch { selector, cases } => {
                    let mut lowered = Vec::new();
                    for case in cases {
                        lowered.push(Case {
                            value: match case.value {
                                SwitchValue::I32(x) => Some(x.cast_unsigned()),
                                SwitchValue::U32(x) => Some(x),
                                SwitchValue::Default => None,
                            },
                            body: self.block(scope, code, &case.body)?,
                            fall_through: case.fall_through,
                        });
                    }
                    Stmt::Switch { selector: scope.rows(*selector)?[0], cases: lowered }
                }
                Statement::Loop { body, continuing, break_if } => Stmt::Loop {
                    body: self.block(scope, code, body)?,
                    continuing: self.block(scope, code, continuing)?,
                    break_if: break_if.map(|h| scope.rows(h).map(|rows| rows[0])).transpose()?,
                    site: self.site(scope, span, false),
                },
                Statement::Break => Stmt::Break,
                Statement::Continue => Stmt::Continue,
                Statement::Return { value } => {
                    Stmt::Return(value.map(|h| scope.rows(h).map(<[u32]>::to_vec)).transpose()?.unwrap_or_default())
                }
                Statement::ControlBarrier(flags) => Stmt::Barrier {
                    storage: flags.contains(naga::Barrier::STORAGE),
                    workgroup: flags.contains(naga::Barrier::WORK_GROUP),
                    site: self.site(scope, span, false),
                },
                Statement::Store { pointer, value } => {
                    Stmt::Store { to: self.memory(scope, *pointer, span, true)?, rows: scope.rows(*value)?.to_vec() }
                }
                Statement::WorkGroupUniformLoad { pointer, result } => {
                    Stmt::UniformLoad { from: self.memory(scope, *pointer, span, false)?, out: scope.rows(*result)?[0] }
                }
                Statement::SubgroupGather { mode, argument, result } => {
                    let (from, by) = match mode {
                        GatherMode::ShuffleXor(mask) => (Shuffle::Xor, mask),
                        GatherMode::ShuffleDown(delta) => (Shuffle::Down, delta),
                        _ => return Err(format!("{mode:?}")),
                    };
                    let (out, rows) = (scope.rows(*result)?[0], scope.rows(*argument)?.to_vec());
                    Stmt::Shuffle { out, rows, from, by: scope.rows(*by)?[0] }
                }
                Statement::Call { function, arguments, result } => {
                    let (mut values, mut pointers) = (Vec::new(), Vec::new());
                    for (to, &from) in self.program.functions[function.index()].arguments.iter().zip(arguments) {
                        match to {
                            Value::Pointer(Pointer { root, row: Some(row), .. }) => {
                                let slot = if let Root::Slot(slot) = *root { Some(slot) } else { None };
                                pointers.push((*row, slot, scope.pointer(from)?.clone()));
                            }
                            Value::Rows(rows) => {
                                values.extend(rows.iter().copied().zip(scope.rows(from)?.iter().copied()));
                            }
                            _ => return Err("such an argument".to_owned()),
                        }
                    }
                    let out = result.map(|h| scope.rows(h).map(|rows| rows[0])).transpose()?.unwrap_or(0);
                    Stmt::Call { function: function.index(), values, pointers, out }
                }
                other => return Err(format!("{other:?}")),
            });
        }
        Ok(found)
    }
}

impl<'m> Scope<'m> {
    fn new(name: &str, expressions: &'m Arena<Expression>, context: &ResolveContext) -> Lowered<Self> {
        let mut types = Typifier::new();
        for (handle, _) in expressions.iter() {
            types.grow(handle, expressions, context).map_err(|error| error.to_string())?;
        }
        let (arguments, locals, values) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { name: name.to_owned(), expressions, types, arguments, locals, values })
    }

    fn rows(&self, handle: Handle<Expression>) -> Lowered<&[u32]> {
        self.values[handle.index()].rows()
    }

    fn pointer(&self, handle: Handle<Expression>) -> Lowered<&Pointer> {
        match &self.values[handle.index()] {
            Value::Pointer(pointer) => Ok(pointer),
            Value::Unsupported(message) => Err(message.clone()),
            Value::Rows(_) => Err("a value in a pointer's place".to_owned()),
        }
    }

    fn inner<'a>(&'a self, handle: Handle<Expression>, layout: &'a Layout) -> &'a TypeInner {
        self.types.get(handle, &layout.0.types)
    }
}

impl Value {
    /// What begins some words into this; of a value also its end.
    fn element(self, at: u32, words: u32) -> Lowered<Self> {
        match self {
            Self::Rows(rows) => Ok(Self::Rows(rows[at as usize..(at + words) as usize].to_vec())),
            Self::Pointer(pointer) => Ok(Self::Pointer(Pointer { offset: pointer.offset + at, ..pointer })),
            Self::Unsupported(message) => Err(message),
        }
    }

    fn rows(&self) -> Lowered<&[u32]> {
        match self {
            Self::Rows(rows) => Ok(rows),
            Self::Unsupported(message) => Err(message.clone()),
            Self::Pointer(_) => Err("a pointer in a value's place".to_owned()),
        }
    }
}

/// Whether each invocation has variables of this space to itself.
fn own(space: AddressSpace) -> bool {
    matches!(space, AddressSpace::Function | AddressSpace::Private)
}
