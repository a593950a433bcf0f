//! More than two models: which is best, and what is known of each pair.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};
use yolo9::detect::Preset;
use yolo9::evaluate::{Dataset, Difference, LEAST_IMAGES};
use yolo9::output::{Series, css_colour, escaped};

use super::measure::Measured;
use super::report::{mean_curve, mean_plot};
use super::side::Side;
use super::summary::{INFERENCE, STAGES, ap_json, shown_interval};
use super::{Conditions, Outcome, differences_of};
use crate::cli::CompareArgs;
use crate::console::print_line;
use crate::page::{closed, left_out, opened, table, verdict};
use crate::statistics::{Interleaved, Spread};
use crate::val::Scores;

/// What the page says of its scores.
const ACCURACY: &str = "Accuracy as pycocotools measures it (confidence from 0.001, IoU 0.7, 300 detections); its intervals by the \
                        bootstrap over images. True, false and missed at the confidence threshold, from IoU 0.5. ";

pub(super) struct Ranking {
    /// The best first.
    ranks: Vec<Rank>,
    /// Of each two, the better one first.
    pairs: Vec<PairOfRanks>,
    /// Images that could not be read.
    failed: usize,
    runs: usize,
    unlike: bool,
    conditions: Conditions,
}

struct Rank {
    /// As it was typed.
    number: usize,
    side: Side,
    /// With labels.
    scores: Option<Scores>,
    inference: Spread,
}

/// Numbers of two ranks, and the second one against the first.
struct PairOfRanks {
    places: [usize; 2],
    /// With labels.
    ap: Option<Difference>,
    time: Interleaved,
}

impl Ranking {
    /// By AP; without labels by the time of inference.
    pub(super) fn new(
        mut sides: Vec<Side>,
        measured: Measured,
        dataset: Option<&Dataset>,
        conditions: Conditions,
    ) -> Self {
        let names: Vec<String> = sides.iter().map(|side| side.name.clone()).collect();
        for (number, side) in sides.iter_mut().enumerate() {
            // One that is given twice could not be told from itself.
            if names.iter().filter(|name| **name == side.name).count() > 1 {
                side.name = format!("{} (number {})", side.name, number + 1);
            }
        }
        let rank = |(number, side)| Rank {
            number,
            side,
            scores: dataset.map(|dataset| measured.scores(number, dataset, conditions.confidence)),
            inference: Spread::of_times(&measured.timings[number].iter().map(STAGES[INFERENCE].1).collect::<Vec<_>>()),
        };
        let mut ranks: Vec<Rank> = sides.into_iter().enumerate().map(rank).collect();
        ranks.sort_by(|a, b| match (&a.scores, &b.scores) {
            (Some(of_a), Some(of_b)) => of_b.coco.ap.total_cmp(&of_a.coco.ap),
            _ => a.inference.median.total_cmp(&b.inference.median),
        });
        let mut pairs = Vec::new();
        for (first, a) in ranks.iter().enumerate() {
            for (second, b) in ranks.iter().enumerate().skip(first + 1) {
                let ap = match (dataset, &a.scores, &b.scores) {
                    (Some(dataset), Some(a), Some(b)) => Some(differences_of(a, b, dataset).by_area[0]),
                    _ => None,
                };
                let time = measured.pair([a.number, b.number], STAGES[INFERENCE].1);
                pairs.push(PairOfRanks { places: [first, second], ap, time });
            }
        }
        let (runs, unlike) = (measured.timings[0].len(), measured.unlike.is_some());
        Self { ranks, pairs, failed: measured.failed.len(), runs, unlike, conditions }
    }

