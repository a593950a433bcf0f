//! `images/a.jpg` beside `labels/a.txt`, listed by a data YAML.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use serde_json::json;

use super::{Dataset, DatasetError, Labelled, Labels, Wrong};
use crate::config::{DataConfig, coco_categories};
use crate::image::is_image_name;
use crate::untrusted::{FileKind, read_text, shortened};

pub(super) fn open(data: &Path, split: &str, problems: &mut Wrong<'_>) -> Result<Dataset, DatasetError> {
    let config = DataConfig::from_file(data)?;
    let wrong = |message: String| DatasetError::Content { path: data.into(), message };
    let (_, listed) = config.splits.iter().find(|(name, _)| name == split).ok_or_else(|| {
        let there: Vec<&str> = config.splits.iter().map(|(name, _)| name.as_str()).collect();
        wrong(format!("it has no split `{split}`; there is {}", there.join(", ")))
    })?;
    if let Some(root) = config.root.as_deref().filter(|root| !beside(data).join(root).exists() && !root.exists()) {
        log::warn!("{}: path `{}` does not exist; the folder of the file is taken", data.display(), root.display());
    }
    let (mut paths, mut texts) = (Vec::new(), Vec::new());
    for place in listed {
        let place = found(data, config.root.as_deref(), place).ok_or_else(|| {
            wrong(format!("{split}: `{}` does not exist below the folder of the file", place.display()))
        })?;
        if place.is_dir() {
            folder(&place, &mut paths, &mut HashSet::new())?;
        } else {
            list(&place, &mut paths)?;
            texts.push(place);
        }
    }
    paths.sort();
    paths.dedup();
    if paths.is_empty() {
        return Err(wrong(format!("the split `{split}` has no image")));
    }
    let classes = config.class_names.len();
    let images = paths.into_iter().map(|path| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let image_id = stem.parse::<u64>().map_or_else(|_| json!(stem), |number| json!(number));
        let text = label_path(&path);
        let labels = Labels::Shares(labels_of(&text, classes, problems)?);
        texts.push(text);
        Ok(Labelled { path, image_id, labels })
    });
    let images = images.collect::<Result<Vec<_>, DatasetError>>()?;
    let category_ids = match coco_categories(&config.class_names) {
        Some(ids) => ids.iter().map(|id| *id as u64).collect(),
        None => (0..classes as u64).collect(),
    };
    Ok(Dataset { category_ids, class_names: config.class_names, images, texts })
}

fn beside(data: &Path) -> &Path {
    data.parent().unwrap_or(Path::new(""))
}

/// `place` below `root`, which is relative to the folder of the YAML or to the working folder.
fn found(data: &Path, root: Option<&Path>, place: &Path) -> Option<PathBuf> {
    let beside = beside(data);
    let root = root.unwrap_or(Path::new(""));
    let candidates = [beside.join(root).join(place), root.join(place), beside.join(place)];
    candidates.into_iter().find(|candidate| candidate.exists())
}

/// Images in a folder and below it. Links are followed, but to no folder twice.
fn folder(folder: &Path, paths: &mut Vec<PathBuf>, visited: &mut HashSet<PathBuf>) -> Result<(), DatasetError> {
    let failed = |reason| DatasetError::Read { path: folder.into(), reason };
    if !visited.insert(folder.canonicalize().map_err(failed)?) {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            self::folder(&path, paths, visited)?;
        } else if is_image_name(&path) {
            paths.push(path);
        }
    }
    Ok(())
}

/// Paths one a line, those with `./` relative to the file, others to it or to the working folder.
fn list(list: &Path, paths: &mut Vec<PathBuf>) -> Result<(), DatasetError> {
    let text = read_text(list, FileKind::List).map_err(|reason| DatasetError::Read { path: list.into(), reason })?;
    let beside = list.parent().unwrap_or(Path::new(""));
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let path = beside.join(line);
        paths.push(if path.exists() || !Path::new(line).exists() { path } else { line.into() });
    }
    Ok(())
}

/// The label file of an image: the last folder `images` becomes `labels`.
fn label_path(image: &Path) -> PathBuf {
    let parts: Vec<Component<'_>> = image.components().collect();
    let images = parts.iter().rposition(|part| part.as_os_str() == "images");
    let renamed = |(n, part): (usize, &Component<'_>)| match images {
        Some(images) if n == images => PathBuf::from("labels"),
        _ => PathBuf::from(part.as_os_str()),
    };
    parts.iter().enumerate().map(renamed).collect::<PathBuf>().with_extension("txt")
}

/// Nothing of an image without a label file: a background. Equal lines count once, as in the training codes.
fn labels_of(path: &Path, classes: usize, problems: &mut Wrong<'_>) -> Result<Vec<(usize, [f64; 4])>, DatasetError> {
    let text = match read_text(path, FileKind::Labels) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            problems.noticed(path, "there is no such file; its image is a background".into(), true);
            return Ok(Vec::new());
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            problems.found(path, format!("it is no text: {error}"))?;
            return Ok(Vec::new());
        }
        Err(reason) => return Err(DatasetError::Read { path: path.into(), reason }),
    };
    let mut labels = Vec::new();
    for (number, line) in lines(&text, classes) {
        match line {
            Ok(Some(label)) => labels.push(label),
            Ok(None) => problems.noticed(path, format!("line {number} repeats an earlier one"), false),
            Err(message) => problems.found(path, message)?,
        }
    }
    Ok(labels)
}

