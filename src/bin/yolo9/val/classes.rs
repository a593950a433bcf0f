//! Which class of a dataset each class of a model is.

/// How many names a message lists.
const LISTED: usize = 5;

/// By name, in any case; by position where the model's names are made up, or none is the same but their number is. A class
/// that the dataset does not have stays without: its detections are not evaluated.
pub(crate) fn mapping(model: &[String], dataset: &[String]) -> anyhow::Result<Vec<Option<usize>>> {
    let by_name: Vec<Option<usize>> =
        model.iter().map(|name| dataset.iter().position(|other| other.eq_ignore_ascii_case(name))).collect();
    let found = by_name.iter().flatten().count();
    if found == 0 && model.len() == dataset.len() {
        log::warn!("the model's class names are others than the dataset's: classes are taken by their position");
        return Ok((0..model.len()).map(Some).collect());
    }
    anyhow::ensure!(
        found > 0,
        "none of the model's {} classes ({}, …) is one of the dataset's {} ({}, …)",
        model.len(),
        model.first().map_or("", String::as_str),
        dataset.len(),
        dataset.first().map_or("", String::as_str)
    );
    let without: Vec<&str> =
        by_name.iter().zip(model).filter(|(id, _)| id.is_none()).map(|(_, name)| &**name).collect();
    let first_of = |names: &[&str]| {
        let more = if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
        names[..names.len().min(LISTED)].join(", ") + &more
    };
    if !without.is_empty() {
        log::warn!("classes of the model that the dataset lacks are not evaluated: {}", first_of(&without));
    }
    let unmet: Vec<&str> =
        dataset.iter().enumerate().filter(|(id, _)| !by_name.contains(&Some(*id))).map(|(_, name)| &**name).collect();
    if !unmet.is_empty() {
        log::warn!(
            "classes of the dataset that the model lacks count as AP 0 where they have labels: {}; correct the names if they \
             mean the same",
            first_of(&unmet)
        );
    }
    Ok(by_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn classes_meet_by_name_then_by_position() {
        let dataset = names(&["dog", "Cat"]);
        assert_eq!(mapping(&names(&["cat", "bird", "dog"]), &dataset).unwrap(), [Some(1), None, Some(0)]);
        assert_eq!(mapping(&names(&["class0", "class1"]), &dataset).unwrap(), [Some(0), Some(1)]);
        assert!(mapping(&names(&["class0"]), &dataset).is_err());
    }
}
