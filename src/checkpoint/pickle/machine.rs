//! The stack machine.

use std::collections::HashMap;

use super::opcode::Opcode;
use super::value::{Arena, Id, Node};
use crate::checkpoint::Problem;
use crate::untrusted::shortened;

/// A whole-model checkpoint of the largest network has about 200,000 values.
const MAX_VALUES: usize = 2_000_000;
/// And a `data.pkl` of about half a megabyte.
const MAX_LENGTH: usize = 64 << 20;
/// The longest names of modules and classes have some 60 bytes.
const MAX_NAME: usize = 512;

type MachineStep<T = ()> = Result<T, String>;

/// Reads one pickle and gives its values and the one at the top.
pub(in crate::checkpoint) fn parse(bytes: &[u8]) -> Result<(Arena<'_>, Id), Problem> {
    parse_first(bytes).map(|(arena, top, _)| (arena, top))
}

/// Reads the pickle that `bytes` begins with; gives its length too.
pub(in crate::checkpoint) fn parse_first(bytes: &[u8]) -> Result<(Arena<'_>, Id, usize), Problem> {
    let bytes = &bytes[..bytes.len().min(MAX_LENGTH + 1)];
    let too_long = || Problem::Pickle { offset: 0, reason: format!("longer than {MAX_LENGTH} bytes") };
    let mut machine = Machine { bytes, ..Machine::default() };
    loop {
        let offset = machine.position;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(_)) if machine.position > MAX_LENGTH => return Err(too_long()),
            Ok(Some(top)) => return Ok((machine.arena, top, machine.position)),
            Err(_) if machine.position >= MAX_LENGTH => return Err(too_long()),
            Err(reason) => return Err(Problem::Pickle { offset, reason }),
        }
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    arena: Arena<'a>,
    stack: Vec<Id>,
    /// Stack heights at each MARK.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Items copied out of lists; unlike everything else, a few bytes can ask for many of them.
    copied: usize,
}

impl<'a> Machine<'a> {
    /// Executes one opcode; gives the result at STOP.
    fn step(&mut self) -> MachineStep<Option<Id>> {
        use Opcode as O;
        let byte = self.take(1)?[0];
        let opcode = O::from_byte(byte).ok_or_else(|| format!("unknown opcode 0x{byte:02x}"))?;
        match opcode {
            O::Stop => return self.pop().map(Some),
            O::Proto => self.protocol()?,
            O::Frame => drop(self.take(8)?),
            O::Mark => self.mark()?,
            O::Pop => self.pop_or_unmark()?,
            O::PopMark => drop(self.pop_to_mark()?),
            O::Dup => self.push_id(self.top()?)?,
            O::Put | O::BinPut | O::LongBinPut | O::Memoize => self.put(opcode)?,
            O::Get | O::BinGet | O::LongBinGet => self.get(opcode)?,
            O::Append | O::Appends | O::SetItem | O::SetItems | O::AddItems => self.extend(opcode)?,
            O::Global | O::StackGlobal | O::Reduce | O::NewObj | O::NewObjEx | O::Build | O::BinPersId => {
                self.symbol(opcode)?;
            }
            _ => {
                let node = match self.scalar(opcode)? {
                    Some(node) => node,
                    None => self.container(opcode)?,
                };
                self.push(node)?;
            }
        }
        Ok(None)
    }

    fn protocol(&mut self) -> MachineStep {
        match self.take(1)?[0] {
            0..=5 => Ok(()),
            version => Err(format!("pickle protocol {version}; expected at most 5")),
        }
    }

