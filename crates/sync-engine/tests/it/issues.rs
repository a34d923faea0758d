use model::{IssueCategory, MappingChanged, Role, WriteKind, WriteOutcome, kind};
use proto::sync as wire;

use crate::world::{World, by, text, texts};

fn rejected(field: Option<&str>) -> WriteOutcome {
    WriteOutcome::Rejected {
        category: IssueCategory::Validation,
        message: "the vendor does not like it".to_owned(),
        field: field.map(str::to_owned),
    }
}

async fn retry(world: &World, issue: &wire::Issue) -> wire::Issue {
    let ask = wire::IssueRequest { issue_id: issue.id.clone() };
    world.api.clone().retry_issue(by("admin", ask)).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_field_becomes_an_issue_and_its_neighbours_go_on() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let both = [("name", "One"), ("phone", "1"), ("city", "Berlin")];
    world.deliver(&[world.edited("1", &both), world.edited("2", &[("name", "Two"), ("phone", "2")])]).await;
    let one = world.company_with("1", "phone", "1").await;
    let two = world.company_with("2", "phone", "2").await;
    world.edit(&one.id, &[("phone", "bad"), ("address_city", "Bonn")]).await;
    let first = world.write(0).await;
    assert_eq!(first.fields, texts(&[("phone", "bad"), ("city", "Bonn")]));
    world.answer(&first, rejected(Some("phone"))).await;

    let second = world.write(1).await;
    assert_eq!(second.fields, texts(&[("city", "Bonn")]), "the field that was not refused goes on");
    world.applied(&second, "1").await;
    world.edit(&two.id, &[("phone", "22")]).await;
    let third = world.write(2).await;
    assert_eq!(third.record.to_string(), two.id, "other records go on");
    world.applied(&third, "2").await;
    world.settled().await;

    let issue = world.issues().await.pop().unwrap();
    assert_eq!((issue.field.as_str(), issue.category.as_str()), ("phone", "validation"));
    assert_eq!((issue.record_title.as_str(), issue.vendor_id.as_str()), ("One", "1"));
    assert!(!issue.suggestion.is_empty());
    assert_eq!(world.get(&one.id).await.links[0].state, "blocked");
    let ask = wire::GetSyncHealthRequest { connection_id: world.connection.to_string(), minutes: 0 };
    let health = world.api.clone().get_sync_health(by("viewer", ask)).await.unwrap().into_inner();
    assert_eq!((health.open_issues, health.failed), (1, 1));

    let retried = retry(&world, &issue).await;
    assert_eq!(retried.state, "retrying");
    let fourth = world.write(3).await;
    assert_eq!(fourth.fields, texts(&[("phone", "bad")]));
    world.answer(&fourth, rejected(Some("phone"))).await;
    world.settled().await;
    assert_eq!(world.issues().await[0].state, "open", "refused again");

    world.edit(&one.id, &[("phone", "good")]).await;
    world.applied(&world.write(4).await, "1").await;
    world.settled().await;
    assert_eq!(world.issues().await, [], "cleared by itself");
    assert_eq!(world.get(&one.id).await.links[0].state, "in_sync");
    assert_eq!(world.writes().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_does_not_fit_is_an_issue_and_neither_side_loses_it() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("numberofemployees", "5")])]).await;
    let record = world.company_with("1", "employee_count", "5").await;
    world.deliver(&[world.edited("1", &[("name", "Uno"), ("numberofemployees", "many")])]).await;
    world.company_with("1", "name", "Uno").await;
    let issue = world.issues().await.pop().unwrap();
    assert_eq!((issue.field.as_str(), issue.category.as_str()), ("employee_count", "value"));
    assert!(!issue.message.contains("many"), "an issue names types, never values");
    assert_eq!(text(&world.get(&record.id).await, "employee_count"), "5");

    let retried = retry(&world, &issue).await;
    assert_eq!(retried.state, "open", "it still does not fit");
    world.settled().await;
    assert_eq!(world.writes(), [], "ours does not cover what could not be read");

    let back = [("name", "Uno"), ("numberofemployees", "5"), ("phone", ""), ("industry", "")];
    world.deliver(&[world.edited("1", &back)]).await;
    world.settled().await;
    assert_eq!(world.issues().await, [], "the vendor's value is back to the one that fits");

    let outside = [("industry", "Beekeeping"), ("phone", "1")];
    world.edit(&record.id, &outside).await;
    assert_eq!(world.write(0).await.fields, texts(&[("phone", "1")]), "its neighbour is written");
    world.settled().await;
    let issue = world.issues().await.pop().unwrap();
    assert_eq!((issue.field.as_str(), issue.category.as_str()), ("industry", "value"));
    assert_eq!(text(&world.get(&record.id).await, "industry"), "Beekeeping");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_can_be_dismissed_and_comes_back_with_the_next_failure() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("numberofemployees", "many")])]).await;
    world.company_with("1", "name", "One").await;
    let issue = world.issues().await.pop().unwrap();
    let ask = wire::IssueRequest { issue_id: issue.id };
    let dismissed = world.api.clone().dismiss_issue(by("admin", ask.clone())).await.unwrap().into_inner();
    assert_eq!(dismissed.state, "dismissed");
    assert_eq!(world.issues().await, []);
    let gone = world.api.clone().dismiss_issue(by("admin", ask)).await.unwrap_err();
    assert_eq!(gone.code(), tonic::Code::NotFound);
    world.deliver(&[world.edited("1", &[("name", "Uno"), ("numberofemployees", "more")])]).await;
    world.company_with("1", "name", "Uno").await;
    assert_eq!(world.issues().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_was_refused_as_a_whole_is_offered_as_a_whole_again() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let record = world.create(&[("name", "Ours"), ("domain", "ours.test"), ("phone", "1")]).await;
    let create = world.write(0).await;
    world.answer(&create, rejected(None)).await;
    world.settled().await;
    let issue = world.issues().await.pop().unwrap();
    assert_eq!(issue.field, "", "it is about the record");
    world.edit(&record.id, &[("phone", "2")]).await;
    let again = world.write(1).await;
    assert_eq!(again.write, WriteKind::Create { external_id: record.id.clone() });
    assert_eq!(again.fields, texts(&[("name", "Ours"), ("domain", "ours.test"), ("phone", "2")]));
    world.applied(&again, "7").await;
    world.settled().await;
    assert_eq!(world.issues().await, []);
    assert_eq!(world.find("company", "7").await.unwrap().id, record.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_candidates_wait_for_a_person_and_nothing_is_guessed() {
    let world = World::new().await;
    let mapping = world.draft().await;
    let one = world.create(&[("name", "One"), ("domain", "same.test")]).await;
    let two = world.create(&[("name", "Two"), ("domain", "www.SAME.test")]).await;
    world.deliver(&[world.edited("1", &[("name", "Which"), ("domain", "https://same.test/")])]).await;
    let plan = {
        world.request_plan(&mapping.id).await;
        world.deliver(&[world.edited("1", &[("name", "Which"), ("domain", "https://same.test/")])]).await;
        world.backfill_finished("companies", 1).await;
        world.plan_in(&mapping.id, "ready").await
    };
    let blocked = plan.categories.iter().find(|category| category.name == "blocked").unwrap();
    assert_eq!((blocked.count, blocked.samples[0].vendor_id.as_str()), (1, "1"));
    let ask = wire::SetMappingRequest {
        mapping_id: mapping.id.clone(),
        direction: Some("from_vendor".to_owned()),
        ..wire::SetMappingRequest::default()
    };
    world.api.clone().set_mapping(by("admin", ask)).await.unwrap();
    world.activate(&mapping.id, 1).await;

    let issue = world.issues().await.pop().unwrap();
    assert_eq!((issue.category.as_str(), issue.vendor_id.as_str()), ("ambiguous", "1"));
    assert_eq!(world.find("company", "1").await, None);
    assert_eq!(retry(&world, &issue).await.state, "open", "there are still two");
    world.edit(&two.id, &[("domain", "two.test")]).await;
    assert_eq!(retry(&world, &issue).await.state, "resolved");
    assert_eq!(world.issues().await, []);
    let linked = world.find("company", "1").await.unwrap();
    assert_eq!((linked.id.as_str(), text(&linked, "name").as_str()), (one.id.as_str(), "Which"));
    assert_eq!(world.conflicts().await.len(), 2, "name and domain met for the first time");
}

async fn ask(world: &World, request: wire::ListIssuesRequest) -> wire::ListIssuesResponse {
    world.api.clone().list_issues(by("viewer", request)).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn issues_are_filtered_counted_and_changed_together() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let bad: Vec<_> = (0..5)
        .map(|n| world.edited(&n.to_string(), &[("name", "Bad"), ("numberofemployees", "many")]))
        .collect();
    world.deliver(&bad).await;
    world.deliver(&[world.edited("9", &[("name", "Good"), ("phone", "1")])]).await;
    let good = world.company_with("9", "phone", "1").await;
    world.edit(&good.id, &[("phone", "bad")]).await;
    world.answer(&world.write(0).await, rejected(Some("phone"))).await;
    world.settled().await;

    let all = ask(&world, wire::ListIssuesRequest::default()).await;
    let counts: Vec<(&str, u64)> = all.counts.iter().map(|c| (c.category.as_str(), c.count)).collect();
    assert_eq!(counts, [("value", 5), ("validation", 1)]);
    assert!(all.counts.iter().all(|count| !count.label.is_empty() && !count.suggestion.is_empty()));
    let page = |page: String| wire::ListIssuesRequest {
        category: "value".to_owned(),
        limit: 3,
        page,
        ..wire::ListIssuesRequest::default()
    };
    let first = ask(&world, page(String::new())).await;
    let second = ask(&world, page(first.next_page.clone())).await;
    let mut seen: Vec<String> =
        first.issues.iter().chain(&second.issues).map(|i| i.vendor_id.clone()).collect();
    seen.sort_unstable();
    assert_eq!((seen.join(""), second.next_page), ("01234".to_owned(), String::new()));
    let of_record = wire::ListIssuesRequest { record_id: good.id.clone(), ..Default::default() };
    assert_eq!(ask(&world, of_record).await.issues.len(), 1);

    let everything = wire::ChangeIssuesRequest::default();
    let refused = world.api.clone().dismiss_issues(by("admin", everything)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let one = wire::ChangeIssuesRequest { issue_ids: vec![first.issues[0].id.clone()], ..Default::default() };
    assert_eq!(
        world.api.clone().dismiss_issues(by("stranger", one.clone())).await.unwrap().into_inner().count,
        0
    );
    assert_eq!(world.api.clone().dismiss_issues(by("admin", one)).await.unwrap().into_inner().count, 1);
    let values = wire::ChangeIssuesRequest { category: "value".to_owned(), ..Default::default() };
    assert_eq!(world.api.clone().retry_issues(by("admin", values)).await.unwrap().into_inner().count, 4);
    let still = "the four to be tried and to fail again";
    testkit::eventually(crate::world::SOON, still, || async {
        let waiting = ask(&world, page(String::new())).await;
        let left: i64 = world.query("SELECT count(*) FROM issues WHERE wanted_by IS NOT NULL").await;
        (left == 0 && waiting.counts[0].count == 4 && waiting.issues.iter().all(|i| i.state == "open"))
            .then_some(())
    })
    .await;
    let dismissed = wire::ListIssuesRequest { state: "dismissed".to_owned(), ..Default::default() };
    assert_eq!(ask(&world, dismissed).await.issues.len(), 1);
    let refused =
        wire::ChangeIssuesRequest { connection_id: world.connection.to_string(), ..Default::default() };
    assert_eq!(world.api.clone().retry_issues(by("admin", refused)).await.unwrap().into_inner().count, 5);
    let again = world.write(1).await;
    assert_eq!(again.fields, texts(&[("phone", "bad")]));
    world.applied(&again, "9").await;
    let left = "the one that works now to clear itself";
    testkit::eventually(crate::world::SOON, left, || async {
        (world.issues().await.len() == 4).then_some(())
    })
    .await;
}

// R112, B16
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_want_of_another_field_is_an_issue_and_is_not_asked_again_at_once() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "1"), ("city", "")])]).await;
    let record = world.company_with("1", "phone", "1").await;
    world.edit(&record.id, &[("phone", "2")]).await;
    let asked = world.write(0).await;
    assert_eq!(asked.fields, texts(&[("phone", "2")]));
    world.answer(&asked, rejected(Some("city"))).await;
    world.settled().await;
    assert_eq!(world.writes().len(), 1, "nothing changed since");
    let issues = world.issues().await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_eq!((&*issues[0].record_id, &*issues[0].field), (&*record.id, ""), "{issues:?}");
}

