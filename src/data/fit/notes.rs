//! What a user should know of fitted data.

use serde::{Deserialize, Serialize};

use crate::data::encoded::unknown::UnknownValues;
use crate::data::error::Result;
use crate::data::fit::Fitted;
use crate::data::read::checks::Skipped;

/// What is reported of the data besides its rows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Notes {
    pub(crate) skipped: Skipped,
    #[serde(default)]
    pub(crate) filtered: u64,
    #[serde(default)]
    pub(crate) other_scenarios: u64,
    pub(crate) valid_values: Vec<UnknownValues>,
    pub(crate) warnings: Vec<String>,
}

impl Notes {
    pub(crate) fn of(fitted: &Fitted) -> Result<Notes> {
        let (skipped, warnings) = (fitted.skipped.clone(), fitted.warnings.clone());
        let Fitted { filtered, other_scenarios, .. } = *fitted;
        Ok(Notes { skipped, filtered, other_scenarios, valid_values: fitted.valid_values()?, warnings })
    }
}
