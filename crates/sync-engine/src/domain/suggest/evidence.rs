//! What speaks for a suggestion and against it, in plain words.

use super::{
    field::Object,
    lexicon::lexicon,
    matcher::{Candidate, Matched},
};

/// How close a rival must come to be told.
const CLOSE: f64 = 0.3;

/// The reasons for a choice, the strongest first.
pub(crate) fn tell(
    matched: &Matched,
    source: &Object,
    target: &Object,
    at: usize,
    chosen: &Candidate,
) -> Vec<String> {
    let (ours, theirs) = (&source.fields[at], &target.fields[chosen.target]);
    let (our, their) = (&matched.reader.ours[at], &matched.reader.theirs[chosen.target]);
    let mut told = Vec::new();
    let common = our
        .about
        .iter()
        .flat_map(|about| &about.concepts)
        .find(|concept| their.about.as_ref().is_some_and(|about| about.concepts.contains(concept)));
    if let Some(concept) = common {
        told.push(format!("both are about the {}", lexicon().name(*concept).replace('_', " ")));
    }
    if our.name.set == their.name.set {
        told.push(format!("the names say the same: {} and {}", ours.name, theirs.name));
    } else if our.label.set == their.label.set {
        told.push(format!("the labels say the same: {} and {}", ours.label, theirs.label));
    } else {
        let shared: Vec<&str> = our
            .label
            .set
            .iter()
            .map(String::as_str)
            .filter(|word| their.label.set.iter().chain(&their.name.set).any(|other| other == word))
            .collect();
        match shared.as_slice() {
            [] => told.push(format!("{} is called {} there", ours.label, theirs.label)),
            shared => told.push(format!("{} and {} share: {}", ours.label, theirs.label, shared.join(", "))),
        }
    }
    told.push(format!("{} {} {}", their.kind.name(), fit(our.kind.fits(their.kind)), our.kind.name()));
    let options = our.options.iter().filter(|option| their.options.contains(option)).count();
    if options > 0 {
        told.push(format!("{options} of {} options are the same", our.options.len()));
    }
    let rival = matched.rows[at].iter().find(|other| other.target != chosen.target);
    if let Some(rival) = rival.filter(|rival| rival.confidence > CLOSE) {
        told.push(format!("{} comes close", target.fields[rival.target].label));
    }
    told
}

fn fit(fits: f64) -> &'static str {
    if fits >= 0.9 {
        "fits"
    } else if fits >= 0.5 {
        "may fit"
    } else {
        "hardly fits"
    }
}
