//! The central directory of a zip file (PKWARE's APPNOTE.TXT, sections 4.3 and 4.4), read strictly.
//!
//! Two readers can see different files in one archive: where an entry stands twice, or once more in other case (PyTorch
//! looks names up without regard to it), where a comment holds a second directory, where a local header contradicts the
//! directory. Then what we show of a file would not be what PyTorch runs. The usual crates settle such cases in silence,
//! each in its own way; here all of them are refused, so that there is one reading.

use std::collections::HashSet;

/// A training checkpoint of the largest model has about 5000 entries.
const MAX_ENTRIES: usize = 200_000;
/// And names of some 40 bytes.
const MAX_NAME: usize = 512;

const END: u32 = 0x0605_4b50;
const END_LENGTH: usize = 22;
const END64: u32 = 0x0606_4b50;
const END64_LENGTH: usize = 56;
const LOCATOR64: u32 = 0x0706_4b50;
const LOCATOR64_LENGTH: usize = 20;
const CENTRAL: u32 = 0x0201_4b50;
const CENTRAL_LENGTH: usize = 46;
const LOCAL: u32 = 0x0403_4b50;
const LOCAL_LENGTH: usize = 30;
/// Kind of the extra field with numbers that do not fit into 32 bits.
const EXTRA64: u16 = 1;

/// An entry, stored without compression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ZipEntry<'a> {
    pub(super) name: &'a str,
    /// First byte of its data.
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) crc32: u32,
}

type Read<T> = Result<T, String>;

/// All entries, in the order of the directory.
///
/// # Errors
/// A sentence that says what is damaged, or what two readers could take differently.
pub(super) fn entries(bytes: &[u8]) -> Read<Vec<ZipEntry<'_>>> {
    let directory = Directory::find(bytes)?;
    let mut entries = Vec::new();
    let mut names = HashSet::new();
    let mut ends = Vec::new();
    let mut position = directory.start;
    for _ in 0..directory.count {
        let (entry, header, next) = central(bytes, position, directory.start)?;
        if !names.insert(entry.name.to_lowercase()) {
            return Err(format!("entry {} is there twice (in any case), so readers could take either", entry.name));
        }
        ends.push((header, entry.start + entry.length));
        entries.push(entry);
        position = next;
    }
    if position != directory.end {
        return Err(format!("its directory ends at byte {position}, and should at {}", directory.end));
    }
    ends.sort_unstable();
    match ends.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        Some(pair) => Err(format!("the entries at bytes {} and {} overlap", pair[0].0, pair[1].0)),
        None => Ok(entries),
    }
}

/// Where the directory lies, and how many entries it has.
struct Directory {
    start: usize,
    end: usize,
    count: usize,
}

impl Directory {
    /// The end record must be the last thing in the file: with a comment behind it, which may lie about its length, a
    /// reader that looks backwards can find another one.
    fn find(bytes: &[u8]) -> Read<Self> {
        let no_end = "it does not end with the end record of a zip file; it is cut off, or something follows it";
        let at = bytes.len().checked_sub(END_LENGTH).filter(|at| number32(bytes, *at) == Ok(END)).ok_or(no_end)?;
        let [disk, start_disk, here, count] = [4, 6, 8, 10].map(|field| number16(bytes, at + field));
        let (count, here) = (count?, here?);
        if number16(bytes, at + 20)? != 0 {
            return Err("its end record announces a comment, which torch.save never writes".into());
        }
        if disk? != 0 || start_disk? != 0 || here != count {
            return Err("it is a part of several files".into());
        }
        let (length, start) = (number32(bytes, at + 12)?, number32(bytes, at + 16)?);
        let short = Self {
            start: start as usize,
            end: (start as usize).saturating_add(length as usize),
            count: usize::from(count),
        };
        let (directory, records) = match Self::find64(bytes, at)? {
            None if count == u16::MAX || length == u32::MAX || start == u32::MAX => {
                return Err("its end record refers to one of zip64, which is missing".into());
            }
            None => (short, at),
            Some((long, record)) => {
                let length64 = (long.end - long.start) as u64;
                let agree = |short: u64, most: u64, long: u64| short == most || short == long;
                let same = agree(count.into(), u16::MAX.into(), long.count as u64)
                    && agree(length.into(), u32::MAX.into(), length64)
                    && agree(start.into(), u32::MAX.into(), long.start as u64);
                if !same {
                    return Err("its two end records contradict each other".into());
                }
                (long, record)
            }
        };
        if directory.end != records {
            return Err(format!(
                "its directory is said to end at byte {}, and the end record begins at {records}",
                directory.end
            ));
        }
        if directory.count > MAX_ENTRIES {
            return Err(format!("{} entries; more than {MAX_ENTRIES} are not read", directory.count));
        }
        Ok(directory)
    }

