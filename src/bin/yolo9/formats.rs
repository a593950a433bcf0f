//! Files with the results of all pictures: any number of them in one run.

use std::io::{ErrorKind, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use yolo9::output::{FileFormat, PictureResult, TemporaryFile, folder_of, sweep, temporary_beside};
use yolo9::untrusted::{open_stream, printable_lines};

/// Which of them.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FormatArgs {
    /// Write the detections of all pictures as a JSON array; `-` is stdout.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,

    /// Write an object for each picture, one a line; `-` is stdout, as soon as each is done.
    #[arg(long, value_name = "FILE|-")]
    jsonl: Option<PathBuf>,

    /// Write a row for each detection; `-` is stdout.
    #[arg(long, value_name = "FILE|-")]
    csv: Option<PathBuf>,

    /// Write the detections as COCO results (for pycocotools); `-` is stdout.
    #[arg(long, value_name = "FILE|-")]
    coco: Option<PathBuf>,
}

impl FormatArgs {
    /// The option, the kind and the place of each.
    fn wanted(&self) -> impl Iterator<Item = (&'static str, FileFormat, &Path)> {
        [
            ("--json", FileFormat::Json, &self.json),
            ("--jsonl", FileFormat::Jsonl, &self.jsonl),
            ("--csv", FileFormat::Csv, &self.csv),
            ("--coco", FileFormat::Coco, &self.coco),
        ]
        .into_iter()
        .filter_map(|(option, format, path)| path.as_deref().map(|path| (option, format, path)))
    }

    /// The files, as opposed to stdout, each with its option.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.wanted().map(|(option, _, path)| (option, path)).filter(|(_, path)| *path != Path::new("-"))
    }

    /// Whether one of them has stdout for itself.
    pub(crate) fn on_stdout(&self) -> bool {
        self.wanted().any(|(_, _, path)| path == Path::new("-"))
    }

    /// Whether all can be written, before anything is created. Their folder may be the output folder to come.
    pub(crate) fn check(&self, out: Option<&Path>, exist_ok: bool) -> anyhow::Result<()> {
        let mut taken: Vec<PathBuf> = Vec::new();
        for (option, _, path) in self.wanted() {
            // However it is spelled.
            let folder = folder_of(path).canonicalize().unwrap_or_else(|_| folder_of(path).to_path_buf());
            let place = path.file_name().map_or_else(|| path.to_path_buf(), |name| folder.join(name));
            anyhow::ensure!(!taken.contains(&place), "{option} {}: another format goes there already", path.display());
            taken.push(place);
            if path != Path::new("-") {
                check_file(option, path, out, exist_ok)?;
            }
        }
        Ok(())
    }
}

fn check_file(option: &str, path: &Path, out: Option<&Path>, exist_ok: bool) -> anyhow::Result<()> {
    if path.is_dir() {
        anyhow::bail!("{option} {}: is a folder; expected the name of a file", path.display());
    }
    if path.is_file() && !exist_ok {
        anyhow::bail!("{} exists; choose another name, or replace it with --exist-ok", path.display());
    }
    let folder = folder_of(path);
    anyhow::ensure!(
        folder.is_dir() || Some(folder) == out,
        "{} cannot be written: there is no folder {}; choose another place with {option}",
        path.display(),
        folder.display()
    );
    Ok(())
}

/// All files of a run. They appear under their names when the run ends, however it ends.
pub(crate) struct Formats(Vec<Open>);

struct Open {
    format: FileFormat,
    /// Whether nothing has been written but the head.
    empty: bool,
    sink: Sink,
    what: String,
    alone: bool,
}

enum Sink {
    /// A reader that has seen enough.
    Closed,
    /// `escaped` is whether it is a terminal, which nothing in a name may steer.
    Stream {
        stream: Box<dyn Write>,
        escaped: bool,
    },
    File(Partial, PathBuf),
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
        // Those of others cannot be deleted, and some folders not be listed: then they stay.
        for entry in std::fs::read_dir(folder_of(path)).into_iter().flatten().flatten() {
            if let Err(error) = sweep(&entry.path()) {
                log::debug!("{}: {error}", entry.path().display());
            }
        }
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
    fn finish(mut self, format: FileFormat, path: &Path) -> std::io::Result<()> {
        let mut failure = None;
        for (length, empty) in self.wholes {
            let file = self.file.as_file_mut();
            let ended = file.set_len(length).and_then(|()| file.seek(SeekFrom::Start(length)));
            match ended.and_then(|_| file.write_all(format.tail(empty).as_bytes())) {
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

impl Formats {
    /// `alone` is whether nothing else is written: then a reader of stdout that has seen enough ends the run.
    pub(crate) fn create(args: &FormatArgs, alone: bool) -> anyhow::Result<Self> {
        let alone = alone && args.wanted().count() == 1;
        args.wanted()
            .map(|(option, format, path)| Open::create(option, format, path, alone))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn push(&mut self, result: &PictureResult<'_>) -> anyhow::Result<()> {
        for open in &mut self.0 {
            let text = open.format.text(result, open.empty);
            open.empty &= text.is_empty();
            open.write(&text)?;
        }
        Ok(())
    }

    /// Completes all of them, also if one fails.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let finished: Vec<anyhow::Result<()>> = self.0.into_iter().map(Open::finish).collect();
        finished.into_iter().collect()
    }
}

impl Open {
    fn create(option: &str, format: FileFormat, path: &Path, alone: bool) -> anyhow::Result<Self> {
        let context = || format!("{} cannot be written; choose another place with {option}", path.display());
        let what = if path == Path::new("-") { "stdout".into() } else { path.display().to_string() };
        let sink = if path == Path::new("-") {
            Sink::Stream { stream: Box::new(std::io::stdout()), escaped: std::io::stdout().is_terminal() }
        } else if path.exists() && !path.is_file() {
            // A pipe or a device is written to; replacing it would be a surprise.
            let file = open_stream(path).with_context(context)?;
            Sink::Stream { escaped: file.is_terminal(), stream: Box::new(file) }
        } else {
            Sink::File(Partial::create(path).with_context(context)?, path.to_path_buf())
        };
        let mut open = Self { format, empty: true, sink, what, alone };
        open.write(format.head())?;
        Ok(open)
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let context = format!("{} cannot be written", self.what);
        if !matches!(self.sink, Sink::File(..)) {
            self.write(self.format.tail(self.empty))?;
        }
        match self.sink {
            Sink::Closed => Ok(()),
            Sink::Stream { mut stream, .. } => stream.flush().context(context),
            Sink::File(file, path) => file.finish(self.format, &path).context(context),
        }
    }

    fn write(&mut self, text: &str) -> anyhow::Result<()> {
        let written = match &mut self.sink {
            Sink::Closed => Ok(()),
            Sink::Stream { stream, escaped } => {
                let text = if *escaped { printable_lines(text) } else { text.into() };
                match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe && !self.alone => {
                        self.sink = Sink::Closed;
                        Ok(())
                    }
                    written => written,
                }
            }
            Sink::File(file, _) => file.write(text, self.empty),
        };
        written.with_context(|| format!("{} cannot be written", self.what))
    }
}
