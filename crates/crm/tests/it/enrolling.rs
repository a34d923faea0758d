//! Who a campaign is sent to: nobody gets a mail in which something is missing.

use model::CanonicalObject;
use proto::crm::*;

use crate::{
    acting::record,
    mailbox::{draft, person},
    world::{by, code, world},
};

#[tokio::test]
async fn ten_thousand_are_enrolled_at_once_and_each_bad_one_is_named() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let made = world.campaign(draft(&[(0, "A word", "Dear {{first_name}}")])).await.unwrap();
    let mut people: Vec<NewRecipient> =
        (0..9_994).map(|number| person(&format!("p{number}@many.example"))).collect();
    let contact = |id: &str| NewRecipient { contact_id: id.to_owned(), ..NewRecipient::default() };
    let nameless = NewRecipient { email: "x@y.example".to_owned(), ..NewRecipient::default() };
    let odd =
        NewRecipient { fields: [("First Name".to_owned(), "x".to_owned())].into(), ..person("o@d.example") };
    people.extend([
        person("no address"),
        person("P7@MANY.example"),
        contact("rec_1"),
        contact(&record(1).to_string()),
        nameless,
        odd,
    ]);
    let told = world.enrol(&made.id, people.clone()).await.unwrap();
    assert_eq!((told.enrolled, told.known), (9_994, 1));
    let named: Vec<_> =
        told.refused.iter().map(|it| (it.index, it.code.as_str(), it.field.as_str())).collect();
    assert_eq!(
        named,
        [
            (9_994, "address_invalid", ""),
            (9_996, "contact_not_found", ""),
            (9_997, "contact_not_found", ""),
            (9_998, "field_missing", "first_name"),
            (9_999, "field_invalid", ""),
        ]
    );
    let again = world.enrol(&made.id, people.clone()).await.unwrap();
    assert_eq!((again.enrolled, again.known), (0, 9_995));
    people.push(person("one@more.example"));
    assert_eq!(code(world.enrol(&made.id, people).await), "recipients_invalid");
    assert_eq!(code(world.enrol(&made.id, Vec::new()).await), "recipients_invalid");
    let started = world.start(&made.id).await.unwrap();
    assert_eq!(started.recipient_count, 9_994);
    // At first as many as the mailbox sends in a minute.
    post.mails(30).await;
    post.no_more_than(30).await;
}

#[tokio::test]
async fn contacts_are_mailed_at_their_own_address_by_their_own_name() {
    let world = world().await;
    let mut post = world.mailbox().await;
    let fields = [("email", "Carol@acme.example"), ("first_name", "Carol"), ("last_name", "Wild")];
    world.tell(CanonicalObject::Contact, record(1), 1, &fields).await;
    world.tell(CanonicalObject::Contact, record(2), 1, &[("first_name", "Nobody")]).await;
    world.knows(4).await;
    let text = "Dear {{name}}, {{ first_name }}!\n\nStop: {{opt_out_link}}";
    let made = world.campaign(draft(&[(0, "For {{last_name}} at {{company}}", text)])).await.unwrap();
    let contact = |number| NewRecipient {
        contact_id: record(number).to_string(),
        fields: [("company".to_owned(), " Acme\n{{name}} ".to_owned())].into(),
        ..NewRecipient::default()
    };
    let told = world.enrol(&made.id, vec![contact(1), contact(2)]).await.unwrap();
    assert_eq!((told.enrolled, told.refused[0].code.as_str()), (1, "contact_without_address"));
    let preview = PreviewCampaignRequest { campaign_id: made.id.clone(), ..Default::default() };
    let preview = world.client().preview_campaign(by("viewer", preview)).await.unwrap().into_inner();
    assert_eq!((preview.mails.len(), preview.missing.len()), (1, 0));
    world.start(&made.id).await.unwrap();
    let mail = &post.mails(1).await[0];
    assert_eq!((mail.to.name.as_str(), mail.to.address.as_str()), ("Carol Wild", "carol@acme.example"));
    // What a field holds is no template, and a subject is one line.
    assert_eq!(mail.subject, "For Wild at Acme {{name}}");
    assert_eq!(mail.subject, preview.mails[0].subject);
    assert!(mail.text.starts_with("Dear Carol Wild, Carol!\n\nStop: https://api.example/opt-out?t="));
    assert!(preview.mails[0].text.ends_with("/opt-out?t=preview"));
}

