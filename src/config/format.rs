//! Whose YAML it is. The config formats describe the same networks with different words and different roundings.

use std::fmt;

/// The tool whose conventions a configuration follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConfigFormat {
    /// The official repository (WongKinYiu/yolov9): layers, `anchors`, grouped heads.
    #[default]
    Official,
    /// Ultralytics: the same layers; no auxiliary branch, another width of the class branch, box branches never grouped.
    Ultralytics,
    /// MIT YOLO (MultimediaTechLab): sections of named modules with tags. Widths are taken as written.
    Mit,
}

impl ConfigFormat {
    /// What [`ConfigFormat::word`] can be.
    pub(super) const WORDS: &'static str = "official, ultralytics or mit";

    /// As the YAML key `format` writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ConfigFormat::Official => "official",
            ConfigFormat::Ultralytics => "ultralytics",
            ConfigFormat::Mit => "mit",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [ConfigFormat::Official, ConfigFormat::Ultralytics, ConfigFormat::Mit]
            .into_iter()
            .find(|format| format.word() == word)
    }
}

impl fmt::Display for ConfigFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConfigFormat::Official => "official YOLOv9",
            ConfigFormat::Ultralytics => "Ultralytics",
            ConfigFormat::Mit => "MIT YOLO",
        })
    }
}
