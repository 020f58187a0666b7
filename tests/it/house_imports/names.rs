//! Finds the file that defines a name, and the edges from files to files.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::modules::{Module, module_path, read};

/// The names that a file takes from another one.
pub(super) type Edges = BTreeMap<(String, String), BTreeSet<String>>;

/// Definitions: files with the names that they define.
type Origins = BTreeSet<(String, String)>;

/// Longest chain of re-exports. A chain that does not end is a name that imports itself.
const MAX_STEPS: usize = 20;

/// Returns the edges between files that are given by name and code.
pub(super) fn edges(files: &[(String, String)]) -> Edges {
    let house = House::new(files);
    let mut edges = Edges::new();
    for module in &house.modules {
        let imports = module.imports.iter().filter(|import| !import.public);
        let paths = imports.map(|import| &import.path).chain(&module.mentions);
        for (file, name) in paths.flat_map(|path| house.origins(module, path, MAX_STEPS)) {
            if file != module.file {
                edges.entry((module.file.clone(), file)).or_default().insert(name);
            }
        }
    }
    edges
}

/// The modules of all files.
struct House {
    modules: Vec<Module>,
    /// Indexes of modules. A path has several if features choose between files.
    places: HashMap<Vec<String>, Vec<usize>>,
}

impl House {
    fn new(files: &[(String, String)]) -> Self {
        let parsed = |file: &str, path: Vec<String>| {
            let code = files.iter().find(|(name, _)| name == file).map(|(_, code)| code);
            code.map(|code| read(file, path, code)).unwrap_or_default()
        };
        let mut modules: Vec<Module> =
            files.iter().flat_map(|(file, _)| parsed(file, module_path(file))).collect();
        // A `path` attribute moves a file to another module.
        let moved: Vec<_> = modules
            .iter()
            .flat_map(|module| module.placed.iter().map(|(name, file)| (&module.path, name, file)))
            .map(|(path, name, file)| {
                (file.clone(), path.iter().chain([name]).cloned().collect::<Vec<_>>())
            })
            .collect();
        for (file, path) in moved {
            modules.retain(|module| module.file != file);
            modules.extend(parsed(&file, path));
        }
        let mut places: HashMap<_, Vec<usize>> = HashMap::new();
        for (index, module) in modules.iter().enumerate() {
            places.entry(module.path.clone()).or_default().push(index);
        }
        Self { modules, places }
    }

    /// Returns the definitions to which a path in a module leads: none for a module and for a name
    /// of another crate.
    fn origins(&self, module: &Module, path: &[String], steps: usize) -> Origins {
        let Some((base, rest)) = rooted(module, path) else {
            return self.inside(module, path, steps).unwrap_or_default();
        };
        self.below(base, rest, steps).unwrap_or_else(|| self.made(base, rest))
    }

    /// Returns the definitions to which a path leads from the outside of a module, or `None` if no
    /// file of the module has the name.
    fn below(&self, base: &[String], path: &[String], steps: usize) -> Option<Origins> {
        let modules = self.places.get(base)?;
        let found: Vec<Origins> = modules
            .iter()
            .filter_map(|index| self.inside(&self.modules[*index], path, steps))
            .collect();
        (!found.is_empty()).then(|| found.into_iter().flatten().collect())
    }

    /// Returns the definitions to which a path leads that starts with a name of the module.
    fn inside(&self, module: &Module, path: &[String], steps: usize) -> Option<Origins> {
        let Some((name, rest)) = path.split_first() else { return Some(Origins::new()) };
        let steps = steps.checked_sub(1)?;
        let imports: Vec<_> =
            module.imports.iter().filter(|import| import.name.as_ref() == Some(name)).collect();
        let defined = module.defines.contains(name);
        let child = module.children.contains(name);
        if child && (!rest.is_empty() || (!defined && imports.is_empty())) {
            let base: Vec<_> = module.path.iter().chain([name]).cloned().collect();
            return self.below(&base, rest, steps).or_else(|| Some(self.made(&base, rest)));
        }
        if defined {
            return Some(Origins::from([(module.file.clone(), name.clone())]));
        }
        if !imports.is_empty() {
            let whole = |import: &[String]| import.iter().chain(rest).cloned().collect::<Vec<_>>();
            let found = imports.iter().map(|import| whole(&import.path));
            return Some(found.flat_map(|path| self.origins(module, &path, steps)).collect());
        }
        let mut globs = module.imports.iter().filter(|import| import.name.is_none());
        globs.find_map(|glob| self.through(module, &glob.path, path, steps))
    }

    /// Returns the definitions to which a path leads by a glob import.
    fn through(
        &self,
        module: &Module,
        glob: &[String],
        path: &[String],
        steps: usize,
    ) -> Option<Origins> {
        let whole: Vec<_> = glob.iter().chain(path).cloned().collect();
        if let Some((base, rest)) = rooted(module, &whole) {
            return self.below(base, rest, steps);
        }
        // The glob of another crate has none of our names.
        let first = &glob[0];
        let known = module.children.contains(first)
            || module.defines.contains(first)
            || module.imports.iter().any(|import| import.name.as_ref() == Some(first));
        known.then(|| self.inside(module, &whole, steps)).flatten()
    }

    /// Returns the files of a module as the definition of a name that is not seen in them: a macro
    /// makes it.
    fn made(&self, base: &[String], path: &[String]) -> Origins {
        let Some(name) = path.first() else { return Origins::new() };
        let modules = self.places.get(base).into_iter().flatten();
        modules.map(|index| (self.modules[*index].file.clone(), name.clone())).collect()
    }
}

/// Splits a path that starts with `crate`, `self` or `super` into the module of that start and the
/// rest.
fn rooted<'a>(module: &'a Module, path: &'a [String]) -> Option<(&'a [String], &'a [String])> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    match path.first()?.as_str() {
        "crate" => Some((&[], &path[1..])),
        "self" => Some((&module.path, &path[1..])),
        "super" => {
            let base = module.path.len().saturating_sub(ups);
            Some((&module.path[..base], &path[ups..]))
        }
        _ => None,
    }
}
