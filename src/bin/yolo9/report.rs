//! What people see while a run goes on: a line per image or a bar, failures, the closing lines.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::{Value, json};
use yolo9::detect::Timing;
use yolo9::output::{ImageResult, summary};
use yolo9::untrusted::{printable, printable_lines};

use crate::console::{event, logs_json, say};

/// From this number on a terminal shows a bar instead of lines.
const MANY: usize = 20;

pub(crate) struct Report {
    quiet: bool,
    total: usize,
    number: usize,
    bar: Option<ProgressBar>,
    sum: Timing,
    /// Since the first image could be processed.
    start: Instant,
    done: u32,
    shape: (usize, usize),
    failures: Vec<(String, String)>,
    /// Objects in all images that were processed by this run.
    pub(crate) detections: usize,
}

impl Report {
    pub(crate) fn new(total: usize, quiet: bool) -> Self {
        let bar = shows_bar(total, quiet).then(|| progress_bar(total, false));
        Self {
            quiet,
            total,
            number: 0,
            bar,
            sum: Timing::default(),
            start: Instant::now(),
            done: 0,
            shape: (0, 0),
            failures: Vec::new(),
            detections: 0,
        }
    }

    /// Inputs that have not been processed.
    pub(crate) fn left(&self) -> usize {
        self.total.saturating_sub(self.number)
    }

    /// Whether rows of detections on stdout are readable: a bar means too many images to read their boxes off the screen.
    pub(crate) fn leaves_stdout(&self) -> bool {
        !(self.bar.is_some() && std::io::stdout().is_terminal())
    }

    pub(crate) fn image(&mut self, result: &ImageResult<'_>, timing: Timing) {
        self.count_one();
        self.done += 1;
        self.detections += result.detections.len();
        self.sum.preprocess += timing.preprocess;
        self.sum.inference += timing.inference;
        self.sum.postprocess += timing.postprocess;
        self.shape = (result.input.height, result.input.width);
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if self.quiet => {}
            None if logs_json() => event("info", "image", self.about(result, timing)),
            None => say!(
                "image {}/{} {}: {}, {:.1}ms",
                self.number,
                self.total,
                printable(result.source),
                summary(result),
                milliseconds(timing.inference)
            ),
        }
    }

    /// An image for programs.
    fn about(&self, result: &ImageResult<'_>, timing: Timing) -> Value {
        json!({
            "image": result.source,
            "number": self.number,
            "total": self.total,
            "objects": result.detections.len(),
            "milliseconds": {
                "preprocess": milliseconds(timing.preprocess),
                "inference": milliseconds(timing.inference),
                "postprocess": milliseconds(timing.postprocess),
            },
        })
    }

    /// A video begins in place of one input: so many frames, if that is known.
    pub(crate) fn video_of(&mut self, frames: Option<u64>) {
        let more = usize::try_from(frames.unwrap_or(1)).unwrap_or(1).saturating_sub(1);
        self.total += more;
        match &self.bar {
            Some(bar) => bar.inc_length(more as u64),
            None if shows_bar(self.total, self.quiet) => {
                let bar = progress_bar(self.total, false);
                bar.set_position(self.number as u64);
                self.bar = Some(bar);
            }
            None => {}
        }
    }

    /// Of a listing there may be more than anybody knew.
    fn count_one(&mut self) {
        self.number += 1;
        self.total = self.total.max(self.number);
    }

    /// An image that could not be processed: said at once, and again in the end of a run over several.
    pub(crate) fn failure(&mut self, source: &str, reason: &str) {
        self.count_one();
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        let place = if self.total > 1 { format!(" (image {} of {})", self.number, self.total) } else { String::new() };
        self.say_problem(source, &format!("{reason}{place}"), reason);
    }

    /// What went wrong with an image that was processed, such as a result that cannot be written.
    pub(crate) fn problem(&mut self, source: &str, reason: &str) {
        self.say_problem(source, reason, reason);
    }

    fn say_problem(&mut self, source: &str, shown: &str, reason: &str) {
        let line = format!("error: {}: {shown}", printable(source));
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

    /// An image of the run that an earlier one finished.
    pub(crate) fn finished_before(&mut self, source: &str, failure: Option<&str>) {
        self.number += 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        if let Some(reason) = failure {
            self.count(source, reason);
        }
    }

    /// Everything is ready for the first image.
    pub(crate) fn begin(&mut self) {
        self.start = Instant::now();
    }

    /// Images that were processed by this run.
    pub(crate) fn succeeded(&self) -> usize {
        self.done as usize
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
            say!("Interrupted after {} of {} images; their results are complete", self.number, self.total);
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
            say!("{} images in {seconds:.1} s: {:.1} per second", self.done, f64::from(self.done) / seconds);
        }
    }

    fn finish_for_programs(&self, interrupted: bool) {
        let seconds = self.start.elapsed().as_secs_f64();
        let end = json!({
            "total": self.total,
            "processed": self.done,
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

/// Images done, per second, time to go; on stderr if that is a terminal, and nowhere if `quiet`.
pub(crate) fn progress_bar(total: usize, quiet: bool) -> ProgressBar {
    bar(Some(total as u64), "{bar:30} {pos}/{len} {rate}/s ETA {eta} {msg}", 1, quiet)
}

/// A bar on stderr, if that is a terminal for people; `{rate}` of the template is in things of which a step has so many.
pub(crate) fn bar(length: Option<u64>, template: &str, of_step: usize, quiet: bool) -> ProgressBar {
    let rate = move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        // A bar that cannot be written is no reason to stop.
        let _ = write!(text, "{:.1}", state.per_sec() * of_step as f64);
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let hidden = quiet || logs_json();
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    ProgressBar::with_draw_target(length, target).with_style(style.with_key("rate", rate))
}

/// `2,407,632`.
pub(crate) fn grouped(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A number of things, in words.
pub(crate) fn counted(count: usize, what: &str) -> String {
    let ending = match count {
        1 => "",
        _ if what.ends_with(['s', 'x']) || what.ends_with("tch") => "es",
        _ => "s",
    };
    format!("{count} {what}{ending}")
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(1, "box") + &counted(2, "label"), "1 box2 labels");
        assert_eq!(counted(2, "class") + &counted(0, "batch"), "2 classes0 batches");
    }
}
