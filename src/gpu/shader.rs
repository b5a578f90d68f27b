//! Shaders as texts: imports, shape constants, and errors at the line where they were written.
//!
//! A shader is a plain WGSL file, which an editor with WGSL support can check as it stands but for two habits:
//!
//! - a line `#import name` puts `shaders/common/name.wgsl` in its place, once per shader however often it is asked
//!   for; imported files may import others. The host may put another import in a name's place: two files that declare the
//!   same names are variants of one thing;
//! - a line at the left margin of the exact form `const NAME: TYPE = VALUE;`, where the type is `u32`, `i32`, `f32` or
//!   `bool`, holds a value for the editor, and the host may put another in its place: shapes known when the plan is
//!   made become literals, which drivers unroll. A comment may follow the semicolon.
//!
//! `enable` and other directives may stand in any file; they are moved to the top, where WGSL wants them.

use std::sync::Arc;

use super::reflect::{self, Reflection, StructLayout};
use super::{Error, Result};

/// A value for a `const` of a shader.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
    /// `f32`, which must be finite.
    F32(f32),
    /// `i32`.
    I32(i32),
    /// `u32`.
    U32(u32),
    /// `bool`.
    Bool(bool),
}

impl Constant {
    fn type_name(self) -> &'static str {
        match self {
            Self::F32(_) => "f32",
            Self::I32(_) => "i32",
            Self::U32(_) => "u32",
            Self::Bool(_) => "bool",
        }
    }

    /// The value as WGSL writes it; none for what WGSL cannot write.
    fn literal(self) -> Option<String> {
        match self {
            Self::F32(value) if !value.is_finite() => None,
            // The suffix makes the literal read as f32 and not by way of f64.
            Self::F32(value) => Some(format!("{value:?}f")),
            // i32::MIN has no suffixed literal: its digits alone are too large for i32.
            Self::I32(value) => Some(format!("i32({value})")),
            Self::U32(value) => Some(format!("{value}u")),
            Self::Bool(value) => Some(value.to_string()),
        }
    }
}

impl From<f32> for Constant {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

impl From<i32> for Constant {
    fn from(value: i32) -> Self {
        Self::I32(value)
    }
}

impl From<u32> for Constant {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<bool> for Constant {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// A shader file and the values of its constants, before expansion.
#[derive(Clone, Debug)]
pub struct ShaderSource {
    path: String,
    text: &'static str,
    constants: Vec<(String, Constant)>,
    replaced_imports: Vec<(&'static str, &'static str)>,
}

impl ShaderSource {
    /// The text of `shaders/PATH.wgsl`.
    pub fn new(path: impl Into<String>, text: &'static str) -> Self {
        Self { path: path.into(), text, constants: Vec::new(), replaced_imports: Vec::new() }
    }

    /// The shader's name: its path without folders.
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Gives a constant its value. The last value given to a constant counts.
    #[must_use]
    pub fn with(mut self, constant: &str, value: impl Into<Constant>) -> Self {
        self.constants.retain(|(name, _)| name != constant);
        self.constants.push((constant.to_owned(), value.into()));
        self
    }

    /// Puts `shaders/common/REPLACEMENT.wgsl` wherever `#import NAME` asks for the file `name`.
    #[must_use]
    pub fn with_import(mut self, name: &'static str, replacement: &'static str) -> Self {
        self.replaced_imports.push((name, replacement));
        self
    }

