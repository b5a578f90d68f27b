//! The models that a configuration can name: the crate's own, and those that a program registers.

use std::sync::{PoisonError, RwLock};

use serde_json::Value;

use super::{Error, Inputs, MirNegatives, Model, baselines as b, check_sizes};
use crate::config::{Config, ConfigError};
use crate::graph::Graph;

/// A model with its options, whatever its type.
pub trait AnyModel {
    /// As [`Model::build`], once every option is known to be of a size that a graph can have ([`check_sizes`]).
    ///
    /// # Errors
    /// As [`Model::build`].
    fn build(&self, inputs: &Inputs) -> Result<Graph, Error>;

    /// As [`Model::build_prediction`].
    ///
    /// # Errors
    /// As [`Model::build_prediction`].
    fn build_prediction(&self, inputs: &Inputs) -> Result<Graph, Error>;

    /// As [`Model::negatives`].
    fn negatives(&self) -> Option<MirNegatives>;

    /// Writes every option, defaults included, to `[model]` of `config`.
    ///
    /// # Errors
    /// When TOML cannot hold one.
    fn write_options(&self, config: &mut Config) -> Result<(), ConfigError>;
}

impl<M: Model> AnyModel for M {
    fn build(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_sizes(self)?;
        Model::build(self, inputs)
    }

    fn build_prediction(&self, inputs: &Inputs) -> Result<Graph, Error> {
        check_sizes(self)?;
        Model::build_prediction(self, inputs)
    }

    fn negatives(&self) -> Option<MirNegatives> {
        Model::negatives(self)
    }

    fn write_options(&self, config: &mut Config) -> Result<(), ConfigError> {
        config.set_model_options(self)
    }
}

/// A model that configurations can name.
#[derive(Clone, Copy)]
pub struct ModelEntry {
    /// What `model.name` says.
    pub name: &'static str,
    /// The model in one line.
    pub summary: &'static str,
    /// Whether it cannot do without behaviour sequences.
    pub needs_sequences: bool,
    /// Each option's name and meaning.
    pub options: &'static [(&'static str, &'static str)],
    of_config: fn(&Config) -> Result<Box<dyn AnyModel>, ConfigError>,
    of_json: fn(Value) -> serde_json::Result<Box<dyn AnyModel>>,
    defaults: fn() -> serde_json::Result<Value>,
}

impl ModelEntry {
    const fn of<M: Model>() -> Self {
        Self {
            name: M::NAME,
            summary: M::SUMMARY,
            needs_sequences: M::NEEDS_SEQUENCES,
            options: M::OPTIONS,
            of_config: |config| Ok(Box::new(config.model_options::<M>()?)),
            of_json: |options| Ok(Box::new(serde_json::from_value::<M>(options)?)),
            defaults: || serde_json::to_value(M::default()),
        }
    }

    /// The model with the options of `[model]`.
    ///
    /// # Errors
    /// When a key is unknown, or a value has the wrong type.
    pub fn configured(&self, config: &Config) -> Result<Box<dyn AnyModel>, ConfigError> {
        (self.of_config)(config)
    }

    /// The model with these options, a JSON object, and defaults for the others.
    ///
    /// # Errors
    /// When a key is unknown, or a value has the wrong type.
    pub fn with_options(&self, options: Value) -> serde_json::Result<Box<dyn AnyModel>> {
        (self.of_json)(options)
    }

    /// Every option's default, as a JSON object in the order of [`ModelEntry::options`].
    ///
    /// # Errors
    /// When the model's own `Serialize` fails.
    pub fn defaults(&self) -> serde_json::Result<Value> {
        (self.defaults)()
    }

    /// Whether the model has an option of this name.
    pub fn has_option(&self, option: &str) -> bool {
        self.options.iter().any(|(name, _)| *name == option)
    }
}

/// The crate's own models.
const BUILT_IN: &[ModelEntry] = &[
    ModelEntry::of::<super::Dnn>(),
    ModelEntry::of::<b::SharedBottom>(),
    ModelEntry::of::<b::Mmoe>(),
    ModelEntry::of::<b::Hmoe>(),
    ModelEntry::of::<b::Ple>(),
    ModelEntry::of::<b::Star>(),
    ModelEntry::of::<b::PepNet>(),
    ModelEntry::of::<b::AdaSparse>(),
    ModelEntry::of::<b::Apg>(),
    ModelEntry::of::<b::WideDeep>(),
    ModelEntry::of::<b::DeepFm>(),
    ModelEntry::of::<b::Dcn>(),
    ModelEntry::of::<b::DcnV2>(),
    ModelEntry::of::<b::Din>(),
    ModelEntry::of::<b::Bst>(),
    ModelEntry::of::<super::MiDpg>(),
    ModelEntry::of::<super::OptMsm>(),
    ModelEntry::of::<super::Saml>(),
];

/// Those that this process has registered.
static REGISTERED: RwLock<Vec<ModelEntry>> = RwLock::new(Vec::new());

/// Makes a model of another crate known: from now on `model.name` can say [`Model::NAME`] in every configuration that
/// this process reads, and the command line ([`crate::cli::run`]) has it too. `examples/custom_model.rs` does so.
///
/// # Errors
/// When there is a model of this name already.
pub fn register<M: Model>() -> Result<(), Error> {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    if BUILT_IN.iter().chain(registered.iter()).any(|entry| entry.name == M::NAME) {
        return Err(Error(format!("there is a model called {} already", M::NAME)));
    }
    registered.push(ModelEntry::of::<M>());
    Ok(())
}

/// All models: the crate's own, then registered ones in the order of their registration.
pub fn all() -> Vec<ModelEntry> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    BUILT_IN.iter().chain(registered.iter()).copied().collect()
}

/// The names of [`all`] models.
pub fn names() -> Vec<&'static str> {
    all().iter().map(|entry| entry.name).collect()
}

/// The model called `name`.
pub fn find(name: &str) -> Option<ModelEntry> {
    all().into_iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_described_and_every_description_is_an_option() {
        for entry in BUILT_IN {
            let defaults = entry.defaults().unwrap();
            let known: Vec<&str> = defaults.as_object().unwrap().keys().map(String::as_str).collect();
            let described: Vec<&str> = entry.options.iter().map(|(name, _)| *name).collect();
            assert_eq!(described, known, "{}", entry.name);
        }
    }

    #[test]
    fn a_name_is_registered_once() {
        let error = register::<super::super::Dnn>().unwrap_err();
        assert!(error.to_string().contains("a model called dnn already"), "{error}");
    }
}
