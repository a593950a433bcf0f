//! Pickles written by hand: pieces that leave one value on the stack, and whole ones. Protocol 2, as torch.save has it.

/// A whole pickle of a value.
pub fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

pub fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

pub fn int(value: i64) -> Vec<u8> {
    match i32::try_from(value) {
        Ok(value) => [b"J", &value.to_le_bytes()[..]].concat(),
        Err(_) => [b"\x8a\x08", &value.to_le_bytes()[..]].concat(),
    }
}

pub fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

pub fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(".to_vec(), items.concat(), b"t".to_vec()].concat()
}

pub fn list(items: &[Vec<u8>]) -> Vec<u8> {
    [b"](".to_vec(), items.concat(), b"e".to_vec()].concat()
}

pub fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<u8> = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"}(".to_vec(), entries, b"u".to_vec()].concat()
}

/// A call without arguments that PyTorch would make.
pub fn call(callable: &[u8], arguments: &[u8]) -> Vec<u8> {
    [callable, arguments, b"R"].concat()
}

pub fn object(module: &str, name: &str, state: &[u8]) -> Vec<u8> {
    [&global(module, name), &b")\x81"[..], state, b"b"].concat()
}

/// Remembers the value on top of the stack, which stays there.
pub fn put(number: u32) -> Vec<u8> {
    [b"r", &number.to_le_bytes()[..]].concat()
}

/// A remembered value.
pub fn get(number: u32) -> Vec<u8> {
    [b"j", &number.to_le_bytes()[..]].concat()
}

/// Makes a value, remembers it, and takes it off the stack.
pub fn define(number: u32, value: &[u8]) -> Vec<u8> {
    [value, &put(number), b"0"].concat()
}

pub fn storage(kind: &str, key: &str, count: i64) -> Vec<u8> {
    [tuple(&[text("storage"), global("torch", kind), text(key), text("cpu"), int(count)]), b"Q".to_vec()].concat()
}

/// A tensor in storage `0` of 16 floats.
pub fn tensor(offset: i64, size: &[i64], strides: &[i64]) -> Vec<u8> {
    tensor_in(&storage("FloatStorage", "0", 16), offset, size, strides)
}

pub fn tensor_in(storage: &[u8], offset: i64, size: &[i64], strides: &[i64]) -> Vec<u8> {
    let numbers = |numbers: &[i64]| tuple(&numbers.iter().map(|n| int(*n)).collect::<Vec<_>>());
    let hooks = call(&global("collections", "OrderedDict"), b")");
    let arguments = tuple(&[storage.to_vec(), int(offset), numbers(size), numbers(strides), b"\x89".to_vec(), hooks]);
    call(&global("torch._utils", "_rebuild_tensor_v2"), &arguments)
}

/// `{'model': DetectionModel}` with these entries in the model's state; by default one parameter.
pub fn model(state: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut entries = vec![
        ("_parameters", dict(&[("w", tensor(0, &[16], &[1]))])),
        ("_buffers", b"}".to_vec()),
        ("_modules", b"}".to_vec()),
    ];
    for (key, value) in state {
        entries.retain(|(known, _)| known != key);
        entries.push((key, value.clone()));
    }
    dict(&[("model", object("models.yolo", "DetectionModel", &dict(&entries)))])
}