// R112, B16
#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_for_want_of_a_field_is_offered_whole_once_it_has_the_field() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let record = world.create(&[("name", "One"), ("phone", "1")]).await;
    let asked = world.write(0).await;
    assert_eq!(asked.fields, texts(&[("name", "One"), ("phone", "1")]));
    world.answer(&asked, rejected(Some("city"))).await;
    world.settled().await;
    assert_eq!(world.writes().len(), 1, "nothing changed since");
    assert_eq!(world.issues().await[0].field, "");
    // A field that it still lacks the other for is one more try, and no more.
    world.edit(&record.id, &[("address_city", "Trieste")]).await;
    let whole = world.write(1).await;
    assert_eq!(whole.fields, texts(&[("name", "One"), ("phone", "1"), ("city", "Trieste")]));
    // Of what is refused because of a field that it carries, the others go without it, once.
    world.answer(&whole, rejected(Some("phone"))).await;
    let without = world.write(2).await;
    assert_eq!(without.fields, texts(&[("name", "One"), ("city", "Trieste")]));
    world.answer(&without, rejected(None)).await;
    world.settled().await;
    assert_eq!(world.writes().len(), 3, "{:?}", world.writes());
    world.edit(&record.id, &[("name", "Two")]).await;
    let again = world.write(3).await;
    assert_eq!(again.fields, texts(&[("name", "Two"), ("phone", "1"), ("city", "Trieste")]));
    world.applied(&again, "7").await;
    world.settled().await;
    assert_eq!((world.writes().len(), world.issues().await), (4, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_words_are_told_without_personal_values() {
    let world = World::new().await;
    let mapping = world.active("bidirectional", "newest_wins").await;
    let mark = wire::SetFieldRequest {
        mapping_id: mapping.id,
        field: "phone".to_owned(),
        action: "settings".to_owned(),
        pii: Some(true),
        ..wire::SetFieldRequest::default()
    };
    world.api.clone().set_field(by("admin", mark)).await.unwrap();
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "+49 30 1")])]).await;
    let record = world.company_with("1", "phone", "+49 30 1").await;
    world.edit(&record.id, &[("phone", "+49 30 555123"), ("address_city", "Bonn")]).await;
    let message = "\"04930555123\" and +49 30 555123 are no phone numbers";
    let outcome = WriteOutcome::Rejected {
        category: IssueCategory::Validation,
        message: message.to_owned(),
        field: Some("phone".to_owned()),
    };
    world.answer(&world.write(0).await, outcome).await;
    world.settled().await;
    let said = world.issues().await.pop().unwrap().message;
    assert_eq!(said, "[redacted] and [redacted] are no phone numbers");
}

