//! Arithmetic on rows. A row is one word of every invocation of a workgroup.

use half::f16;
use naga::{BinaryOperator as B, MathFunction as M, ScalarKind as K, UnaryOperator as U};

pub(crate) type Row1 = fn(&mut [u32], &[u32]);
pub(crate) type Row2 = fn(&mut [u32], &[u32], &[u32]);
pub(crate) type Row3 = fn(&mut [u32], &[u32], &[u32], &[u32]);

/// A scalar and the word that holds it.
trait Word {
    fn read(word: u32) -> Self;
    fn word(self) -> u32;
}

macro_rules! word {
    ($t:ty, |$word:ident| $read:expr, |$value:ident| $write:expr) => {
        impl Word for $t {
            fn read($word: u32) -> Self {
                $read
            }
            fn word(self) -> u32 {
                let $value = self;
                $write
            }
        }
    };
}

word!(u32, |word| word, |value| value);
word!(i32, |word| word.cast_signed(), |value| value.cast_unsigned());
word!(f32, |word| Self::from_bits(word), |value| value.to_bits());
word!(bool, |word| word != 0, |value| u32::from(value));

/// A function of scalars as one of rows, a loop that the compiler can vectorise.
macro_rules! row {
    (|$x:ident: $t:ty| $e:expr) => {
        (|out: &mut [u32], a: &[u32]| {
            for (o, x) in out.iter_mut().zip(a) {
                let $x = <$t as Word>::read(*x);
                *o = Word::word($e);
            }
        }) as Row1
    };
    (|$x:ident: $t:ty, $y:ident| $e:expr) => {
        (|out: &mut [u32], a: &[u32], b: &[u32]| {
            for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
                let ($x, $y) = (<$t as Word>::read(*x), <$t as Word>::read(*y));
                *o = Word::word($e);
            }
        }) as Row2
    };
    (|$x:ident: $t:ty, $y:ident, $z:ident| $e:expr) => {
        (|out: &mut [u32], a: &[u32], b: &[u32], c: &[u32]| {
            for (((o, x), y), z) in out.iter_mut().zip(a).zip(b).zip(c) {
                let ($x, $y, $z) = (<$t as Word>::read(*x), <$t as Word>::read(*y), <$t as Word>::read(*z));
                *o = Word::word($e);
            }
        }) as Row3
    };
}

pub(crate) fn unary(op: U, kind: K) -> Option<Row1> {
    Some(match (op, kind) {
        (U::Negate, K::Float) => row!(|x: f32| -x),
        (U::Negate, K::Sint) => row!(|x: i32| x.wrapping_neg()),
        (U::LogicalNot, K::Bool) => row!(|x: bool| !x),
        (U::BitwiseNot, K::Sint | K::Uint) => row!(|x: u32| !x),
        _ => return None,
    })
}