    /// Puts the imports and constants in place. `imports` gives the text of `shaders/common/NAME.wgsl`.
    ///
    /// # Errors
    /// [`Error::Shader`] for an unknown import or directive, [`Error::Constant`] for a constant that the text lacks or
    /// declares with another type.
    pub fn expand(&self, imports: impl Fn(&str) -> Option<&'static str>) -> Result<Shader> {
        let mut expansion = Expansion {
            imports: &imports,
            constants: &self.constants,
            replaced: vec![false; self.constants.len()],
            replaced_imports: &self.replaced_imports,
            shader: self.name(),
            files: Vec::new(),
            directives: Vec::new(),
            text: String::new(),
            origins: Vec::new(),
        };
        expansion.file(format!("shaders/{}.wgsl", self.path), self.text)?;
        for ((constant, _), replaced) in self.constants.iter().zip(&expansion.replaced) {
            if !replaced {
                return Err(Error::Constant {
                    shader: self.name().to_owned(),
                    constant: constant.clone(),
                    reason: format!("the shader has no line `const {constant}: TYPE = VALUE;` at the left margin"),
                });
            }
        }
        let Expansion { files, directives, text, origins, .. } = expansion;
        let (directives, places): (Vec<&str>, Vec<Origin>) = directives.into_iter().unzip();
        let text = directives.iter().flat_map(|line| [*line, "\n"]).collect::<String>() + &text;
        let origins = [places, origins].concat();
        Ok(Shader { name: self.name().to_owned(), text: text.into(), files, origins })
    }
}

/// Where a line of an expanded text was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// Its number among the shader's files.
    pub(super) file: usize,
    /// From 1.
    pub(super) line: usize,
}

struct Expansion<'a> {
    imports: &'a dyn Fn(&str) -> Option<&'static str>,
    constants: &'a [(String, Constant)],
    replaced: Vec<bool>,
    replaced_imports: &'a [(&'static str, &'static str)],
    shader: &'a str,
    files: Vec<String>,
    directives: Vec<(&'static str, Origin)>,
    /// All but the directives, and where each line of it was written.
    text: String,
    origins: Vec<Origin>,
}

impl Expansion<'_> {
    fn file(&mut self, path: String, text: &'static str) -> Result<()> {
        let file = self.files.len();
        self.files.push(path);
        for (number, line) in text.lines().enumerate() {
            let origin = Origin { file, line: number + 1 };
            if let Some(directive) = line.trim_start().strip_prefix('#') {
                self.directive(directive, origin)?;
            } else if is_wgsl_directive(line) {
                // Twice the same is allowed but would only be noise.
                if !self.directives.iter().any(|(earlier, _)| *earlier == line) {
                    self.directives.push((line, origin));
                }
            } else {
                match self.constant(line)? {
                    Some(line) => self.text.push_str(&line),
                    None => self.text.push_str(line),
                }
                self.text.push('\n');
                self.origins.push(origin);
            }
        }
        Ok(())
    }

    fn directive(&mut self, directive: &str, origin: Origin) -> Result<()> {
        let fault = |files: &[String], message: String| Error::Shader {
            place: format!("{}:{}", files[origin.file], origin.line),
            message,
        };
        let mut words = directive.split_whitespace();
        let (Some("import"), Some(name), None) = (words.next(), words.next(), words.next()) else {
            return Err(fault(&self.files, format!("`#{directive}` is not a directive; there is `#import NAME` only")));
        };
        let replacement = self.replaced_imports.iter().find(|(replaced, _)| *replaced == name);
        let name = replacement.map_or(name, |&(_, by)| by);
        let path = format!("shaders/common/{name}.wgsl");
        if self.files.contains(&path) {
            // Already in place, or in the midst of being put there.
            return Ok(());
        }
        let Some(text) = (self.imports)(name) else {
            return Err(fault(&self.files, format!("nothing to import: there is no {path}")));
        };
        self.file(path, text)
    }

    /// The line with the host's value, where it declares a constant that has one.
    fn constant(&mut self, line: &str) -> Result<Option<String>> {
        let Some(declared) = Declaration::parse(line) else {
            return Ok(None);
        };
        let Some(place) = self.constants.iter().position(|(name, _)| name == declared.name) else {
            return Ok(None);
        };
        let (name, value) = &self.constants[place];
        let fault = |reason: String| Error::Constant { shader: self.shader.to_owned(), constant: name.clone(), reason };
        if declared.kind != value.type_name() {
            let given = value.type_name();
            return Err(fault(format!("the shader declares it {}, and the host gave {given}", declared.kind)));
        }
        let literal = value.literal().ok_or_else(|| fault(format!("WGSL cannot write {value:?}")))?;
        self.replaced[place] = true;
        Ok(Some(format!("const {name}: {} = {literal};{}", declared.kind, declared.rest)))
    }
}

/// `enable f16;` and its like, which WGSL wants before all else.
fn is_wgsl_directive(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("enable ") || line.starts_with("requires ") || line.starts_with("diagnostic(")
}

/// A line `const NAME: TYPE = VALUE;` and what follows the semicolon.
struct Declaration<'a> {
    name: &'a str,
    kind: &'a str,
    rest: &'a str,
}