#[tokio::test]
async fn a_campaign_does_not_start_while_something_is_missing() {
    let world = world().await;
    let post = world.mailbox().await;
    let made = world.campaign(draft(&[(0, "A word", "hello")])).await.unwrap();
    assert_eq!(code(world.start(&made.id).await), "campaign_empty");
    world.enrol(&made.id, vec![person("ann@one.example")]).await.unwrap();
    // The text is changed after that.
    let changed = UpdateCampaignRequest {
        id: made.id.clone(),
        draft: Some(draft(&[(0, "A word", "Dear {{first_name}} of {{company}}")])),
        if_version: None,
    };
    world.client().update_campaign(by("ann", changed.clone())).await.unwrap();
    let refused = world.start(&made.id).await;
    assert!(refused.as_ref().unwrap_err().message().contains("{{company}} is not known of 1 "));
    assert_eq!(code(refused), "fields_missing");
    let preview = PreviewCampaignRequest { campaign_id: made.id.clone(), ..Default::default() };
    let preview = world.client().preview_campaign(by("viewer", preview)).await.unwrap().into_inner();
    assert_eq!(preview.mails[0].missing, "company");
    assert_eq!(preview.missing, [MissingField { field: "company".to_owned(), recipients: 1 }]);
    for (steps, why) in [
        (vec![(0, "A word", "Dear {{first name}}")], "template_invalid"),
        (vec![(0, "A word", "Dear {{first_name")], "template_invalid"),
        (vec![(0, "{{opt_out_link}}", "hello")], "template_invalid"),
        (vec![(0, "", "hello")], "required"),
        (vec![(0, "A word", " ")], "required"),
        (vec![(366, "A word", "hello")], "days_invalid"),
        (vec![], "steps_invalid"),
        (vec![(0, "A", "b"); 21], "steps_invalid"),
    ] {
        assert_eq!(code(world.campaign(draft(&steps)).await), why, "{steps:?}");
    }
    let window = |time_zone: &str, from_minute, until_minute| CampaignDraft {
        window: Some(SendingWindow {
            time_zone: time_zone.to_owned(),
            from_minute,
            until_minute,
            weekdays_only: false,
        }),
        ..draft(&[(0, "A", "b")])
    };
    assert_eq!(code(world.campaign(window("Berlin", 0, 60)).await), "time_zone_invalid");
    assert_eq!(code(world.campaign(window("Europe/Berlin", 60, 60)).await), "window_invalid");
    let nowhere = CampaignDraft {
        connection_id: model::ConnectionId::generate(crate::world::noon()).to_string(),
        ..draft(&[(0, "A", "b")])
    };
    assert_eq!(code(world.campaign(nowhere).await), "connection_not_found");
    // Who reads may not send, and another organization sees nothing.
    let request = || CampaignRequest { id: made.id.clone() };
    let start = || StartCampaignRequest { id: made.id.clone(), if_version: None };
    assert_eq!(code(world.client().start_campaign(by("viewer", start())).await), "scope_missing");
    assert_eq!(code(world.client().start_campaign(by("other", start())).await), "campaign_not_found");
    assert_eq!(code(world.client().get_campaign(by("other", request())).await), "campaign_not_found");
    assert_eq!(code(world.client().pause_campaign(by("ann", request())).await), "campaign_not_started");
    world
        .client()
        .update_campaign(by(
            "ann",
            UpdateCampaignRequest {
                draft: Some(draft(&[(0, "A word", "Dear {{first_name}}")])),
                ..changed.clone()
            },
        ))
        .await
        .unwrap();
    world.start(&made.id).await.unwrap();
    assert_eq!(code(world.start(&made.id).await), "campaign_started");
    assert_eq!(code(world.client().update_campaign(by("ann", changed)).await), "campaign_started");
    drop(post);
}
