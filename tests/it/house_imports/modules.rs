//! Reads the modules of a file: the names that they define, import and use.

use std::collections::HashSet;
use std::path::Path;

use super::tokens::{after_group, is_name, tokens};

/// A module in a file.
pub(super) struct Module {
    /// Names of the modules from the root of the crate to this one.
    pub(super) path: Vec<String>,
    /// The file, relative to `src`.
    pub(super) file: String,
    /// Names that the module declares, without its modules.
    pub(super) defines: HashSet<String>,
    /// Names of the modules that it declares.
    pub(super) children: HashSet<String>,
    /// Modules with a `path` attribute, with their files.
    pub(super) placed: Vec<(String, String)>,
    pub(super) imports: Vec<Import>,
    /// Paths in the code, apart from imports. A name alone is a path of one part.
    pub(super) mentions: Vec<Vec<String>>,
}

/// One name of a `use` item.
#[derive(Clone)]
pub(super) struct Import {
    /// The name in the module, or `None` for a glob.
    pub(super) name: Option<String>,
    pub(super) path: Vec<String>,
    /// Whether the item is a re-export: `pub use`, `pub(crate) use`.
    pub(super) public: bool,
}

/// Returns the names of the modules from the root of the crate to a file's own.
pub(super) fn module_path(file: &str) -> Vec<String> {
    let parts: Vec<_> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts == ["lib"] { Vec::new() } else { parts }
}

/// Reads the modules of a file: its own, and those with braces in it.
pub(super) fn read(file: &str, path: Vec<String>, code: &str) -> Vec<Module> {
    let mut modules = Vec::new();
    read_module(file, path, &tokens(code), &mut modules);
    modules
}

fn read_module(file: &str, path: Vec<String>, tokens: &[String], modules: &mut Vec<Module>) {
    let module = Module {
        path,
        file: file.to_owned(),
        defines: HashSet::new(),
        children: HashSet::new(),
        placed: Vec::new(),
        imports: Vec::new(),
        mentions: Vec::new(),
    };
    let mut body = Body { module, tokens, at: 0, depth: 0, placed: None, modules };
    while body.at < tokens.len() {
        body.next();
    }
    let module = body.module;
    modules.push(module);
}

/// A module while its tokens are read.
struct Body<'a> {
    module: Module,
    tokens: &'a [String],
    at: usize,
    depth: usize,
    /// The file that a `path` attribute gives to the next module.
    placed: Option<String>,
    modules: &'a mut Vec<Module>,
}

impl Body<'_> {
    fn token(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", String::as_str)
    }

    fn before(&self) -> &str {
        self.at.checked_sub(1).map_or("", |at| self.token(at))
    }

    fn next(&mut self) {
        let (token, following) = (self.token(self.at), self.token(self.at + 1));
        match token {
            "(" | "[" | "{" => self.depth += 1,
            ")" | "]" | "}" => self.depth -= 1,
            "#" => return self.attribute(),
            "mod" if is_name(following) => return self.child(following.to_owned()),
            "use" if following != "<" => return self.import(),
            "macro_rules" if following == "!" => {
                self.module.defines.insert(self.token(self.at + 2).to_owned());
                self.at += 2;
            }
            "struct" | "enum" | "union" | "trait" | "type" | "const" | "static" | "fn"
                if self.depth == 0 && is_name(following) && following != "fn" =>
            {
                let name = self.at + 1 + usize::from(following == "mut");
                self.module.defines.insert(self.token(name).to_owned());
                self.at = name;
            }
            _ if is_name(token) => return self.mention(),
            _ => {}
        }
        self.at += 1;
    }

    /// Reads an attribute: names are used in `derive`, and paths in all of them.
    fn attribute(&mut self) {
        let open = self.at + 1 + usize::from(self.token(self.at + 1) == "!");
        if self.token(open) != "[" {
            self.at += 1;
            return;
        }
        let end = after_group(self.tokens, open);
        let inside = &self.tokens[open + 1..end - 1];
        if let [path, equals, file] = inside
            && (path.as_str(), equals.as_str()) == ("path", "=")
        {
            let folder = Path::new(&self.module.file).parent().unwrap_or(Path::new(""));
            let file = folder.join(file.trim_start_matches('"'));
            self.placed = Some(file.to_string_lossy().replace('\\', "/"));
        }
        let derive = inside.first().is_some_and(|name| name == "derive");
        let before = self.module.mentions.len();
        self.at = open + 1;
        while self.at < end {
            if is_name(self.token(self.at)) {
                self.mention();
            } else {
                self.at += 1;
            }
        }
        let names = self.module.mentions.split_off(before);
        self.module.mentions.extend(names.into_iter().filter(|path| derive || path.len() > 1));
    }

    fn child(&mut self, name: String) {
        if let Some(file) = self.placed.take() {
            self.module.placed.push((name.clone(), file));
        }
        self.at += 2;
        if self.token(self.at) == "{" {
            let end = after_group(self.tokens, self.at);
            let path = self.module.path.iter().cloned().chain([name.clone()]).collect();
            let inside = &self.tokens[self.at + 1..end - 1];
            read_module(&self.module.file, path, inside, self.modules);
            self.at = end;
        }
        self.module.children.insert(name);
    }

    fn import(&mut self) {
        // Only a visibility ends with a bracket before `use`.
        let public = matches!(self.before(), "pub" | ")");
        self.at += 1;
        let first = self.module.imports.len();
        self.tree(&[]);
        for import in &mut self.module.imports[first..] {
            import.public = public;
        }
    }

    /// Reads a tree of a `use` item and adds its names.
    fn tree(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        let mut name = prefix.last().cloned();
        loop {
            match self.token(self.at) {
                // `$` stands before `crate` in a macro.
                "::" | "$" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while !matches!(self.token(self.at), "}" | "") {
                        self.tree(&path);
                        self.at += usize::from(self.token(self.at) == ",");
                    }
                    self.at += 1;
                    return;
                }
                "*" => {
                    self.at += 1;
                    name = None;
                    break;
                }
                "as" => {
                    name = Some(self.token(self.at + 1).to_owned());
                    self.at += 2;
                }
                // The last part of a group: the module of the prefix.
                "self" if !path.is_empty() => self.at += 1,
                part if is_name(part) => {
                    name = Some(part.to_owned());
                    path.push(part.to_owned());
                    self.at += 1;
                }
                _ => break,
            }
        }
        if path.is_empty() {
            // The sign of something else than a name.
            self.at += 1;
        } else {
            self.module.imports.push(Import { name, path, public: false });
        }
    }

    /// Reads a path in code, or skips a name that is no use of an item: a field, a variable.
    fn mention(&mut self) {
        let local = matches!(self.before(), "." | "fn" | "let" | "mut");
        let inner = self.before() == "::";
        let mut path = vec![self.token(self.at).to_owned()];
        self.at += 1;
        while self.token(self.at) == "::" && is_name(self.token(self.at + 1)) {
            path.push(self.token(self.at + 1).to_owned());
            self.at += 2;
        }
        let field = path.len() == 1 && self.token(self.at) == ":";
        if !local && !inner && !field {
            self.module.mentions.push(path);
        }
    }
}
