//! What makes items of bytes.

use serde_json::Value;

/// The largest item that Step Functions reads, in bytes.
pub(super) const ITEM_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// Makes items of bytes.
pub(super) trait Parser {
    /// Takes as many bytes as the next item needs, or all; gives how many, and the item if they end one.
    fn feed(&mut self, bytes: &[u8]) -> Result<(usize, Option<Value>), String>;

    /// There are no more bytes; gives the item that ends with them.
    fn end(&mut self) -> Result<Option<Value>, String>;
}

/// Feeds a parser that looks at each byte.
pub(super) fn each_byte(
    bytes: &[u8],
    mut feed: impl FnMut(u8) -> Result<Option<Value>, String>,
) -> Result<(usize, Option<Value>), String> {
    for (before, &byte) in bytes.iter().enumerate() {
        if let Some(item) = feed(byte)? {
            return Ok((before + 1, Some(item)));
        }
    }
    Ok((bytes.len(), None))
}

/// Adds bytes to an item that is not complete.
pub(super) fn add(item: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
    if item.len() + bytes.len() > ITEM_LIMIT_BYTES {
        return Err(format!("an item is larger than {ITEM_LIMIT_BYTES} bytes"));
    }
    item.extend_from_slice(bytes);
    Ok(())
}

/// Leaves out the mark that a text of UTF-8 may begin with.
#[derive(Default)]
pub(super) struct ByteOrderMark(usize);

impl ByteOrderMark {
    pub(super) const BYTES: [u8; 3] = [0xef, 0xbb, 0xbf];

    /// Whether the byte belongs to the mark.
    pub(super) fn skips(&mut self, byte: u8) -> bool {
        let belongs = Self::BYTES.get(self.0) == Some(&byte);
        self.0 = if belongs { self.0 + 1 } else { usize::MAX };
        belongs
    }
}

#[cfg(test)]
pub(super) fn parsed(mut parser: impl Parser, text: &str) -> Result<Vec<Value>, String> {
    let mut items = Vec::new();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let (taken, item) = parser.feed(rest)?;
        items.extend(item);
        rest = &rest[taken..];
    }
    items.extend(parser.end()?);
    Ok(items)
}
