//! Several shaders as one: the parts that a block of samples goes through, one after another.
//!
//! Each part is an expanded shader of its own, made with its own constants, that declares a function to be called. What
//! the call needs is copied into one text. Declarations that read the same are there once; where two parts mean different
//! things by a name, the later one's gets a number. Buffers that several parts bind are bound once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::ops::Range;

use super::shader::{Origin, Shader};
use super::{Error, Result};

/// A shader that becomes a part of another.
pub(crate) struct Part<'a> {
    /// The whole shader; its `main` is left out.
    pub(crate) shader: &'a Shader,
    /// The function of it that is called.
    pub(crate) function: &'static str,
    /// For each binding of its group 0, in order, the number of the buffer there: of the composed shader's binding.
    pub(crate) buffers: &'a [usize],
}

/// One shader of all parts, and the names by which it calls their functions. `main` writes the entry point, given these
/// names.
///
/// # Errors
/// [`Error::Shader`] where a part does not declare what it says, or two parts see one buffer as different types.
pub(crate) fn compose(name: &str, parts: &[Part<'_>], main: impl FnOnce(&[String]) -> String) -> Result<Shader> {
    let texts: Vec<Text<'_>> = parts.iter().map(|part| Text::parse(part.shader)).collect::<Result<_>>()?;
    let mut composer = Composer::default();
    // The first file is what errors name.
    let file = composer.file(&format!("{name}, composed"));
    for (text, part) in texts.iter().zip(parts) {
        composer.note_writes(text, part)?;
    }
    let mut functions = Vec::new();
    for (text, part) in texts.iter().zip(parts) {
        let mut names = HashMap::new();
        functions.push(composer.emit(text, part, part.function, &mut names)?);
        // What is bound is declared, used or not.
        for &variable in &text.buffers {
            composer.emit(text, part, variable, &mut names)?;
        }
    }
    for (line, text) in main(&functions).lines().enumerate() {
        composer.line(text, Origin { file, line: line + 1 });
    }
    let Composer { text, origins, files, .. } = composer;
    Ok(Shader::from_parts(name.to_owned(), text, files, origins))
}

/// A declaration at the top of a shader.
struct Declaration<'a> {
    /// Where it stands in the text, attributes included.
    place: Range<usize>,
    is_function: bool,
    /// Its words, each with its place: not those of its own variables, nor the names of a struct's members.
    words: Vec<Range<usize>>,
    /// A function's parameters and variables.
    variables: HashSet<&'a str>,
    /// `@binding` of group 0.
    binding: Option<u32>,
    /// Where a buffer's `read` or `read_write` stands.
    access: Option<Range<usize>>,
}

/// A shader's declarations by name.
struct Text<'a> {
    shader: &'a Shader,
    declarations: HashMap<&'a str, Declaration<'a>>,
    /// For each buffer of group 0, in the order of the bindings, the variable.
    buffers: Vec<&'a str>,
}

