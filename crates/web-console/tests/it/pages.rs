use std::collections::BTreeSet;

use crate::html::{Tag, read};

/// Draws every page from its sample and collects what is wrong with it.
fn each(check: impl Fn(&[Tag]) -> Vec<String>) {
    let previews = web_console::previews().unwrap();
    assert!(previews.len() > 25, "only {} pages are drawn", previews.len());
    let mut wrong = Vec::new();
    for preview in previews {
        match read(&preview.html) {
            Ok(tags) => {
                wrong.extend(check(&tags).into_iter().map(|what| format!("{}: {what}", preview.name)))
            }
            Err(error) => wrong.push(format!("{}: {error}", preview.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn named<'a>(tags: &'a [Tag], name: &'a str) -> impl Iterator<Item = &'a Tag> {
    tags.iter().filter(move |tag| tag.name == name)
}

#[test]
fn every_page_is_well_formed_and_says_its_language_and_name() {
    each(|tags| {
        let mut wrong = Vec::new();
        if named(tags, "html").next().and_then(|html| html.get("lang")) != Some("en") {
            wrong.push("no language".to_owned());
        }
        if named(tags, "h1").count() != 1 {
            wrong.push(format!("{} headings of the first rank", named(tags, "h1").count()));
        }
        if !named(tags, "title").next().is_some_and(|title| title.text.ends_with("· Accord")) {
            wrong.push("no title".to_owned());
        }
        let mut ids = BTreeSet::new();
        for id in tags.iter().filter_map(|tag| tag.get("id")) {
            if !ids.insert(id) {
                wrong.push(format!("the id {id} comes twice"));
            }
        }
        wrong
    });
}

#[test]
fn the_skip_link_comes_first_and_leads_to_the_main_part() {
    each(|tags| {
        let first = tags.iter().find(|tag| matches!(&*tag.name, "a" | "button" | "input" | "summary"));
        let skips = first
            .is_some_and(|tag| tag.get("href") == Some("#main") && tag.text.trim() == "Skip to main content");
        let main: Vec<&Tag> = named(tags, "main").collect();
        let leads = main.len() == 1 && main[0].get("id") == Some("main");
        if skips && leads { Vec::new() } else { vec!["no way to the main part".to_owned()] }
    });
}

#[test]
fn nothing_inline_that_the_content_security_policy_would_refuse() {
    each(|tags| {
        let mut wrong = Vec::new();
        for tag in tags {
            if tag.name == "style" || (tag.name == "script" && tag.get("src").is_none()) {
                wrong.push(format!("an inline {}", tag.name));
            }
            for (name, value) in &tag.attributes {
                if name == "style" || name.starts_with("on") || value.starts_with("javascript:") {
                    wrong.push(format!("{name} on <{}>", tag.name));
                }
            }
        }
        wrong
    });
}

#[test]
fn every_control_has_a_name_and_every_form_that_changes_something_a_token() {
    each(|tags| {
        let labelled: BTreeSet<&str> = named(tags, "label").filter_map(|label| label.get("for")).collect();
        let mut wrong = Vec::new();
        for tag in tags {
            let is_control = matches!(&*tag.name, "input" | "select" | "textarea");
            let is_hidden = tag.get("type") == Some("hidden");
            let has_name = tag.get("aria-label").is_some()
                || tag.inside.iter().any(|around| around == "label")
                || tag.get("id").is_some_and(|id| labelled.contains(id));
            if is_control && !is_hidden && !has_name {
                wrong.push(format!("no label for {:?}", tag.attributes));
            }
            let is_pressed = matches!(&*tag.name, "button" | "a" | "summary" | "option" | "th" | "caption");
            let is_said = tag.name == "option" && tag.get("value").is_some() && tag.text.is_empty();
            if is_pressed && tag.text.trim().is_empty() && !is_said {
                wrong.push(format!("nothing to read on <{}> {:?}", tag.name, tag.attributes));
            }
        }
        let is_open = |form: &&Tag| form.get("action").is_some_and(|action| action.starts_with("/sign-in"));
        let posts = named(tags, "form")
            .filter(|form| form.get("method") == Some("post"))
            .filter(|form| !is_open(form));
        let tokens = named(tags, "input").filter(|input| input.get("name") == Some("_token")).count();
        if posts.count() != tokens {
            wrong.push("a form without its token".to_owned());
        }
        wrong
    });
}

#[test]
fn tables_say_what_they_show_and_drawings_are_named_or_silent() {
    each(|tags| {
        let mut wrong = Vec::new();
        if named(tags, "table").count() != named(tags, "caption").count() {
            wrong.push("a table without a caption".to_owned());
        }
        for head in named(tags, "th").filter(|head| head.get("scope").is_none()) {
            wrong.push(format!("a heading cell without a scope: {}", head.text));
        }
        for drawing in named(tags, "svg") {
            let is_silent = drawing.get("aria-hidden") == Some("true");
            let is_named = drawing.get("role") == Some("img") && drawing.get("aria-labelledby").is_some();
            if !is_silent && !is_named {
                wrong.push("a drawing that is neither named nor silent".to_owned());
            }
        }
        for meter in tags.iter().filter(|tag| matches!(&*tag.name, "meter" | "progress")) {
            if meter.get("aria-label").is_none() {
                wrong.push(format!("a {} without a name", meter.name));
            }
        }
        wrong
    });
}

#[test]
fn a_viewer_sees_no_button_that_changes_anything() {
    let previews = web_console::previews().unwrap();
    let viewer = previews.iter().filter(|preview| preview.name.ends_with("-viewer"));
    for preview in viewer {
        for form in named(&read(&preview.html).unwrap(), "form") {
            let action = form.get("action").unwrap_or_default();
            let is_harmless = action == "/sign-out" || form.get("method") == Some("get");
            let is_read_only = form.get("data-auto").is_some() && !form.text.contains("Save");
            assert!(is_harmless || is_read_only, "{} offers {action}", preview.name);
        }
    }
}
