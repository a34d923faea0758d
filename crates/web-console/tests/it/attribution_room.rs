//! The attribution room, played: it answers from the console's own samples.

use model::Scope::{
    CommissionsRead, CommissionsWrite, EventsWrite, PartnersRead, PartnersWrite, PayoutsWrite, ProgramsWrite,
};
use proto::attribution::{
    self as wire, CommissionAnswer, CommissionRefusal, attribution_server::Attribution, commission_answer,
    conversion_rules_server::ConversionRules, ingest_urls_server::IngestUrls,
};
use tonic::{Request, Response, Status};
use web_console::sample;

use crate::rooms::{Answer, Rooms};

/// Serves each call by what is written down of it and the answer, both of what was asked.
macro_rules! play {
    ($service:ident asked { $($method:ident($request:ident) -> $response:ident needs $scope:expr, $call:expr, $answer:expr;)* }
     never { $($free:ident($free_request:ident) -> $free_response:ident;)* }) => {
        #[tonic::async_trait]
        impl $service for Rooms {
            $(async fn $method(&self, request: Request<wire::$request>) -> Answer<wire::$response> {
                let call: fn(&wire::$request) -> String = $call;
                self.enter(&request, $scope, call(request.get_ref()))?;
                let answer: fn(wire::$request) -> Result<wire::$response, Status> = $answer;
                answer(request.into_inner()).map(Response::new)
            })*
            $(async fn $free(&self, _: Request<wire::$free_request>) -> Answer<wire::$free_response> {
                Err(Status::unimplemented("the console does not ask this"))
            })*
        }
    };
}
pub(crate) use play;

pub(crate) fn quiet<T>(_: &T) -> String {
    String::new()
}

/// Of what is decided the first is done, and the others are not.
fn decided(request: wire::DecideCommissionsRequest) -> Result<wire::DecideCommissionsResponse, Status> {
    let answer = |(place, _): (usize, &String)| {
        let refused = CommissionRefusal {
            code: "holdback_active".to_owned(),
            message: "its hold period is not over".to_owned(),
            ..CommissionRefusal::default()
        };
        let done = sample::commissions().remove(0);
        CommissionAnswer {
            answer: Some(match place {
                0 => commission_answer::Answer::Commission(done),
                _ => commission_answer::Answer::Refused(refused),
            }),
        }
    };
    let answers = request.commission_ids.iter().enumerate().map(answer).collect();
    Ok(wire::DecideCommissionsResponse { answers })
}

fn decision(verb: &str, request: &wire::DecideCommissionsRequest) -> String {
    format!("{verb} {} “{}”", request.commission_ids.len(), request.note)
}

fn terms(terms: &Option<wire::Terms>) -> String {
    terms.as_ref().map_or_else(|| "same terms".to_owned(), |terms| format!("{:?}", terms.rules))
}