impl<'a> Declaration<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, rest) = line.strip_prefix("const ")?.split_once(": ")?;
        let (kind, rest) = rest.split_once(" = ")?;
        let (_value, rest) = rest.split_once(';')?;
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let scalar = matches!(kind, "u32" | "i32" | "f32" | "bool");
        let trailing = rest.trim_start();
        let alone = trailing.is_empty() || trailing.starts_with("//");
        (plain && scalar && alone).then_some(Self { name, kind, rest })
    }
}

/// An expanded shader: one complete WGSL text that remembers where each of its lines was written.
#[derive(Clone, Debug)]
pub struct Shader {
    name: String,
    text: Arc<str>,
    files: Vec<String>,
    origins: Vec<Origin>,
}

impl Shader {
    /// A text of which each line's origin is known.
    pub(super) fn from_parts(name: String, text: String, files: Vec<String>, origins: Vec<Origin>) -> Self {
        Self { name, text: text.into(), files, origins }
    }

    /// The file's name, without its folder and ending.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text. Two shaders with one text are one pipeline.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The files it was put together from, the shader's own first.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The file and line, from 1, where a line of the text, from 1, was written.
    pub fn origin(&self, line: usize) -> Option<(&str, usize)> {
        let origin = self.origins.get(line.checked_sub(1)?)?;
        Some((&self.files[origin.file], origin.line))
    }

    /// What entry point `main` binds, and its workgroup size.
    ///
    /// # Errors
    /// [`Error::Shader`] when the text does not parse or validate, or has no compute entry point `main`.
    pub fn reflect(&self) -> Result<Reflection> {
        reflect::reflect(self)
    }

    /// The offsets of a struct's members and its size in bytes, to test host structs against.
    ///
    /// # Errors
    /// [`Error::Shader`] when the text does not parse or has no such struct.
    pub fn struct_layout(&self, name: &str) -> Result<StructLayout> {
        reflect::struct_layout(self, name)
    }

    /// As [`Shader::reflect`], and whether every barrier stands where all threads of a workgroup come by; for tests, since
    /// nothing else checks it.
    ///
    /// # Errors
    /// Those of [`Shader::reflect`]; [`Error::Shader`] at a barrier that only some threads may reach.
    pub fn check(&self) -> Result<Reflection> {
        reflect::check(self)
    }

