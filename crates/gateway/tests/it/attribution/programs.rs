use http::{Method, StatusCode};
use proto::attribution::{
    Cap, ChangeModelRequest, Condition, CreateLinkRequest, DecidePartnerRequest, GetProgramRequest, Link,
    ListProgramsRequest, ListProgramsResponse, ModelDifference, Partner, PartnerDifference, Program, Rule,
    Terms, Tier, UpdateProgramRequest, rule::Reward,
};
use serde_json::json;
use tonic::Code;

use super::{ORGANIZATION, house};

const CREATE: &str = "accord.attribution.v1.Attribution/CreateProgram";
const GET: &str = "accord.attribution.v1.Attribution/GetProgram";
const UPDATE: &str = "accord.attribution.v1.Attribution/UpdateProgram";
const LIST: &str = "accord.attribution.v1.Attribution/ListPrograms";

fn stored(program: Program) -> Program {
    let terms =
        program.terms.map(|terms| Terms { version: 1, window_days: 60, model: "last_click".into(), ..terms });
    Program { id: "prog_1".into(), terms, ..program }
}

#[tokio::test]
async fn a_program_of_the_old_form_is_created_and_shown_in_the_new_one() {
    let door = house().await;
    door.rooms.on(CREATE, |program: Program| Ok(stored(program)));
    let body = json!({
        "name": "Referrals", "commissionRule": { "type": "percent", "value": 20 }, "destinationUrl": "https://shop.example/",
        "deepLinkAllowedDomains": "shop.example, blog.example", "customerReward": null, "categories": ["saas"],
    });
    for path in ["/programs", "/api/campaigns"] {
        let answer = door.post(path, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let row = answer.json();
        assert_eq!(row["commissionRule"], json!([{ "trigger": "every", "type": "percent", "value": 20 }]));
        assert_eq!((&row["id"], &row["tenantId"]), (&json!("prog_1"), &json!(ORGANIZATION)));
        assert_eq!(
            (&row["attributionWindowDays"], &row["attributionModel"]),
            (&json!(60), &json!("last_click"))
        );
        assert_eq!(
            (&row["deepLinkAllowedDomains"], &row["categories"]),
            (&json!("shop.example,blog.example"), &json!(["saas"]))
        );
        assert_eq!((&row["holdbackDays"], &row["customerReward"]), (&json!(null), &json!(null)));
    }
}

#[tokio::test]
async fn every_part_of_a_rule_reaches_the_room_and_comes_back() {
    let door = house().await;
    door.rooms.on(CREATE, |program: Program| Ok(stored(program)));
    let rules = json!([
        {
            "trigger": "first", "type": "fixed", "value": 50.5, "currency": "EUR", "eventType": "opportunity_won",
            "recurring": true, "recurringMonths": 12,
            "conditions": [{ "field": "stage", "operator": "equals", "value": "Closed Won" }],
            "tiers": [{ "volume": "10000", "currency": "EUR", "reward": "75" }],
            "partnerCap": { "amount": "1000", "currency": "EUR", "count": null },
            "customerCap": { "amount": null, "currency": null, "count": 3 },
        },
    ]);
    let body = json!({ "name": "P", "commissionRule": rules, "destinationUrl": "https://shop.example/", "holdbackDays": 30 });
    let answer = door.post("/programs", &body).await;
    assert_eq!(answer.json()["commissionRule"], rules, "{answer:?}");
    let asked = door.rooms.last_of(CREATE).message::<Program>();
    let expected = Rule {
        trigger: "first".into(),
        event_type: "opportunity_won".into(),
        reward: Some(Reward::Fixed("50.5".into())),
        currency: "EUR".into(),
        months: 12,
        conditions: vec![Condition {
            field: "stage".into(),
            operator: "equals".into(),
            value: "Closed Won".into(),
        }],
        tiers: vec![Tier { volume: "10000".into(), currency: "EUR".into(), reward: "75".into() }],
        partner_cap: Some(Cap { amount: "1000".into(), currency: "EUR".into(), count: 0 }),
        customer_cap: Some(Cap { count: 3, ..Cap::default() }),
    };
    let terms = asked.terms.unwrap();
    assert_eq!((terms.rules, terms.hold_days), (vec![expected], 30));
}

#[tokio::test]
async fn a_faulty_program_is_refused_field_by_field() {
    let door = house().await;
    let answer = door.post("/programs", &json!({})).await;
    assert_eq!(
        answer.json()["detail"]["fieldErrors"],
        json!({ "name": ["Required"], "commissionRule": ["Required"], "destinationUrl": ["Required"] })
    );
    for (rule, message) in [
        (json!([]), "Array must contain at least 1 element(s)"),
        (
            json!(vec![json!({ "trigger": "every", "type": "percent", "value": 1 }); 11]),
            "Array must contain at most 10 element(s)",
        ),
        (json!([{ "type": "percent", "value": 1 }]), "Required"),
        (json!({ "type": "percent", "value": 0 }), "Number must be greater than 0"),
        (
            json!([{ "trigger": "first", "type": "percent", "value": 1 }]),
            "first-trigger sub-rules require an eventType",
        ),
        (
            json!([{ "trigger": "every", "type": "percent", "value": 1, "recurringMonths": 3 }]),
            "recurringMonths requires recurring: true",
        ),
        (
            json!([{ "trigger": "every", "type": "share", "value": 1 }]),
            "Invalid enum value. Expected 'percent' | 'fixed', received 'share'",
        ),
        (json!("20%"), "Expected array, received string"),
        (
            json!([{ "trigger": "every", "type": "percent", "value": 1, "tiers": [7] }]),
            "Expected object, received number",
        ),
    ] {
        let body = json!({ "name": "P", "commissionRule": rule, "destinationUrl": "https://shop.example/" });
        let answer = door.post("/programs", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{rule}");
        assert_eq!(answer.json()["detail"]["fieldErrors"], json!({ "commissionRule": [message] }), "{rule}");
    }
    let body = json!({
        "name": "", "commissionRule": { "type": "percent", "value": 1 }, "destinationUrl": "javascript:alert(1)",
        "attributionWindowDays": 366, "attributionModel": "best_guess", "holdbackDays": 1.5,
    });
    let faults = door.post("/programs", &body).await.json()["detail"]["fieldErrors"].clone();
    assert_eq!(faults.as_object().unwrap().len(), 5, "{faults}");
}

#[tokio::test]
async fn a_change_of_a_program_keeps_what_it_does_not_name() {
    let door = house().await;
    let standing = || Program {
        id: "prog_1".into(),
        extra_json: r#"{"categories":["saas"],"marketplaceDescription":"old"}"#.into(),
        terms: Some(Terms {
            version: 3,
            window_days: 90,
            model: "linear".into(),
            hold_days: 14,
            rules: vec![Rule {
                trigger: "every".into(),
                reward: Some(Reward::Percent("20".into())),
                ..Rule::default()
            }],
            effective_from: None,
        }),
        ..Program::default()
    };
    door.rooms.on(GET, move |_: GetProgramRequest| Ok(standing()));
    door.rooms.on(UPDATE, move |_: UpdateProgramRequest| Ok(standing()));
    let asked = || door.rooms.last_of(UPDATE).message::<UpdateProgramRequest>();
    let body = json!({ "holdbackDays": null, "marketplaceDescription": null, "shareOnNetwork": false });
    let answer = door.call(Method::PATCH, "/programs/prog_1", Some(body)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let terms = asked().terms.unwrap();
    assert_eq!(
        (terms.window_days, terms.model.as_str(), terms.hold_days, terms.rules.len()),
        (90, "linear", 0, 1)
    );
    assert_eq!(asked().extra_json.as_deref(), Some(r#"{"categories":["saas"],"shareOnNetwork":false}"#));
    assert_eq!((asked().name, asked().destination_url, asked().allowed_domains), (None, None, None));

    door.call(Method::PATCH, "/campaigns/prog_1", Some(json!({ "name": "New" }))).await;
    assert_eq!((asked().name.as_deref(), asked().terms, asked().extra_json), (Some("New"), None, None));

    door.rooms
        .on(LIST, move |_: ListProgramsRequest| Ok(ListProgramsResponse { programs: vec![standing()] }));
    assert_eq!(door.get("/programs").await.json()["programs"][0]["id"], "prog_1");
    assert_eq!(door.get("/campaigns").await.json()["campaigns"][0]["attributionModel"], "linear");
}

#[tokio::test]
async fn an_admin_activates_and_invites_a_partner_again_and_the_room_is_asked_by_nobody_else() {
    const DECIDE: &str = "accord.attribution.v1.Attribution/DecidePartner";
    let door = house().await;
    door.rooms.on(DECIDE, |request: DecidePartnerRequest| match (&*request.partner_id, &*request.decision) {
        ("ptnr_1", "activate") | ("ptnr_4", "invite") => {
            Ok(Partner { id: request.partner_id, ..Partner::default() })
        }
        ("ptnr_2", _) => Err(chassis::guard::status(Code::FailedPrecondition, "partner_revoked", "Revoked.")),
        _ => Err(chassis::guard::status(Code::NotFound, "partner_not_found", "There is none.")),
    });
    let answer = door.post("/partners/ptnr_1/activate", &json!({})).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "ok": true })));
    let answer = door.post("/partners/ptnr_4/invite", &json!({})).await;
    assert_eq!(answer.json(), json!({ "ok": true, "invitedAt": null, "notified": false }));
    let answer = door.post("/partners/ptnr_2/activate", &json!({})).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (409, &json!("partner_revoked")));
    let answer = door.post("/partners/ptnr_3/activate", &json!({})).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let answer = door.post_as("ak_events", "/partners/ptnr_1/activate", "{}").await;
    assert_eq!(answer.json(), json!({ "error": "forbidden_scope", "required": "partners:write" }));
}

