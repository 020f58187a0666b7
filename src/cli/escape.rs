//! Foreign text for a terminal.

/// Returns a text as one line of at most `most` characters. Characters that could control a
/// terminal or reverse the line are escaped: control characters (C0, DEL, C1), marks of direction,
/// invisible joiners and line separators (Unicode UAX #9, UTR #36).
pub(super) fn escape(text: &str, most: usize) -> String {
    let mut out = String::new();
    for (n, char) in text.chars().enumerate() {
        if n == most {
            out.push('…');
            break;
        }
        match char {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || is_invisible(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(escape(&"x".repeat(300), 200).chars().count(), 201);
    }
}