    /// Which one is best, and which one is fastest.
    fn verdict(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        let names = |places: &[usize]| {
            places.iter().map(|place| self.ranks[*place].side.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        if let Some(scores) = &self.ranks[0].scores {
            let of_best = self.pairs.iter().filter(|pair| pair.places[0] == 0);
            let others: Vec<_> = of_best.filter_map(|pair| Some((pair.places[1], pair.ap?))).collect();
            let places = |wanted: &dyn Fn(&Difference) -> bool| -> Vec<usize> {
                others.iter().filter(|(_, ap)| wanted(ap)).map(|(place, _)| *place).collect()
            };
            let equal = places(&|ap| ap.value == 0.0);
            let unclear = places(&|ap| ap.value != 0.0 && !ap.is_clear());
            let best = [vec![0], equal].concat();
            let have = if best.len() > 1 { "have the same AP, the highest" } else { "has the highest AP" };
            let mut sentence = format!("{} {have}, {:.3}", names(&best), scores.coco.ap);
            sentence += &match unclear.as_slice() {
                _ if others.iter().any(|(_, ap)| ap.interval.is_none()) => {
                    format!("; fewer than {LEAST_IMAGES} images are too few to say which is better")
                }
                [] if best.len() == self.ranks.len() => String::new(),
                [] => ", clearly better than all others".to_owned(),
                unclear => format!("; not clearly better than {} (95 % intervals include 0)", names(unclear)),
            };
            sentences.push(sentence + ".");
        }
        if self.unlike {
            sentences.push("The inputs differ in size: times say nothing about the networks.".into());
            return sentences;
        }
        let by_time =
            |a: &&usize, b: &&usize| self.ranks[**a].inference.median.total_cmp(&self.ranks[**b].inference.median);
        let places: Vec<usize> = (0..self.ranks.len()).collect();
        if let Some(fastest) = places.iter().min_by(by_time) {
            let as_fast = |pair: &&PairOfRanks| {
                pair.places.contains(fastest) && pair.time.interval[0] <= 1.0 && pair.time.interval[1] >= 1.0
            };
            let other = |pair: &PairOfRanks| pair.places[usize::from(pair.places[0] == *fastest)];
            let unclear: Vec<usize> = self.pairs.iter().filter(as_fast).map(other).collect();
            let time =
                format!("{} is the fastest, with {:.2} ms", names(&[*fastest]), self.ranks[*fastest].inference.median);
            sentences.push(match unclear.as_slice() {
                [] => format!("{time}."),
                unclear => format!("{time}; whether it is faster than {} is not certain.", names(unclear)),
            });
        }
        sentences
    }

    fn heads(&self) -> Vec<&'static str> {
        let mut heads = vec!["model"];
        if self.ranks[0].scores.is_some() {
            heads.extend(["AP", "AP50", "true", "false", "missed"]);
        }
        heads.extend(["inference", "parameters", "GFLOPs"]);
        heads
    }

    fn cells(&self, rank: &Rank) -> Vec<String> {
        let mut cells = vec![rank.side.name.clone()];
        if let Some(scores) = &rank.scores {
            let counts = scores.counts;
            cells.extend([scores.coco.ap, scores.coco.ap50].map(|ap| format!("{ap:.3}")));
            cells.extend([counts.true_positives, counts.false_positives, counts.misses].map(|count| count.to_string()));
        }
        let size = &rank.side.size;
        cells.push(format!("{:.2} ms", rank.inference.median));
        cells.push(size.parameters.map_or("-".into(), |count| format!("{:.3} M", count as f64 / 1e6)));
        cells.push(size.gflops.map_or("-".into(), |gflops| format!("{gflops:.2}")));
        cells
    }

    /// Both names, the difference in AP and the ratio of times with their intervals.
    fn pair_cells(&self, pair: &PairOfRanks) -> [String; 6] {
        let [a, b] = pair.places.map(|place| self.ranks[place].side.name.clone());
        let [low, high] = pair.time.interval;
        [
            a,
            b,
            pair.ap.map(|ap| format!("{:+.3}", ap.value)).unwrap_or_default(),
            pair.ap.and_then(|ap| shown_interval(&ap)).unwrap_or_default(),
            format!("{:.3}", pair.time.ratio),
            format!("{low:.3} to {high:.3}"),
        ]
    }

    fn curves(&self, page: &mut String) {
        let of_rank = |(place, rank): (usize, &Rank)| {
            Some(mean_curve(rank.scores.as_ref()?, &rank.side.name, &css_colour(place)))
        };
        let series: Vec<Series> = self.ranks.iter().enumerate().filter_map(of_rank).collect();
        if !series.is_empty() {
            let _ = writeln!(page, "<figure>{}</figure>", mean_plot(&series));
        }
    }
}

impl Outcome for Ranking {
    fn json(&self) -> Value {
        let rank = |rank: &Rank| {
            let mut json = rank.side.json();
            json["accuracy"] = json!(rank.scores.as_ref().map(|scores| scores.json(Preset::default())));
            json["inference"] = json!(rank.inference);
            json
        };
        let pair = |pair: &PairOfRanks| {
            json!({
                "a": self.ranks[pair.places[0]].side.name,
                "b": self.ranks[pair.places[1]].side.name,
                "AP_b_minus_a": pair.ap.as_ref().map(ap_json),
                "inference": { "ratio": pair.time.ratio, "interval": pair.time.interval },
            })
        };
        let mut value = json!(self.conditions);
        value["verdict"] = json!(self.verdict());
        value["ranking"] = self.ranks.iter().map(rank).collect();
        value["pairs"] = self.pairs.iter().map(pair).collect();
        value["failed"] = json!(self.failed);
        value["runs"] = json!(self.runs);
        value
    }