/// What was said about issues: who, what, of which field, how many.
fn told(world: &World) -> Vec<(String, String, Option<String>, String)> {
    let said = world.said.lock().unwrap();
    let changes = said.iter().filter(|message| message.envelope.kind == kind::MAPPING_CHANGED);
    changes
        .map(|message| (message.envelope.actor.clone(), message.decode::<MappingChanged>().unwrap()))
        .filter(|(_, changed)| changed.action.starts_with("issues_"))
        .map(|(actor, changed)| {
            (actor.unwrap(), changed.action, changed.field, changed.settings["issues"].1.clone())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tried_or_dismissed_issues_is_told_once() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let bad: Vec<_> = (0..3)
        .map(|n| world.edited(&n.to_string(), &[("name", "Bad"), ("numberofemployees", "many")]))
        .collect();
    world.deliver(&bad).await;
    world.settled().await;
    let first = world.issues().await.remove(0);
    assert_eq!(retry(&world, &first).await.state, "open");
    let values = wire::ChangeIssuesRequest { category: "value".to_owned(), ..Default::default() };
    world.api.clone().retry_issues(by("owner", values)).await.unwrap();
    testkit::eventually(crate::world::SOON, "all to be tried", || async {
        let left: i64 = world.query("SELECT count(*) FROM issues WHERE wanted_by IS NOT NULL").await;
        (left == 0).then_some(())
    })
    .await;
    let ask = wire::IssueRequest { issue_id: first.id };
    world.api.clone().dismiss_issue(by("admin", ask.clone())).await.unwrap();
    world.api.clone().dismiss_issue(by("admin", ask)).await.unwrap_err();
    world.settled().await;
    let (admin, owner) = (world.actor(Role::Admin), world.actor(Role::Owner));
    let one = Some("employee_count".to_owned());
    let told = told(&world);
    let expected = [
        (admin.clone(), "issues_retried".to_owned(), one.clone(), "1".to_owned()),
        (owner, "issues_retried".to_owned(), None, "3".to_owned()),
        (admin, "issues_dismissed".to_owned(), one, "1".to_owned()),
    ];
    assert_eq!(told, expected);
}
