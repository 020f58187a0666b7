//! Payment card numbers.

use std::ops::Range;

/// Appends the spans of payment card numbers: 13 to 19 digits, in groups or not, with the prefix of an
/// issuer and a valid check digit (ISO/IEC 7812, Luhn).
pub(super) fn cards(text: &[u8], spans: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(start) = text[at..].iter().position(u8::is_ascii_digit).map(|n| at + n) {
        let mut digits = Vec::new();
        // The span of each group: in the text, and among the digits.
        let mut groups: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        at = start;
        loop {
            let (begin, first) = (at, digits.len());
            while let Some(digit) = text.get(at).filter(|byte| byte.is_ascii_digit()) {
                digits.push(digit - b'0');
                at += 1;
            }
            groups.push((begin..at, first..digits.len()));
            let joined = matches!(text.get(at), Some(b' ' | b'-'));
            if !joined || !text.get(at + 1).is_some_and(u8::is_ascii_digit) {
                break;
            }
            at += 1;
        }
        // 0.4111111111111111 is a fraction.
        let fraction = start > 1 && text[start - 1] == b'.' && text[start - 2].is_ascii_digit();
        if digits.len() < 13 || fraction {
            continue;
        }
        for (n, (from, first)) in groups.iter().enumerate() {
            for (to, last) in &groups[n..] {
                let number = &digits[first.start..last.end];
                if number.len() > 19 {
                    break;
                }
                if is_card(number) {
                    spans.push(from.start..to.end);
                }
            }
        }
    }
}

fn is_card(digits: &[u8]) -> bool {
    if digits.len() < 13 {
        return false;
    }
    let prefix = digits[..4].iter().fold(0_u32, |value, digit| value * 10 + u32::from(*digit));
    let issued = match prefix {
        4000..=4999 => matches!(digits.len(), 13 | 16 | 19),
        2221..=2720 | 5100..=5599 => digits.len() == 16,
        3400..=3499 | 3700..=3799 => digits.len() == 15,
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => digits.len() >= 14,
        2200..=2204 | 3528..=3589 | 6011 | 6200..=6299 | 6440..=6599 | 8100..=8199 => {
            digits.len() >= 16
        }
        5000..=5099 | 5600..=5899 | 6300..=6399 | 6700..=6799 => true,
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(n, digit)| match (n % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    issued && sum.is_multiple_of(10)
}
