//! Class names from the files that people already have.

use std::path::Path;

use super::module::meant_by;
use super::yaml::{self, YamlNode};
use super::{ConfigError, nearest_name};
use crate::untrusted::{FileKind, read_text};

/// Reads class names from a data YAML (`names:` as a list, or as a map from id to name) or from a text file with one
/// name per line. The position of a name is its class id.
///
/// # Errors
/// [`ConfigError::Read`] when the file cannot be read; [`ConfigError::Names`] when it holds no names, or a map whose
/// ids have gaps.
pub fn class_names_from_file(path: &Path) -> Result<Vec<String>, ConfigError> {
    let shown = path.display().to_string();
    let unreadable = |source| ConfigError::Read { what: "names", path: shown.clone(), source };
    let text = read_text(path, FileKind::Config).map_err(unreadable)?;
    let text = text.trim_start_matches('\u{feff}');
    let is_yaml = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"));
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let names = if is_yaml { yaml::parse(text).and_then(|root| names_of(&root)) } else { Ok(lines()) };
    let names = names.and_then(|names| if names.is_empty() { Err("no names found".into()) } else { Ok(names) });
    names.map_err(|message| ConfigError::Names { path: shown, message })
}

/// The names in a parsed data YAML.
pub(super) fn names_of(root: &YamlNode) -> Result<Vec<String>, String> {
    let YamlNode::Map(entries) = root else { return Err("not a map".into()) };
    let Some((_, names)) = entries.iter().find(|(key, _)| key == "names") else {
        let nearest = nearest_name("names", entries.iter().map(|(key, _)| key.as_str()).filter(|key| key.len() < 20));
        return Err(format!("key `names` is missing{}", meant_by(nearest)));
    };
    match &names.value {
        YamlNode::List(items) => Ok(items.iter().map(|item| plain(&item.value)).collect()),
        YamlNode::Map(entries) => from_map(entries.iter().map(|(id, name)| (id.clone(), plain(&name.value))).collect()),
        other => Err(format!("`names` is {}", other.describe())),
    }
}

fn from_map(entries: Vec<(String, String)>) -> Result<Vec<String>, String> {
    let mut numbered = Vec::with_capacity(entries.len());
    for (id, name) in entries {
        let id: usize = id.parse().map_err(|_| format!("`{id}` is not a class id"))?;
        numbered.push((id, name));
    }
    numbered.sort();
    match numbered.iter().enumerate().find(|(expected, (id, _))| expected != id) {
        Some((expected, _)) => Err(format!("class id {expected} has no name")),
        None => Ok(numbered.into_iter().map(|(_, name)| name).collect()),
    }
}

/// A scalar as people wrote it; `names: [no, 3]` has names too.
fn plain(node: &YamlNode) -> String {
    match node {
        YamlNode::Text(text) => text.clone(),
        other => other.describe().trim_matches('`').to_owned(),
    }
}

/// The names of COCO's 80 classes, by class id.
const COCO_NAMES: &str = "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, \
    stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, \
    handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, \
    surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, \
    carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, \
    keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, \
    hair drier, toothbrush";

/// The names of COCO's 80 classes, by class id.
#[must_use]
pub fn coco_names() -> Vec<String> {
    COCO_NAMES.split(", ").map(str::to_owned).collect()
}

/// Ids of the 80 classes in COCO's annotation files, which leave eleven numbers out.
const COCO_CATEGORIES: [usize; 80] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 27, 28, 31, 32, 33, 34, 35,
    36, 37, 38, 39, 40, 41, 42, 43, 44, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65,
    67, 70, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 84, 85, 86, 87, 88, 89, 90,
];

/// The ids that COCO's own annotation files have for these classes, if they are its 80, from `person` to `toothbrush`.
#[must_use]
pub fn coco_categories(names: &[String]) -> Option<&'static [usize; 80]> {
    let ends =
        names.first().is_some_and(|name| name == "person") && names.last().is_some_and(|name| name == "toothbrush");
    (names.len() == COCO_CATEGORIES.len() && ends).then_some(&COCO_CATEGORIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_of_coco_have_ids_with_gaps() {
        let numbers: Vec<String> = (0..80).map(|n| n.to_string()).collect();
        assert_eq!(coco_categories(&numbers), None);
        assert_eq!(coco_categories(&coco_names()).map(|ids| (ids[0], ids[11], ids[79])), Some((1, 13, 90)));
    }

    #[test]
    fn lists_maps_and_lines_give_names() {
        let dir = tempfile::tempdir().unwrap();
        struct Case(&'static str, &'static str, Result<&'static [&'static str], &'static str>);
        for Case(file, text, expected) in [
            Case("a.yaml", "path: x\nnames: [cat, dog]\n", Ok(&["cat", "dog"])),
            Case("b.yml", "names:\n  1: dog\n  0: cat\n", Ok(&["cat", "dog"])),
            Case("c.txt", "cat\n\n dog \n", Ok(&["cat", "dog"])),
            Case("d.yaml", "names: {0: cat, 2: dog}", Err("class id 1 has no name")),
            Case("e.yaml", "nc: 3", Err("key `names` is missing")),
            Case("f.txt", "\n", Err("no names found")),
        ] {
            let path = dir.path().join(file);
            std::fs::write(&path, text).unwrap();
            match (class_names_from_file(&path), expected) {
                (Ok(names), Ok(expected)) => assert_eq!(names, expected),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (got, expected) => panic!("{file}: {got:?} instead of {expected:?}"),
            }
        }
    }
}
