//! What ONNX Runtime measured of single nodes.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::RuntimeError;

/// A node of the graph that ran, after ONNX Runtime's optimisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTime {
    /// Its name: made by ONNX Runtime from the names of nodes and values before.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// The median over all runs.
    pub time: Duration,
}

/// An event of a profile, as far as we read it.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    cat: String,
    name: String,
    /// In microseconds.
    #[serde(default)]
    dur: u64,
    #[serde(default)]
    args: EventArguments,
}

#[derive(Deserialize, Default)]
struct EventArguments {
    op_name: Option<String>,
    /// Tells nodes without a name apart.
    node_index: Option<String>,
}

/// How ONNX Runtime calls the event of a node.
const SUFFIX: &str = "_kernel_time";

/// Reads a file that [`super::OrtSession::end_profiling`] gave: all nodes in the order of their first run.
///
/// # Errors
/// [`RuntimeError::Profile`] when it cannot be read, or is something else.
pub fn read_profile(path: &Path) -> Result<Vec<NodeTime>, RuntimeError> {
    let bytes = std::fs::read(path).map_err(|error| RuntimeError::Profile(format!("{}: {error}", path.display())))?;
    let events: Vec<Event> =
        serde_json::from_slice(&bytes).map_err(|error| RuntimeError::Profile(error.to_string()))?;
    let mut nodes: Vec<(String, String, Vec<u64>)> = Vec::new();
    let mut places = HashMap::new();
    for event in events {
        let (Some(name), Some(operator)) = (event.name.strip_suffix(SUFFIX), event.args.op_name) else { continue };
        if event.cat != "Node" {
            continue;
        }
        let place = *places.entry((name.to_owned(), event.args.node_index)).or_insert_with(|| {
            nodes.push((name.to_owned(), operator, Vec::new()));
            nodes.len() - 1
        });
        nodes[place].2.push(event.dur);
    }
    let median = |mut times: Vec<u64>| {
        times.sort_unstable();
        Duration::from_micros(times[times.len() / 2])
    };
    Ok(nodes.into_iter().map(|(name, operator, times)| NodeTime { name, operator, time: median(times) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_get_the_median_of_their_runs() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let node = |name: &str, dur: u64| {
            format!(r#"{{"cat":"Node","name":"{name}_kernel_time","dur":{dur},"ts":1,"args":{{"op_name":"Conv"}}}}"#)
        };
        let session = r#"{"cat":"Session","name":"model_run","dur":99,"args":{}}"#;
        let text =
            [session.into(), node("b", 5), node("a", 1), node("b", 900), node("a", 3), node("b", 7), node("a", 2)];
        std::fs::write(file.path(), format!("[{}]", text.join(","))).unwrap();
        let times = read_profile(file.path()).unwrap();
        let times: Vec<(&str, u128)> = times.iter().map(|node| (node.name.as_str(), node.time.as_micros())).collect();
        assert_eq!(times, [("b", 7), ("a", 2)]);
        std::fs::write(file.path(), "[").unwrap();
        assert!(matches!(read_profile(file.path()), Err(RuntimeError::Profile(_))));
    }
}
