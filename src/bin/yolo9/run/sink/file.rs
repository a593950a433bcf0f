//! Files with the results of all images: any number of them in one run, each in a [`Format`]. They appear under their names
//! when the run ends, however it ends.

use std::io::{ErrorKind, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;
use yolo9::output::{ImageResult, TemporaryFile, folder_of, temporary_beside};
use yolo9::untrusted::{open_stream, printable_lines};

use super::{Entry, Sink};
use crate::cli::FormatArgs;
use crate::run::places::sweep_below;
use crate::{objects, overwrite};

/// Name of a file before it becomes an object.
const WHOLE: &str = "results";

/// How a file is written, piece by piece in the order of the images, so that no run is too long for memory. The schemas
/// are in docs/output-formats.md.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub(super) frame: Framing,
    /// The lines, or elements of the array, that an image gives.
    pub(super) pieces: fn(&ImageResult<'_>) -> Vec<String>,
}

/// What stands around the pieces.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    /// A line before all others, or nothing.
    Lines(&'static str),
    /// A JSON array.
    Array,
}

impl Framing {
    fn head(self) -> &'static str {
        match self {
            Self::Lines(head) => head,
            Self::Array => "[",
        }
    }

    /// `empty` is whether nothing has been written but the head.
    fn text(self, pieces: &[String], empty: bool) -> String {
        match self {
            Self::Lines(_) => pieces.iter().map(|line| format!("{line}\n")).collect(),
            Self::Array if pieces.is_empty() => String::new(),
            Self::Array => format!("{}{}", if empty { "\n" } else { ",\n" }, pieces.join(",\n")),
        }
    }

    fn tail(self, empty: bool) -> &'static str {
        match self {
            Self::Lines(_) => "",
            Self::Array if empty => "]\n",
            Self::Array => "\n]\n",
        }
    }
}

/// Whether all can be written, before anything is created. Their folder may be the output folder to come.
pub(crate) fn check(formats: &FormatArgs, out: Option<&Path>, exist_ok: bool) -> anyhow::Result<()> {
    let mut taken: Vec<PathBuf> = Vec::new();
    for (option, path) in formats.wanted() {
        // However it is spelled.
        let folder = folder_of(path).canonicalize().unwrap_or_else(|_| folder_of(path).to_path_buf());
        let place = path.file_name().map_or_else(|| path.to_path_buf(), |name| folder.join(name));
        anyhow::ensure!(!taken.contains(&place), "{option} {}: another format is written there", path.display());
        taken.push(place);
        if path != Path::new("-") {
            check_file(option, path, out, exist_ok)?;
        }
    }
    Ok(())
}

fn check_file(option: &str, path: &Path, out: Option<&Path>, exist_ok: bool) -> anyhow::Result<()> {
    if objects::address(path).is_some() {
        // Whether it may be written there shows when it is.
        return Ok(());
    }
    overwrite::check_file(option, path, exist_ok)?;
    overwrite::check_folder(option, path, out)
}

struct FileSink {
    format: Format,
    /// Whether nothing has been written but the head.
    empty: bool,
    target: Destination,
    /// What messages call it.
    name: String,
    /// Whether nothing else is written: then a reader of stdout that has seen enough ends the run.
    alone: bool,
}

enum Destination {
    /// A reader that has seen enough.
    Closed,
    /// `escaped` is whether it is a terminal, which nothing in a name may steer.
    Stream {
        stream: Box<dyn Write>,
        escaped: bool,
    },
    File(Partial, PathBuf),
    /// A file that becomes an object when it is whole. The folder is deleted behind it.
    Object {
        file: Partial,
        folder: TempDir,
        address: String,
    },
}

/// A file that can be ended behind any whole result, also when the disk is full.
struct Partial {
    file: TemporaryFile,
    /// Length behind the last whole piece, and whether nothing but the head was written until there; the piece before it;
    /// the head.
    wholes: [(u64, bool); 3],
}

impl Partial {
    /// Creates it, and deletes what killed runs left beside it.
    fn create(path: &Path) -> std::io::Result<Self> {
        sweep_below(folder_of(path), 1);
        Ok(Self { file: temporary_beside(path)?, wholes: [(0, true); 3] })
    }