#[tokio::test]
async fn partners_and_links_are_made_as_callers_know_it() {
    const PARTNER: &str = "accord.attribution.v1.Attribution/CreatePartner";
    const LINK: &str = "accord.attribution.v1.Attribution/CreateLink";
    let door = house().await;
    door.rooms.on(PARTNER, |request: proto::attribution::CreatePartnerRequest| {
        match request.email.as_str() {
            "taken@example.com" => {
                Err(chassis::guard::status(Code::AlreadyExists, "email_taken", "There is one."))
            }
            email => Ok(Partner {
                id: "ptnr_1".into(),
                email: email.into(),
                name: request.name,
                status: "active".into(),
                ..Partner::default()
            }),
        }
    });
    let answer = door
        .post("/partners", &json!({ "email": "ada@example.com", "name": "Ada", "sendInvite": true }))
        .await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let row = answer.json();
    assert_eq!(
        (&row["id"], &row["metadata"], &row["invited"]),
        (&json!("ptnr_1"), &json!({}), &json!(false))
    );
    let answer = door.post("/partners", &json!({ "email": "taken@example.com", "name": "Ada" })).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (409, r#"{"error":"email_taken"}"#));
    let answer = door.post("/partners", &json!({ "email": "nobody", "name": "" })).await;
    assert_eq!(
        answer.json()["detail"]["fieldErrors"],
        json!({ "email": ["Invalid email"], "name": ["String must contain at least 1 character(s)"] })
    );

    door.rooms.on(LINK, |request: CreateLinkRequest| match request.key.as_str() {
        "taken" => Err(chassis::guard::status(Code::AlreadyExists, "link_key_taken", "There is one.")),
        "away" => Err(chassis::guard::at_field(
            chassis::guard::status(Code::InvalidArgument, "destination_override_not_allowed", "Not there."),
            "destination_url",
        )),
        "orphan" => Err(chassis::guard::status(Code::NotFound, "partner_not_found", "There is none.")),
        key => Ok(Link {
            key: key.into(),
            partner_id: request.partner_id,
            program_id: request.program_id,
            ..Link::default()
        }),
    });
    for (key, status, error) in [
        ("taken", 409, "linkKey_taken"),
        ("away", 400, "destination_override_not_allowed"),
        ("orphan", 404, "partner_not_found"),
        ("no good", 400, "invalid_body"),
    ] {
        let answer =
            door.post("/partners/ptnr_1/links", &json!({ "linkKey": key, "programId": "prog_1" })).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (status, &json!(error)), "{key}");
    }
    for program in ["programId", "campaignId"] {
        let answer =
            door.post("/partners/ptnr_1/links", &json!({ "linkKey": "ada-1", program: "prog_1" })).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let row = answer.json();
        assert_eq!(
            (&row["linkKey"], &row["programId"], &row["partnerId"]),
            (&json!("ada-1"), &json!("prog_1"), &json!("ptnr_1"))
        );
        assert_eq!(row["url"], "https://api.accord.example/r/ada-1");
    }
}