pub(crate) fn binary(op: B, kind: K) -> Option<Row2> {
    Some(match (op, kind) {
        (B::Add, K::Float) => row!(|x: f32, y| x + y),
        (B::Subtract, K::Float) => row!(|x: f32, y| x - y),
        (B::Multiply, K::Float) => row!(|x: f32, y| x * y),
        (B::Divide, K::Float) => row!(|x: f32, y| x / y),
        (B::Modulo, K::Float) => row!(|x: f32, y| x % y),
        (B::Add, K::Sint | K::Uint) => row!(|x: u32, y| x.wrapping_add(y)),
        (B::Subtract, K::Sint | K::Uint) => row!(|x: u32, y| x.wrapping_sub(y)),
        (B::Multiply, K::Sint | K::Uint) => row!(|x: u32, y| x.wrapping_mul(y)),
        // WGSL: x / 0 is x, x % 0 is 0, and so for the one signed quotient that overflows.
        (B::Divide, K::Uint) => row!(|x: u32, y| x.checked_div(y).unwrap_or(x)),
        (B::Modulo, K::Uint) => row!(|x: u32, y| x.checked_rem(y).unwrap_or(0)),
        (B::Divide, K::Sint) => row!(|x: i32, y| x.checked_div(y).unwrap_or(x)),
        (B::Modulo, K::Sint) => row!(|x: i32, y| x.checked_rem(y).unwrap_or(0)),
        (B::Equal, K::Float) => row!(|x: f32, y| x == y),
        (B::NotEqual, K::Float) => row!(|x: f32, y| x != y),
        (B::Equal, _) => row!(|x: u32, y| x == y),
        (B::NotEqual, _) => row!(|x: u32, y| x != y),
        (B::Less, K::Float) => row!(|x: f32, y| x < y),
        (B::LessEqual, K::Float) => row!(|x: f32, y| x <= y),
        (B::Greater, K::Float) => row!(|x: f32, y| x > y),
        (B::GreaterEqual, K::Float) => row!(|x: f32, y| x >= y),
        (B::Less, K::Uint) => row!(|x: u32, y| x < y),
        (B::LessEqual, K::Uint) => row!(|x: u32, y| x <= y),
        (B::Greater, K::Uint) => row!(|x: u32, y| x > y),
        (B::GreaterEqual, K::Uint) => row!(|x: u32, y| x >= y),
        (B::Less, K::Sint) => row!(|x: i32, y| x < y),
        (B::LessEqual, K::Sint) => row!(|x: i32, y| x <= y),
        (B::Greater, K::Sint) => row!(|x: i32, y| x > y),
        (B::GreaterEqual, K::Sint) => row!(|x: i32, y| x >= y),
        (B::And | B::LogicalAnd, K::Bool | K::Sint | K::Uint) => row!(|x: u32, y| x & y),
        (B::InclusiveOr | B::LogicalOr, K::Bool | K::Sint | K::Uint) => row!(|x: u32, y| x | y),
        (B::ExclusiveOr, K::Sint | K::Uint) => row!(|x: u32, y| x ^ y),
        (B::ShiftLeft, K::Sint | K::Uint) => row!(|x: u32, y| x.wrapping_shl(y)),
        (B::ShiftRight, K::Uint) => row!(|x: u32, y| x.wrapping_shr(y)),
        (B::ShiftRight, K::Sint) => row!(|x: i32, y| x.wrapping_shr(y.cast_unsigned())),
        _ => return None,
    })
}

/// The lower and the upper half float of a word.
pub(crate) fn halves() -> [Row1; 2] {
    [row!(|x: u32| f16::from_bits(x as u16).to_f32()), row!(|x: u32| f16::from_bits((x >> 16) as u16).to_f32())]
}

pub(crate) fn math1(fun: M, kind: K) -> Option<Row1> {
    Some(match (fun, kind) {
        (M::Abs, K::Float) => row!(|x: f32| x.abs()),
        (M::Abs, K::Sint) => row!(|x: i32| x.wrapping_abs()),
        (M::Abs, K::Uint) => row!(|x: u32| x),
        (M::Sign, K::Float) => row!(|x: f32| if x == 0.0 { 0.0 } else { x.signum() }),
        (M::Sign, K::Sint) => row!(|x: i32| x.signum()),
        (M::Saturate, K::Float) => row!(|x: f32| x.clamp(0.0, 1.0)),
        (M::Exp, K::Float) => row!(|x: f32| x.exp()),
        (M::Exp2, K::Float) => row!(|x: f32| x.exp2()),
        (M::Log, K::Float) => row!(|x: f32| x.ln()),
        (M::Log2, K::Float) => row!(|x: f32| x.log2()),
        (M::Sqrt, K::Float) => row!(|x: f32| x.sqrt()),
        (M::InverseSqrt, K::Float) => row!(|x: f32| 1.0 / x.sqrt()),
        (M::Floor, K::Float) => row!(|x: f32| x.floor()),
        (M::Ceil, K::Float) => row!(|x: f32| x.ceil()),
        (M::Trunc, K::Float) => row!(|x: f32| x.trunc()),
        (M::Round, K::Float) => row!(|x: f32| x.round_ties_even()),
        (M::Fract, K::Float) => row!(|x: f32| x - x.floor()),
        (M::Sin, K::Float) => row!(|x: f32| x.sin()),
        (M::Cos, K::Float) => row!(|x: f32| x.cos()),
        (M::Tan, K::Float) => row!(|x: f32| x.tan()),
        (M::Tanh, K::Float) => row!(|x: f32| x.tanh()),
        (M::CountOneBits, K::Sint | K::Uint) => row!(|x: u32| x.count_ones()),
        (M::CountLeadingZeros, K::Sint | K::Uint) => row!(|x: u32| x.leading_zeros()),
        (M::CountTrailingZeros, K::Sint | K::Uint) => row!(|x: u32| x.trailing_zeros()),
        (M::ReverseBits, K::Sint | K::Uint) => row!(|x: u32| x.reverse_bits()),
        (M::FirstTrailingBit, K::Sint | K::Uint) => row!(|x: u32| if x == 0 { u32::MAX } else { x.trailing_zeros() }),
        (M::FirstLeadingBit, K::Uint) => row!(|x: u32| 31u32.wrapping_sub(x.leading_zeros())),
        _ => return None,
    })
}