    /// What the end record of zip64 says, which stands right before its locator and the end record at `end`, and where
    /// it begins; nothing if there is no locator.
    fn find64(bytes: &[u8], end: usize) -> Read<Option<(Self, usize)>> {
        let Some(locator) = end.checked_sub(LOCATOR64_LENGTH).filter(|at| number32(bytes, *at) == Ok(LOCATOR64)) else {
            return Ok(None);
        };
        let misplaced = "its zip64 end record is not where it should be";
        let record = locator.checked_sub(END64_LENGTH).ok_or(misplaced)?;
        let stated = number64(bytes, locator + 8)?;
        if stated != record as u64 || number32(bytes, record)? != END64 || number64(bytes, record + 4)? != 44 {
            return Err(misplaced.into());
        }
        let disks = [number32(bytes, record + 16)?, number32(bytes, record + 20)?, number32(bytes, locator + 4)?];
        let [here, count, length, start] = [24, 32, 40, 48].map(|field| number64(bytes, record + field));
        let (count, start) = (size(count?)?, size(start?)?);
        if disks != [0, 0, 0] || here? != count as u64 || !matches!(number32(bytes, locator + 16)?, 0 | 1) {
            return Err("it is a part of several files".into());
        }
        let end = start.checked_add(size(length?)?).ok_or(misplaced)?;
        Ok(Some((Self { start, end, count }, record)))
    }
}

/// The entry of the directory at a position, the place of its local header, and where the next one begins.
fn central(bytes: &[u8], at: usize, directory: usize) -> Read<(ZipEntry<'_>, usize, usize)> {
    if number32(bytes, at)? != CENTRAL {
        return Err(format!("there is no directory entry at byte {at}"));
    }
    let [flags, method, name, extra, comment] = [8, 10, 28, 30, 32].map(|field| number16(bytes, at + field));
    let (extra, comment) = (usize::from(extra?), usize::from(comment?));
    let name_end = at + CENTRAL_LENGTH + usize::from(name?);
    let name = name_at(bytes, at + CENTRAL_LENGTH, name_end)?;
    let next = name_end + extra + comment;
    let extra = bytes.get(name_end..name_end + extra).ok_or_else(ends)?;
    let [packed, length, offset] = [20, 24, 42].map(|field| number32(bytes, at + field));
    // In this order, and only those that do not fit.
    let mut long = Long::of(extra)?;
    let (length, packed, offset) = (long.or(length?)?, long.or(packed?)?, long.or(offset?)?);
    let (flags, method) = (flags?, method?);
    if method != 0 || length != packed {
        return Err(format!("entry {name} is compressed, which torch.save never does"));
    }
    if flags & 1 != 0 {
        return Err(format!("entry {name} is encrypted"));
    }
    let start = local(bytes, offset, (name, method, flags))?;
    let entry = ZipEntry { name, start, length, crc32: number32(bytes, at + 16)? };
    match start.checked_add(length) {
        Some(end) if end <= directory => Ok((entry, offset, next)),
        _ => Err(format!("entry {name}: its {length} bytes at {start} reach beyond the entries")),
    }
}

/// Where the data of an entry begins. Its own header must say what the directory says.
fn local(bytes: &[u8], at: usize, (name, method, flags): (&str, u16, u16)) -> Read<usize> {
    let is_header = number32(bytes, at) == Ok(LOCAL);
    let field = |field: usize| number16(bytes, at + field);
    if !is_header || field(6)? != flags || field(8)? != method {
        return Err(format!("entry {name}: its own header at byte {at} is not what the directory says"));
    }
    let name_end = at + LOCAL_LENGTH + usize::from(field(26)?);
    if name_at(bytes, at + LOCAL_LENGTH, name_end)? != name {
        return Err(format!("entry {name} has another name in its own header"));
    }
    Ok(name_end + usize::from(field(28)?))
}

fn name_at(bytes: &[u8], start: usize, end: usize) -> Read<&str> {
    let name = std::str::from_utf8(bytes.get(start..end).ok_or_else(ends)?);
    let name = name.map_err(|_| format!("the name at byte {start} is not UTF-8"))?;
    if name.is_empty() || name.len() > MAX_NAME || name.contains(['\0', '\\']) {
        return Err(format!("the name at byte {start} is none that torch.save writes"));
    }
    Ok(name)
}

/// The 64-bit numbers of an entry's extra field.
struct Long<'a>(&'a [u8]);

impl<'a> Long<'a> {
    fn of(mut extra: &'a [u8]) -> Read<Self> {
        while !extra.is_empty() {
            let length = usize::from(number16(extra, 2)?);
            let field = extra.get(4..4 + length).ok_or_else(ends)?;
            if number16(extra, 0)? == EXTRA64 {
                return Ok(Self(field));
            }
            extra = &extra[4 + length..];
        }
        Ok(Self(&[]))
    }

    /// A number, or the next long one if it says so.
    fn or(&mut self, short: u32) -> Read<usize> {
        if short != u32::MAX {
            return Ok(short as usize);
        }
        let long = number64(self.0, 0)?;
        self.0 = &self.0[8..];
        size(long)
    }
}

fn ends() -> String {
    "it ends in the middle of its directory".into()
}

fn size(number: u64) -> Read<usize> {
    usize::try_from(number).map_err(|_| "it states a length beyond memory".into())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Read<[u8; N]> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().ok_or_else(ends)
}

fn number16(bytes: &[u8], at: usize) -> Read<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn number32(bytes: &[u8], at: usize) -> Read<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn number64(bytes: &[u8], at: usize) -> Read<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}
