//! The reference collection: skipped where it is not at hand (see `common::reference`).

mod common;

use std::path::PathBuf;

/// The networks of the official code; those of other projects have other names.
fn official_networks() -> Option<Vec<PathBuf>> {
    let mut folders = common::folders(&common::reference("golden")?);
    folders.retain(|folder| {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        !name.starts_with("ultralytics-") && !name.starts_with("mit-")
    });
    assert_eq!(folders.len(), 20);
    Some(folders)
}

#[test]
fn official_networks_equal_pytorch() {
    official_networks().iter().flatten().for_each(|folder| common::assert_golden(folder));
}

#[test]
fn every_layer_of_the_official_networks_equals_pytorch() {
    official_networks().iter().flatten().for_each(|folder| common::assert_layers(folder));
}