impl<'a> Text<'a> {
    fn parse(shader: &'a Shader) -> Result<Self> {
        let text: &str = shader.text();
        let mut declarations = HashMap::new();
        let mut numbers: Vec<(u32, &str)> = Vec::new();
        let mut tokens = tokens(text).peekable();
        while tokens.peek().is_some() {
            // A declaration ends at a semicolon or a closing brace outside all brackets.
            let mut own: Vec<Range<usize>> = Vec::new();
            let mut depth = 0usize;
            for token in tokens.by_ref() {
                let word = &text[token.clone()];
                own.push(token);
                match word {
                    "(" | "{" | "[" => depth += 1,
                    ")" | "]" => depth = depth.saturating_sub(1),
                    "}" => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth == 0 && (word == ";" || word == "}") {
                    break;
                }
            }
            let word = |at: usize| own.get(at).map_or("", |token| &text[token.clone()]);
            let Some(start) =
                (0..own.len()).find(|&at| matches!(word(at), "fn" | "struct" | "const" | "var" | "alias"))
            else {
                // A semicolon after a struct, or a directive, of which compute shaders of ours have none.
                continue;
            };
            // `var<storage, read>`: the name follows the bracket.
            let name = match word(start + 1) {
                "<" => (start..own.len()).find(|&at| word(at) == ">").map_or(start + 1, |at| at + 1),
                _ => start + 1,
            };
            let number = |attribute: &str| {
                let at = (0..start).find(|&at| word(at) == attribute)?;
                word(at + 2).trim_end_matches('u').parse::<u32>().ok()
            };
            let binding = (number("group") == Some(0)).then(|| number("binding")).flatten();
            let is_function = word(start) == "fn";
            let variables: HashSet<&str> = (start + 2..own.len())
                .filter(|&at| is_function && (word(at + 1) == ":" || matches!(word(at - 1), "let" | "const" | "var")))
                .map(word)
                .collect();
            // Only functions are called: `let scenario = scenario(row);` names one and makes a variable.
            let is_variable = |at: usize| variables.contains(word(at)) && word(at + 1) != "(";
            let is_member = |at: usize| word(at - 1) == "." || (word(start) == "struct" && word(at + 1) == ":");
            let named = (start..own.len()).filter(|&at| {
                let is_name = word(at).starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
                is_name && at > 0 && !is_member(at) && !is_variable(at)
            });
            let declaration = Declaration {
                place: own[0].start..own[own.len() - 1].end,
                is_function,
                words: named.map(|at| own[at].clone()).collect(),
                binding,
                variables,
                access: (start..name).map(|at| own[at].clone()).find(|at| text[at.clone()].starts_with("read")),
            };
            let name = &text[own.get(name).cloned().unwrap_or_default()];
            if let Some(binding) = binding {
                numbers.push((binding, name));
            }
            declarations.insert(name, declaration);
        }
        numbers.sort_unstable();
        Ok(Self { shader, declarations, buffers: numbers.into_iter().map(|(_, name)| name).collect() })
    }

    fn slice(&self, place: &Range<usize>) -> &'a str {
        let text: &'a str = self.shader.text();
        &text[place.clone()]
    }

    fn fault(&self, message: String) -> Error {
        Error::Shader { place: self.shader.files()[0].clone(), message }
    }

    /// The number of the buffer that a variable stands for.
    fn buffer(&self, part: &Part<'_>, variable: &str) -> Result<usize> {
        let at = self.buffers.iter().position(|name| *name == variable);
        at.and_then(|at| part.buffers.get(at).copied())
            .ok_or_else(|| self.fault(format!("a buffer is missing for `{variable}`")))
    }
}

#[derive(Default)]
struct Composer {
    text: String,
    /// Where each line of the text was written.
    origins: Vec<Origin>,
    files: Vec<String>,
    /// Buffers that some part writes.
    written: BTreeSet<usize>,
    /// The name under which a declaration stands, by its text with a gap for the name.
    emitted: HashMap<String, String>,
    /// The variable of each buffer and what follows its name.
    variables: HashMap<usize, (String, String)>,
    taken: BTreeSet<String>,
}

impl Composer {
    fn note_writes(&mut self, text: &Text<'_>, part: &Part<'_>) -> Result<()> {
        if text.buffers.len() != part.buffers.len() {
            let (binds, given) = (text.buffers.len(), part.buffers.len());
            return Err(text.fault(format!("it binds {binds} buffers, and {given} were given")));
        }
        for &variable in &text.buffers {
            let access = text.declarations[variable].access.as_ref();
            if access.is_some_and(|access| text.slice(access) == "read_write") {
                self.written.insert(text.buffer(part, variable)?);
            }
        }
        Ok(())
    }

    fn line(&mut self, text: &str, origin: Origin) {
        self.text.push_str(text);
        self.text.push('\n');
        self.origins.push(origin);
    }

    fn file(&mut self, path: &str) -> usize {
        self.files.iter().position(|known| known == path).unwrap_or_else(|| {
            self.files.push(path.to_owned());
            self.files.len() - 1
        })
    }

