//! Campaigns are planned, changed and taken back, and nobody overwrites unseen what somebody else wrote.

use std::time::Duration;

use jiff::SignedDuration;
use proto::crm::*;

use crate::{
    mailbox::{draft, person},
    world::{by, code, noon, world},
};

const HOUR: Duration = Duration::from_secs(3_600);

/// A mail that is sent an hour from now.
fn planned(text: &str) -> CampaignDraft {
    let soon = noon().checked_add(SignedDuration::from_hours(1)).unwrap();
    CampaignDraft { starts_at: Some(proto::to_wire_time(soon)), ..draft(&[(0, "A word", text)]) }
}

#[tokio::test]
async fn two_who_edit_a_draft_at_once_do_not_overwrite_each_other() {
    let world = world().await;
    let _post = world.mailbox().await;
    let made = world.campaign(draft(&[(0, "A word", "hello")])).await.unwrap();
    world.enrol(&made.id, vec![person("ann@one.example")]).await.unwrap();
    let edit = |text: &str, if_version| UpdateCampaignRequest {
        id: made.id.clone(),
        draft: Some(draft(&[(0, "A word", text)])),
        if_version,
    };
    let first = world.client().update_campaign(by("ann", edit("by ann", Some(made.version)))).await.unwrap();
    let first = first.into_inner();
    let late = world.client().update_campaign(by("bob", edit("by bob", Some(made.version)))).await;
    assert_eq!(code(late), "version_changed");
    // Nor does one start what another wrote meanwhile.
    let start = |if_version| StartCampaignRequest { id: made.id.clone(), if_version };
    assert_eq!(
        code(world.client().start_campaign(by("ann", start(Some(made.version)))).await),
        "version_changed"
    );
    let request = CampaignRequest { id: made.id.clone() };
    let now = world.client().get_campaign(by("viewer", request)).await.unwrap().into_inner();
    assert_eq!((now.steps[0].text.as_str(), now.version), ("by ann", first.version));
    // Whoever names no version writes over what is there.
    let over =
        world.client().update_campaign(by("ann", edit("by ann again", None))).await.unwrap().into_inner();
    assert_eq!(over.version, first.version + 1);
    world.client().start_campaign(by("ann", start(Some(over.version)))).await.unwrap();
}

#[tokio::test]
async fn a_campaign_is_taken_back_as_long_as_no_mail_of_it_was_asked_for() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let made = world.campaign(planned("hello")).await.unwrap();
    world.enrol(&made.id, vec![person("ann@one.example")]).await.unwrap();
    let request = || CampaignRequest { id: made.id.clone() };
    let withdraw = async |who: &str| world.client().withdraw_campaign(by(who, request())).await;
    assert_eq!(code(withdraw("ann").await), "campaign_not_started");
    world.start(&made.id).await.unwrap();
    assert_eq!(code(withdraw("viewer").await), "scope_missing");
    assert_eq!(code(withdraw("other").await), "campaign_not_found");
    let back = withdraw("ann").await.unwrap().into_inner();
    assert_eq!((back.state.as_str(), back.started_at, back.version), ("draft", None, made.version));
    world.clock.advance(2 * HOUR);
    post.no_more_than(0).await;
    assert_eq!(world.recipients(&made.id).await["ann@one.example"].due_at, None);
    let edit = UpdateCampaignRequest {
        id: made.id.clone(),
        draft: Some(draft(&[(0, "A word", "at once")])),
        if_version: Some(back.version),
    };
    world.client().update_campaign(by("ann", edit)).await.unwrap();
    world.start(&made.id).await.unwrap();
    post.mails(1).await;
    assert!(post.mails[0].text.starts_with("at once"));
    assert_eq!(code(withdraw("ann").await), "mails_asked_for");
}