    fn print(&self) -> anyhow::Result<()> {
        let conditions = &self.conditions;
        for rank in &self.ranks {
            print_line!("{} ({})", rank.side.name, rank.side.execution);
        }
        print_line!(
            "on {}, letterboxed to at most {}, {}\n",
            conditions.subject,
            conditions.input,
            conditions.threads_text()
        );
        for sentence in self.verdict() {
            print_line!("{sentence}");
        }
        let widest =
            self.ranks.iter().map(|rank| rank.side.name.chars().count()).max().unwrap_or_default().clamp(5, 40);
        let line = |cells: &[String]| {
            cells.iter().skip(1).fold(format!("{:<widest$}", cells[0]), |line, cell| format!("{line} {cell:>10}"))
        };
        print_line!("\n   {}", line(&self.heads().into_iter().map(str::to_owned).collect::<Vec<_>>()));
        for (place, rank) in self.ranks.iter().enumerate() {
            print_line!("{:>2} {}", place + 1, line(&self.cells(rank)));
            for note in &rank.side.notes {
                print_line!("   note: {note}");
            }
        }
        print_line!(
            "\nEach pair: B against A is B less A in AP, and B / A in time (median of the pairs of runs), with 95 % intervals"
        );
        for pair in &self.pairs {
            let [a, b, ap, ap_interval, ratio, interval] = self.pair_cells(pair);
            let ap_interval = if ap_interval.is_empty() { String::new() } else { format!(" ({ap_interval})") };
            let ap = if ap.is_empty() { String::new() } else { format!("AP {ap}{ap_interval}, ") };
            print_line!("   {b} against {a}: {ap}time {ratio} ({interval})");
        }
        Ok(())
    }

    fn page(&self, _folder: &Path, _args: &CompareArgs) -> anyhow::Result<String> {
        let conditions = &self.conditions;
        let title = format!("{} models compared", self.ranks.len());
        let mut page = opened(&title);
        let _ = writeln!(
            page,
            "<main>\n<header><h1>{title}</h1>\n<p>{}, input {}</p>\n</header>\n<p>{}</p>\n{}",
            escaped(&conditions.subject),
            conditions.input,
            conditions.html(),
            left_out(self.failed)
        );
        verdict(&mut page, &self.verdict());
        page += "<section><h2>Ranking</h2>\n";
        let escape = |cells: &[String]| cells.iter().map(|cell| escaped(cell)).collect::<Vec<_>>();
        table(&mut page, &self.heads(), self.ranks.iter().map(|rank| escape(&self.cells(rank))));
        for rank in &self.ranks {
            let _ =
                writeln!(page, "<p>{} on {}</p>", escaped(&rank.side.name), escaped(&rank.side.execution.to_string()));
            for note in &rank.side.notes {
                let _ = writeln!(page, "<p class=\"note\"><b>{}:</b> {}</p>", escaped(&rank.side.name), escaped(note));
            }
        }
        page += "</section>\n<section><h2>Each pair, the second against the first</h2>\n";
        // Without labels there is no AP.
        let shown = |cells: &[String]| match self.ranks[0].scores {
            Some(_) => cells.to_vec(),
            None => [&cells[..2], &cells[4..]].concat(),
        };
        let heads = shown(&["first", "second", "AP", "95 % interval", "time", "95 % interval"].map(str::to_owned));
        let pairs = self.pairs.iter().map(|pair| escape(&shown(&self.pair_cells(pair))));
        table(&mut page, &heads.iter().map(String::as_str).collect::<Vec<_>>(), pairs);
        page += "</section>\n";
        self.curves(&mut page);
        let _ = writeln!(
            page,
            "</main>\n<footer>{}Times are medians of {} runs of each, \
             interleaved on one machine; a ratio is the median of the pairs.</footer>",
            if self.ranks[0].scores.is_some() { ACCURACY } else { "" },
            self.runs
        );
        closed(&mut page);
        Ok(page)
    }
}