    /// Adds a whole piece. `empty` is whether nothing but the head is there then.
    fn write(&mut self, text: &str, empty: bool) -> std::io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        let [last, _, head] = self.wholes;
        let now = (last.0 + text.len() as u64, empty);
        self.wholes = if empty { [now; 3] } else { [now, last, head] };
        Ok(())
    }

    /// Puts the file under its name. On a full disk without the last result, if its end has no room otherwise; the error
    /// comes back all the same.
    fn finish(mut self, frame: Framing, path: &Path) -> std::io::Result<()> {
        let mut failure = None;
        for (length, empty) in self.wholes {
            let file = self.file.as_file_mut();
            let ended = file.set_len(length).and_then(|()| file.seek(SeekFrom::Start(length)));
            match ended.and_then(|_| file.write_all(frame.tail(empty).as_bytes())) {
                Ok(()) => {
                    self.file.persist(path)?;
                    return failure.map_or(Ok(()), Err);
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

pub(super) fn open(format: Format, option: &str, path: &Path, alone: bool) -> anyhow::Result<Box<dyn Sink>> {
    let context = || format!("{} cannot be written; choose another place with {option}", path.display());
    let is_stdout = path == Path::new("-");
    let name = if is_stdout { "stdout".into() } else { path.display().to_string() };
    let target = if let Some(address) = objects::address(path) {
        let folder = tempfile::tempdir().with_context(context)?;
        let file = Partial::create(&folder.path().join(WHOLE)).with_context(context)?;
        Destination::Object { file, folder, address: address.to_owned() }
    } else if is_stdout {
        Destination::Stream { stream: Box::new(std::io::stdout()), escaped: std::io::stdout().is_terminal() }
    } else if path.exists() && !path.is_file() {
        // A pipe or a device is written to; replacing it would be a surprise.
        let file = open_stream(path).with_context(context)?;
        Destination::Stream { escaped: file.is_terminal(), stream: Box::new(file) }
    } else {
        Destination::File(Partial::create(path).with_context(context)?, path.to_path_buf())
    };
    let mut sink = FileSink { format, empty: true, target, name, alone };
    sink.write(format.frame.head())?;
    Ok(Box::new(sink))
}

impl Sink for FileSink {
    fn push(&mut self, entry: &Entry<'_>) -> anyhow::Result<()> {
        let Some(result) = &entry.result else { return Ok(()) };
        let text = self.format.frame.text(&(self.format.pieces)(result), self.empty);
        self.empty &= text.is_empty();
        self.write(&text)
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<()> {
        let context = format!("{} cannot be written", self.name);
        if matches!(self.target, Destination::Stream { .. }) {
            self.write(self.format.frame.tail(self.empty))?;
        }
        let this = *self;
        match this.target {
            Destination::Closed => Ok(()),
            Destination::Stream { mut stream, .. } => stream.flush().context(context),
            Destination::File(file, path) => file.finish(this.format.frame, &path).context(context),
            Destination::Object { file, folder, address } => {
                let whole = folder.path().join(WHOLE);
                file.finish(this.format.frame, &whole).context(context)?;
                objects::put(&address, &whole).map_err(|reason| {
                    // Nothing that was detected is lost for that.
                    let kept = folder.keep().join(WHOLE);
                    anyhow::anyhow!("{address} cannot be written: {reason}; its content is in {}", kept.display())
                })
            }
        }
    }
}

impl FileSink {
    fn write(&mut self, text: &str) -> anyhow::Result<()> {
        let written = match &mut self.target {
            Destination::Closed => Ok(()),
            Destination::Stream { stream, escaped } => {
                let text = if *escaped { printable_lines(text) } else { text.into() };
                match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe && !self.alone => {
                        self.target = Destination::Closed;
                        Ok(())
                    }
                    written => written,
                }
            }
            Destination::File(file, _) | Destination::Object { file, .. } => file.write(text, self.empty),
        };
        written.with_context(|| format!("{} cannot be written", self.name))
    }
}

#[cfg(test)]
mod tests {
    use yolo9::Size;
    use yolo9::detect::{BoxXyxy, Detection};

    use super::super::{COCO, CSV, JSON, JSONL};
    use super::*;

    fn file(Format { frame, pieces }: Format, names: &[String], sources: &[(&str, usize)]) -> String {
        let bbox = BoxXyxy { x1: 10.0, y1: 20.5, x2: 30.25, y2: 60.0 };
        let detections: Vec<Detection> = (0..2).map(|class| Detection { bbox, class, confidence: 0.5 }).collect();
        let mut text = frame.head().to_owned();
        let mut empty = true;
        for (source, count) in sources {
            let (size, input) = (Size::new(100, 200), Size::new(320, 640));
            let detections = &detections[..*count];
            let of_image = pieces(&ImageResult { source, size, input, detections, class_names: names });
            text += &frame.text(&of_image, empty);
            empty &= of_image.is_empty();
        }
        text + frame.tail(empty)
    }

    #[test]
    fn the_schemas_stay() {
        let names = ["cat".to_owned(), "a \"dog\", small".to_owned()];
        let sources = [("empty.jpg", 0), ("a,b/0042.jpg", 2)];
        assert_eq!(
            file(CSV, &names, &sources),
            "image,class,name,confidence,x1,y1,x2,y2\n\
             \"a,b/0042.jpg\",0,cat,0.50000,10.000,20.500,30.250,60.000\n\
             \"a,b/0042.jpg\",1,\"a \"\"dog\"\", small\",0.50000,10.000,20.500,30.250,60.000\n"
        );
        let entry = |id: usize| {
            format!(
                "{{\"image_id\":42,\"file_name\":\"a,b/0042.jpg\",\"category_id\":{id},\
                 \"bbox\":[10.0,20.5,20.25,39.5],\"score\":0.5}}"
            )
        };
        assert_eq!(file(COCO, &names, &sources), format!("[\n{},\n{}\n]\n", entry(0), entry(1)));
        let jsonl = file(JSONL, &names, &sources);
        assert_eq!(jsonl.lines().count(), 2);
        assert_eq!(file(JSON, &names, &sources), format!("[\n{}\n]\n", jsonl.trim_end().replace('\n', ",\n")));
        for text in [file(JSON, &names, &sources), file(COCO, &names, &sources)] {
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
        assert_eq!([file(JSON, &names, &[]), file(COCO, &names, &[])], ["[]\n"; 2]);
    }

    #[test]
    fn the_classes_of_coco_get_its_ids() {
        let mut names: Vec<String> = (0..80).map(|n| n.to_string()).collect();
        (names[0], names[79]) = ("person".into(), "toothbrush".into());
        let text = file(COCO, &names, &[("x.jpg", 2)]);
        assert!(text.contains("\"category_id\":1,") && text.contains("\"category_id\":2,"), "{text}");
    }
}