// B4
#[tokio::test]
async fn another_model_is_previewed_and_changed_with_a_report_of_who_gains_and_who_loses() {
    let door = house().await;
    for (method, path) in
        [("PreviewModel", "/programs/prog_1/model/preview"), ("ChangeModel", "/programs/prog_1/model")]
    {
        door.rooms.on(&format!("accord.attribution.v1.Attribution/{method}"), |_: ChangeModelRequest| {
            let partner = |partner_id: &str, before: &str, after: &str| PartnerDifference {
                partner_id: partner_id.into(),
                currency: "USD".into(),
                before: before.into(),
                after: after.into(),
            };
            let partners = vec![partner("ptnr_1", "0.00", "300.00"), partner("ptnr_2", "900.00", "600.00")];
            Ok(ModelDifference { events: 7, changed_events: 2, partners })
        });
        let answer = door.post(path, &json!({ "model": "linear" })).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(
            answer.json(),
            json!({
                "events": 7, "changedEvents": 2, "partners": [
                    { "partnerId": "ptnr_1", "currency": "USD", "before": "0.00", "after": "300.00" },
                    { "partnerId": "ptnr_2", "currency": "USD", "before": "900.00", "after": "600.00" },
                ],
            })
        );
        let asked = door.rooms.last();
        assert!(asked.method.ends_with(method), "{} was asked at {path}", asked.method);
        let asked = asked.message::<ChangeModelRequest>();
        assert_eq!((asked.program_id.as_str(), asked.model.as_str()), ("prog_1", "linear"));

        let calls = door.rooms.calls().len();
        for (body, message) in [
            (json!({}), "Required"),
            (
                json!({ "model": "best" }),
                "Invalid enum value. Expected 'last_click' | 'first_click' | 'linear' | 'position' | 'time_decay', received 'best'",
            ),
        ] {
            let answer = door.post(path, &body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
            assert_eq!(answer.json()["detail"]["fieldErrors"], json!({ "model": [message] }));
        }
        let refused = door.post_as("ak_events", path, r#"{"model":"nothing"}"#).await;
        assert_eq!(refused.json(), json!({ "error": "forbidden_scope", "required": "programs:write" }));
        let asked = door.rooms.calls().into_iter().skip(calls);
        assert!(asked.map(|call| call.method).all(|asked| !asked.ends_with(method)), "nothing was changed");
    }
}
