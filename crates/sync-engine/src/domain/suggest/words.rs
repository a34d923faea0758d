//! The words of a name: taken apart however it is spelled, and brought to one spelling.

use super::lexicon::Lexicon;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Words that say nothing in a name.
const SILENT: &[&str] = &[
    "of", "the", "a", "an", "for", "and", "s", "de", "la", "del", "el", "der", "die", "das", "und", "du",
    "von", "y", "your", "my",
];

/// The longest run of letters that is taken apart into known words.
const LONGEST_GLUED: usize = 40;

/// The longest name that is read; what follows is left out.
const LONGEST_NAME: usize = 200;

/// Takes a name apart at everything that is no letter or digit, at humps and between letters and digits. Accents and
/// case are dropped.
pub(crate) fn split(name: &str) -> Vec<String> {
    let name = name.chars().take(LONGEST_NAME).collect::<String>().replace('ß', "ss");
    let letters: Vec<char> = name.nfkd().filter(|c| !is_combining_mark(*c)).collect();
    let (mut words, mut word) = (Vec::new(), String::new());
    for (at, &c) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| letters[before]);
        let next = letters.get(at + 1);
        let hump = before.is_some_and(|before| {
            // "URLs" and "IDs" are one word each.
            let plural = next == Some(&'s') && letters.get(at + 2).is_none_or(|c| !c.is_lowercase());
            let begins = before.is_uppercase() && next.is_some_and(|next| next.is_lowercase()) && !plural;
            let opens = c.is_uppercase() && (before.is_lowercase() || begins);
            opens || c.is_numeric() != before.is_numeric()
        });
        if !c.is_alphanumeric() || hump {
            finish(&mut words, &mut word);
        }
        match c {
            '%' => words.push("percent".to_owned()),
            '#' => words.push("number".to_owned()),
            c if c.is_alphanumeric() => word.extend(c.to_lowercase()),
            _ => {}
        }
    }
    finish(&mut words, &mut word);
    pairs(initials(words))
}

/// Two words that are one as often: what camel case and spaces take apart in brands and habits.
const PAIRED: &[(&str, &str, &str)] = &[
    ("linked", "in", "linkedin"),
    ("you", "tube", "youtube"),
    ("face", "book", "facebook"),
    ("time", "zone", "timezone"),
    ("web", "site", "website"),
    ("post", "code", "zip"),
    ("home", "page", "website"),
    ("user", "name", "username"),
    ("sur", "name", "surname"),
    ("head", "count", "headcount"),
    ("cell", "phone", "mobile"),
    ("birth", "date", "birthday"),
    ("birth", "day", "birthday"),
    ("life", "cycle", "lifecycle"),
    ("works", "for", "employer"),
];

fn pairs(words: Vec<String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for word in words {
        let before = joined.last().map(String::as_str);
        match PAIRED.iter().find(|(first, second, _)| before == Some(first) && word == *second) {
            Some((_, _, one)) => {
                joined.pop();
                joined.push((*one).to_owned());
            }
            None => joined.push(word),
        }
    }
    joined
}

fn finish(words: &mut Vec<String>, word: &mut String) {
    if !word.is_empty() {
        words.push(std::mem::take(word));
    }
}

/// Joins what dots and dashes took apart: `D-U-N-S` is a word, and so is `e-mail`.
fn initials(words: Vec<String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    let mut open = false;
    for word in words {
        let single = word.len() == 1 && word.chars().all(char::is_alphabetic);
        let mail = word == "mail" || word == "mails";
        match joined.last_mut() {
            Some(last) if open && (single || mail && last == "e") => last.push_str(&word),
            _ => joined.push(word),
        }
        open = single;
    }
    joined
}

/// Brings words to one spelling: glued ones apart, plurals and synonyms as one, silent ones gone.
pub(crate) fn normal(lexicon: &Lexicon, words: Vec<String>) -> Vec<String> {
    let mut normal: Vec<String> = Vec::new();
    for word in words {
        match unglue(lexicon, &word) {
            Some(parts) => normal.extend(parts.into_iter().map(|part| same(lexicon, part))),
            None => normal.push(same(lexicon, &word)),
        }
    }
    let mut normal = pairs(normal);
    normal.retain(|word| !SILENT.contains(&word.as_str()));
    if normal.len() > 1
        && let Some(last) = normal.last_mut()
    {
        match last.as_str() {
            // "created at", "registered on": a moment.
            "at" | "on" | "am" => "date".clone_into(last),
            // "Fax No.": a number.
            "no" => "number".clone_into(last),
            _ => {}
        }
    }
    normal
}

/// The words as a set: sorted, each once.
pub(crate) fn set(words: &[String]) -> Vec<String> {
    let mut set = words.to_vec();
    set.sort_unstable();
    set.dedup();
    set
}

/// The word that stands for this one.
fn same(lexicon: &Lexicon, word: &str) -> String {
    if let Some(head) = lexicon.same(word) {
        return head.to_owned();
    }
    let Some(stem) = singular(word) else { return word.to_owned() };
    lexicon.same(&stem).map_or(stem.clone(), str::to_owned)
}

fn singular(word: &str) -> Option<String> {
    if let Some(stem) = word.strip_suffix("ies").filter(|stem| stem.len() > 2) {
        return Some(format!("{stem}y"));
    }
    let stem = word.strip_suffix('s').filter(|stem| stem.len() > 2 && !stem.ends_with(['s', 'u', 'i']));
    stem.map(str::to_owned)
}

/// Takes a word apart that is glued together of known ones, in as few as possible; none when it is not.
fn unglue<'a>(lexicon: &Lexicon, word: &'a str) -> Option<Vec<&'a str>> {
    if word.len() < 4 || word.len() > LONGEST_GLUED || !word.is_ascii() || lexicon.glues(word) {
        return None;
    }
    // Where the last of the fewest pieces that end here begins, and how many pieces those are.
    let mut best: Vec<Option<(usize, usize)>> = vec![None; word.len() + 1];
    best[0] = Some((0, 0));
    for end in 2..=word.len() {
        for start in 0..end - 1 {
            let Some((_, pieces)) = best[start].filter(|_| lexicon.glues(&word[start..end])) else {
                continue;
            };
            if best[end].is_none_or(|(_, known)| pieces + 1 < known) {
                best[end] = Some((start, pieces + 1));
            }
        }
    }
    let mut parts = Vec::new();
    let mut end = word.len();
    while end > 0 {
        let (start, _) = best[end]?;
        parts.push(&word[start..end]);
        end = start;
    }
    parts.reverse();
    Some(parts)
}