    fn scalar(&mut self, opcode: Opcode) -> MachineStep<Option<Node<'a>>> {
        use Opcode as O;
        Ok(Some(match opcode {
            O::None => Node::None,
            O::NewTrue => Node::Bool(true),
            O::NewFalse => Node::Bool(false),
            O::BinInt => Node::Int(i32::from_le_bytes(self.array()?).into()),
            O::BinInt1 => Node::Int(self.take(1)?[0].into()),
            O::BinInt2 => Node::Int(u16::from_le_bytes(self.array()?).into()),
            O::Long1 | O::Long4 => {
                let digits = self.counted(if opcode == O::Long1 { 1 } else { 4 })?;
                little_endian_integer(digits)
            }
            O::BinFloat => Node::Float(f64::from_be_bytes(self.array()?)),
            O::ShortBinUnicode | O::ShortBinString => text(self.counted(1)?),
            O::BinUnicode | O::BinString => text(self.counted(4)?),
            O::BinUnicode8 => text(self.counted(8)?),
            O::ShortBinBytes => self.opaque(1)?,
            O::BinBytes => self.opaque(4)?,
            O::BinBytes8 | O::ByteArray8 => self.opaque(8)?,
            _ => return Ok(None),
        }))
    }

    fn container(&mut self, opcode: Opcode) -> MachineStep<Node<'a>> {
        use Opcode as O;
        Ok(match opcode {
            O::EmptyTuple => Node::Tuple(Vec::new()),
            O::EmptyList => Node::List(Vec::new()),
            O::EmptyDict => Node::Dict(Vec::new()),
            O::EmptySet => Node::Set(Vec::new()),
            O::Tuple => Node::Tuple(self.pop_to_mark()?),
            O::Tuple1 => Node::Tuple(self.pop_many(1)?),
            O::Tuple2 => Node::Tuple(self.pop_many(2)?),
            O::Tuple3 => Node::Tuple(self.pop_many(3)?),
            O::List => Node::List(self.pop_to_mark()?),
            O::FrozenSet => Node::Set(self.pop_to_mark()?),
            O::Dict => Node::Dict(pairs(self.pop_to_mark()?)?),
            other => return Err(format!("opcode {other:?}, which no checkpoint needs, is not supported")),
        })
    }

    fn symbol(&mut self, opcode: Opcode) -> MachineStep {
        use Opcode as O;
        let node = match opcode {
            O::Global => {
                let (module, name) = (self.line()?, self.line()?);
                symbol(module, name)?
            }
            O::StackGlobal => {
                let parts = self.pop_many(2)?;
                match (self.arena.text(parts[0]), self.arena.text(parts[1])) {
                    (Some(module), Some(name)) => symbol(module, name)?,
                    _ => return Err("a global whose module and name are not text".into()),
                }
            }
            O::Reduce => {
                let parts = self.pop_many(2)?;
                self.reduce(parts[0], parts[1])?
            }
            O::NewObj => Node::Object { class: self.pop_many(2)?[0], state: None },
            O::NewObjEx => Node::Object { class: self.pop_many(3)?[0], state: None },
            O::BinPersId => Node::Persistent(self.pop()?),
            _ => return self.build(),
        };
        self.push(node)
    }

    /// The record of a call, or the container that it would build.
    fn reduce(&mut self, callable: Id, args: Id) -> MachineStep<Node<'a>> {
        let global = self.arena.global(callable);
        let first = self.arena.items(args).and_then(|items| items.first()).copied();
        let items = first.and_then(|list| self.arena.items(list)).unwrap_or_default();
        let container = match global {
            Some(("collections", "OrderedDict")) => {
                let entries = items.iter().filter_map(|pair| match self.arena.items(*pair) {
                    Some([key, value]) => Some((*key, *value)),
                    _ => None,
                });
                Node::Dict(entries.collect())
            }
            Some(("__builtin__" | "builtins", "set" | "frozenset")) => Node::Set(items.to_vec()),
            _ => return Ok(Node::Call { callable, args, state: None }),
        };
        self.copied += items.len();
        if let Some(symbol) = global {
            self.arena.count_container(symbol);
        }
        if self.copied > MAX_VALUES { Err(format!("more than {MAX_VALUES} copied items")) } else { Ok(container) }
    }

    /// Attaches a state. Containers such as state dicts get one too (`_metadata`), which says nothing about weights.
    fn build(&mut self) -> MachineStep {
        let new_state = self.pop()?;
        let target = self.top()?;
        match self.arena.get_mut(target) {
            Node::Object { state, .. } | Node::Call { state, .. } => *state = Some(new_state),
            Node::Dict(_) | Node::Set(_) | Node::List(_) => {}
            other => return Err(format!("BUILD on {}", other.kind())),
        }
        Ok(())
    }

    fn extend(&mut self, opcode: Opcode) -> MachineStep {
        let items = match opcode {
            Opcode::Append => self.pop_many(1)?,
            Opcode::SetItem => self.pop_many(2)?,
            _ => self.pop_to_mark()?,
        };
        let target = self.top()?;
        match (opcode, self.arena.get_mut(target)) {
            (Opcode::SetItem | Opcode::SetItems, Node::Dict(entries)) => entries.extend(pairs(items)?),
            (Opcode::Append | Opcode::Appends, Node::List(list)) => list.extend(items),
            (Opcode::AddItems, Node::Set(set)) => set.extend(items),
            // Items of a container class that we do not know: part of something that we do not look into.
            (_, Node::Object { .. } | Node::Call { .. }) => {}
            (_, other) => return Err(format!("{opcode:?} on {}", other.kind())),
        }
        Ok(())
    }

    fn put(&mut self, opcode: Opcode) -> MachineStep {
        let key = match opcode {
            Opcode::BinPut => self.take(1)?[0].into(),
            Opcode::LongBinPut => u32::from_le_bytes(self.array()?),
            Opcode::Memoize => self.memo.len() as u32,
            _ => self.decimal()?,
        };
        let top = self.top()?;
        if self.memo.len() >= MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} memo entries"));
        }
        self.memo.insert(key, top);
        Ok(())
    }

    fn get(&mut self, opcode: Opcode) -> MachineStep {
        let key = match opcode {
            Opcode::BinGet => self.take(1)?[0].into(),
            Opcode::LongBinGet => u32::from_le_bytes(self.array()?),
            _ => self.decimal()?,
        };
        let id = *self.memo.get(&key).ok_or_else(|| format!("memo entry {key} was never written"))?;
        self.push_id(id)
    }

    fn push(&mut self, node: Node<'a>) -> MachineStep {
        if self.arena.len() >= MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        let id = self.arena.add(node);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> MachineStep {
        if self.stack.len() >= MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values on the stack"));
        }
        self.stack.push(id);
        Ok(())
    }

    fn mark(&mut self) -> MachineStep {
        if self.marks.len() >= MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} marks"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Height below which values belong to an open MARK.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> MachineStep<Id> {
        self.stack.last().copied().ok_or_else(|| "the stack is empty".into())
    }

    fn pop(&mut self) -> MachineStep<Id> {
        Ok(self.pop_many(1)?[0])
    }

    fn pop_many(&mut self, count: usize) -> MachineStep<Vec<Id>> {
        match self.stack.len().checked_sub(count) {
            Some(start) if start >= self.floor() => Ok(self.stack.split_off(start)),
            _ => Err(format!("needs {count} values on the stack")),
        }
    }

    fn pop_or_unmark(&mut self) -> MachineStep {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn pop_to_mark(&mut self) -> MachineStep<Vec<Id>> {
        let mark = self.marks.pop().ok_or("needs a MARK")?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, count: usize) -> MachineStep<&'a [u8]> {
        let end = self.position.checked_add(count);
        let bytes = end
            .and_then(|end| self.bytes.get(self.position..end))
            .ok_or_else(|| format!("ends in the middle: {count} more bytes expected"))?;
        self.position += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> MachineStep<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// Bytes behind a little-endian length of `width` bytes.
    fn counted(&mut self, width: usize) -> MachineStep<&'a [u8]> {
        let length = self.take(width)?.iter().rev().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
        self.take(usize::try_from(length).map_err(|_| "a length beyond memory")?)
    }

    fn opaque(&mut self, width: usize) -> MachineStep<Node<'a>> {
        self.counted(width).map(|_| Node::Bytes)
    }

    fn line(&mut self) -> MachineStep<&'a str> {
        let rest = &self.bytes[self.position..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or("a line without end")?;
        self.position += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|_| "a name that is not UTF-8".into())
    }

    fn decimal(&mut self) -> MachineStep<u32> {
        let line = self.line()?;
        line.parse().map_err(|_| format!("`{}` is not a memo number", shortened(line, 20)))
    }
}

