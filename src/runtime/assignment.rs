//! Which execution provider runs which nodes. ONNX Runtime gives nodes that a provider does not take to the CPU, with a
//! warning in a log that nobody reads; so we ask.
#![allow(unsafe_code, reason = "ort has no safe function for it; the pointers live as long as the session")]

use std::ffi::{CStr, c_char};
use std::ptr;

use ort::AsPointer;
use ort::session::Session;
use ort::sys;

/// The entry of a session's configuration that makes it remember.
pub(super) const CONFIG_ENTRY: &str = "session.record_ep_graph_assignment_info";

/// A node of the graph as it was when providers chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AssignedNode {
    /// The execution provider, such as `CPUExecutionProvider`.
    pub(super) provider: String,
    /// The operator.
    pub(super) operator: String,
}

/// All nodes of a session that was made with [`CONFIG_ENTRY`].
pub(super) fn nodes(session: &Session) -> ort::Result<Vec<AssignedNode>> {
    let api = ort::api();
    let (mut subgraphs, mut count) = (ptr::null(), 0);
    // SAFETY: the session is alive; both places are ours.
    check(unsafe { (api.Session_GetEpGraphAssignmentInfo)(session.ptr(), &mut subgraphs, &mut count) })?;
    let mut found = Vec::new();
    for subgraph in of(subgraphs, count) {
        // SAFETY: the subgraph belongs to the session.
        let provider = text(|out| unsafe { (api.EpAssignedSubgraph_GetEpName)(subgraph, out) })?;
        let (mut nodes, mut count) = (ptr::null(), 0);
        // SAFETY: as above.
        check(unsafe { (api.EpAssignedSubgraph_GetNodes)(subgraph, &mut nodes, &mut count) })?;
        for node in of(nodes, count) {
            // SAFETY: the node belongs to the subgraph.
            let operator = text(|out| unsafe { (api.EpAssignedNode_GetOperatorType)(node, out) })?;
            found.push(AssignedNode { provider: provider.clone(), operator });
        }
    }
    Ok(found)
}

/// The pointers of an array of ONNX Runtime's.
fn of<T>(pointers: *const *const T, count: usize) -> Vec<*const T> {
    if pointers.is_null() {
        return Vec::new();
    }
    // SAFETY: ONNX Runtime gave `count` with them, and keeps them as long as the session.
    unsafe { std::slice::from_raw_parts(pointers, count) }.to_vec()
}

fn text(get: impl FnOnce(*mut *const c_char) -> sys::OrtStatusPtr) -> ort::Result<String> {
    let mut text = ptr::null();
    check(get(&mut text))?;
    if text.is_null() {
        return Ok(String::new());
    }
    // SAFETY: a string of ONNX Runtime's, which lives as long as the session.
    Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

fn check(status: sys::OrtStatusPtr) -> ort::Result<()> {
    // SAFETY: the status comes from the call before, and is used here only.
    unsafe { ort::Error::result_from_status(status) }
}