pub(crate) fn math2(fun: M, kind: K) -> Option<Row2> {
    Some(match (fun, kind) {
        (M::Min, K::Float) => row!(|x: f32, y| x.min(y)),
        (M::Max, K::Float) => row!(|x: f32, y| x.max(y)),
        (M::Min, K::Uint) => row!(|x: u32, y| x.min(y)),
        (M::Max, K::Uint) => row!(|x: u32, y| x.max(y)),
        (M::Min, K::Sint) => row!(|x: i32, y| x.min(y)),
        (M::Max, K::Sint) => row!(|x: i32, y| x.max(y)),
        (M::Pow, K::Float) => row!(|x: f32, y| x.powf(y)),
        (M::Step, K::Float) => row!(|x: f32, y| if x <= y { 1.0f32 } else { 0.0 }),
        _ => return None,
    })
}

pub(crate) fn math3(fun: M, kind: K) -> Option<Row3> {
    Some(match (fun, kind) {
        (M::Clamp, K::Float) => row!(|x: f32, y, z| x.max(y).min(z)),
        (M::Clamp, K::Uint) => row!(|x: u32, y, z| x.max(y).min(z)),
        (M::Clamp, K::Sint) => row!(|x: i32, y, z| x.max(y).min(z)),
        (M::Fma, K::Float) => row!(|x: f32, y, z| x.mul_add(y, z)),
        (M::Mix, K::Float) => row!(|x: f32, y, z| x * (1.0 - z) + y * z),
        _ => return None,
    })
}

/// x y + z, rounded twice: a term of a sum of products.
pub(crate) fn product_sum(kind: K) -> Row3 {
    if kind == K::Float {
        row!(|x: f32, y, z| x * y + z)
    } else {
        row!(|x: u32, y, z| x.wrapping_mul(y).wrapping_add(z))
    }
}

/// z if x, else y.
pub(crate) fn select() -> Row3 {
    row!(|x: u32, y, z| if x != 0 { z } else { y })
}

/// The value conversion between two scalar types.
pub(crate) fn convert(from: K, to: K) -> Option<Row1> {
    Some(match (from, to) {
        (K::Float, K::Float) | (K::Bool | K::Sint | K::Uint, K::Sint | K::Uint) | (K::Bool, K::Bool) => {
            row!(|x: u32| x)
        }
        (K::Float, K::Uint) => row!(|x: f32| x as u32),
        (K::Float, K::Sint) => row!(|x: f32| x as i32),
        (K::Float, K::Bool) => row!(|x: f32| x != 0.0),
        (K::Uint | K::Bool, K::Float) => row!(|x: u32| x as f32),
        (K::Sint, K::Float) => row!(|x: i32| x as f32),
        (K::Sint | K::Uint, K::Bool) => row!(|x: u32| x != 0),
        _ => return None,
    })
}
