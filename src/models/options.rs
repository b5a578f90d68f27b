//! How a model's options are declared: once, with default and meaning.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What `[model]` may say of a model; [`Default`] holds the defaults.
pub trait Options: Default + Serialize + DeserializeOwned + 'static {
    /// Each option's name and meaning, in the order of the fields.
    const OPTIONS: &'static [(&'static str, &'static str)];
}

/// Declares a model's options: `NAME: TYPE = DEFAULT, MEANING;`. What begins with `network;` has the options of every
/// network as well: `width`, `hidden` and `dropout`.
macro_rules! options {
    ($(#[$about:meta])* $model:ident { network; $($rest:tt)* }) => {
        options! {
            $(#[$about])*
            $model {
                width: usize = 16, "length of an embedding";
                hidden: Vec<usize> = vec![128, 64, 32], "sizes of the hidden layers";
                dropout: f64 = 0.0, "probability that a hidden value is dropped in training";
                $($rest)*
            }
        }
    };
    ($(#[$about:meta])* $model:ident { $($option:ident: $type:ty = $default:expr, $meaning:literal;)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $model {
            $(#[doc = $meaning] pub $option: $type,)*
        }

        impl Default for $model {
            fn default() -> Self {
                Self { $($option: $default,)* }
            }
        }

        impl $crate::models::Options for $model {
            const OPTIONS: &'static [(&'static str, &'static str)] = &[$((stringify!($option), $meaning),)*];
        }
    };
}

pub(super) use options;