/// Class and box.
type Label = (usize, [f64; 4]);

/// The lines that are not empty, by number from 1: a label, nothing where a line repeats an earlier one, or what is wrong.
fn lines(text: &str, classes: usize) -> impl Iterator<Item = (usize, Result<Option<Label>, String>)> {
    let mut seen = HashSet::new();
    // Editors on Windows begin files with a byte order mark.
    let filled = text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    filled.map(move |(number, line)| {
        let number = number + 1;
        let is_new = seen.insert(line.split_whitespace().collect::<Vec<_>>().join(" "));
        let label = if is_new { parse(line, classes).map(Some) } else { Ok(None) };
        (number, label.map_err(|message| format!("line {number}: {message}")))
    })
}

/// The labels of a file in YOLO's layout: for each line a class and a box, as centre, width and height in shares of the
/// image, 0 to 1. Outlines become the boxes around them.
///
/// # Errors
/// Names the first line that is none, and what is wrong with it.
pub fn yolo_labels(text: &str, classes: usize) -> Result<Vec<(usize, [f64; 4])>, String> {
    lines(text, classes).filter_map(|(_, label)| label.transpose()).collect()
}

/// `class cx cy w h`, or `class x1 y1 x2 y2 x3 y3 …` for an outline, as shares of the image.
fn parse(line: &str, classes: usize) -> Result<(usize, [f64; 4]), String> {
    let mut numbers = line.split_whitespace().map(|word| {
        word.parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .ok_or(format!("`{}` is not a number", shortened(word, 40)))
    });
    let class = numbers.next().ok_or("it is empty")??;
    let numbers = numbers.collect::<Result<Vec<f64>, String>>()?;
    if class.fract() != 0.0 || class < 0.0 || class >= classes as f64 {
        return Err(format!("there is no class {class}; there are {classes}, from 0"));
    }
    let bbox = match numbers.as_slice() {
        &[x, y, width, height] => [x, y, width, height],
        outline if outline.len() >= 6 && outline.len().is_multiple_of(2) => around(outline),
        other => return Err(format!("{} numbers after the class; expected 4, or pairs of an outline", other.len())),
    };
    match bbox.iter().find(|share| !(0.0..=1.001).contains(*share)) {
        Some(share) => Err(format!("{share} is not a share of the image, from 0 to 1")),
        None => Ok((class as usize, bbox)),
    }
}

/// The box around an outline.
fn around(outline: &[f64]) -> [f64; 4] {
    let axis = |first: usize| {
        let values = outline.iter().skip(first).step_by(2);
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
        ((low + high) / 2.0, high - low)
    };
    let ((x, width), (y, height)) = (axis(0), axis(1));
    [x, y, width, height]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;

    #[test]
    fn labels_lie_beside_images() {
        for (image, label) in [
            ("a/images/b.jpg", "a/labels/b.txt"),
            ("images/images/c.d.png", "images/labels/c.d.txt"),
            ("a/b.jpg", "a/b.txt"),
        ] {
            assert_eq!(label_path(Path::new(image)), Path::new(label));
        }
    }

    #[test]
    fn lines_are_boxes_or_outlines() {
        assert_eq!(parse("1 0.5 0.5 0.25 1", 2), Ok((1, [0.5, 0.5, 0.25, 1.0])));
        assert_eq!(parse("0 0 0 0.5 0 0.5 1", 2), Ok((0, [0.25, 0.5, 0.5, 1.0])));
        for (line, message) in [
            ("2 0 0 0 0", "there is no class 2"),
            ("0 0 0 0", "3 numbers after the class"),
            ("0 0 x 0 0", "`x` is not a number"),
            ("0 0.5 0.5 320 20", "320 is not a share"),
            ("0 nan 0 0 0", "`nan` is not a number"),
        ] {
            assert!(parse(line, 2).unwrap_err().contains(message), "{line}");
        }
    }

    #[test]
    fn a_dataset_is_read_with_its_labels() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("set/images/2.jpg", "");
        write("set/images/sub/1.png", "");
        write("set/labels/2.txt", "0 0.5 0.5 0.5 0.5\n0 0.5  0.5 0.5 0.5\n\n1 0.25 0.5 0.5 1\n");
        write("data.yaml", "path: set\nval: images\ntest: list.txt\nnames: [cat, dog]\n");
        write("set/list.txt", "./images/2.jpg\n");
        let data = dir.path().join("data.yaml");
        let dataset = open(&data, "val", &mut Wrong::Refuse).unwrap();
        assert_eq!((dataset.images.len(), dataset.labels()), (2, 2));
        assert_eq!(dataset.images[0].image_id, json!(2));
        let truth = &dataset.images[0].ground_truths(Size::new(100, 50))[1];
        assert_eq!((truth.class, truth.bbox.x, truth.bbox.width, truth.area), (1, 0.0, 50.0, 2500.0));
        assert_eq!(open(&data, "test", &mut Wrong::Refuse).unwrap().images.len(), 1);
        write("set/labels/2.txt", "0 0.5 0.5 0.5 0.5\n7 0 0 0 0");
        let mut problems = Vec::new();
        let dataset = open(&data, "val", &mut Wrong::Collect(&mut problems)).unwrap();
        assert_eq!((dataset.images.len(), dataset.labels(), problems.len()), (2, 1, 2));
        assert!(problems[0].message.starts_with("line 2: there is no class 7"), "{problems:?}");
        assert!(problems[1].file.ends_with("labels/sub/1.txt"), "{problems:?}");
    }
}
