//! The opcodes (CPython's `pickletools`), one table for decoding and for messages.

macro_rules! opcodes {
    ($($name:ident = $byte:literal),* $(,)?) => {
        /// A pickle opcode.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Opcode { $($name),* }

        impl Opcode {
            pub(super) fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Opcode::$name),)* _ => None }
            }
        }
    };
}

opcodes! {
    Proto = 0x80, Frame = 0x95, Stop = b'.',
    Mark = b'(', Pop = b'0', PopMark = b'1', Dup = b'2',
    None = b'N', NewTrue = 0x88, NewFalse = 0x89,
    BinInt = b'J', BinInt1 = b'K', BinInt2 = b'M', Long1 = 0x8a, Long4 = 0x8b, BinFloat = b'G',
    BinUnicode = b'X', ShortBinUnicode = 0x8c, BinUnicode8 = 0x8d,
    BinString = b'T', ShortBinString = b'U',
    BinBytes = b'B', ShortBinBytes = b'C', BinBytes8 = 0x8e, ByteArray8 = 0x96,
    EmptyTuple = b')', Tuple = b't', Tuple1 = 0x85, Tuple2 = 0x86, Tuple3 = 0x87,
    EmptyList = b']', List = b'l', Append = b'a', Appends = b'e',
    EmptyDict = b'}', Dict = b'd', SetItem = b's', SetItems = b'u',
    EmptySet = 0x8f, AddItems = 0x90, FrozenSet = 0x91,
    Put = b'p', BinPut = b'q', LongBinPut = b'r', Memoize = 0x94,
    Get = b'g', BinGet = b'h', LongBinGet = b'j',
    Global = b'c', StackGlobal = 0x93, Reduce = b'R', NewObj = 0x81, NewObjEx = 0x92, Build = b'b',
    BinPersId = b'Q',
    // Known, and refused: text forms that no PyTorch version writes, calls without a symbol, extension registries,
    // out-of-band buffers.
    Int = b'I', Long = b'L', Float = b'F', Text = b'S', Unicode = b'V',
    Inst = b'i', Obj = b'o', PersId = b'P', Ext1 = 0x82, Ext2 = 0x83, Ext4 = 0x84,
    NextBuffer = 0x97, ReadonlyBuffer = 0x98,
}
