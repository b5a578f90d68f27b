//! `data.where`: which rows are used, as conditions on their columns.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::schema::nulls::Nulls;
use crate::data::schema::value_type::{ValueType, time};

/// Conditions on a row's columns that must all hold: `country = de and price <= 10`.
///
/// ```
/// use polyscene::data::Filter;
///
/// assert!("country in [de, at] and price >= 0.5 and day < 2024-05-01".parse::<Filter>().is_ok());
/// assert!("price < cheap".parse::<Filter>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Filter {
    text: String,
    conditions: Vec<Condition>,
}

/// One condition on one column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    pub(crate) column: String,
    pub(crate) test: Test,
}

/// What a cell must be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    /// One of these values, in their one form, or with `not` none of them.
    OneOf { kind: ValueType, values: Vec<String>, not: bool },
    /// Before or after a number or moment.
    Order { relation: Relation, to: Ordered },
    /// Missing, or with `not` there.
    Missing { not: bool },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Relation {
    Less,
    AtMost,
    More,
    AtLeast,
}

/// What cells are compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ordered {
    Number(f64),
    /// Nanoseconds since 1970, in UTC.
    Moment(i128),
}

impl Filter {
    /// The conditions, all of which must hold.
    pub(crate) fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> String {
        filter.text
    }
}

impl TryFrom<String> for Filter {
    type Error = String;

    fn try_from(text: String) -> Result<Filter, String> {
        text.parse()
    }
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let words = words(text)?;
        let mut rest = &words[..];
        let mut conditions = Vec::new();
        loop {
            conditions.push(condition(&mut rest)?);
            match rest.split_first() {
                None => return Ok(Filter { text: text.to_owned(), conditions }),
                Some((word, after)) if word.is_keyword("and") => rest = after,
                Some((word, _)) if word.is_keyword("or") => {
                    return Err("conditions are joined by `and` alone; values of one column by `in [a, b]`".to_owned());
                }
                Some((word, _)) => return Err(format!("expected `and` or the end, found `{word}`")),
            }
        }
    }
}

/// A part of a filter's text.
#[derive(Debug, Clone, PartialEq)]
enum Word {
    Bare(String),
    Quoted(String),
    Sign(&'static str),
}

impl Word {
    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self, Word::Bare(word) if word.eq_ignore_ascii_case(keyword))
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::Bare(word) => f.write_str(word),
            Word::Quoted(word) => write!(f, "'{word}'"),
            Word::Sign(sign) => f.write_str(sign),
        }
    }
}

/// Longer ones first.
const SIGNS: [&str; 12] = ["==", "!=", "<=", ">=", "=", "<", ">", "[", "]", ",", "(", ")"];

fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if matches!(first, '\'' | '"' | '`') {
            let mut word = String::new();
            let mut inside = &rest[1..];
            loop {
                let Some((part, after)) = inside.split_once(first) else {
                    return Err(format!("the quote {first} before `{}` is not closed", &rest[1..]));
                };
                word.push_str(part);
                inside = after;
                // A doubled quote is one in the text.
                let Some(more) = inside.strip_prefix(first) else { break };
                word.push(first);
                inside = more;
            }
            words.push(Word::Quoted(word));
            rest = inside;
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            words.push(Word::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            let is_end = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`' | '!') || "=<>[](),".contains(c);
            let end = rest.char_indices().skip(1).find(|(_, c)| is_end(*c)).map_or(rest.len(), |(at, _)| at);
            words.push(Word::Bare(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(words)
}

const FORM: &str = "a condition such as `country = de`, `price <= 10`, `day in [1, 2]` or `city is not null`";

fn next<'w>(rest: &mut &'w [Word], expected: &str) -> Result<&'w Word, String> {
    let Some((word, after)) = rest.split_first() else { return Err(format!("expected {expected}, found the end")) };
    *rest = after;
    Ok(word)
}

fn condition(rest: &mut &[Word]) -> Result<Condition, String> {
    let column = match next(rest, FORM)? {
        Word::Bare(name) | Word::Quoted(name) if !name.is_empty() => name.clone(),
        word => return Err(format!("expected a column's name, found `{word}`")),
    };
    let operator = format!("=, !=, <, <=, >, >=, `in`, `not in`, `is null` or `is not null` after column \"{column}\"");
    let word = next(rest, &operator)?;
    let not = word.is_keyword("not");
    let test = match word {
        Word::Sign("=" | "==") => one_of(vec![value(rest)?], false)?,
        Word::Sign("!=") => one_of(vec![value(rest)?], true)?,
        Word::Sign("<") => order(Relation::Less, &value(rest)?)?,
        Word::Sign("<=") => order(Relation::AtMost, &value(rest)?)?,
        Word::Sign(">") => order(Relation::More, &value(rest)?)?,
        Word::Sign(">=") => order(Relation::AtLeast, &value(rest)?)?,
        _ if word.is_keyword("in") || not => {
            if not && !next(rest, "`in`")?.is_keyword("in") {
                return Err(format!("expected `in` after `not` of column \"{column}\""));
            }
            one_of(list(rest)?, not)?
        }
        _ if word.is_keyword("is") => {
            let word = next(rest, "`null` or `not null`")?;
            let not = word.is_keyword("not");
            let word = if not { next(rest, "`null`")? } else { word };
            if !word.is_keyword("null") {
                return Err(format!("expected `null` or `not null` after `is`, found `{word}`"));
            }
            Test::Missing { not }
        }
        word => return Err(format!("expected {operator}, found `{word}`")),
    };
    Ok(Condition { column, test })
}

/// A value, and whether it is text for sure.
fn value(rest: &mut &[Word]) -> Result<(String, ValueType), String> {
    match next(rest, "a value")? {
        Word::Quoted(text) => Ok((text.clone(), ValueType::Text)),
        Word::Bare(text) => {
            let is = |kind: ValueType| kind.holds(text.as_bytes());
            let is_word = text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false");
            let has_digit = text.bytes().any(|b| b.is_ascii_digit());
            Ok((
                text.clone(),
                match () {
                    () if is_word => ValueType::Boolean,
                    () if has_digit && is(ValueType::Float) => ValueType::Float,
                    () if is(ValueType::Time) => ValueType::Time,
                    () => ValueType::Text,
                },
            ))
        }
        word @ Word::Sign(_) => Err(format!("expected a value, found `{word}`")),
    }
}

fn list(rest: &mut &[Word]) -> Result<Vec<(String, ValueType)>, String> {
    let open = next(rest, "`[` after `in`")?;
    if *open != Word::Sign("[") {
        return Err(format!("expected a list such as [1, 2] after `in`, found `{open}`"));
    }
    let mut values = Vec::new();
    loop {
        values.push(value(rest)?);
        match next(rest, "`]`")? {
            Word::Sign(",") => {}
            Word::Sign("]") => return Ok(values),
            word => return Err(format!("expected `,` or `]` in the list after `in`, found `{word}`")),
        }
    }
}

fn one_of(values: Vec<(String, ValueType)>, not: bool) -> Result<Test, String> {
    let kind = values[0].1;
    if let Some((other, _)) = values.iter().find(|(_, other)| *other != kind) {
        return Err(format!(
            "`{}` and `{other}` are not of one type: {} and something else; quote all values of the list to compare text",
            values[0].0,
            kind.in_words()
        ));
    }
    let mut room = String::new();
    let form = |(text, _): &(String, ValueType)| {
        let form = kind.canonical(text.as_bytes(), &Nulls::new(Some(&[])), &mut room).unwrap_or_default();
        String::from_utf8_lossy(form).into_owned()
    };
    let values: Vec<String> = values.iter().map(form).collect();
    match values.iter().any(String::is_empty) {
        true => Err("a cell without a value is `is null`, not equal to ''".to_owned()),
        false => Ok(Test::OneOf { kind, values, not }),
    }
}

fn order(relation: Relation, (text, kind): &(String, ValueType)) -> Result<Test, String> {
    let to = match kind {
        ValueType::Float => Ordered::number(text.as_bytes()),
        ValueType::Time => Ordered::moment(text.as_bytes()),
        _ => None,
    };
    let Some(to) = to else {
        return Err(format!("<, <=, > and >= compare numbers, dates and times, and `{text}` is none (without quotes)"));
    };
    Ok(Test::Order { relation, to })
}

impl Ordered {
    fn number(text: &[u8]) -> Option<Ordered> {
        let (mut room, nulls) = (String::new(), Nulls::new(Some(&[])));
        let form = ValueType::Float.canonical(text, &nulls, &mut room)?;
        std::str::from_utf8(form).ok()?.parse().ok().filter(|x: &f64| x.is_finite()).map(Ordered::Number)
    }

    fn moment(text: &[u8]) -> Option<Ordered> {
        let moment = time(text.trim_ascii())?;
        let nanos = i128::from(moment.timestamp()) * 1_000_000_000 + i128::from(moment.timestamp_subsec_nanos());
        Some(Ordered::Moment(nanos))
    }
}

impl Test {
    /// What a column's values must be.
    pub(crate) fn kind(&self) -> ValueType {
        match self {
            Test::OneOf { kind, .. } => *kind,
            Test::Order { to: Ordered::Number(_), .. } => ValueType::Float,
            Test::Order { to: Ordered::Moment(_), .. } => ValueType::Time,
            Test::Missing { .. } => ValueType::Text,
        }
    }

    /// Whether a column that a file calls one of `held` can be compared.
    pub(crate) fn fits(&self, held: ValueType) -> bool {
        let is_time = matches!(held, ValueType::Date | ValueType::Time);
        match (self, self.kind()) {
            (Test::Missing { .. }, _) => true,
            _ if held == ValueType::Text => true,
            // In the form that such a column's cells have: no cell of numbers is '007'.
            (Test::OneOf { values, .. }, ValueType::Text) => values.iter().all(|value| {
                let (nulls, mut room) = (Nulls::new(Some(&[])), String::new());
                held.holds(value.as_bytes())
                    && held.canonical(value.as_bytes(), &nulls, &mut room) == Some(value.as_bytes())
            }),
            (_, ValueType::Time) => is_time,
            _ => !is_time,
        }
    }

    /// Whether a cell passes; of a missing one nothing holds but that it is missing. `None` where it cannot be compared.
    pub(crate) fn passes(
        &self,
        cell: Option<&[u8]>,
        held: ValueType,
        nulls: &Nulls,
        room: &mut String,
    ) -> Option<bool> {
        // A quoted 7 is the number 7 in a column that holds numbers.
        let kind = if self.kind() == ValueType::Text { held } else { self.kind() };
        let form = cell.and_then(|cell| kind.canonical(cell, nulls, room));
        let Some(form) = form else { return Some(matches!(self, Test::Missing { not: false })) };
        match self {
            Test::Missing { not } => Some(*not),
            Test::OneOf { values, not, .. } => {
                let is_one = values.iter().any(|value| value.as_bytes() == form);
                (is_one || kind == ValueType::Text || kind.holds(form)).then_some(is_one != *not)
            }
            Test::Order { relation, to } => {
                let order = match (to, kind) {
                    (Ordered::Number(to), _) => match Ordered::number(form)? {
                        Ordered::Number(x) => x.partial_cmp(to)?,
                        Ordered::Moment(_) => return None,
                    },
                    (Ordered::Moment(to), _) => match Ordered::moment(form)? {
                        Ordered::Moment(x) => x.cmp(to),
                        Ordered::Number(_) => return None,
                    },
                };
                Some(match relation {
                    Relation::Less => order.is_lt(),
                    Relation::AtMost => order.is_le(),
                    Relation::More => order.is_gt(),
                    Relation::AtLeast => order.is_ge(),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(filter: &str, cell: &str) -> Option<bool> {
        let filter: Filter = filter.parse().unwrap();
        let cell = Some(cell.as_bytes()).filter(|cell| !cell.is_empty());
        filter.conditions[0].test.passes(cell, ValueType::Text, &Nulls::default(), &mut String::new())
    }

    #[test]
    fn values_are_compared_by_what_they_are() {
        for (filter, cell, expected) in [
            ("x = 7", "7.0", Some(true)),
            ("x == 7", "007", Some(true)),
            ("x = '7'", "7.0", Some(false)),
            ("x = 0.1", "0.10000000149011612", Some(true)),
            ("x = 9007199254740993", "9007199254740992", Some(false)),
            ("x = 7", "seven", None),
            ("x != 7", "8", Some(true)),
            ("x != 7", "", Some(false)),
            ("x != 7", "NULL", Some(false)),
            ("x = de", "de", Some(true)),
            ("x = de", "DE", Some(false)),
            ("x = 'it''s'", "it's", Some(true)),
            ("x = TRUE", "1", Some(true)),
            ("x = false", "f", Some(true)),
            ("x = true", "yes", None),
            ("x in [a, 'b c']", "b c", Some(true)),
            ("x not in [1, 2]", "2.0", Some(false)),
            ("x not in [1, 2]", "3", Some(true)),
            ("x < 2.5", "-1e3", Some(true)),
            ("x >= 2.5", "2.5", Some(true)),
            ("x > 2.5", "2.5", Some(false)),
            ("x <= 2.5", "abc", None),
            ("x < 2024-05-01", "2024-04-30 23:59:59", Some(true)),
            ("x >= 2024-05-01T02:00:00+02:00", "2024-05-01", Some(true)),
            ("x = 2024-05-01", "2024-05-01T00:00:00", Some(true)),
            ("x is null", "", Some(true)),
            ("x IS NOT NULL", "a", Some(true)),
            ("x is not null", "", Some(false)),
        ] {
            assert_eq!(passes(filter, cell), expected, "{filter}, {cell:?}");
        }
    }

    #[test]
    fn columns_and_conditions_are_read() {
        let filter: Filter = "`a b`=1 AND \"c\" in ['x','y'] and d-e.f!=z".parse().unwrap();
        let columns: Vec<&str> = filter.conditions.iter().map(|condition| condition.column.as_str()).collect();
        assert_eq!(columns, ["a b", "c", "d-e.f"]);
        assert_eq!(String::from(filter.clone()).parse(), Ok(filter));
    }

    #[test]
    fn what_is_no_filter_says_why() {
        for (filter, message) in [
            ("", "found the end"),
            ("x", "found the end"),
            ("x ~ 3", "found `~`"),
            ("x = ", "expected a value, found the end"),
            ("x = = 3", "expected a value, found `=`"),
            ("x = 3 or y = 4", "joined by `and` alone"),
            ("x = 3 y = 4", "expected `and` or the end, found `y`"),
            ("x = 'a", "is not closed"),
            ("x in (1, 2)", "expected a list such as [1, 2]"),
            ("x in [1; 2]", "expected `,` or `]`"),
            ("x in [1, b]", "are not of one type"),
            ("x in []", "expected a value, found `]`"),
            ("x < abc", "compare numbers, dates and times"),
            ("x < '3'", "without quotes"),
            ("x = ''", "`is null`"),
            ("x is 3", "expected `null` or `not null`"),
            ("x not 3", "expected `in`"),
        ] {
            let found = filter.parse::<Filter>().unwrap_err();
            assert!(found.contains(message), "{filter}: {found}");
        }
    }
}
