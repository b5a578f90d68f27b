//! How a model's options are declared: once, with default and meaning.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Error;

/// What `[model]` may say of a model; [`Default`] holds the defaults.
pub trait Options: Default + Serialize + DeserializeOwned + 'static {
    /// Each option's name and meaning, in the order of the fields.
    const OPTIONS: &'static [(&'static str, &'static str)];
}

/// What a whole number among a model's options is at most: products of two such sizes and a number of fields are then far
/// below what 64 bits hold.
const LARGEST: u64 = 1 << 27;
/// Layers at most.
const MAX_LAYERS: usize = 100;

/// Fails where an option is too large for a graph to be built at all. Whether memory holds the model is another question:
/// [`crate::plan::check_graph`].
///
/// # Errors
/// Names the option.
pub fn check_sizes<O: Options>(options: &O) -> Result<(), Error> {
    let value = serde_json::to_value(options).map_err(|error| Error(error.to_string()))?;
    for (name, value) in value.as_object().into_iter().flatten() {
        let layers = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        if layers.len() > MAX_LAYERS {
            return Err(Error(format!("{name} has {} layers; expected at most {MAX_LAYERS}", layers.len())));
        }
        if let Some(size) = layers.iter().filter_map(serde_json::Value::as_u64).find(|size| *size > LARGEST) {
            return Err(Error(format!("{name} has {size}; expected a whole number of at most {LARGEST}")));
        }
    }
    Ok(())
}

/// Declares a model's options: `NAME: TYPE = DEFAULT, MEANING;`. What begins with `network;` has the options of every
/// network as well: `width`, `hidden` and `dropout`. A crate that uses it depends on `serde` with its feature `derive`.
#[macro_export]
macro_rules! model_options {
    ($(#[$about:meta])* $model:ident { network; $($rest:tt)* }) => {
        $crate::model_options! {
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

pub(super) use model_options as options;
