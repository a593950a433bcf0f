//! Which functions a pickle refers to that PyTorch would run.

use std::collections::BTreeSet;

use super::pickle::{Arena, Node};

/// More warnings than this say nothing new.
const MAX_WARNINGS: usize = 20;

/// Modules whose functions act on the system. PyTorch's loader would call them; this reader never does.
const DANGEROUS: &[&str] = &[
    "os",
    "posix",
    "nt",
    "subprocess",
    "sys",
    "socket",
    "shutil",
    "runpy",
    "importlib",
    "pty",
    "ctypes",
    "webbrowser",
    "commands",
    "code",
    "pdb",
    "timeit",
    "multiprocessing",
    "asyncio",
    "urllib",
    "http",
];
const DANGEROUS_BUILTINS: &[&str] =
    &["eval", "exec", "compile", "open", "getattr", "setattr", "__import__", "input", "execfile", "apply"];

/// A warning for each function that is not harmless.
pub(super) fn warnings(arena: &Arena<'_>) -> Vec<String> {
    let named = arena.globals().filter(|(module, name)| is_dangerous(module, name));
    let called = arena.nodes().filter_map(|node| match node {
        Node::Call { callable, .. } => arena.global(*callable),
        _ => None,
    });
    let suspects = named.chain(called.filter(|(module, name)| !is_harmless_call(module, name)));
    let suspects: BTreeSet<(&str, &str)> = suspects.collect();
    let warning = |(module, name): &(&str, &str)| {
        format!(
            "the file refers to {module}.{name}, which PyTorch would run while loading; nothing was run here, but do \
             not load this file with torch.load unless you know what that is for"
        )
    };
    let more = suspects.len().checked_sub(MAX_WARNINGS).filter(|more| *more > 0);
    let more = more.map(|more| format!("the file refers to {more} more such functions"));
    suspects.iter().take(MAX_WARNINGS).map(warning).chain(more).collect()
}

/// Whether calling it does nothing but make data. Everything else that a file calls is suspicious: a list of what is
/// dangerous can never be complete.
pub(super) fn is_harmless_call(module: &str, name: &str) -> bool {
    match module {
        "collections" => name == "OrderedDict",
        "__builtin__" | "builtins" => {
            matches!(
                name,
                "set" | "frozenset" | "list" | "tuple" | "dict" | "bytearray" | "complex" | "slice" | "range"
            )
        }
        "torch._utils" => matches!(
            name,
            "_rebuild_tensor"
                | "_rebuild_tensor_v2"
                | "_rebuild_tensor_v3"
                | "_rebuild_parameter"
                | "_rebuild_parameter_with_state"
        ),
        "torch" => matches!(name, "Size" | "device"),
        "numpy.core.multiarray" | "numpy._core.multiarray" => matches!(name, "scalar" | "_reconstruct"),
        "numpy" => matches!(name, "dtype" | "ndarray"),
        "_codecs" => name == "encode",
        "pathlib" | "pathlib._local" => name.ends_with("Path"),
        "datetime" => matches!(name, "datetime" | "date" | "timedelta"),
        "copyreg" | "copy_reg" => name == "_reconstructor",
        _ => false,
    }
}

/// Whether PyTorch's loader would act on the system by calling it.
pub(super) fn is_dangerous(module: &str, name: &str) -> bool {
    let root = module.split('.').next().unwrap_or_default();
    // Protocol 4 looks up `os.system` in the module `torch`, which has imported os.
    name.contains('.')
        || DANGEROUS.contains(&root)
        || (matches!(root, "__builtin__" | "builtins") && DANGEROUS_BUILTINS.contains(&name))
}
