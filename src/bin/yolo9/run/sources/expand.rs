//! Files, folders, patterns, lists and addresses become images, each once, in an order that stays.

use std::cell::Cell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;
use yolo9::hub::download;
use yolo9::image::is_image_name;
use yolo9::untrusted::{FileKind, read_text};

use super::pattern::Pattern;
use super::{Fingerprint, Mirrored, Origin, Source, Sources, remote, standard_input};
use crate::objects::{address as object_address, web_address, web_folder};
use crate::report::counted;
use crate::run::video::VideoInput;

/// Extensions of what is given as an input by mistake.
const MODELS: [&str; 4] = ["pt", "pth", "onnx", "safetensors"];

/// How inputs are expanded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options<'a> {
    /// Folders below the given ones too.
    pub(crate) recursive: bool,
    /// The output folder. What lies in it is left out: a second run over the same tree would process its own results.
    pub(crate) out: &'a Path,
    /// Whether videos in folders are taken.
    pub(crate) videos: bool,
    /// Whether objects may be listed while the run goes on, so that nobody knows before how many there are.
    pub(crate) listings: bool,
    /// Whether addresses on the web may be read.
    pub(crate) offline: bool,
}

/// Expands the arguments:
/// - a folder into the files in it that have an image's extension, in natural order (`2.jpg` before `10.jpg`);
/// - a pattern (`a/**/*.jpg`, quoted from the shell) into the images and videos that match it, likewise;
/// - a `.txt` file into the paths and addresses that it lists, one a line, relative to its own folder, in its order;
/// - `-` into the paths that come in on stdin, or the one image whose bytes do;
/// - an `http(s)://` address and any other file into itself; one that ends in a slash or has an asterisk, later, into what the
///   web server lists there;
/// - an address in an object store (`s3://…`) into the image that it is, the lines of the list that it is, or, later, the
///   objects below it or that match it;
/// - a video file, a camera (its number or device) and the address of a stream into their frames. Videos in folders are
///   taken unless the run is to be resumed or divided, which one with a video cannot be.
///
/// A file that is reached twice is taken once, at its first place.
pub(crate) fn expand(inputs: &[PathBuf], options: Options<'_>) -> Sources {
    let mut expansion =
        Expansion { options, out: options.out.canonicalize().ok(), seen: HashSet::new(), sources: Sources::default() };
    for input in inputs {
        expansion.input(input);
    }
    expansion.sources
}

pub(super) struct Expansion<'a> {
    pub(super) options: Options<'a>,
    out: Option<PathBuf>,
    /// Canonical paths and addresses.
    seen: HashSet<Fingerprint>,
    pub(super) sources: Sources,
}