play! {
    Attribution asked {
    record_events(RecordEventsRequest) -> RecordEventsResponse needs Some(EventsWrite), |asked| {
        let event = &asked.events[0];
        format!("event {} {} {:?} {} {}", event.user_id, event.r#type, event.value, event.currency, event.idempotency_key)
    }, |_| {
        let touch = wire::Touch { partner_id: sample::id("ptnr", 1), ..Default::default() };
        let event_id = sample::id("evt", 3);
        let recorded = wire::RecordedEvent { event_id, touches: vec![touch], ..Default::default() };
        let answer = Some(wire::event_answer::Answer::Recorded(recorded));
        Ok(wire::RecordEventsResponse { answers: vec![wire::EventAnswer { answer }] })
    };
    correct_event(CorrectEventRequest) -> CorrectEventResponse needs Some(EventsWrite),
        |asked| format!("correct {:?} “{}”", asked.correction, asked.reason),
        |_| Ok(wire::CorrectEventResponse { recorded: true, event: None });
    identify(IdentifyRequest) -> IdentifyResponse needs None,
        |asked| format!("identify {} {}", asked.click_id, asked.user_id),
        |_| Ok(wire::IdentifyResponse { first_stitch: true, ..Default::default() });
    follow_link(FollowLinkRequest) -> FollowLinkResponse needs None,
        |asked| format!("follow {} of {}", asked.link_key, asked.organization_id),
        |_| Ok(wire::FollowLinkResponse { click_id: "click1".into(), destination_url: String::new() });
    create_partner(CreatePartnerRequest) -> Partner needs Some(PartnersWrite),
        |asked| format!("partner {} {}", asked.name, asked.email), |_| Ok(sample::partner(1));
    decide_partner(DecidePartnerRequest) -> Partner needs Some(PartnersWrite),
        |asked| format!("{} “{}”", asked.decision, asked.note),
        |asked| Ok(sample::partner(if asked.decision == "revoke" { 2 } else { 1 }));
    list_partners(ListPartnersRequest) -> ListPartnersResponse needs Some(PartnersRead), quiet,
        |_| Ok(wire::ListPartnersResponse { partners: vec![sample::partner(1)], next_cursor: String::new() });
    get_partner(GetPartnerRequest) -> Partner needs Some(PartnersRead), quiet, |asked| {
        let found = [1, 2].map(sample::partner).into_iter().find(|partner| partner.id == asked.partner_id);
        found.ok_or_else(|| Status::not_found(""))
    };
    create_program(Program) -> Program needs Some(ProgramsWrite),
        |asked| format!("program {} {} {}", asked.name, asked.destination_url, terms(&asked.terms)),
        |_| Ok(sample::program(1));
    update_program(UpdateProgramRequest) -> Program needs Some(ProgramsWrite),
        |asked| format!("update {:?} {}", asked.name, terms(&asked.terms)), |_| Ok(sample::program(1));
    list_programs(ListProgramsRequest) -> ListProgramsResponse needs Some(PartnersRead), quiet,
        |_| Ok(wire::ListProgramsResponse { programs: sample::programs() });
    get_program(GetProgramRequest) -> Program needs Some(PartnersRead), quiet, |asked| {
        sample::programs().into_iter().find(|program| program.id == asked.program_id).ok_or_else(|| Status::not_found(""))
    };
    create_link(CreateLinkRequest) -> Link needs Some(PartnersWrite), |asked| format!("link {}", asked.key),
        |asked| Ok(wire::Link { key: asked.key, ..Default::default() });
    set_partner_terms(SetPartnerTermsRequest) -> PartnerTerms needs Some(ProgramsWrite),
        |asked| format!("agree {} from {:?}", terms(&asked.terms), asked.effective_from.map(|at| at.seconds)),
        |_| Ok(sample::partner_terms().remove(0));
    list_partner_terms(ListPartnerTermsRequest) -> ListPartnerTermsResponse needs Some(PartnersRead), quiet,
        |_| Ok(wire::ListPartnerTermsResponse { terms: sample::partner_terms() });
    list_links(ListLinksRequest) -> ListLinksResponse needs Some(PartnersRead), quiet,
        |_| Ok(wire::ListLinksResponse { links: sample::dashboard().links });
    list_commissions(ListCommissionsRequest) -> ListCommissionsResponse needs Some(CommissionsRead), quiet, |_| {
        Ok(wire::ListCommissionsResponse { commissions: sample::commissions(), next_cursor: String::new() })
    };
    approve_commissions(DecideCommissionsRequest) -> DecideCommissionsResponse needs Some(CommissionsWrite),
        |asked| decision("approve", asked), decided;
    reverse_commissions(DecideCommissionsRequest) -> DecideCommissionsResponse needs Some(CommissionsWrite),
        |asked| decision("reverse", asked), decided;
    hold_commissions(DecideCommissionsRequest) -> DecideCommissionsResponse needs Some(CommissionsWrite),
        |asked| decision("hold", asked), decided;
    release_commissions(DecideCommissionsRequest) -> DecideCommissionsResponse needs Some(CommissionsWrite),
        |asked| decision("release", asked), decided;
    list_events(ListEventsRequest) -> ListEventsResponse needs Some(CommissionsRead),
        |asked| format!("events {:?} {:?} {:?} {:?}", asked.status, asked.user_id, asked.metadata_value, asked.event_ids.len()),
        |_| Ok(wire::ListEventsResponse { events: sample::conversions(), next_cursor: String::new() });
    get_dashboard(DashboardRequest) -> Dashboard needs Some(CommissionsRead), quiet, |_| Ok(sample::dashboard());
    get_timeseries(TimeseriesRequest) -> TimeseriesResponse needs Some(CommissionsRead),
        |asked| format!("days since {}", asked.since.unwrap_or_default().seconds),
        |_| Ok(wire::TimeseriesResponse { days: sample::days() });
    list_balances(ListBalancesRequest) -> ListBalancesResponse needs Some(CommissionsRead), quiet,
        |_| Ok(wire::ListBalancesResponse { balances: sample::balances() });
    list_entries(ListEntriesRequest) -> ListEntriesResponse needs Some(CommissionsRead), quiet,
        |_| Ok(wire::ListEntriesResponse { entries: sample::ledger(), next_cursor: String::new() });
    verify(VerifyRequest) -> VerifyResponse needs Some(CommissionsRead), |_| "verify".to_owned(),
        |_| Ok(wire::VerifyResponse { whole: true, ..Default::default() });
    run_payouts(RunPayoutsRequest) -> RunPayoutsResponse needs Some(PayoutsWrite),
        |asked| format!("run {} {:?}", asked.idempotency_key, asked.partner_ids),
        |_| Ok(wire::RunPayoutsResponse { payouts: sample::payouts(), ..Default::default() });
    settle_payout(SettlePayoutRequest) -> Payout needs Some(PayoutsWrite),
        |asked| format!("settle {} {}", asked.outcome, asked.reference), |_| Ok(sample::payouts().remove(1));
    list_payouts(ListPayoutsRequest) -> ListPayoutsResponse needs Some(CommissionsRead), quiet, |asked| {
        // Two pages of them, for whoever wants all.
        let next_cursor = if asked.cursor.is_empty() && asked.limit == 500 { "second" } else { "" }.to_owned();
        Ok(wire::ListPayoutsResponse { payouts: sample::payouts(), next_cursor })
    };
    preview_model(ChangeModelRequest) -> ModelDifference needs Some(ProgramsWrite),
        |asked| format!("preview {}", asked.model), |_| Ok(sample::model_difference());
    change_model(ChangeModelRequest) -> ModelDifference needs Some(ProgramsWrite),
        |asked| format!("change {}", asked.model), |_| Ok(sample::model_difference());
    list_reviews(ListReviewsRequest) -> ListReviewsResponse needs Some(CommissionsRead),
        |asked| format!("reviews {:?} {:?}", asked.state, asked.reason),
        |_| Ok(wire::ListReviewsResponse {
            items: sample::reviews(), totals: sample::review_totals(), next_cursor: String::new(),
        });
    decide_reviews(DecideReviewsRequest) -> DecideCommissionsResponse needs Some(CommissionsWrite),
        |asked| format!("{} {:?} click {} “{}”", asked.decision, asked.commission_ids, asked.with_click, asked.note),
        |asked| decided(wire::DecideCommissionsRequest { commission_ids: asked.commission_ids, note: asked.note });
    get_guards(GetGuardsRequest) -> Guards needs Some(PartnersRead), quiet, |_| Ok(sample::guards());
    set_guards(Guards) -> Guards needs Some(ProgramsWrite), |asked| format!("{asked:?}"), Ok;
    rotate_identify_secret(RotateIdentifySecretRequest) -> RotateIdentifySecretResponse needs Some(ProgramsWrite),
        |_| "rotate identify".to_owned(),
        |_| Ok(wire::RotateIdentifySecretResponse { secret: "is_fresh".into(), guards: Some(sample::guards()) });
    sign_user(SignUserRequest) -> SignUserResponse needs Some(ProgramsWrite),
        |asked| format!("sign {}", asked.user_id), |_| Ok(wire::SignUserResponse { signature: "5160".into() });
    create_webhook(CreateWebhookRequest) -> CreateWebhookResponse needs Some(ProgramsWrite),
        |asked| format!("webhook {} {:?}", asked.url, asked.events),
        |_| Ok(wire::CreateWebhookResponse { endpoint: Some(sample::webhooks().remove(0)), secret: "whsec_fresh".into() });
    update_webhook(UpdateWebhookRequest) -> WebhookEndpoint needs Some(ProgramsWrite),
        |asked| format!("update webhook {:?} {:?} {:?}", asked.events, asked.label, asked.active),
        |_| Ok(sample::webhooks().remove(0));
    delete_webhook(DeleteWebhookRequest) -> DeleteWebhookResponse needs Some(ProgramsWrite),
        |asked| format!("delete webhook, hard {}", asked.hard), |_| Ok(wire::DeleteWebhookResponse {});
    get_webhook(GetWebhookRequest) -> WebhookEndpoint needs Some(ProgramsWrite), quiet, |asked| {
        sample::webhooks().into_iter().find(|it| it.id == asked.webhook_id).ok_or_else(|| Status::not_found(""))
    };
    list_webhooks(ListWebhooksRequest) -> ListWebhooksResponse needs Some(ProgramsWrite), quiet,
        |_| Ok(wire::ListWebhooksResponse { endpoints: sample::webhooks() });
    list_deliveries(ListDeliveriesRequest) -> ListDeliveriesResponse needs Some(ProgramsWrite), quiet,
        |_| Ok(wire::ListDeliveriesResponse { deliveries: sample::deliveries() });
    retry_delivery(RetryDeliveryRequest) -> WebhookDelivery needs Some(ProgramsWrite),
        |asked| format!("retry {}", asked.delivery_id), |_| Ok(sample::deliveries().remove(2));
    test_webhook(TestWebhookRequest) -> WebhookDelivery needs Some(ProgramsWrite), |_| "test webhook".to_owned(),
        |_| Ok(sample::deliveries().remove(0));
    }
    never {
        record_click(RecordClickRequest) -> RecordClickResponse;
        decide_click(DecideClickRequest) -> DecideClickResponse;
        list_attributions(ListAttributionsRequest) -> ListAttributionsResponse;
    }
}

play! {
    ConversionRules asked {
    list_conversion_rules(ListConversionRulesRequest) -> ListConversionRulesResponse needs Some(CommissionsRead), quiet,
        |_| Ok(wire::ListConversionRulesResponse { rules: sample::conversion_rules() });
    create_conversion_rule(CreateConversionRuleRequest) -> ConversionRule needs Some(ProgramsWrite),
        |asked| format!("rule {:?}", asked.spec), |_| Ok(sample::conversion_rules().remove(0));
    update_conversion_rule(UpdateConversionRuleRequest) -> ConversionRule needs Some(ProgramsWrite),
        |asked| format!("update {:?}", asked.spec), |_| Ok(sample::conversion_rules().remove(0));
    set_conversion_rule_enabled(SetConversionRuleEnabledRequest) -> ConversionRule needs Some(ProgramsWrite),
        |asked| format!("enabled {}", asked.enabled), |_| Ok(sample::conversion_rules().remove(0));
    list_conversion_records(ListConversionRecordsRequest) -> ListConversionRecordsResponse
        needs Some(CommissionsRead), |asked| format!("records {:?}", asked.status),
        |_| Ok(wire::ListConversionRecordsResponse { records: sample::conversion_records(), next_cursor: String::new() });
    list_waiting_records(ListWaitingRecordsRequest) -> ListWaitingRecordsResponse needs Some(CommissionsRead),
        |asked| format!("waiting {:?} {:?} {:?}", asked.event_type, asked.record_id, asked.cursor),
        |_| Ok(wire::ListWaitingRecordsResponse { records: sample::waiting_records(), next_cursor: "2 more".into() });
    }
    never {}
}

play! {
    IngestUrls asked {
    list_ingest_urls(ListIngestUrlsRequest) -> ListIngestUrlsResponse needs Some(CommissionsRead), quiet,
        |_| Ok(wire::ListIngestUrlsResponse { urls: sample::ingest_urls() });
    create_ingest_url(CreateIngestUrlRequest) -> CreateIngestUrlResponse needs Some(ProgramsWrite),
        |asked| format!("ingest {} {} {:?}", asked.name, asked.vendor, asked.signature_key),
        |_| Ok(wire::CreateIngestUrlResponse {
            url: Some(sample::ingest_urls().remove(0)), secret_path: "/ingest/ing_1/fresh".into(),
            user: "accord".into(), secret: "pw_fresh".into(),
        });
    update_ingest_url(UpdateIngestUrlRequest) -> IngestUrl needs Some(ProgramsWrite),
        |asked| format!("update ingest {:?}", asked.mapping.clone().unwrap_or_default().user_id),
        |_| Ok(sample::ingest_urls().remove(0));
    revoke_ingest_url(RevokeIngestUrlRequest) -> IngestUrl needs Some(ProgramsWrite), |_| "revoke ingest".to_owned(),
        |_| Ok(sample::ingest_urls().remove(1));
    preview_ingest(PreviewIngestRequest) -> PreviewIngestResponse needs Some(ProgramsWrite),
        |asked| format!("preview ingest, draft {}", asked.mapping.is_some()),
        |_| Ok(wire::PreviewIngestResponse { bodies: sample::ingested() });
    }
    never { ingest(IngestRequest) -> IngestResponse; }
}
