//! What a field is about where only the fields beside it tell: a bare title is a job's, but a form of address beside a job
//! title; a bare close date is the expected one, but the actual one beside an expected one.

use super::{
    lexicon::{Entity, lexicon},
    reading::{About, Form, Reading},
};

/// How sure that is.
const STRENGTH: f64 = 0.9;

/// Words of a date that is still to come.
const TO_COME: &[&str] = &["expected", "target", "forecast", "planned", "due", "deadline"];

/// Reads again what the fields beside it make clear.
pub(crate) fn settle(readings: &mut [Reading], entity: Entity) {
    match entity {
        Entity::Person | Entity::Lead => settle_one(readings, "job_title", "salutation", &is_bare_title),
        Entity::Deal => settle_one(readings, "close_date", "actual_close_date", &is_bare_close),
        Entity::Company => {}
    }
}

/// Fields that `is_bare` says so of, beside one of the same concept that it does not say so of, are about the other
/// concept, unless the object has a field for that already.
fn settle_one(readings: &mut [Reading], concept: &str, other: &str, is_bare: &dyn Fn(&Reading) -> bool) {
    let (Some(concept), Some(other)) = (lexicon().named(concept), lexicon().named(other)) else { return };
    let about = |reading: &Reading, concept| {
        reading.about.as_ref().is_some_and(|about| about.concepts.contains(&concept))
    };
    let told = readings.iter().any(|reading| about(reading, concept) && !is_bare(reading));
    if !told || readings.iter().any(|reading| about(reading, other)) {
        return;
    }
    for reading in readings.iter_mut().filter(|reading| about(reading, concept) && is_bare(reading)) {
        reading.about = Some(About { concepts: vec![other], strength: STRENGTH });
    }
}

fn is_bare_title(reading: &Reading) -> bool {
    [&reading.name, &reading.label].iter().all(|form| form.set == ["title"])
}

fn is_bare_close(reading: &Reading) -> bool {
    let says = |form: &Form, word: &str| form.words.iter().any(|one| one == word);
    let forms = [&reading.name, &reading.label];
    forms.iter().any(|form| says(form, "close"))
        && !forms.iter().any(|form| TO_COME.iter().any(|word| says(form, word)))
}