impl Expansion<'_> {
    fn input(&mut self, input: &Path) {
        if input == Path::new("-") {
            return self.standard_input();
        }
        if let Some(address) = object_address(input) {
            return self.objects(address);
        }
        if let Some(video) = VideoInput::parse(input) {
            let name = video.file_name();
            return self.video(video, Path::new(&name));
        }
        if let Some(address) = web_folder(input) {
            return self.objects(address);
        }
        if let Some(address) = web_address(input) {
            return if remote::is_list(address) { self.list_at(address, download) } else { self.remote(address) };
        }
        match std::fs::metadata(input) {
            Ok(metadata) if metadata.is_dir() => {
                let depth = if self.options.recursive { usize::MAX } else { 1 };
                let (videos, take_videos) = (Cell::new(0), self.options.videos);
                let is_video = |path: &Path| VideoInput::parse(path).is_some();
                self.walk(input, depth, &|path| {
                    let is_video = is_video(path);
                    videos.set(videos.get() + usize::from(is_video));
                    is_image_name(path) || is_video && take_videos
                });
                if let (videos @ 1.., false) = (videos.get(), take_videos) {
                    log::warn!(
                        "{}: {} skipped: a run with videos can be neither resumed nor divided",
                        input.display(),
                        counted(videos, "video")
                    );
                }
            }
            Ok(metadata) if metadata.is_file() && has_extension(input, "txt") => self.list(input),
            Ok(metadata) if metadata.is_file() && MODELS.iter().any(|extension| has_extension(input, extension)) => {
                self.failed(input, "a model file, not an image; give it with --weights".into());
            }
            Ok(metadata) if metadata.is_file() => {
                self.file(input.to_path_buf(), input.file_name().map_or_else(|| input.to_path_buf(), PathBuf::from));
            }
            Ok(_) => self.failed(input, "neither a file nor a folder".into()),
            Err(error) => match Pattern::parse(input) {
                Some(Ok(pattern)) => self.pattern(input, &pattern),
                Some(Err(reason)) => self.failed(input, reason),
                None => self.failed(input, error.to_string()),
            },
        }
    }

    /// Once for each input.
    pub(super) fn failed(&mut self, input: &Path, reason: String) {
        if self.seen.insert(Fingerprint::of(&("failed", input))) {
            self.sources.failed.push((input.display().to_string(), reason));
        }
    }

    /// Whether it is new.
    pub(super) fn first_time(&mut self, path: &Path) -> bool {
        // A file that cannot be resolved is told from others by its name, and opening it says why.
        let first = self.seen.insert(Fingerprint::of(path.canonicalize().as_deref().unwrap_or(path)));
        if !first {
            log::debug!("{}: reached before, taken once", path.display());
        }
        first
    }

    pub(super) fn add(&mut self, origin: Origin, relative: &Path) {
        self.sources.images.push(Source { origin, mirrored: Mirrored::Own(relative.into()) });
    }

    fn video(&mut self, video: VideoInput, relative: &Path) {
        if self.options.offline && video.is_remote() {
            return self.offline(&video.to_string());
        }
        if self.first_time(video.path().unwrap_or(Path::new(&video.to_string()))) {
            let relative = relative.with_file_name(video.file_name());
            self.add(Origin::Video(Box::new(video)), &relative);
        }
    }

    fn file(&mut self, path: PathBuf, relative: PathBuf) {
        if let Some(video) = VideoInput::parse(&path) {
            return self.video(video, &relative);
        }
        if self.first_time(&path) {
            self.sources.images.push(Source::file(path, relative));
        }
    }

    /// Follows links to files and folders; a loop is skipped.
    fn walk(&mut self, folder: &Path, depth: usize, wanted: &dyn Fn(&Path) -> bool) -> usize {
        let walk = WalkDir::new(folder)
            .max_depth(depth)
            .follow_links(true)
            .sort_by(|a, b| alphanumeric_sort::compare_os_str(a.file_name(), b.file_name()));
        let out = self.out.clone();
        let is_out = |path: &Path| out.is_some() && path.canonicalize().ok() == out;
        let entries = walk
            .into_iter()
            .filter_entry(|entry| !(entry.depth() > 0 && entry.file_type().is_dir() && is_out(entry.path())));
        let mut found = 0;
        for entry in entries {
            match entry {
                Ok(entry) if entry.file_type().is_file() && wanted(entry.path()) => {
                    let path = entry.into_path();
                    let relative = path.strip_prefix(folder).map_or_else(|_| path.clone(), Path::to_path_buf);
                    self.file(path, relative);
                    found += 1;
                }
                Ok(_) => {}
                Err(error) if error.loop_ancestor().is_some() => log::warn!("skipped: {error}"),
                Err(error) => {
                    let path = error.path().unwrap_or(folder).to_path_buf();
                    let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                    self.failed(&path, format!("cannot be listed: {reason}"));
                }
            }
        }
        found
    }

    fn pattern(&mut self, input: &Path, pattern: &Pattern) {
        let failures = self.sources.failed.len();
        let is_wanted = |path: &Path| is_image_name(path) || VideoInput::parse(path).is_some();
        let found = self.walk(&pattern.folder, pattern.depth, &|path| pattern.matches(path) && is_wanted(path));
        if found == 0 && self.sources.failed.len() == failures {
            self.failed(input, "no image or video matches this pattern".into());
        }
    }

    fn list(&mut self, list: &Path) {
        match read_text(list, FileKind::List) {
            Ok(text) => {
                self.sources.lists.push(list.to_path_buf());
                let folder = list.parent().unwrap_or(Path::new(""));
                text.trim_start_matches('\u{feff}').lines().for_each(|line| self.line(Path::new(line), folder));
            }
            Err(error) => self.failed(list, error.to_string()),
        }
    }

    /// Takes a line of a list that is no path: an address, a comment, or nothing. Gives whether it was one.
    pub(super) fn takes_line(&mut self, line: &Path) -> bool {
        if line.as_os_str().is_empty() || line.to_str().is_some_and(|line| line.starts_with('#')) {
            return true;
        }
        if let Some(stream) = VideoInput::parse(line).filter(VideoInput::is_remote) {
            let name = stream.file_name();
            self.video(stream, Path::new(&name));
        } else if let Some(address) = web_address(line) {
            self.remote(address);
        } else if let Some(address) = object_address(line) {
            self.object(address);
        } else {
            return false;
        }
        true
    }

    /// One line of a list or of stdin.
    fn line(&mut self, line: &Path, folder: &Path) {
        let line = line.to_str().map_or(line, |line| Path::new(line.trim()));
        if self.takes_line(line) {
            return;
        }
        let path = folder.join(line);
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => self.file(path, mirrored(line)),
            Ok(_) => self.failed(&path, "not a file; lists hold files and addresses only".into()),
            Err(error) => self.failed(&path, error.to_string()),
        }
    }

    fn standard_input(&mut self) {
        match standard_input::read() {
            Ok(standard_input::Input::Image(bytes)) => {
                let relative = standard_input::file_name(&bytes);
                self.add(Origin::Bytes(bytes.into()), Path::new(&relative));
            }
            Ok(standard_input::Input::Lines(lines)) => lines.iter().for_each(|line| self.line(line, Path::new(""))),
            Err(reason) => self.failed(Path::new("-"), reason),
        }
    }
}

