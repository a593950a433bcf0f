//! A look at an ONNX file before anything is made of it: how many messages it holds, and whether numbers of tensors lie in
//! other files. Nothing is copied, so that a few megabytes of empty messages do not become gigabytes of structures.
//!
//! Fields have the numbers of onnx.proto; the encoding is that of protocol buffers (length-delimited messages within
//! messages).

use super::error::{OnnxProblem, damaged};
use crate::untrusted::printable;

/// A published export has some 20,000.
const MAX_MESSAGES: usize = 300_000;
/// The limit of the protocol buffer libraries.
const MAX_DEPTH: usize = 100;

/// The messages that can hold tensors, and those of which there can be many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Function,
    Training,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    /// Without messages that matter in it.
    Leaf,
}

impl Kind {
    /// What a field holds, if it is a message that matters.
    fn child(self, field: u64) -> Option<Kind> {
        use Kind as K;
        Some(match (self, field) {
            (K::Model, 7) | (K::Attribute, 6 | 11) | (K::Training, 1 | 2) => K::Graph,
            (K::Model, 20) => K::Training,
            (K::Model, 25) => K::Function,
            (K::Graph, 1) | (K::Function, 7) => K::Node,
            (K::Graph, 5) | (K::Attribute, 5 | 10) | (K::SparseTensor, 1 | 2) => K::Tensor,
            (K::Graph, 15) | (K::Attribute, 22 | 23) => K::SparseTensor,
            (K::Graph, 11..=13) | (K::Function, 12) => K::ValueInfo,
            (K::Node, 5) | (K::Function, 11) => K::Attribute,
            (K::ValueInfo, 2) | (K::Attribute, 14 | 15) => K::Type,
            (K::Type, 1 | 4 | 5 | 8 | 9) => K::TensorType,
            (K::TensorType, 2) => K::Shape,
            (K::Shape, 1) | (K::Model, 8 | 14) | (K::Tensor, 13) => K::Leaf,
            _ => return None,
        })
    }
}

/// A message that is being read: what is left of it, and, of a tensor, what is known so far.
struct Open<'a> {
    kind: Kind,
    rest: &'a [u8],
    name: &'a [u8],
    external: bool,
}

/// Looks through all messages, for damage, and tensors whose numbers lie in another file, which a stranger could choose
/// freely.
pub(super) fn check(bytes: &[u8]) -> Result<(), OnnxProblem> {
    let open = |kind, rest| Open { kind, rest, name: &[], external: false };
    let mut stack = vec![open(Kind::Model, bytes)];
    let mut messages = 0;
    while let Some(top) = stack.last_mut() {
        if top.rest.is_empty() {
            if top.external {
                let name = String::from_utf8_lossy(&top.name[..top.name.len().min(200)]);
                return Err(OnnxProblem::Unusable(format!(
                    "keeps the numbers of tensor {} in another file, which is not followed; save the model as one file",
                    printable(&name)
                )));
            }
            stack.pop();
            continue;
        }
        let (field, value) = field(&mut top.rest).map_err(damaged)?;
        let child = match (top.kind, field, &value) {
            (Kind::Tensor, 14, FieldValue::Number(location)) => {
                // `TensorProto.DataLocation.EXTERNAL`; the last one counts, so none may say it.
                top.external |= *location as u32 == 1;
                None
            }
            (Kind::Tensor, 8, FieldValue::Bytes(name)) => {
                top.name = name;
                None
            }
            (kind, field, FieldValue::Bytes(bytes)) => {
                top.external |= (kind, field) == (Kind::Tensor, 13);
                kind.child(field).map(|kind| (kind, *bytes))
            }
            _ => None,
        };
        let Some((kind, bytes)) = child else { continue };
        messages += 1;
        if messages > MAX_MESSAGES {
            return Err(damaged(format!("it holds more than {MAX_MESSAGES} nodes, tensors and others")));
        }
        if kind != Kind::Leaf {
            if stack.len() >= MAX_DEPTH {
                return Err(damaged(format!("it is nested more than {MAX_DEPTH} times")));
            }
            stack.push(open(kind, bytes));
        }
    }
    Ok(())
}

enum FieldValue<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// Takes a field off: its number and value.
fn field<'a>(rest: &mut &'a [u8]) -> Result<(u64, FieldValue<'a>), &'static str> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => FieldValue::Number(varint(rest)?),
        1 => take(rest, 8).map(|_| FieldValue::Fixed)?,
        2 => {
            let length = varint(rest)?;
            FieldValue::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| FieldValue::Fixed)?,
        _ => return Err("it has a field of a kind that ONNX does not use"),
    };
    Ok((key >> 3, value))
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], &'static str> {
    let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let (taken, left) = split.ok_or("it ends within a field")?;
    *rest = left;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, &'static str> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, left) = rest.split_first().ok_or("it ends within a number")?;
        *rest = left;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("it has a number of more than 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that holds bytes.
    fn holding(field: u8, bytes: &[u8]) -> Vec<u8> {
        let mut encoded = if field < 16 { vec![field << 3 | 2] } else { vec![field << 3 & 0x7f | 0x82, field >> 4] };
        prost::encode_length_delimiter(bytes.len(), &mut encoded).unwrap();
        [encoded, bytes.to_vec()].concat()
    }

    fn failure(bytes: &[u8]) -> String {
        check(bytes).unwrap_err().to_string()
    }

    #[test]
    fn numbers_in_other_files_are_found_wherever_they_are() {
        let tensor = [holding(8, b"w"), vec![14 << 3, 1]].concat();
        let data = [holding(8, b"w"), holding(13, &holding(1, b"location"))].concat();
        let sparse = holding(1, &tensor);
        let (dense_attribute, sparse_attribute) = (holding(5, &tensor), holding(22, &sparse));
        let node = |attribute: &[u8]| holding(1, &holding(5, attribute));
        for graph in [
            holding(5, &tensor),
            holding(5, &data),
            holding(15, &sparse),
            holding(15, &holding(2, &tensor)),
            node(&dense_attribute),
            node(&sparse_attribute),
            node(&holding(10, &tensor)),
            node(&holding(23, &sparse)),
            node(&holding(6, &holding(5, &tensor))),
        ] {
            assert!(failure(&holding(7, &graph)).contains("tensor w in another file"));
            assert!(failure(&holding(20, &holding(1, &graph))).contains("tensor w in another file"));
        }
        let function = holding(25, &holding(7, &holding(5, &sparse_attribute)));
        assert!(failure(&function).contains("tensor w in another file"));
        assert!(check(&holding(7, &holding(5, &[holding(8, b"w"), vec![14 << 3, 0]].concat()))).is_ok());
    }

    #[test]
    fn messages_and_their_depth_are_bounded() {
        let nodes = holding(1, b"").repeat(MAX_MESSAGES);
        assert!(failure(&holding(7, &nodes)).contains("more than 300000"));
        let mut graph = Vec::new();
        for _ in 0..60 {
            graph = holding(1, &holding(5, &holding(6, &graph)));
        }
        assert!(failure(&holding(7, &graph)).contains("nested"));
        for bytes in [&b"\x3a\x05\x01"[..], b"\xff", b"\x3b", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
            assert!(failure(bytes).starts_with("damaged or truncated"), "{bytes:?}");
        }
    }
}