/// A class or function by name.
fn symbol<'a>(module: &'a str, name: &'a str) -> MachineStep<Node<'a>> {
    if module.contains(char::is_control) || name.contains(char::is_control) {
        return Err("the name of a class or module has control characters".into());
    }
    match module.len().max(name.len()) {
        0..=MAX_NAME => Ok(Node::Global { module, name }),
        length => Err(format!("the name of a class or module has {length} bytes; at most {MAX_NAME} are read")),
    }
}

fn pairs(items: Vec<Id>) -> MachineStep<Vec<(Id, Id)>> {
    match items.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
        _ => Err("a key without value".into()),
    }
}

/// Text that is not UTF-8 (Python 2 strings) stays bytes; no key or name is such.
fn text(bytes: &[u8]) -> Node<'_> {
    std::str::from_utf8(bytes).map_or(Node::Bytes, Node::Text)
}

/// Two's complement, little-endian, any length.
fn little_endian_integer(digits: &[u8]) -> Node<'_> {
    if digits.len() > 8 {
        return Node::HugeInt;
    }
    let fill = if digits.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 };
    let mut bytes = [fill; 8];
    bytes[..digits.len()].copy_from_slice(digits);
    Node::Int(i64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_with_shared_values_is_read() {
        // {'a': [1, -2, 'x'], 'b': <the same list>}
        let pickle = b"\x80\x02}q\x00(X\x01\x00\x00\x00a]q\x01(K\x01J\xfe\xff\xff\xffX\x01\x00\x00\x00xeX\x01\x00\x00\x00bh\x01u.";
        let (arena, top) = parse(pickle).unwrap();
        let (a, b) = (arena.entry(top, "a").unwrap(), arena.entry(top, "b").unwrap());
        assert_eq!(a, b);
        assert!(matches!(arena.items(a).unwrap(), [one, minus_two, x]
            if matches!(arena.get(*one), Node::Int(1))
            && matches!(arena.get(*minus_two), Node::Int(-2))
            && arena.text(*x) == Some("x")));
    }

    #[test]
    fn integers_of_any_length_are_read() {
        struct Case(&'static [u8], Option<i64>);
        for Case(digits, expected) in
            [Case(b"", Some(0)), Case(b"\xff", Some(-1)), Case(b"\xff\x00", Some(255)), Case(&[1; 10], None)]
        {
            match (little_endian_integer(digits), expected) {
                (Node::Int(value), Some(expected)) => assert_eq!(value, expected),
                (Node::HugeInt, None) => {}
                (other, _) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn each_way_to_be_damaged_says_where() {
        struct Case(&'static [u8], &'static str);
        for Case(pickle, message) in [
            Case(b"", "damaged pickle at byte 0: ends in the middle: 1 more bytes expected"),
            Case(b"K", "damaged pickle at byte 0: ends in the middle: 1 more bytes expected"),
            Case(b"N\xfe", "damaged pickle at byte 1: unknown opcode 0xfe"),
            Case(b".", "damaged pickle at byte 0: needs 1 values on the stack"),
            Case(b"(N(a.", "damaged pickle at byte 3: needs 1 values on the stack"),
            Case(b"h\x07.", "damaged pickle at byte 0: memo entry 7 was never written"),
            Case(b"t.", "damaged pickle at byte 0: needs a MARK"),
            Case(b"}(Nu.", "damaged pickle at byte 3: a key without value"),
            Case(b"X\xff\xff\xff\xff", "damaged pickle at byte 0: ends in the middle: 4294967295 more bytes expected"),
            Case(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "ends in the middle"),
            Case(b"\x80\x09", "pickle protocol 9; expected at most 5"),
            Case(b"cposix\nsystem", "a line without end"),
            Case(b"Pevil\n.", "opcode PersId, which no checkpoint needs, is not supported"),
            Case(b"K\x01Nb.", "BUILD on a whole number"),
        ] {
            let error = parse(pickle).unwrap_err().to_string();
            assert!(error.contains(message), "{error} instead of {message}");
        }
    }

    #[test]
    fn copies_of_one_list_are_bounded() {
        // q0 = [None] * 60_000; then set(q0) again and again, five bytes each.
        let mut pickle = b"c__builtin__\nset\nq\x01](".to_vec();
        pickle.extend(std::iter::repeat_n(b'N', 60_000));
        pickle.extend(b"e\x85q\x02");
        for _ in 0..200 {
            pickle.extend(b"h\x01h\x02R");
        }
        assert!(parse(&pickle).unwrap_err().to_string().contains("more than 2000000 copied items"));
    }

    #[test]
    fn nesting_and_cycles_do_not_overflow_the_stack() {
        let mut deep = vec![b'N'];
        deep.extend(std::iter::repeat_n(0x85, 1_500_000));
        deep.push(b'.');
        assert!(parse(&deep).is_ok());
        // A list that contains itself.
        assert!(parse(b"]q\x00h\x00a.").is_ok());
    }
}
