//! Amounts in human-readable form.

/// A text that is not an amount of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidByteCount(&'static str);

/// Parses an amount of bytes: digits, then optionally k, M, G or T (powers of 1024).
///
/// ```
/// use glance_core::units::byte_count;
///
/// assert_eq!(byte_count("512k"), Ok(512 * 1024));
/// assert!(byte_count("10 apples").is_err());
/// ```
///
/// # Errors
/// When `text` is not an amount of bytes, or the amount does not fit into 64 bits.
pub fn byte_count(text: &str) -> Result<u64, InvalidByteCount> {
    let number = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let power = match text[number.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => {
            return Err(InvalidByteCount("write bytes as 512k, 10M, 1G or 1T, without B or b"));
        }
    };
    let number: u64 = number.parse().map_err(|_| InvalidByteCount("write 512k, 10M, 1G or 1T"))?;
    let bytes = number.checked_mul(1024_u64.pow(power));
    bytes.ok_or(InvalidByteCount("the number is too large"))
}

/// The ending of an English noun after this number.
///
/// ```
/// use glance_core::units::plural;
///
/// let text = |number: u64| format!("{number} image{}", plural(number));
/// assert_eq!([text(0), text(1), text(2)], ["0 images", "1 image", "2 images"]);
/// ```
pub fn plural<N: Copy + PartialEq + From<u8>>(number: N) -> &'static str {
    if number == N::from(1) { "" } else { "s" }
}
