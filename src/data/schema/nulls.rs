//! Texts that stand for a missing value.

/// What databases and table programs write for a missing number, date or boolean. Empty cells are missing anyway.
pub(crate) const USUAL: &[&str] =
    &["NULL", "null", "Null", "\\N", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "None", "none", "NaT"];

/// Which texts stand for a missing value: those of `data.null_values`, in every column, or else the usual ones where a
/// number, date or boolean should be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nulls {
    given: Option<Vec<Vec<u8>>>,
    /// The given ones that are numbers.
    numbers: Vec<f64>,
}

impl Nulls {
    pub(crate) fn new(given: Option<&[String]>) -> Nulls {
        let numbers = given.unwrap_or_default().iter().filter_map(|text| text.trim().parse().ok()).collect();
        Nulls { given: given.map(|texts| texts.iter().map(|text| text.trim().as_bytes().to_vec()).collect()), numbers }
    }

    /// Whether a text, without blanks around it, is missing where a number, date or boolean should be.
    #[inline]
    pub(crate) fn is_null(&self, text: &[u8]) -> bool {
        match &self.given {
            Some(given) => given.iter().any(|null| null == text),
            // Nearly all cells begin with a digit.
            None => !matches!(text.first(), Some(b'0'..=b'9')) && USUAL.iter().any(|null| null.as_bytes() == text),
        }
    }

    /// Whether a text is missing because `data.null_values` says so.
    #[inline]
    pub(crate) fn is_given(&self, text: &[u8]) -> bool {
        self.given.as_ref().is_some_and(|given| given.iter().any(|null| null == text.trim_ascii()))
    }

    /// Whether a number is missing because `data.null_values` says so.
    #[inline]
    pub(crate) fn is_number(&self, x: f64) -> bool {
        self.numbers.contains(&x)
    }

    /// The numbers of `data.null_values`.
    pub(crate) fn numbers(&self) -> &[f64] {
        &self.numbers
    }

    /// Whether any number is.
    pub(crate) fn has_numbers(&self) -> bool {
        !self.numbers.is_empty()
    }
}