    /// Copies a declaration and, before it, all that it names; returns its name in the composed text.
    fn emit<'a>(
        &mut self,
        text: &Text<'a>,
        part: &Part<'_>,
        name: &'a str,
        names: &mut HashMap<&'a str, Option<String>>,
    ) -> Result<String> {
        match names.get(name) {
            Some(Some(known)) => return Ok(known.clone()),
            Some(None) => return Err(text.fault(format!("`{name}` is declared by way of itself"))),
            None => {}
        }
        let Some(declaration) = text.declarations.get(name) else {
            return Err(text.fault(format!("there is no `{name}`")));
        };
        let shadowed = |variable: &&&str| {
            let other = text.declarations.get(**variable);
            other.is_some_and(|declaration| !declaration.is_function)
        };
        if let Some(variable) = declaration.variables.iter().find(shadowed) {
            return Err(text.fault(format!("`{name}` has a variable `{variable}`, which is declared outside too")));
        }
        names.insert(name, None);
        let mut renamed = String::new();
        let mut from = declaration.place.start;
        for word in &declaration.words {
            let named = text.slice(word);
            let new = match text.declarations.contains_key(named) {
                true if named == name => "\0".to_owned(),
                true => self.emit(text, part, named, names)?,
                false => continue,
            };
            renamed.push_str(text.slice(&(from..word.start)));
            renamed.push_str(&new);
            from = word.end;
        }
        renamed.push_str(text.slice(&(from..declaration.place.end)));
        let new = match declaration.binding {
            Some(_) => self.emit_buffer(text, part, name, &renamed)?,
            None => self.emit_plain(text, declaration, name, renamed),
        };
        names.insert(name, Some(new.clone()));
        Ok(new)
    }

    fn emit_plain(&mut self, text: &Text<'_>, declaration: &Declaration<'_>, name: &str, renamed: String) -> String {
        if let Some(known) = self.emitted.get(&renamed) {
            return known.clone();
        }
        let new = self.free(name);
        let first = text.slice(&(0..declaration.place.start)).matches('\n').count() + 1;
        for (line, written) in renamed.replace('\0', &new).lines().enumerate() {
            let (path, number) = text.shader.origin(first + line).unwrap_or((&text.shader.files()[0], 1));
            let file = self.file(path);
            self.line(written, Origin { file, line: number });
        }
        self.emitted.insert(renamed, new.clone());
        new
    }

    fn emit_buffer(&mut self, text: &Text<'_>, part: &Part<'_>, name: &str, renamed: &str) -> Result<String> {
        let buffer = text.buffer(part, name)?;
        let (_, kind) = renamed.split_once('\0').unwrap_or_default();
        if let Some((known, known_kind)) = self.variables.get(&buffer) {
            return match known_kind == kind {
                true => Ok(known.clone()),
                false => Err(text.fault(format!("`{name}` is seen as `{kind}` and as `{known_kind}`"))),
            };
        }
        let new = self.free(name);
        let access = if self.written.contains(&buffer) { "read_write" } else { "read" };
        let file = self.file(&text.shader.files()[0]);
        let written = format!("@group(0) @binding({buffer}) var<storage, {access}> {new}{kind}");
        self.line(&written, Origin { file, line: 1 });
        self.variables.insert(buffer, (new.clone(), kind.to_owned()));
        Ok(new)
    }

    /// A name that nothing has yet.
    fn free(&mut self, name: &str) -> String {
        let mut new = name.to_owned();
        let mut number = 1;
        while !self.taken.insert(new.clone()) {
            number += 1;
            new.clear();
            write!(new, "{name}_{number}").expect("a string takes it");
        }
        new
    }
}

