//! Where the words of a type lie. Values, function and private variables are packed: their scalars one after another.
//! Everything else lies as WGSL says.

use naga::{ArraySize, Handle, Module, ScalarKind, StructMember, Type, TypeInner, VectorSize};

/// Neighbouring words that one memory instruction moves: a scalar or a vector.
#[derive(Clone, Copy)]
pub(crate) struct Leaf {
    /// From the pointer on.
    pub at: u32,
    pub words: u32,
}

/// One step from a composite to its elements.
pub(crate) struct Step {
    pub stride: u32,
    /// How many elements there are, if that is known.
    pub count: Option<u32>,
}

pub(crate) struct Layout<'m>(pub &'m Module);

impl Layout<'_> {
    pub(crate) fn inner(&self, ty: Handle<Type>) -> &TypeInner {
        &self.0.types[ty].inner
    }

    /// Words of a value; 0 if its type is not sized.
    pub(crate) fn words(&self, inner: &TypeInner) -> u32 {
        match *inner {
            TypeInner::Scalar(_) => 1,
            TypeInner::Vector { size, .. } => size as u32,
            TypeInner::Matrix { columns, rows, .. } => columns as u32 * rows as u32,
            TypeInner::Array { base, size, .. } => length(size).unwrap_or(0) * self.words(self.inner(base)),
            TypeInner::Struct { ref members, .. } => members.iter().map(|m| self.words(self.inner(m.ty))).sum(),
            _ => 0,
        }
    }

    /// Whether a type has booleans, which lie in workgroup memory as one word each; naga's strides and offsets do not
    /// count them so.
    fn has_bool(&self, inner: &TypeInner) -> bool {
        match *inner {
            TypeInner::Array { base, .. } => self.has_bool(self.inner(base)),
            TypeInner::Struct { ref members, .. } => members.iter().any(|m| self.has_bool(self.inner(m.ty))),
            _ => inner.scalar_kind() == Some(ScalarKind::Bool),
        }
    }

    /// Words from the beginning to the end of a type in memory.
    pub(crate) fn size(&self, inner: &TypeInner) -> u32 {
        match *inner {
            TypeInner::Matrix { columns, rows, .. } => columns as u32 * column_stride(rows),
            TypeInner::Array { base, size, stride } => length(size).unwrap_or(0) * self.array_stride(base, stride),
            TypeInner::Struct { span, .. } if !self.has_bool(inner) => span / 4,
            TypeInner::Struct { ref members, .. } => members.iter().map(|m| self.size(self.inner(m.ty))).sum(),
            _ => self.words(inner),
        }
    }

    fn array_stride(&self, base: Handle<Type>, stride: u32) -> u32 {
        if self.has_bool(self.inner(base)) { self.size(self.inner(base)) } else { stride / 4 }
    }

    /// Where a member of a struct begins.
    pub(crate) fn member(&self, members: &[StructMember], index: usize, packed: bool) -> u32 {
        let before = members[..index].iter().map(|m| self.inner(m.ty));
        if packed {
            before.map(|inner| self.words(inner)).sum()
        } else if members.iter().any(|m| self.has_bool(self.inner(m.ty))) {
            before.map(|inner| self.size(inner)).sum()
        } else {
            members[index].offset / 4
        }
    }

    /// From element to element of an array, a matrix or a vector.
    pub(crate) fn step(&self, inner: &TypeInner, packed: bool) -> Option<Step> {
        Some(match *inner {
            TypeInner::Array { base, size, stride } => Step {
                stride: if packed { self.words(self.inner(base)) } else { self.array_stride(base, stride) },
                count: length(size),
            },
            TypeInner::Matrix { columns, rows, .. } => {
                Step { stride: if packed { rows as u32 } else { column_stride(rows) }, count: Some(columns as u32) }
            }
            TypeInner::Vector { size, .. } => Step { stride: 1, count: Some(size as u32) },
            _ => return None,
        })
    }

    /// The leaves of a type in memory, in the order of the packed words.
    pub(crate) fn leaves(&self, inner: &TypeInner) -> Vec<Leaf> {
        let mut found = Vec::new();
        self.add_leaves(inner, 0, &mut found);
        found
    }

    fn add_leaves(&self, inner: &TypeInner, at: u32, found: &mut Vec<Leaf>) {
        match *inner {
            TypeInner::Array { base, size, stride } => {
                for i in 0..length(size).unwrap_or(0) {
                    self.add_leaves(self.inner(base), at + i * self.array_stride(base, stride), found);
                }
            }
            TypeInner::Struct { ref members, .. } => {
                for (i, member) in members.iter().enumerate() {
                    self.add_leaves(self.inner(member.ty), at + self.member(members, i, false), found);
                }
            }
            TypeInner::Matrix { columns, rows, .. } => {
                let column = |c| Leaf { at: at + c * column_stride(rows), words: rows as u32 };
                found.extend((0..columns as u32).map(column));
            }
            _ => found.push(Leaf { at, words: self.words(inner) }),
        }
    }
}

fn length(size: ArraySize) -> Option<u32> {
    if let ArraySize::Constant(count) = size { Some(count.get()) } else { None }
}

fn column_stride(rows: VectorSize) -> u32 {
    if rows == VectorSize::Bi { 2 } else { 4 }
}