/// The place of a listed file's results: its own path where that stays below the output folder, else its name.
fn mirrored(path: &Path) -> PathBuf {
    use std::path::Component;
    let plain: PathBuf = path.components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if plain.components().all(|part| matches!(part, Component::Normal(_))) {
        return plain;
    }
    path.file_name().map_or(plain, PathBuf::from)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        dir
    }

    fn run(dir: &Path, inputs: &[&str], recursive: bool) -> Sources {
        let inputs: Vec<PathBuf> = inputs.iter().map(|input| dir.join(input)).collect();
        expand(&inputs, Options { recursive, videos: false, listings: false, out: &dir.join("out"), offline: true })
    }

    fn places(sources: &Sources) -> Vec<String> {
        assert_eq!(sources.failed, []);
        sources.images.iter().map(|source| source.relative().display().to_string()).collect()
    }

    #[test]
    fn folders_give_their_images_in_natural_order_with_mirrored_places() {
        let dir = tree(&["10.png", "b.JPG", "9.png", "notes.txt", "sub/c.webp", "out/a.png"]);
        assert_eq!(places(&run(dir.path(), &[""], false)), ["9.png", "10.png", "b.JPG"]);
        assert_eq!(places(&run(dir.path(), &[""], true)), ["9.png", "10.png", "b.JPG", "sub/c.webp"]);
    }

    #[test]
    fn patterns_match_what_they_say() {
        let dir = tree(&["img_2.jpg", "img_10.jpg", "other.jpg", "a/img_3.jpg", "a/b/img_4.png", "a/b/x.jpg"]);
        struct Case(&'static str, &'static [&'static str]);
        for Case(pattern, expected) in [
            Case("img_*.jpg", &["img_2.jpg", "img_10.jpg"]),
            Case("**/img_*.jpg", &["a/img_3.jpg", "img_2.jpg", "img_10.jpg"]),
            Case("a/*/*.{jpg,png}", &["b/img_4.png", "b/x.jpg"]),
            Case("*/img_[0-9].jpg", &["a/img_3.jpg"]),
            Case("img_?.jpg", &["img_2.jpg"]),
        ] {
            assert_eq!(places(&run(dir.path(), &[pattern], false)), expected, "{pattern}");
        }
        let wrong = run(dir.path(), &["a[.jpg"], false);
        assert!(wrong.failed[0].1.contains("not a pattern"), "{:?}", wrong.failed);
        // A file of that very name is no pattern.
        std::fs::write(dir.path().join("odd[1].jpg"), "").unwrap();
        assert_eq!(places(&run(dir.path(), &["odd[1].jpg"], false)), ["odd[1].jpg"]);
    }

    #[test]
    fn lists_are_relative_to_their_folder_and_files_are_taken_once() {
        let dir = tree(&["data/a.jpg", "data/sub/b.jpg", "c.jpg"]);
        let list = "# comment\n./a.jpg\n\nsub/b.jpg\n../c.jpg\na.jpg\n";
        std::fs::write(dir.path().join("data/list.txt"), list).unwrap();
        let sources = run(dir.path(), &["data/list.txt", "data", "c.jpg"], true);
        assert_eq!(places(&sources), ["a.jpg", "sub/b.jpg", "c.jpg"]);
        std::fs::write(dir.path().join("data/list.txt"), "none.jpg\nsub\nhttp://x.invalid/a.jpg\n").unwrap();
        let failed = run(dir.path(), &["data/list.txt"], false).failed;
        let reasons: Vec<&str> = failed.iter().map(|(_, reason)| reason.as_str()).collect();
        assert!(reasons[1].contains("lists hold files") && reasons[2].contains("--offline"), "{reasons:?}");
        assert_eq!(reasons.len(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn loops_of_links_are_survived() {
        let dir = tree(&["a/x.jpg"]);
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/loop")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("a/x.jpg"), dir.path().join("y.jpg")).unwrap();
        // The link leads to the same image.
        assert_eq!(places(&run(dir.path(), &[""], true)), ["a/x.jpg"]);
    }
}
