use std::process::{Command, Output};

/// `accord simulate` with these arguments.
fn simulate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_accord")).arg("simulate").args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_few_hundred_seeds_hold_on_any_number_of_threads() {
    let output = simulate(&["--seeds", "300", "--threads", "2"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("300 seeds, no violation"), "{}", said(&output));
    let output =
        simulate(&["--first", "5000", "--seeds", "60", "--threads", "1", "--vendor-profile", "nasty"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_replayed_seed_tells_the_same_story_every_time() {
    let output = simulate(&["--replay", "7"]);
    assert!(output.status.success(), "{}", said(&output));
    let story = said(&output);
    assert!(story.contains("nobody edits any more") && story.contains("nothing is violated"), "{story}");
    assert_eq!(said(&simulate(&["--replay", "7"])), story);
    let other = said(&simulate(&["--replay", "7", "--vendor-profile", "stream"]));
    assert!(other.contains("stream.0") && other != story, "{other}");
}

#[test]
fn a_vendor_that_nobody_knows_is_refused_with_the_names_of_those_that_are() {
    let output = simulate(&["--seeds", "1", "--vendor-profile", "acme"]);
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("hubspot") && words.contains("salesforce"), "{words}");
}

#[test]
fn a_small_world_is_walked_whole_within_the_bounds_that_are_said() {
    let output = simulate(&["--walk", "--edits", "1", "--vendor-profile", "hubspot", "--threads", "2"]);
    assert!(output.status.success(), "{}", said(&output));
    let story = said(&output);
    assert!(
        story.contains("1 vendor, 1 field of 3 values; 1 edit here, 1 there, no fault (hubspot)"),
        "{story}"
    );
    assert!(story.contains("9 worlds") && story.contains("walked whole"), "{story}");
    assert_eq!(simulate(&["--edits", "1"]).status.code(), Some(2), "bounds are of a walk");
}
