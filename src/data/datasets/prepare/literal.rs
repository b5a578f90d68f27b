//! Python's notation of values, in which the products of 2014 are written: quotes of both kinds, `None` and `True`.

use serde_json::{Map, Number, Value};

/// How deep lists and dictionaries may lie in each other.
const DEEPEST: usize = 64;

/// The value that a text is, dictionaries as objects; `None` if it is none.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let mut parser = Parser { rest: text };
    let value = parser.value(0)?;
    parser.blanks();
    parser.rest.is_empty().then_some(value)
}

struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Whether the text goes on with this after blanks, which is then behind.
    fn takes(&mut self, text: &str) -> bool {
        self.blanks();
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        self.blanks();
        match self.rest.chars().next()? {
            '{' => self.dictionary(depth),
            '[' => self.items("[", "]", depth),
            '(' => self.items("(", ")", depth),
            '\'' | '"' => self.text().map(Value::String),
            'u' if self.rest[1..].starts_with(['\'', '"']) => {
                self.rest = &self.rest[1..];
                self.text().map(Value::String)
            }
            _ => self.word(),
        }
    }

    fn dictionary(&mut self, depth: usize) -> Option<Value> {
        self.takes("{");
        let mut map = Map::new();
        while !self.takes("}") {
            let Value::String(key) = self.value(depth + 1)? else { return None };
            if !self.takes(":") {
                return None;
            }
            let value = self.value(depth + 1)?;
            map.insert(key, value);
            if !self.takes(",") {
                return self.takes("}").then_some(Value::Object(map));
            }
        }
        Some(Value::Object(map))
    }

    fn items(&mut self, open: &str, close: &str, depth: usize) -> Option<Value> {
        self.takes(open);
        let mut items = Vec::new();
        while !self.takes(close) {
            items.push(self.value(depth + 1)?);
            if !self.takes(",") {
                return self.takes(close).then_some(Value::Array(items));
            }
        }
        Some(Value::Array(items))
    }

    /// A text in quotes.
    fn text(&mut self) -> Option<String> {
        let mut characters = self.rest.chars();
        let quote = characters.next()?;
        let mut text = String::new();
        loop {
            match characters.next()? {
                end if end == quote => break,
                '\\' => match characters.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'x' => text.push(escaped(&mut characters, 2)?),
                    'u' => text.push(escaped(&mut characters, 4)?),
                    'U' => text.push(escaped(&mut characters, 8)?),
                    plain @ ('\\' | '\'' | '"') => text.push(plain),
                    // As Python has it: an escape that is none stays as it is.
                    other => text.extend(['\\', other]),
                },
                plain => text.push(plain),
            }
        }
        self.rest = characters.as_str();
        Some(text)
    }

    /// A number, `None`, `True` or `False`.
    fn word(&mut self) -> Option<Value> {
        let end = self.rest.find([',', ':', ']', '}', ')', ' ', '\t']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "None" => Some(Value::Null),
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            _ => word
                .parse::<i64>()
                .map(Number::from)
                .ok()
                .or_else(|| word.parse().ok().and_then(Number::from_f64))
                .map(Value::Number),
        }
    }
}

/// The character of so many hexadecimal digits; what is no character is replaced.
fn escaped(characters: &mut std::str::Chars, digits: usize) -> Option<char> {
    let mut code = 0;
    for _ in 0..digits {
        code = code * 16 + characters.next()?.to_digit(16)?;
    }
    Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn python_values_are_read_as_json() {
        let text = r#"{'asin': '00X', "title": "Bob's \"box\"", 'price': 9.99, 'rank': {'Toys': -3}, u'n': None,
            'ways': [['Electronics', 'Caf\xe9 \u00e9 \d'], ()], 'ok': True,}"#;
        let expected = json!({
            "asin": "00X", "title": "Bob's \"box\"", "price": 9.99, "rank": {"Toys": -3}, "n": null,
            "ways": [["Electronics", "Café é \\d"], []], "ok": true
        });
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn what_is_no_value_is_none() {
        let deep = "[".repeat(100);
        for text in
            ["", "{", "{'a'}", "{'a': }", "{1: 2}", "['a' 'b']", "'open", "'\\x4", "nil", "[1] 2", "1e999", &deep]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
