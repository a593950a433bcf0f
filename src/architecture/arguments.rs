//! Typed access to the arguments of a layer.

use std::fmt;

use crate::config::{Argument, LayerSpec};

/// Channels beyond this are a mistake in the file; the widest published layer has 1024.
const MAX_CHANNELS: i64 = 1 << 16;

/// Reads arguments by position, with messages that name position and meaning.
pub(super) struct Arguments<'a> {
    args: &'a [Argument],
}

impl<'a> Arguments<'a> {
    /// Refuses a layer with more arguments than its module has.
    pub(super) fn new(layer: &'a LayerSpec, at_most: usize) -> Result<Self, String> {
        if layer.args.len() > at_most {
            return Err(format!("takes at most {at_most} arguments, found {}", layer.args.len()));
        }
        Ok(Self { args: &layer.args })
    }

    fn wrong(&self, position: usize, meaning: &str, expected: impl fmt::Display) -> String {
        let found = self.args.get(position).map_or_else(|| "nothing".into(), |argument| format!("`{argument}`"));
        format!("argument {} ({meaning}): expected {expected}, found {found}", position + 1)
    }

    fn integer(&self, position: usize, meaning: &str, range: std::ops::RangeInclusive<i64>) -> Result<usize, String> {
        match self.args.get(position) {
            Some(Argument::Int(value)) if range.contains(value) => Ok(*value as usize),
            _ => Err(self.wrong(
                position,
                meaning,
                format_args!("a whole number of {} to {}", range.start(), range.end()),
            )),
        }
    }

    fn present(&self, position: usize) -> bool {
        !matches!(self.args.get(position), None | Some(Argument::None))
    }

    pub(super) fn channels(&self, position: usize, meaning: &str) -> Result<usize, String> {
        self.integer(position, meaning, 1..=MAX_CHANNELS)
    }

    pub(super) fn integer_or(&self, position: usize, meaning: &str, default: usize) -> Result<usize, String> {
        if self.present(position) { self.integer(position, meaning, 1..=1024) } else { Ok(default) }
    }

    /// As [`Arguments::integer_or`], where 0 is a value too.
    pub(super) fn padding_or(&self, position: usize, default: usize) -> Result<usize, String> {
        if self.present(position) { self.integer(position, "padding", 0..=1024) } else { Ok(default) }
    }

    pub(super) fn number_or(&self, position: usize, meaning: &str, default: f64) -> Result<f64, String> {
        match self.args.get(position) {
            None | Some(Argument::None) => Ok(default),
            Some(Argument::Int(value)) if *value > 0 => Ok(*value as f64),
            Some(Argument::Float(value)) if *value > 0.0 && value.is_finite() => Ok(*value),
            _ => Err(self.wrong(position, meaning, "a number above 0")),
        }
    }

    pub(super) fn flag_or(&self, position: usize, meaning: &str, default: bool) -> Result<bool, String> {
        match self.args.get(position) {
            None | Some(Argument::None) => Ok(default),
            Some(Argument::Bool(value)) => Ok(*value),
            _ => Err(self.wrong(position, meaning, "True or False")),
        }
    }

    pub(super) fn absent(&self, position: usize, meaning: &str) -> Result<(), String> {
        if self.present(position) { Err(self.wrong(position, meaning, "None")) } else { Ok(()) }
    }

    /// One of a few words; the first is the default.
    pub(super) fn word<T: Copy>(&self, position: usize, meaning: &str, words: &[(&str, T)]) -> Result<T, String> {
        match self.args.get(position) {
            None | Some(Argument::None) => words.first().map(|(_, value)| *value),
            Some(Argument::Text(text)) => words.iter().find(|(word, _)| word == text).map(|(_, value)| *value),
            Some(_) => None,
        }
        .ok_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
            self.wrong(position, meaning, known.join(" or "))
        })
    }

    pub(super) fn list(&self, position: usize, meaning: &str, least: i64) -> Result<Vec<usize>, String> {
        let wrong = || self.wrong(position, meaning, "a list of whole numbers");
        let Some(Argument::List(items)) = self.args.get(position) else { return Err(wrong()) };
        items
            .iter()
            .map(|item| match item {
                Argument::Int(value) if (least..=MAX_CHANNELS).contains(value) => Ok(*value as usize),
                _ => Err(wrong()),
            })
            .collect()
    }

    /// The class count of a head: `nc`, or a number that must agree with it.
    pub(super) fn classes(&self, position: usize, classes: usize) -> Result<(), String> {
        match self.args.get(position) {
            None | Some(Argument::Classes) => Ok(()),
            Some(Argument::Int(value)) if *value == classes as i64 => Ok(()),
            _ => Err(self.wrong(position, "classes", format_args!("nc (which is {classes})"))),
        }
    }
}