/// The places of words, numbers and signs; comments and spaces left out.
fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            match bytes.get(at)? {
                byte if byte.is_ascii_whitespace() => at += 1,
                b'/' if bytes.get(at + 1) == Some(&b'/') => {
                    at += text[at..].find('\n').unwrap_or(text.len() - at);
                }
                _ => break,
            }
        }
        let start = at;
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        at += match bytes[at..].iter().take_while(|byte| is_word(byte)).count() {
            0 => text[at..].chars().next().map_or(1, char::len_utf8),
            letters => letters,
        };
        Some(start..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::ShaderSource;

    fn shader(text: &str, scale: f32) -> Shader {
        let text: &'static str = text.to_owned().leak();
        ShaderSource::new("double", text).with("SCALE", scale).expand(|_| None).unwrap()
    }

    const DOUBLE: &str = "const SCALE: f32 = 1.0;\n\
        @group(0) @binding(0) var<storage, read> x: array<f32>;\n\
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;\n\
        struct Pair { scaled: f32, SCALE: f32 }\n\
        fn scaled(at: u32) -> f32 { return SCALE * x[at]; } // SCALE\n\
        fn same(at: u32) -> u32 { return at; }\n\
        fn unused() {}\n\
        fn piece(at: u32) { let same = same(at); let pair = Pair(scaled(same), SCALE); y[at] = pair.scaled + pair.SCALE; }\n\
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) l: u32) { piece(l); }\n";

    fn two(first: &Shader, second: &Shader) -> Result<Shader> {
        let parts = [
            Part { shader: first, function: "piece", buffers: &[0, 1] },
            Part { shader: second, function: "piece", buffers: &[1, 2] },
        ];
        compose("both", &parts, |functions| {
            let calls: String = functions.iter().map(|function| format!("    {function}(l);\n")).collect();
            format!("@compute @workgroup_size(64)\nfn main(@builtin(local_invocation_index) l: u32) {{\n{calls}}}\n")
        })
    }

    #[test]
    fn names_that_mean_different_things_are_told_apart() {
        let composed = two(&shader(DOUBLE, 2.0), &shader(DOUBLE, 3.0)).unwrap();
        let text = composed.text();
        naga::front::wgsl::parse_str(text).unwrap();
        assert_eq!(text.matches("fn same(").count(), 1, "{text}");
        assert_eq!(text.matches("struct Pair").count(), 1, "members are no names of their own: {text}");
        for expected in ["const SCALE: f32 = 2.0f;", "const SCALE_2: f32 = 3.0f;", "return SCALE_2 * y[at];"] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(!text.contains("unused"));
        // What one part writes and another reads is one variable, which can be written.
        let bindings: Vec<_> = composed.reflect().unwrap().bindings.into_iter().map(|b| (b.name, b.kind)).collect();
        use crate::gpu::BindingKind::{StorageRead, StorageReadWrite};
        let expected = [("x", StorageRead), ("y", StorageReadWrite), ("y_2", StorageReadWrite)];
        assert_eq!(bindings, expected.map(|(name, kind)| (name.to_owned(), kind)));
    }

    #[test]
    fn parts_that_read_the_same_are_there_once() {
        let same = shader(DOUBLE, 2.0);
        let parts = [0, 1].map(|_| Part { shader: &same, function: "piece", buffers: &[0, 1] });
        let composed = compose("twice", &parts, |functions| {
            assert_eq!(functions, ["piece", "piece"]);
            "@compute @workgroup_size(1)\nfn main() { piece(0u); }\n".to_owned()
        })
        .unwrap();
        assert_eq!(composed.text().matches("fn piece").count(), 1);
        // Lines remember where they were written.
        let line = composed.text().lines().position(|line| line.contains("fn piece")).unwrap() + 1;
        assert_eq!(composed.origin(line), Some(("shaders/double.wgsl", 8)));
    }

    #[test]
    fn one_buffer_has_one_type() {
        let other = DOUBLE.replace("read> x: array<f32>", "read> x: array<vec4<f32>>").replace("x[at]", "x[at].x");
        let error = two(&shader(DOUBLE, 2.0), &shader(&other, 2.0)).unwrap_err().to_string();
        assert!(error.contains("array<f32>") && error.contains("array<vec4<f32>>"), "{error}");
    }
}
