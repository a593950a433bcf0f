//! The house rules that a compiler does not check: who may import whom, and how long files and functions may be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Each module of the library with all that it may import from the crate.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("untrusted", &[]),
    ("size", &[]),
    ("setters", &[]),
    ("cache", &["untrusted"]),
    ("onnx", &["untrusted"]),
    ("dysample", &["onnx"]),
    ("config", &["untrusted"]),
    ("architecture", &["size", "config", "dysample"]),
    ("checkpoint", &["untrusted", "config"]),
    ("weights", &["config", "dysample", "architecture", "checkpoint"]),
    ("image", &["untrusted", "size", "setters"]),
    ("detect", &["size", "setters", "architecture", "image"]),
    ("graph", &["size", "setters", "onnx", "config", "dysample", "architecture", "weights", "detect"]),
    ("runtime", &["untrusted", "cache", "setters", "onnx", "dysample", "graph", "detect"]),
    ("embedded", &["checkpoint"]),
    ("hub", &["untrusted", "cache", "config"]),
    (
        "model",
        &[
            "size",
            "onnx",
            "config",
            "architecture",
            "checkpoint",
            "weights",
            "graph",
            "image",
            "runtime",
            "embedded",
            "hub",
        ],
    ),
    ("quantise", &["graph", "runtime"]),
    ("output", &["untrusted", "size", "setters", "config", "image", "detect"]),
    ("detector", &["size", "config", "detect", "image", "model", "output", "runtime", "setters"]),
    ("compare", &["detect"]),
    ("evaluate", &["untrusted", "size", "config", "image", "detect"]),
    ("train", &["size", "config", "dysample", "architecture", "checkpoint", "weights", "image", "evaluate"]),
    (
        "error_kind",
        &[
            "architecture",
            "checkpoint",
            "config",
            "detect",
            "detector",
            "evaluate",
            "hub",
            "image",
            "model",
            "onnx",
            "runtime",
            "weights",
        ],
    ),
];

/// Each module of the program with all that it may import from it; a command may import those that commands share. `cli`,
/// what can be typed, imports none of them.
const PROGRAM_MAY_IMPORT: &[(&str, &[&str])] = &[
    ("cli", &[]),
    ("exit", &[]),
    ("remedy", &[]),
    ("environment", &["remedy"]),
    ("console", &[]),
    ("statistics", &[]),
    ("overwrite", &[]),
    ("page", &[]),
    ("devices", &["cli"]),
    ("options", &["cli", "devices"]),
    ("logging", &["cli", "console"]),
    ("interrupt", &["console", "exit"]),
    ("report", &["console"]),
    ("layers", &["report"]),
    ("settings_file", &["cli", "console", "exit"]),
    ("objects", &[]),
    ("weights", &["cli", "console", "objects", "report"]),
    ("model", &["cli", "overwrite", "weights"]),
    ("run", &["cli", "interrupt", "objects", "overwrite", "remedy", "report", "settings_file", "weights"]),
    ("memory", &["cli", "console", "devices", "exit", "model", "options"]),
    ("val", SHARED),
    (
        "compare",
        &[
            "val",
            "cli",
            "console",
            "devices",
            "exit",
            "interrupt",
            "layers",
            "memory",
            "model",
            "options",
            "overwrite",
            "page",
            "environment",
            "report",
            "run",
            "statistics",
            "weights",
        ],
    ),
    (
        "quantize",
        &["val", "cli", "console", "devices", "exit", "interrupt", "model", "options", "report", "run", "weights"],
    ),
    (
        "train",
        &["val", "cli", "console", "exit", "interrupt", "model", "overwrite", "page", "report", "run", "weights"],
    ),
];

/// What commands share.
const SHARED: &[&str] = &[
    "cli",
    "console",
    "devices",
    "environment",
    "exit",
    "interrupt",
    "layers",
    "logging",
    "memory",
    "model",
    "objects",
    "options",
    "overwrite",
    "page",
    "remedy",
    "report",
    "run",
    "statistics",
    "weights",
];

const MAX_LINES: usize = 400;

/// Longer files, with the reason.
const MAY_BE_LONGER: &[&str] = &[];

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 50);
    found
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap()
}

