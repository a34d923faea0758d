//! Won deals that never became an event: why not, and what repairs it.

use model::Value;
use proto::attribution::{conversion_rule_spec::User, *};
use tonic::Code;

use crate::{
    rules::{Crm, won},
    world::{by_all, with},
};

impl Crm {
    async fn ask(&self, request: ListWaitingRecordsRequest) -> ListWaitingRecordsResponse {
        self.rules.clone().list_waiting_records(by_all(request)).await.unwrap().into_inner()
    }

    async fn waiting(&self) -> Vec<WaitingRecord> {
        self.ask(ListWaitingRecordsRequest::default()).await.records
    }

    /// A deal without its user-id field where none is given.
    fn deal_of(
        &self,
        id: &str,
        version: i64,
        user: &str,
        amount: &str,
        currency: &str,
    ) -> model::ChangeEvent {
        self.deal(
            id,
            version,
            &[
                ("dealstage", Value::text("closedwon")),
                ("account", Value::text(user)),
                ("amount", Value::text(amount)),
                ("deal_currency_code", Value::text(currency)),
            ],
        )
    }
}

fn by_field() -> ConversionRuleSpec {
    ConversionRuleSpec { user: Some(User::UserField("account".to_owned())), ..won() }
}

fn brief(record: &WaitingRecord) -> String {
    let WaitingRecord { record_id, value, currency, reason, .. } = record;
    format!("{record_id} {value} {currency} {reason}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_won_deal_without_its_user_id_is_listed_with_its_reason_until_it_is_an_event() {
    let crm = Crm::open().await;
    let rule = crm.rule(by_field()).await;
    crm.read_all().await;
    crm.tell(&[crm.of_stage("open", 1, "contractsent", 5), crm.deal_of("7", 1, "", "4500", "USD")]).await;
    let waiting = crm.waiting().await;
    assert_eq!(waiting.iter().map(brief).collect::<Vec<_>>(), ["7 4500.00 USD no_user"]);
    let deal = &waiting[0];
    assert_eq!(
        (&deal.rule_id, &*deal.rule_name, &*deal.event_type),
        (&rule.id, "Won deals", "opportunity_won")
    );
    assert_eq!((&deal.connection_id, &*deal.vendor_object), (&won().connection_id, "deals"));
    assert!(deal.changed_at.is_some() && deal.message.contains("field account is empty"), "{deal:?}");
    assert!(deal.repair.starts_with("Fill in account"), "{deal:?}");

    crm.tell(&[crm.deal_of("7", 2, "buyer@shop.example", "4500", "USD")]).await;
    assert_eq!(crm.waiting().await, []);
    assert_eq!(crm.earned().await, ["accrued 450.00 USD"]);
    // One that is lost before anybody repaired it is no won deal any more.
    crm.tell(&[crm.deal_of("8", 1, "", "1", "USD")]).await;
    assert_eq!(crm.waiting().await.len(), 1);
    crm.tell(&[crm.of_stage("8", 2, "closedlost", 1)]).await;
    assert_eq!(crm.waiting().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_why_a_won_deal_waits_is_told_in_words() {
    let crm = Crm::open().await;
    crm.rule(by_field()).await;
    crm.read_all().await;
    let buyer = "buyer@shop.example";
    let partly = crm.deal("4", 1, &[("dealstage", Value::text("closedwon"))]);
    let of_contact = ConversionRuleSpec { vendor_object: "Opportunity".to_owned(), ..won() };
    crm.tell(&[
        crm.deal_of("1", 1, buyer, "a lot", "EUR"),
        crm.deal_of("2", 1, buyer, "-5", "EUR"),
        crm.deal_of("3", 1, buyer, "90.5", "doubloons"),
        model::ChangeEvent { is_partial: true, ..partly },
    ])
    .await;
    crm.rule(of_contact).await;
    let alone = crm.deal_of("5", 1, "", "70", "");
    let alone = model::ChangeEvent { people: Some(Vec::new()), is_partial: true, ..alone };
    crm.tell(&[model::ChangeEvent { object: "Opportunity".to_owned(), ..alone }]).await;
    let waiting = crm.waiting().await;
    let found: Vec<_> = waiting.iter().map(brief).collect();
    assert_eq!(
        found,
        [
            "5 70.00 USD no_user",
            "4  USD incomplete",
            "3 90.5  currency_invalid",
            "2  EUR value_invalid",
            "1  EUR value_invalid",
        ]
    );
    for (place, words) in [
        "None of its contacts has an e-mail address",
        "not known yet",
        "deal_currency_code holds “doubloons”, which is no currency",
        "amount holds “-5”, which is no amount",
        "amount holds “a lot”, which is no amount",
    ]
    .into_iter()
    .enumerate()
    {
        let deal = &waiting[place];
        assert!(deal.message.contains(words) && deal.repair.ends_with('.'), "no {words} in {deal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn won_deals_that_wait_are_paged_over_all_rules_and_are_nobody_elses() {
    let crm = Crm::open().await;
    let first = crm.rule(by_field()).await;
    crm.rule(ConversionRuleSpec { event_type: "renewal_won".to_owned(), ..by_field() }).await;
    crm.read_all().await;
    for id in ["a b", "c", "d"] {
        crm.tell(&[crm.deal_of(id, 1, "", "1", "USD")]).await;
    }
    let whole: Vec<String> =
        crm.waiting().await.iter().map(|one| format!("{} {}", one.record_id, one.event_type)).collect();
    assert_eq!(whole.len(), 6);
    assert!(
        whole[0].starts_with("d ") && whole[5].starts_with("a b "),
        "the last that changed first: {whole:?}"
    );
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = crm.ask(ListWaitingRecordsRequest { limit: 1, cursor, ..Default::default() }).await;
        paged.extend(page.records.iter().map(|one| format!("{} {}", one.record_id, one.event_type)));
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(paged, whole);
    let one = ListWaitingRecordsRequest {
        event_type: "renewal_won".to_owned(),
        record_id: "a b".to_owned(),
        ..Default::default()
    };
    assert_eq!(crm.ask(one).await.records.len(), 1);

    // A rule that is disabled says nothing of its records.
    let off = SetConversionRuleEnabledRequest { rule_id: first.id, enabled: false };
    crm.rules.clone().set_conversion_rule_enabled(by_all(off)).await.unwrap();
    assert_eq!(crm.waiting().await.len(), 3);
    let ask = |key, cursor: &str| {
        let request = ListWaitingRecordsRequest { cursor: cursor.to_owned(), ..Default::default() };
        let mut rules = crm.rules.clone();
        async move { rules.list_waiting_records(with(key, request)).await }
    };
    assert_eq!(ask("ak_other", "").await.unwrap().into_inner().records, []);
    assert_eq!(ask("ak_events", "").await.unwrap_err().code(), Code::PermissionDenied);
    for cursor in ["7", "7 rule_1 x", "then rule x", "7 a\0 b"] {
        assert_eq!(ask("ak_all", cursor).await.unwrap_err().code(), Code::InvalidArgument, "{cursor:?}");
    }
}
