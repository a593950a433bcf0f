//! The released weight files that have names.

use crate::config::nearest_name;

/// A published file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The name that `--weights` takes.
    pub name: &'static str,
    /// Name of the file.
    pub file: &'static str,
    /// Where it is published.
    pub base: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Length in bytes and sha256, where they are known from independent sources.
    pub known: Option<(u64, &'static str)>,
}

const OFFICIAL: &str = "https://github.com/WongKinYiu/yolov9/releases/download/v0.1";
const MIT: &str = "https://github.com/MultimediaTechLab/YOLO/releases/download/v1.0-alpha";

const WHOLE: &str = "official, with its auxiliary branch";
const CONVERTED: &str = "official, converted for inference";
const PLAIN: &str = "official GELAN";
const MIT_WEIGHTS: &str = "MIT YOLO";

macro_rules! release {
    ($base:ident, $name:literal, $about:ident) => {
        release!($base, $name, $about, None)
    };
    ($base:ident, $name:literal, $about:ident, $known:expr) => {
        Release { name: $name, file: concat!($name, ".pt"), base: $base, about: $about, known: $known }
    };
}

/// All files with names.
pub static RELEASES: &[Release] = &[
    release!(
        OFFICIAL,
        "yolov9-t-converted",
        CONVERTED,
        Some((4_632_858, "61e080e964e65e32b884477c5e6344c607c7e02103d64649de810edaeb869803"))
    ),
    release!(OFFICIAL, "yolov9-s-converted", CONVERTED),
    release!(OFFICIAL, "yolov9-m-converted", CONVERTED),
    release!(OFFICIAL, "yolov9-c-converted", CONVERTED),
    release!(OFFICIAL, "yolov9-e-converted", CONVERTED),
    release!(OFFICIAL, "yolov9-s", WHOLE),
    release!(OFFICIAL, "yolov9-m", WHOLE),
    release!(OFFICIAL, "yolov9-c", WHOLE),
    release!(OFFICIAL, "yolov9-e", WHOLE),
    release!(OFFICIAL, "gelan-s", PLAIN),
    release!(OFFICIAL, "gelan-m", PLAIN),
    release!(OFFICIAL, "gelan-c", PLAIN),
    release!(OFFICIAL, "gelan-e", PLAIN),
    release!(OFFICIAL, "gelan-c-det", PLAIN),
    release!(MIT, "v9-s", MIT_WEIGHTS),
    release!(MIT, "v9-m", MIT_WEIGHTS),
    release!(MIT, "v9-c", MIT_WEIGHTS),
];

/// Names that stand for another one. YOLOv9-T is published in converted form only.
const ALIASES: &[(&str, &str)] = &[("yolov9-t", "yolov9-t-converted")];

/// The file of that name, with or without `.pt`.
#[must_use]
pub fn find_release(name: &str) -> Option<&'static Release> {
    let plain = name.strip_suffix(".pt").unwrap_or(name);
    let plain = ALIASES.iter().find(|(alias, _)| *alias == plain).map_or(plain, |(_, name)| name);
    RELEASES.iter().find(|release| release.name == plain)
}

/// The name that is spelt most like that one.
#[must_use]
pub fn nearest_release(name: &str) -> Option<&'static str> {
    let names = RELEASES.iter().map(|release| release.name).chain(ALIASES.iter().map(|(alias, _)| *alias));
    let nearest = nearest_name(name, names)?;
    find_release(nearest).map(|release| release.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_files() {
        assert_eq!(find_release("yolov9-c").unwrap().file, "yolov9-c.pt");
        assert_eq!(find_release("yolov9-c.pt"), find_release("yolov9-c"));
        assert_eq!(find_release("yolov9-t").unwrap().file, "yolov9-t-converted.pt");
        assert_eq!(find_release("yolov9-x"), None);
        for (name, meant) in [
            ("yolov9c", Some("yolov9-c")),
            ("yolov9c.pt", Some("yolov9-c")),
            ("YOLOv9_E.pt", Some("yolov9-e")),
            ("yolov9t", Some("yolov9-t-converted")),
            ("gelan-x", Some("gelan-s")),
            ("best.pt", None),
        ] {
            assert_eq!(nearest_release(name), meant, "{name}");
        }
    }
}
