//! Whose YAML it is. The dialects describe the same networks with different words and different roundings.

use std::fmt;

/// The tool whose conventions a configuration follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// The official repository (WongKinYiu/yolov9): rows, `anchors`, grouped heads.
    #[default]
    Official,
    /// Ultralytics: the same rows; no auxiliary branch, another width of the class branch, box branches never grouped.
    Ultralytics,
    /// MIT YOLO (MultimediaTechLab): sections of named modules with tags. Widths are taken as written.
    Mit,
}

impl Dialect {
    /// What [`Dialect::word`] can be.
    pub(super) const WORDS: &'static str = "official, ultralytics or mit";

    /// As the YAML key `dialect` writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Dialect::Official => "official",
            Dialect::Ultralytics => "ultralytics",
            Dialect::Mit => "mit",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Dialect::Official, Dialect::Ultralytics, Dialect::Mit].into_iter().find(|dialect| dialect.word() == word)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dialect::Official => "official YOLOv9",
            Dialect::Ultralytics => "Ultralytics",
            Dialect::Mit => "MIT YOLO",
        })
    }
}