    /// An error at a place of the text: line and column from 1, and the bytes to mark.
    pub(super) fn fault(&self, message: &str, at: Option<wgpu::SourceLocation>) -> Error {
        let place = at.and_then(|at| Some((at, self.origin(at.line_number as usize)?)));
        let Some((at, (file, line))) = place else {
            return Error::Shader { place: self.files[0].clone(), message: message.to_owned() };
        };
        let text = self.text.lines().nth(at.line_number as usize - 1).unwrap_or("");
        let before = at.line_position.saturating_sub(1) as usize;
        // The mark stays within its line, and the position is in bytes.
        let column = text.get(..before).unwrap_or(text).chars().count();
        let marked = text.get(before..).unwrap_or("").get(..at.length as usize);
        let marked = marked.unwrap_or(text.get(before..).unwrap_or("")).chars().count().max(1);
        let gutter = " ".repeat(line.to_string().len());
        let indent: String = text.chars().take(column).map(|letter| if letter == '\t' { '\t' } else { ' ' }).collect();
        Error::Shader {
            place: format!("{file}:{line}:{}", column + 1),
            message: format!("{message}\n{line} | {text}\n{gutter} | {indent}{}", "^".repeat(marked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(name: &str) -> Option<&'static str> {
        match name {
            "activation" => Some("#import numeric\nfn relu(x: f32) -> f32 { return largest(x, 0.0); }\n"),
            "numeric" => Some(
                "enable f16;\n#import activation\nconst FLOOR: f32 = 0.0;\nfn largest(a: f32, b: f32) -> f32 { return max(a, b); }\n",
            ),
            _ => None,
        }
    }

    const TEXT: &str = "#import activation\n#import numeric\n\
                        const ROWS: u32 = 2u; // rows of one group\n\
                        const EPSILON: f32 = 1e-8;\n\
                        const FUSED: bool = false;\n\
                        const SHIFT: i32 = 0;\n";

    #[test]
    fn imports_come_once_and_may_go_round() {
        let shader = ShaderSource::new("gate", TEXT).expand(common).unwrap();
        assert_eq!(shader.text().matches("fn relu").count(), 1);
        assert_eq!(shader.text().matches("fn largest").count(), 1);
        assert!(shader.text().starts_with("enable f16;\n"));
        assert_eq!(
            shader.files(),
            ["shaders/gate.wgsl", "shaders/common/activation.wgsl", "shaders/common/numeric.wgsl"]
        );
    }

    #[test]
    fn another_import_may_take_a_names_place() {
        let imports = |name: &str| match name {
            "rows" => Some("alias Row = vec4<f32>;\n"),
            "half_rows" => Some("alias Row = vec2<u32>;\n"),
            _ => None,
        };
        let source = ShaderSource::new("gather", "#import rows\n");
        assert!(source.expand(imports).unwrap().text().contains("Row = vec4<f32>"));
        let shader = source.with_import("rows", "half_rows").expand(imports).unwrap();
        assert!(shader.text().contains("Row = vec2<u32>") && !shader.text().contains("vec4"));
        assert_eq!(shader.files(), ["shaders/gather.wgsl", "shaders/common/half_rows.wgsl"]);
    }

    #[test]
    fn lines_remember_where_they_were_written() {
        let shader = ShaderSource::new("gate", TEXT).expand(common).unwrap();
        let line = |text: &str| shader.text().lines().position(|line| line.contains(text)).unwrap() + 1;
        assert_eq!(shader.origin(line("fn largest")), Some(("shaders/common/numeric.wgsl", 4)));
        assert_eq!(shader.origin(line("fn relu")), Some(("shaders/common/activation.wgsl", 2)));
        assert_eq!(shader.origin(line("const FUSED")), Some(("shaders/gate.wgsl", 5)));
        assert_eq!(shader.origin(0), None);
        assert_eq!(shader.origin(10_000), None);
    }

    #[test]
    fn constants_take_the_hosts_values() {
        let source = ShaderSource::new("gate", TEXT)
            .with("ROWS", 7u32)
            .with("ROWS", 8u32)
            .with("EPSILON", 1.0e-7f32)
            .with("FUSED", true)
            .with("SHIFT", i32::MIN)
            .with("FLOOR", -1.0f32);
        let text = source.expand(common).unwrap().text().to_string();
        for line in [
            "const ROWS: u32 = 8u; // rows of one group",
            "const EPSILON: f32 = 1e-7f;",
            "const FUSED: bool = true;",
            "const SHIFT: i32 = i32(-2147483648);",
            "const FLOOR: f32 = -1.0f;",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        naga::front::wgsl::parse_str(&text).unwrap();
    }

    #[test]
    fn only_exact_lines_at_the_margin_are_constants() {
        let text =
            "fn f() -> u32 {\n  const ROWS: u32 = 1u;\n  return ROWS;\n}\nconst PAIR: vec2<u32> = vec2<u32>(1u, 2u);\n";
        for name in ["ROWS", "PAIR", "NONE"] {
            let error = ShaderSource::new("odd", text).with(name, 4u32).expand(|_| None).unwrap_err();
            assert!(matches!(&error, Error::Constant { constant, .. } if constant == name), "{error}");
        }
    }

    #[test]
    fn faults_of_constants_say_what_is_wrong() {
        let fault = |source: ShaderSource| source.expand(common).unwrap_err().to_string();
        let text = fault(ShaderSource::new("gate", TEXT).with("ROWS", 1.0f32));
        assert!(text.contains("gate") && text.contains("ROWS") && text.contains("u32"), "{text}");
        let text = fault(ShaderSource::new("gate", TEXT).with("EPSILON", f32::NAN));
        assert!(text.contains("cannot write"), "{text}");
    }

    #[test]
    fn unknown_imports_and_directives_name_file_and_line() {
        let text = ShaderSource::new("gate", "\n#import nowhere\n").expand(common).unwrap_err().to_string();
        assert!(text.starts_with("shaders/gate.wgsl:2: ") && text.contains("shaders/common/nowhere.wgsl"), "{text}");
        let nested = |name: &str| (name == "outer").then_some("// first\n\n#import inner\n");
        let text = ShaderSource::new("gate", "#import outer\n").expand(nested).unwrap_err().to_string();
        assert!(text.starts_with("shaders/common/outer.wgsl:3: "), "{text}");
        let text = ShaderSource::new("gate", "#ifdef FAST\n").expand(common).unwrap_err().to_string();
        assert!(text.contains("`#ifdef FAST` is not a directive"), "{text}");
    }
}
