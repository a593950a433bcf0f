//! Which format a file has, from its content, and where in it the model is.

use super::pickle::Node;
use super::torch::TorchFile;
use super::{Contents, Problem, danger, legacy, metadata, model, safetensors, state_dict};

pub(super) fn read(bytes: &[u8]) -> Result<Contents, Problem> {
    if is_torch(bytes) {
        return torch(&TorchFile::parse(bytes)?);
    }
    if safetensors::looks_like(bytes) {
        return safetensors::read(bytes);
    }
    Err(Problem::Unrecognised(describe(bytes)))
}

/// The model, with what the file says besides.
fn torch(file: &TorchFile<'_>) -> Result<Contents, Problem> {
    let mut contents = torch_model(file)?;
    contents.metadata.extra = metadata::read(&file.arena, file.top);
    contents.warnings.extend(danger::warnings(&file.arena));
    file.arena.budget.check()?;
    Ok(contents)
}

fn torch_model(file: &TorchFile<'_>) -> Result<Contents, Problem> {
    let top = file.top;
    if let Node::Object { .. } = file.arena.get(top) {
        return model::read(file, top, "a whole model");
    }
    if file.arena.entries(top).is_none() {
        return Err(Problem::NoModel("the file holds neither a dictionary nor a model".into()));
    }
    // The exponential moving average is what training evaluates; stripped files have it moved to `model`.
    for key in ["ema", "model", "state_dict", "model_state_dict"] {
        match file.arena.entry(top, key).map(|id| (id, file.arena.get(id))) {
            Some((id, Node::Object { .. })) => return model::read(file, id, &format!("a checkpoint (`{key}`)")),
            Some((id, Node::Dict(_))) => return state_dict::read(file, id),
            _ => {}
        }
    }
    state_dict::read(file, top)
}

/// Whether `torch.save` may have written it.
pub(super) fn is_torch(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") || bytes.starts_with(legacy::MAGIC)
}

fn describe(bytes: &[u8]) -> String {
    let known: &[(&[u8], &str)] = &[
        (b"version https://git-lfs", "a Git LFS pointer (the real file was not downloaded: run `git lfs pull`)"),
        (b"<!DOCTYPE", "an HTML page (a download that went wrong)"),
        (b"<html", "an HTML page (a download that went wrong)"),
        (b"\x89HDF", "an HDF5 file"),
        (b"\x80\x02", "a bare Python pickle"),
        (b"\x80\x03", "a bare Python pickle"),
        (b"\x80\x04", "a bare Python pickle"),
        (b"\x80\x05", "a bare Python pickle"),
        (b"GGUF", "a GGUF file"),
        (b"\x1f\x8b", "a gzip file"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"\x89PNG", "a PNG image"),
    ];
    if bytes.is_empty() {
        return "the file is empty".into();
    }
    if let Some((_, what)) = known.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return (*what).into();
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return "a tar file (the oldest torch.save format)".into();
    }
    // An ONNX file opens with its ir_version, and the producer's name follows soon.
    if bytes.first() == Some(&0x08) && bytes.windows(4).take(200).any(|window| window == b"onnx" || window == b"pyto") {
        return "an ONNX file".into();
    }
    if bytes.starts_with(b"nc:") || bytes.windows(10).take(1 << 16).any(|window| window == b"\nbackbone:") {
        return "a YAML config, which has no weights".into();
    }
    let text = bytes.iter().take(512).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
    if text { "a text file".into() } else { "unknown binary data".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_called_by_their_names() {
        struct Case(&'static [u8], &'static str);
        for Case(bytes, expected) in [
            Case(b"", "the file is empty"),
            Case(b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS pointer"),
            Case(b"<!DOCTYPE html>", "an HTML page"),
            Case(b"nc: 80\nbackbone: []", "a YAML config, which has no weights"),
            Case(b"hello", "a text file"),
            Case(b"\x00\x01\x02", "unknown binary data"),
            Case(b"\x08\x07\x12\x07pytorch", "an ONNX file"),
            Case(legacy::MAGIC, "damaged pickle"),
            Case(b"\xff\xd8\xff\xe0", "a JPEG image"),
        ] {
            let message = read(bytes).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
