use axum::http::StatusCode;
use model::Role;

use crate::{
    console::{Browser, mapping},
    html,
};

#[tokio::test]
async fn the_review_shows_every_state_with_confidence_and_evidence() {
    let mut browser = Browser::of(Role::Admin).await;
    let page = browser.get(&mapping()).await;
    for shown in ["Auto-mapped", "Suggested", "Confirmed", "Unmapped", "Ignored", "68%", "both hold dates"] {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    let page = browser.get(&format!("{}?state=suggested", mapping())).await;
    assert_eq!(page.body.matches("<tr id=\"row-").count(), 2);
    let page = browser.get(&format!("{}?q=deal+val", mapping())).await;
    assert_eq!(page.body.matches("<tr id=\"row-").count(), 1);
    let page = browser.get(&format!("{}?q=nothing+like+it", mapping())).await;
    assert!(page.body.contains("No field fits"));
}

#[tokio::test]
async fn a_row_is_saved_in_place_by_the_script() {
    let mut browser = Browser::of(Role::Admin).await;
    let path = format!("{}/fields/stage", mapping());
    let page = browser.post_with(&path, &[("x-accord-script", "1")], &[("action", "confirm")]).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("x-accord-said"), "Stage: confirmed.");
    let parts = html::read(&format!("<!doctype html><body>{}</body>", page.body)).unwrap();
    let swapped: Vec<&str> = parts
        .iter()
        .filter(|part| part.get("data-swap").is_some())
        .filter_map(|part| part.get("id"))
        .collect();
    assert_eq!(swapped, ["counts", "pending", "row-stage"]);
    assert_eq!(browser.rooms.asked(), [r#"set_field stage confirm "" None None None"#]);
}

#[tokio::test]
async fn a_row_is_saved_by_a_round_trip_without_the_script() {
    let mut browser = Browser::of(Role::Admin).await;
    let path = format!("{}/fields/stage", mapping());
    let fields = [
        ("vendor_field", "dealstage"),
        ("direction", ""),
        ("policy", "crm_wins"),
        ("pii", "yes"),
        ("action", "choose"),
    ];
    let page = browser.post(&path, &fields).await;
    assert_eq!(page.location(), format!("{}#row-stage", mapping()));
    assert_eq!(
        browser.rooms.asked(),
        [r#"set_field stage choose "dealstage" Some("") Some("crm_wins") Some(true)"#]
    );
}

#[tokio::test]
async fn an_unticked_personal_data_mark_is_taken_away_and_an_emptied_property_unmaps() {
    let mut browser = Browser::of(Role::Admin).await;
    let path = format!("{}/fields/phone", mapping());
    browser
        .post(&path, &[("vendor_field", "phone"), ("policy", "newest_wins"), ("action", "settings")])
        .await;
    browser.post(&path, &[("vendor_field", " "), ("policy", "newest_wins"), ("action", "choose")]).await;
    assert_eq!(
        browser.rooms.asked(),
        [
            r#"set_field phone settings "" None Some("newest_wins") Some(false)"#,
            r#"set_field phone unmap "" None None None"#,
        ]
    );
}

#[tokio::test]
async fn a_refused_row_is_told_to_the_script_in_words() {
    let mut browser = Browser::of(Role::Member).await;
    let path = format!("{}/fields/stage", mapping());
    let page = browser.post_with(&path, &[("x-accord-script", "1")], &[("action", "confirm")]).await;
    assert_eq!((page.status, &*page.body), (StatusCode::FORBIDDEN, "This takes an Owner or Admin."));
}

#[tokio::test]
async fn suggesting_planning_and_activating_follow_one_another() {
    let mut browser = Browser::of(Role::Owner).await;
    let page = browser.post(&format!("{}/suggest", mapping()), &[]).await;
    assert_eq!(page.location(), mapping());
    assert!(
        browser.get(&mapping()).await.body.contains("1 field auto-mapped, 2 suggested for you to confirm.")
    );
    browser.post(&format!("{}/confirm-all", mapping()), &[]).await;
    browser
        .post(
            &format!("{}/settings", mapping()),
            &[("direction", "from_vendor"), ("default_policy", "crm_wins")],
        )
        .await;
    let page = browser.post(&format!("{}/plan", mapping()), &[]).await;
    assert_eq!(page.location(), format!("{}/plan", mapping()));
    let page = browser.get(page.location()).await;
    for shown in [
        "Create in Accord",
        "761",
        "Differs on both sides",
        "9 calls to HubSpot",
        "about 4.6 s",
        "records compared",
    ] {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    assert!(page.body.contains(r#"name="plan_hash" value="b9d1f6c2a7""#));
    assert!(page.body.contains(r#"id="samples-blocked" open"#), "why records are blocked is seen at once");
    browser.post(&format!("{}/activate", mapping()), &[("plan_hash", "b9d1f6c2a7")]).await;
    assert_eq!(
        browser.rooms.asked(),
        [
            "suggest",
            "set_mapping None None true",
            r#"set_mapping Some("from_vendor") Some("crm_wins") false"#,
            "request_plan",
            "activate b9d1f6c2a7",
        ]
    );
}

#[tokio::test]
async fn a_plan_that_is_not_ready_says_what_it_does_and_keeps_itself_fresh() {
    let mut browser = Browser::of(Role::Owner).await;
    for (state, says) in [
        ("reading", "<strong>Reading"),
        ("computing", "<strong>Working the plan out"),
        ("applying", "<strong>Applying"),
    ] {
        browser.rooms.set_plan_state(state);
        let page = browser.get(&format!("{}/plan", mapping())).await.body;
        assert!(page.contains(says), "{state}");
        assert!(page.contains("/plan/live\""), "{state} is not asked for again");
        assert!(!page.contains("id=\"activate\""), "{state} can be activated");
    }
}

#[tokio::test]
async fn changes_of_an_active_mapping_are_shown_until_they_are_applied_or_discarded() {
    let mut browser = Browser::of(Role::Owner).await;
    assert!(!browser.get(&mapping()).await.body.contains("plan-changes"));
    browser.rooms.set_mapping_state("active");
    let page = browser.get(&mapping()).await.body;
    for shown in ["3 changes wait", "newest_wins", "crm_wins", "closed_lost_reason", "id=\"plan-changes\""] {
        assert!(page.contains(shown), "{shown} is not shown");
    }
    browser.rooms.set_plan_state("ready");
    let page = browser.get(&format!("{}/plan", mapping())).await.body;
    assert!(page.contains("Apply the changes") && !page.contains("/plan/live\""), "{page}");
    browser.rooms.set_plan_state("applied");
    let page = browser.get(&format!("{}/plan", mapping())).await.body;
    assert!(page.contains("3 changes wait") && page.contains("id=\"new-plan\""), "{page}");
    let path = format!("{}/settings", mapping());
    browser.post(&path, &[("direction", "to_vendor")]).await;
    assert!(browser.get(&mapping()).await.body.contains("Saved, to be planned and applied."));
    browser.post(&format!("{}/discard", mapping()), &[]).await;
    let asked = [r#"set_mapping Some("to_vendor") None false"#, "discard_changes"];
    assert_eq!(browser.rooms.asked(), asked);
}
