//! COCO annotation files (cocodataset.org/#format-data), of which boxes are read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::{Dataset, DatasetError, Labelled, Labels, Wrong};
use crate::evaluate::{BoxXywh, GroundTruth};
use crate::untrusted::{FileKind, read};

#[derive(Deserialize)]
struct File {
    images: Vec<CocoImage>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct CocoImage {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    area: Option<f64>,
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
}

pub(super) fn open(data: &Path, images: Option<&Path>, problems: &mut Wrong<'_>) -> Result<Dataset, DatasetError> {
    let bytes = read(data, FileKind::Dataset).map_err(|reason| DatasetError::Read { path: data.into(), reason })?;
    parse(data, &bytes, images, problems)
}

/// As [`open`], of a file in memory that would be at `data`.
pub(super) fn parse(
    data: &Path,
    bytes: &[u8],
    images: Option<&Path>,
    problems: &mut Wrong<'_>,
) -> Result<Dataset, DatasetError> {
    let wrong = |message: String| DatasetError::Content { path: data.into(), message };
    let mut file: File = serde_json::from_slice(bytes).map_err(|error| {
        wrong(format!("not a COCO annotation file with images, annotations and categories: {error}"))
    })?;
    file.images.sort_by_key(|image| image.id);
    file.categories.sort_by_key(|category| category.id);
    let classes: HashMap<u64, usize> = file.categories.iter().enumerate().map(|(n, c)| (c.id, n)).collect();
    let places: HashMap<u64, usize> = file.images.iter().enumerate().map(|(n, image)| (image.id, n)).collect();
    let mut ground_truths: Vec<Vec<GroundTruth>> = vec![Vec::new(); file.images.len()];
    for (number, annotation) in file.annotations.iter().enumerate() {
        let missing = |what: &str, id: u64| format!("annotation {number} is of {what} {id}, which is not in the file");
        let Some(&class) = classes.get(&annotation.category_id) else {
            problems.found(data, missing("category", annotation.category_id))?;
            continue;
        };
        let Some(&place) = places.get(&annotation.image_id) else {
            problems.found(data, missing("image", annotation.image_id))?;
            continue;
        };
        let [x, y, width, height] = annotation.bbox;
        let bbox = BoxXywh { x, y, width, height };
        let area = annotation.area.unwrap_or(bbox.area());
        ground_truths[place].push(GroundTruth { bbox, class, area, crowd: annotation.iscrowd != 0 });
    }
    let folder = folder(data, images, file.images.first().map(|image| image.file_name.as_str()));
    let images = file.images.into_iter().zip(ground_truths).map(|(image, ground_truths)| Labelled {
        path: folder.join(image.file_name),
        image_id: json!(image.id),
        labels: Labels::Pixels(ground_truths),
    });
    Ok(Dataset {
        images: images.collect(),
        category_ids: file.categories.iter().map(|category| category.id).collect(),
        class_names: file.categories.into_iter().map(|category| category.name).collect(),
        texts: Vec::new(),
    })
}

/// Where the images are: as told; else beside the file, in `images` there, or where COCO itself has those of
/// `annotations/instances_val2017.json`.
fn folder(data: &Path, told: Option<&Path>, first: Option<&str>) -> PathBuf {
    if let Some(told) = told {
        return told.into();
    }
    let beside = data.parent().unwrap_or(Path::new(""));
    let stem = data.file_stem().unwrap_or_default().to_string_lossy();
    let split = stem.rsplit('_').next().unwrap_or_default();
    let above = beside.join("..");
    let candidates = [
        beside.to_path_buf(),
        beside.join("images"),
        above.join(split),
        above.join("images").join(split),
        above.join("images"),
    ];
    let has_first = |folder: &&PathBuf| first.is_some_and(|first| folder.join(first).is_file());
    candidates.iter().find(has_first).unwrap_or(&candidates[1]).clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;

    fn write(dir: &Path, annotations: &serde_json::Value) -> PathBuf {
        let path = dir.join("annotations/instances_val2017.json");
        let file = json!({
            "images": [{ "id": 9, "file_name": "b.jpg" }, { "id": 3, "file_name": "a.jpg" }],
            "annotations": annotations,
            "categories": [{ "id": 90, "name": "dog" }, { "id": 1, "name": "cat" }],
        });
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, file.to_string()).unwrap();
        path
    }

    #[test]
    fn annotations_become_labels() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("val2017")).unwrap();
        std::fs::write(dir.path().join("val2017/a.jpg"), "").unwrap();
        let crowd = json!([{ "image_id": 9, "category_id": 90, "bbox": [1, 2, 3.5, 4], "area": 7.5, "iscrowd": 1 }]);
        let dataset = open(&write(dir.path(), &crowd), None, &mut Wrong::Refuse).unwrap();
        assert_eq!(
            (&dataset.class_names[..], &dataset.category_ids[..]),
            (&["cat".into(), "dog".into()][..], &[1, 90][..])
        );
        assert_eq!(dataset.images[0].image_id, json!(3));
        assert!(dataset.images[0].path.ends_with("val2017/a.jpg") && dataset.images[0].path.is_file());
        let ground_truths = dataset.images[1].ground_truths(Size::square(1));
        assert_eq!(
            (ground_truths[0].class, ground_truths[0].area, ground_truths[0].crowd, ground_truths[0].bbox.width),
            (1, 7.5, true, 3.5)
        );
        let other = json!([{ "image_id": 4, "category_id": 90, "bbox": [1, 2, 3, 4] }]);
        let error = open(&write(dir.path(), &other), None, &mut Wrong::Refuse).unwrap_err().to_string();
        assert!(error.contains("annotation 0 is of image 4"), "{error}");
    }
}