/// A file without its tests and comments.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    let code = code.split("\n#[cfg(all(test").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Names that follow `crate::`, single or in braces.
fn imports(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let list = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap(),
            None => rest,
        };
        for item in if rest.starts_with('{') { list.split(',').collect::<Vec<_>>() } else { vec![list] } {
            let name: String = item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            names.push(name);
        }
    }
    names
}

#[test]
fn modules_import_only_what_stands_left_of_them() {
    let rules: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let program: BTreeMap<&str, &[&str]> = PROGRAM_MAY_IMPORT.iter().copied().collect();
    for path in sources() {
        let place = relative(&path);
        let (module, allowed) = match place.strip_prefix("bin/yolo9") {
            Ok(inside) => {
                let module = module_of(inside);
                let allowed = program.get(module.as_str()).copied().unwrap_or(SHARED);
                (module, allowed)
            }
            Err(_) => {
                let module = module_of(place);
                let allowed = rules.get(module.as_str()).copied();
                let allowed = allowed.or((module == "lib").then_some(&[][..]));
                (module.clone(), allowed.unwrap_or_else(|| panic!("module {module} is not in MAY_IMPORT")))
            }
        };
        if module == "main" || module == "lib" {
            continue;
        }
        for name in imports(&code(&path)) {
            // Types re-exported at the root count as their module.
            let name = if name == "Size" { "size".to_owned() } else { name };
            assert!(name == module || allowed.contains(&name.as_str()), "{}: {module} imports {name}", place.display());
        }
    }
}

fn module_of(place: &Path) -> String {
    place.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "")
}

/// What a module imports stands above it in the table, so that there can be no circle.
#[test]
fn the_tables_have_no_circles() {
    for table in [MAY_IMPORT, PROGRAM_MAY_IMPORT] {
        for (place, (module, allowed)) in table.iter().enumerate() {
            let below = allowed.iter().find(|name| table[place..].iter().any(|(other, _)| other == *name));
            assert_eq!(below, None, "{module}");
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    for path in sources() {
        let lines = std::fs::read_to_string(&path).unwrap();
        let lines = lines.split("\n#[cfg(test)]\nmod tests").next().unwrap().lines().count();
        let place = relative(&path).display().to_string();
        assert!(
            lines <= MAX_LINES || MAY_BE_LONGER.contains(&place.as_str()),
            "{place} has {lines} lines; split it by idea"
        );
    }
}

/// The types at the top of a file, and whether other files see them.
fn types(code: &str) -> Vec<(String, bool)> {
    let of_line = |line: &str| {
        let (visible, rest) = match line.strip_prefix("pub") {
            Some(rest) => (true, rest.split_once(' ')?.1.trim_start_matches("(crate) ").trim_start_matches("(super) ")),
            None => (false, line),
        };
        let name = ["struct ", "enum ", "trait ", "type "].iter().find_map(|kind| rest.strip_prefix(kind))?;
        Some((name.chars().take_while(|c| c.is_alphanumeric()).collect(), visible))
    };
    code.lines().filter_map(of_line).collect()
}

/// A reader who meets a name need not ask which one is meant: what several files see has its name alone.
#[test]
fn no_name_of_a_type_stands_for_two() {
    let mut found: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
    for path in sources() {
        for (name, visible) in types(&code(&path)) {
            found.entry(name).or_default().push((relative(&path).display().to_string(), visible));
        }
    }
    for (name, places) in found {
        let seen = places.iter().any(|(_, visible)| *visible);
        let apart = places.iter().map(|(place, _)| place).collect::<std::collections::BTreeSet<_>>().len() > 1;
        assert!(!(seen && apart), "{name}: {places:?}");
    }
}

/// Whether a path begins with that crate's name.
fn uses_crate(code: &str, name: &str) -> bool {
    let starts_word = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    code.match_indices(&format!("{name}::")).any(|(at, _)| starts_word(at))
}

#[test]
fn anyhow_ort_and_unsafe_stay_where_they_belong() {
    for path in sources() {
        let (place, code) = (relative(&path), code(&path));
        assert!(place.starts_with("bin") || !uses_crate(&code, "anyhow"), "{}", place.display());
        assert!(place.starts_with("runtime") || !uses_crate(&code, "ort"), "{}", place.display());
        // Intrinsics, and a question to ONNX Runtime that ort has no safe function for.
        let may_be_unsafe = place.starts_with("dysample/simd") || place == Path::new("runtime/assignment.rs");
        assert!(may_be_unsafe || !code.contains("unsafe "), "{}", place.display());
    }
}
