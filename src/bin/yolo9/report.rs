//! What people see while a run goes on: a line per picture or a bar, failures, the closing lines.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::{Value, json};
use yolo9::detect::Timing;
use yolo9::output::{PictureResult, summary, table_rows};
use yolo9::untrusted::{printable, printable_lines};

use crate::console::{event, logs_json, say};

/// From this number on a terminal shows a bar instead of lines.
const MANY: usize = 20;

pub(crate) struct Report {
    quiet: bool,
    total: usize,
    number: usize,
    bar: Option<ProgressBar>,
    /// Whether rows of detections go to stdout.
    rows: bool,
    sum: Timing,
    /// Since the first picture could be searched.
    start: Instant,
    done: u32,
    shape: (usize, usize),
    failures: Vec<(String, String)>,
    stdout_failure: Option<String>,
}

impl Report {
    /// `json_on_stdout` leaves stdout to the JSON.
    pub(crate) fn new(total: usize, quiet: bool, json_on_stdout: bool) -> Self {
        let bar = shows_bar(total, quiet).then(|| progress_bar(total));
        // A bar means too many pictures to read their boxes off the screen.
        let rows = !(json_on_stdout || bar.is_some() && std::io::stdout().is_terminal());
        Self {
            quiet,
            total,
            number: 0,
            bar,
            rows,
            sum: Timing::default(),
            start: Instant::now(),
            done: 0,
            shape: (0, 0),
            failures: Vec::new(),
            stdout_failure: None,
        }
    }

    pub(crate) fn picture(&mut self, result: &PictureResult<'_>, timing: Timing) {
        self.number += 1;
        self.done += 1;
        self.sum.preprocess += timing.preprocess;
        self.sum.inference += timing.inference;
        self.sum.postprocess += timing.postprocess;
        self.shape = (result.input.height, result.input.width);
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if self.quiet => {}
            None if logs_json() => event("info", "picture", self.about(result, timing)),
            None => say!(
                "image {}/{} {}: {}, {:.1}ms",
                self.number,
                self.total.max(self.number),
                printable(result.source),
                summary(result),
                milliseconds(timing.inference)
            ),
        }
        if self.rows {
            self.print_rows(result);
        }
    }

    /// A picture for programs.
    fn about(&self, result: &PictureResult<'_>, timing: Timing) -> Value {
        json!({
            "image": result.source,
            "number": self.number,
            "total": self.total.max(self.number),
            "objects": result.detections.len(),
            "milliseconds": {
                "preprocess": milliseconds(timing.preprocess),
                "inference": milliseconds(timing.inference),
                "postprocess": milliseconds(timing.postprocess),
            },
        })
    }

    /// A reader that has seen enough (`| head`) ends the rows, not the run; a full disk is a failure.
    fn print_rows(&mut self, result: &PictureResult<'_>) {
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(table_rows(result).as_bytes()).and_then(|()| stdout.flush());
        if let Err(error) = written {
            self.rows = false;
            if error.kind() != std::io::ErrorKind::BrokenPipe {
                self.stdout_failure = Some(error.to_string());
            }
        }
    }

    /// A video begins in place of one input: so many frames, if that is known.
    pub(crate) fn video_of(&mut self, frames: Option<u64>) {
        let more = usize::try_from(frames.unwrap_or(1)).unwrap_or(1).saturating_sub(1);
        self.total += more;
        match &self.bar {
            Some(bar) => bar.inc_length(more as u64),
            None if shows_bar(self.total, self.quiet) => {
                let bar = progress_bar(self.total);
                bar.set_position(self.number as u64);
                self.bar = Some(bar);
                self.rows &= !std::io::stdout().is_terminal();
            }
            None => {}
        }
    }

    /// A picture that could not be searched: said at once, and again in the end of a run over several.
    pub(crate) fn failure(&mut self, source: &str, reason: &str) {
        self.number += 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        self.problem(source, reason);
    }

    /// What went wrong with a picture that was searched, such as a result that cannot be written.
    pub(crate) fn problem(&mut self, source: &str, reason: &str) {
        let line = format!("error: {}: {reason}", printable(source));
        match &self.bar {
            Some(bar) => bar.println(printable_lines(&line)),
            None if logs_json() => event("error", "failure", json!({ "image": source, "message": reason })),
            None => say!("{line}"),
        }
        self.count(source, reason);
    }

    fn count(&mut self, source: &str, reason: &str) {
        self.failures.push((source.to_owned(), reason.to_owned()));
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} failed", self.failures.len()));
        }
    }

    /// A picture of the run that an earlier one finished.
    pub(crate) fn finished_before(&mut self, source: &str, failure: Option<&str>) {
        self.number += 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        if let Some(reason) = failure {
            self.count(source, reason);
        }
    }

    /// Everything is ready for the first picture.
    pub(crate) fn begin(&mut self) {
        self.start = Instant::now();
    }

    /// Why rows could not be printed.
    pub(crate) fn stdout_failure(&self) -> Option<&str> {
        self.stdout_failure.as_deref()
    }

    /// Inputs and reasons.
    pub(crate) fn failures(&self) -> &[(String, String)] {
        &self.failures
    }

    pub(crate) fn failed(&self) -> usize {
        self.failures.len()
    }

    /// The closing lines.
    pub(crate) fn finish(&self, interrupted: bool) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if logs_json() {
            return self.finish_for_programs(interrupted);
        }
        if interrupted {
            say!("Interrupted after {} of {} pictures; their results are complete", self.number, self.total);
        }
        if !self.failures.is_empty() && self.total > 1 {
            say!("{} of {} inputs failed:", self.failures.len(), self.total);
            self.failures.iter().for_each(|(source, reason)| say!("  {}: {reason}", printable(source)));
        }
        if self.quiet || self.done == 0 {
            return;
        }
        let mean = |sum: Duration| milliseconds(sum) / f64::from(self.done);
        say!(
            "Speed: {:.1}ms pre-process, {:.1}ms inference, {:.1}ms NMS per image at shape (1, 3, {}, {})",
            mean(self.sum.preprocess),
            mean(self.sum.inference),
            mean(self.sum.postprocess),
            self.shape.0,
            self.shape.1
        );
        if self.done > 1 {
            let seconds = self.start.elapsed().as_secs_f64();
            say!("{} pictures in {seconds:.1} s: {:.1} per second", self.done, f64::from(self.done) / seconds);
        }
    }

    fn finish_for_programs(&self, interrupted: bool) {
        let seconds = self.start.elapsed().as_secs_f64();
        let end = json!({
            "total": self.total.max(self.number),
            "searched": self.done,
            "failed": self.failures.len(),
            "interrupted": interrupted,
            "seconds": (seconds * 1e3).round() / 1e3,
        });
        if !self.quiet {
            event("info", "end", end);
        }
    }
}

fn shows_bar(total: usize, quiet: bool) -> bool {
    total >= MANY && !quiet && !logs_json() && std::io::stderr().is_terminal()
}

/// Pictures done, per second, time to go; on stderr if that is a terminal.
pub(crate) fn progress_bar(total: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {rate} ETA {eta} {msg}");
    let rate = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        // A bar that cannot be written is no reason to stop.
        let _ = write!(text, "{:.1}/s", state.per_sec());
    };
    ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate))
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
