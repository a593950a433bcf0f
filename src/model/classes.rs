//! Classes by name or id.

use thiserror::Error;

use crate::config::{did_you_mean, nearest_name};

/// How many names a message lists.
const LISTED: usize = 12;

/// A class that the model does not have, in words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct UnknownClass(String);

/// Ids of classes that are given by name (in any case) or id.
///
/// # Errors
/// [`UnknownClass`] for the first that is neither.
pub fn class_ids(wanted: &[String], names: &[String]) -> Result<Vec<usize>, UnknownClass> {
    let id_of = |wanted: &String| {
        let wanted = wanted.trim();
        let by_name = names.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        by_name.or_else(|| wanted.parse().ok().filter(|id| *id < names.len())).ok_or_else(|| {
            let hint = did_you_mean(nearest_name(wanted, names.iter().map(String::as_str)));
            let (count, first) = (names.len(), names[..names.len().min(LISTED)].join(", "));
            UnknownClass(format!("{wanted}: no such class{hint} (there are {count}, beginning with {first})"))
        })
    };
    wanted.iter().map(id_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_by_name_and_id() {
        let names = ["person".to_owned(), "car".to_owned(), "traffic light".to_owned()];
        let ids = |wanted: &[&str]| class_ids(&wanted.iter().map(|&w| w.to_owned()).collect::<Vec<_>>(), &names);
        assert_eq!(ids(&["Car", "0", "traffic light"]).unwrap(), [1, 0, 2]);
        let error = ids(&["persn"]).unwrap_err().to_string();
        assert!(error.contains("did you mean `person`?"), "{error}");
        assert!(ids(&["3"]).is_err());
    }
}
