//! The name that a mistyped word means.

/// The name that is most like a word, if one is like it: one letter of three may be wrong, or the
/// name contains the word. A name of one or two letters is like too many words.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('_', "-");
    let mistakes = |name: &str| strsim::damerau_levenshtein(&word, name);
    let is_like = |name: &&str| {
        let is_near = name.len() > 2 && mistakes(name) <= word.len().div_ceil(3);
        is_near || word.len() > 3 && name.contains(&word)
    };
    names.into_iter().filter(is_like).min_by_key(|name| mistakes(name))
}

/// “; did you mean …?”, if a name is like the word.
pub(crate) fn suggestion<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, names).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_like_a_word_is_found() {
        let names = ["bwlimit", "max-duration", "select"];
        assert_eq!(nearest("bwlimt", names), Some("bwlimit"));
        assert_eq!(nearest("max_duration", names), Some("max-duration"));
        assert_eq!(nearest("slect", names), Some("select"));
        assert_eq!(nearest("copy", ["sync", "livecopy"]), Some("livecopy"));
        assert_eq!(nearest("tga", ["tag", "name"]), Some("tag"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("d", ["a", "b"]), None);
        assert_eq!(nearest("ab", ["ac", "bc"]), None);
    }
}
