//! The text of a file, or of standard input, that a person wrote with whatever editor is at hand.
//!
//! Windows' editors and shells put a byte order mark before the text, or write UTF-16 with one. What must hold: neither
//! becomes a part of a secret, and what is no text is said to be none, without repeating any of it.

use std::io;
use std::path::Path;

/// The file's text without a byte order mark.
///
/// # Errors
/// When the file cannot be read or is no text.
pub fn read(path: &Path) -> io::Result<String> {
    decode(&std::fs::read(path)?).map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem))
}

/// UTF-8 with or without a byte order mark; UTF-16 with one.
///
/// # Errors
/// What is wrong with it, without a part of it.
pub fn decode(bytes: &[u8]) -> Result<String, &'static str> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text in UTF-8: save it as UTF-8")?;
    // Every other byte is zero where UTF-16 was written without a mark.
    if text.contains('\0') { Err("it holds zero bytes: save it as text in UTF-8") } else { Ok(text.to_owned()) }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, &'static str> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    match (rest, String::from_utf16(&units)) {
        ([], Ok(text)) => Ok(text),
        _ => Err("it begins like UTF-16 but is not UTF-16: save it as UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_text() {
        let wide = |bytes: fn(u16) -> [u8; 2]| "\u{feff}tök€n\r\n".encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        for bytes in [
            "tök€n\r\n".as_bytes().to_vec(),
            "\u{feff}tök€n\r\n".as_bytes().to_vec(),
            wide(u16::to_le_bytes),
            wide(u16::to_be_bytes),
        ] {
            assert_eq!(decode(&bytes).as_deref(), Ok("tök€n\r\n"), "{bytes:?}");
        }
        assert_eq!(decode(b"\xef\xbb\xbf").as_deref(), Ok(""));
    }

    #[test]
    fn what_is_no_text_is_said_to_be_none() {
        for bytes in [&b"caf\xe9"[..], b"t\0o\0k\0", b"\xff\xfet", b"\xff\xfe\x00\xd8"] {
            assert!(decode(bytes).unwrap_err().contains("UTF-8"), "{bytes:?}");
        }
    }
}
