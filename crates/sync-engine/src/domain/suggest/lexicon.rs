//! What is known about the words of CRMs, from general knowledge: which words mean the same, which ones vendors glue
//! together, and the phrases that say what a field is about. Three texts beside this file hold it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use super::words;

/// What kind of thing an object is; some phrases mean different things on different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Entity {
    /// An organization.
    Company,
    /// A sale in the making.
    Deal,
    /// A person.
    Person,
    /// A person who may become a customer.
    Lead,
}

/// What a field may be about, by the number of its row.
pub(crate) type Concept = u16;

/// The knowledge, read once.
pub(crate) struct Lexicon {
    same: BTreeMap<&'static str, &'static str>,
    glue: BTreeSet<&'static str>,
    names: Vec<&'static str>,
    phrases: BTreeMap<Vec<String>, Vec<(Option<&'static str>, Concept)>>,
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::read);

/// The knowledge.
pub(crate) fn lexicon() -> &'static Lexicon {
    &LEXICON
}

fn rows(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let row = |line: &'static str| line.split_once(':').filter(|_| !line.starts_with('#'));
    text.lines().filter_map(row).map(|(head, rest)| (head.trim(), rest.trim()))
}

impl Lexicon {
    fn read() -> Self {
        let same: BTreeMap<&str, &str> = rows(include_str!("lexicon/words.txt"))
            .flat_map(|(head, rest)| rest.split_whitespace().map(move |word| (word, head)))
            .collect();
        let glue = include_str!("lexicon/glue.txt").lines().filter(|line| !line.starts_with('#'));
        // Abbreviations of two letters are found in too many words.
        let long = same.iter().flat_map(|(word, head)| [*word, *head]).filter(|word| word.len() > 2);
        let glue: BTreeSet<&str> = glue.flat_map(str::split_whitespace).chain(long).collect();
        let mut lexicon = Self { same, glue, names: Vec::new(), phrases: BTreeMap::new() };
        for (head, phrases) in rows(include_str!("lexicon/concepts.txt")) {
            let (name, scope) = match head.split_once('@') {
                Some((name, scope)) => (name, Some(scope)),
                None => (head, None),
            };
            let concept = lexicon.concept(name);
            for phrase in phrases.split(',') {
                let known = lexicon.phrases.entry(words::set(&lexicon.read_phrase(phrase))).or_default();
                if !known.contains(&(scope, concept)) {
                    known.push((scope, concept));
                }
            }
        }
        lexicon
    }

    fn concept(&mut self, name: &'static str) -> Concept {
        let at = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        Concept::try_from(at).unwrap_or(Concept::MAX)
    }

    fn read_phrase(&self, phrase: &str) -> Vec<String> {
        words::normal(self, words::split(phrase))
    }

    /// The number of a concept's row.
    pub(crate) fn named(&self, name: &str) -> Option<Concept> {
        self.names.iter().position(|known| *known == name).and_then(|at| Concept::try_from(at).ok())
    }

    /// What a concept is called.
    pub(crate) fn name(&self, concept: Concept) -> &'static str {
        self.names.get(usize::from(concept)).copied().unwrap_or_default()
    }

    /// The word that stands for all that mean the same.
    pub(crate) fn same<'a>(&self, word: &'a str) -> Option<&'a str>
    where
        'static: 'a,
    {
        self.same.get(word).copied()
    }

    /// Whether vendors glue this word to others.
    pub(crate) fn glues(&self, word: &str) -> bool {
        self.glue.contains(word)
    }

    /// What a phrase, given as a sorted set of words, is about on an object of this kind.
    pub(crate) fn about(&self, phrase: &[String], entity: Entity) -> Vec<Concept> {
        let Some(found) = self.phrases.get(phrase) else { return Vec::new() };
        let scopes: &[Option<&str>] = match entity {
            Entity::Company => &[Some("company"), None],
            Entity::Deal => &[Some("deal"), None],
            Entity::Person => &[Some("person"), None],
            Entity::Lead => &[Some("lead"), Some("person"), None],
        };
        let of = |scope: &Option<&str>| -> Vec<Concept> {
            found.iter().filter(|(of, _)| of == scope).map(|(_, concept)| *concept).collect()
        };
        scopes.iter().map(of).find(|concepts| !concepts.is_empty()).unwrap_or_default()
    }
}
