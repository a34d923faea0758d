//! Twelve mistakes that others made, each a story of how it is not made here.

use std::{collections::HashSet, time::Duration};

use model::{ChangeEvent, Value};
use proto::attribution::{
    Commission, CreateLinkRequest, CreatePartnerRequest, NewEvent, RecordClickRequest, Rule, Terms,
    correct_event_request::Correction, event_answer, rule::Reward,
};
use tonic::Code;

use crate::{
    hooking::{Receiver, hook, until_heard},
    rails::{Bank, Takes, owing, until_it_is},
    rules::{Crm, won},
    world::{Sold, World, event, percent, with, world},
};

/// What is owed of all commissions, as `amount currency`, without what is worth nothing.
async fn standing(world: &World) -> Vec<String> {
    let owed = |one: &Commission| one.status != "reversed";
    let all = world.commissions().await;
    let mut texts: Vec<String> =
        all.iter().filter(|one| owed(one)).map(|one| format!("{} {}", one.amount, one.currency)).collect();
    texts.sort();
    texts
}

/// Terms that pay this much for an event, once or for each.
fn bonus(trigger: &str, amount: &str) -> Terms {
    let (trigger, currency) = (trigger.to_owned(), "USD".to_owned());
    let reward = Some(Reward::Fixed(amount.to_owned()));
    Terms { rules: vec![Rule { trigger, reward, currency, ..Rule::default() }], ..Terms::default() }
}

// Mistake 1
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_identical_posts_at_the_same_time_pay_once() {
    let world = world().await;
    let Sold { ada, .. } = world.sold(percent("10")).await;
    let twin = NewEvent { idempotency_key: "deal-7".to_owned(), ..event("user-1", "500") };
    let posts = (0..16).map(|_| world.record(twin.clone()));
    let answers = futures::future::join_all(posts).await;
    let different: HashSet<String> = answers.iter().map(|answer| format!("{answer:?}")).collect();
    assert_eq!(different.len(), 1, "{different:?}");
    assert_eq!(world.earned(&ada).await, ["accrued 10.00 USD", "accrued 50.00 USD"]);
    assert_eq!(world.kinds_of_entries().await, ["accrual", "accrual"]);
    world.assert_whole().await;
}

// Mistake 2
#[tokio::test(flavor = "multi_thread")]
async fn a_touch_that_is_stitched_after_the_sale_does_not_pay_a_second_partner_as_well() {
    let world = world().await;
    let program = world.program("Spring", percent("10")).await;
    let (ada, bob) = (world.partner("ada", &program).await, world.partner("bob", &program).await);
    let first = world.click(&ada).await;
    world.clock.advance(Duration::from_secs(60));
    let second = world.click(&bob).await;
    world.clock.advance(Duration::from_secs(60));
    world.identify(&first, "user-1").await;
    let recorded = world.record(event("user-1", "100")).await;
    assert_eq!(recorded.touches[0].partner_id, ada.partner);
    let late = world.identify(&second, "user-1").await;
    assert_eq!(late.backfilled_attributions, 1);
    assert_eq!(world.earned(&ada).await, ["reversed 0.00 USD"]);
    assert_eq!(world.earned(&bob).await, ["accrued 10.00 USD"]);
    assert!(world.balances(&ada).await.is_empty());
    assert_eq!(world.kinds_of_entries().await.len(), 3);
    world.assert_whole().await;
}

// Mistake 3
#[tokio::test]
async fn an_unauthenticated_identify_does_not_let_a_partner_claim_a_known_customers_next_deal() {
    let world = world().await;
    let program = world.program("referrals", percent("20")).await;
    let thief = world.partner("thief", &program).await;
    world.record(event("big@customer.example", "1000")).await;
    world.clock.advance(Duration::from_secs(3_600));
    let click = world.click(&thief).await;
    world.identify(&click, "big@customer.example").await;
    world.record(event("big@customer.example", "5000")).await;
    assert_eq!(world.waiting().await, ["known_customer big@customer.example 1000.00"]);
    let item = world.reviews().await.items.remove(0);
    let refused = world.approve(&item.commission_id).await.unwrap_err();
    assert_eq!(refused.code, "commission_held");
    let decided = world.decide_reviews(&[item.commission_id], "reject", true).await;
    assert_eq!(decided[0].as_ref().unwrap().status, "reversed");
    assert_eq!(world.balances(&thief).await, Vec::<String>::new());
    // What comes later by the same click earns nothing.
    world.record(event("big@customer.example", "9000")).await;
    assert_eq!(world.earned(&thief).await, ["reversed 0.00 USD"]);
    world.assert_whole().await;
}

// Mistake 4
#[tokio::test(flavor = "multi_thread")]
async fn three_shares_of_ten_sum_to_ten_yen_have_no_decimals_and_fixed_dollars_stay_dollars() {
    let world = world().await;
    let shared = Terms { model: "linear".to_owned(), ..percent("100") };
    let program = world.program("Spring", shared).await;
    for name in ["ada", "bob", "cy"] {
        let partner = world.partner(name, &program).await;
        let click = world.click(&partner).await;
        world.identify(&click, "user-1").await;
        world.clock.advance(Duration::from_secs(60));
    }
    world.record(event("user-1", "10.00")).await;
    assert_eq!(standing(&world).await, ["3.33 USD", "3.33 USD", "3.34 USD"]);

    let tenth = world.program("Tenth", percent("10")).await;
    let dee = world.partner("dee", &tenth).await;
    world.identify(&world.click(&dee).await, "user-2").await;
    let yen = NewEvent { currency: "JPY".to_owned(), ..event("user-2", "1234") };
    world.record(yen).await;
    assert_eq!(world.earned(&dee).await, ["accrued 123 JPY"]);

    let fixed = world.program("Fixed", bonus("every", "50")).await;
    let eve = world.partner("eve", &fixed).await;
    world.identify(&world.click(&eve).await, "user-3").await;
    let yen = NewEvent { currency: "JPY".to_owned(), ..event("user-3", "1234") };
    world.record(yen).await;
    assert_eq!(world.earned(&eve).await, ["accrued 50.00 USD"]);
    world.assert_whole().await;
}

// Mistake 5
#[tokio::test(flavor = "multi_thread")]
async fn a_first_bonus_is_paid_once_to_many_at_the_same_time_and_once_after_a_late_event_of_an_earlier_time()
{
    let world = world().await;
    let program = world.program("Spring", bonus("first", "50")).await;
    let ada = world.partner("ada", &program).await;
    world.identify(&world.click(&ada).await, "user-1").await;
    let deals = (0..8).map(|number| {
        let ts = Some(proto::to_wire_time(world.later(2)));
        let external_event_id = format!("deal-{number}");
        world.record(NewEvent { external_event_id, ts, ..event("user-1", "100") })
    });
    futures::future::join_all(deals).await;
    assert_eq!(standing(&world).await, ["50.00 USD"]);
    let ts = Some(proto::to_wire_time(world.later(1)));
    let late = world.record(NewEvent { ts, ..event("user-1", "100") }).await;
    assert_eq!(standing(&world).await, ["50.00 USD"], "it is the first one now, in place of another");
    let paying = world.commissions().await.into_iter().find(|one| one.status == "accrued").unwrap();
    assert_eq!(paying.event_id, late.event_id);
    assert_eq!(world.balances(&ada).await, ["accrued 50.00 USD"]);
    world.assert_whole().await;
}

// Mistake 6
#[tokio::test(flavor = "multi_thread")]
async fn zzz_is_no_currency() {
    let world = world().await;
    for currency in ["zzz", "ZZZ", "usd!", "$"] {
        let wrong = NewEvent { currency: currency.to_owned(), ..event("user-1", "100") };
        let answer = world.try_record(vec![wrong]).await.unwrap().remove(0).answer.unwrap();
        let event_answer::Answer::Refused(refusal) = answer else { panic!("{currency} was taken") };
        assert_eq!((refusal.code.as_str(), refusal.field.as_str()), ("currency_invalid", "currency"));
    }
}

// Mistake 7
#[tokio::test(flavor = "multi_thread")]
async fn a_partial_refund_is_neither_a_full_one_nor_ignored() {
    let world = world().await;
    let Sold { ada, event, .. } = world.sold(percent("10")).await;
    world.correct(&event, "1", Correction::Refund("25".to_owned())).await;
    assert_eq!(world.earned(&ada).await, ["accrued 7.50 USD"]);
    world.correct(&event, "2", Correction::Refund("25".to_owned())).await;
    assert_eq!(world.earned(&ada).await, ["accrued 5.00 USD"], "refunds add up");
    world.correct(&event, "3", Correction::Refund("50".to_owned())).await;
    assert_eq!(world.earned(&ada).await, ["reversed 0.00 USD"]);
    world.assert_whole().await;
}

// Mistake 8
#[tokio::test]
async fn a_webhook_is_not_told_of_what_was_rolled_back() {
    let world = world().await;
    let receiver = Receiver::default();
    hook(&world, &receiver.start().await, &["partner.created"]).await;
    // The database refuses the commit itself, after everything was written.
    let refusing =
        "CREATE FUNCTION doom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'doomed'; END $$;
        CREATE CONSTRAINT TRIGGER doomed AFTER INSERT ON partners DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.name = 'doomed') EXECUTE FUNCTION doom()";
    sqlx::raw_sql(refusing).execute(&world.pool).await.unwrap();
    let partner = |name: &str| CreatePartnerRequest {
        email: format!("{name}@partners.example"),
        name: name.to_owned(),
        ..CreatePartnerRequest::default()
    };
    world.client().create_partner(with("ak_all", partner("doomed"))).await.unwrap_err();
    world.client().create_partner(with("ak_all", partner("ada"))).await.unwrap();
    until_heard(&receiver, 1).await;
    let told: Vec<String> =
        receiver.heard().iter().map(|(_, body)| body["data"]["name"].to_string()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let written: i64 =
        sqlx::query_scalar("SELECT count(*) FROM webhook_deliveries").fetch_one(&world.pool).await.unwrap();
    assert_eq!(written, 1);
}

// Mistake 9
#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_timeout_of_the_rail_is_looked_up_and_not_paid_a_second_time() {
    let bank = Bank::that(&[Takes::PaysInSilence]);
    let (world, Sold { ada, event, .. }) = owing(&bank).await;
    let payout = world.payouts("november").await.payouts.remove(0);
    assert_eq!((payout.status.as_str(), payout.trouble.as_str()), ("pending", "the line was cut"));
    // The amount stays what it was when the bank was first asked.
    world.correct(&event, "1", Correction::Refund("50".to_owned())).await;
    assert!(world.payouts("december").await.payouts.is_empty(), "nothing of it is paid by another run");
    world.clock.advance(Duration::from_secs(6));
    let paid = until_it_is(&world, "paid").await;
    assert_eq!((&paid.key, &paid.amount), (&payout.key, &payout.amount));
    assert_eq!((bank.was_asked("begin"), bank.was_asked("look up"), bank.moved()), (1, 1, 1));
    assert_eq!(world.balances(&ada).await, ["payable -5.00 USD"], "it is taken back from the next");
    world.assert_whole().await;
}

// Mistake 10
#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_events_cannot_choose_the_partner() {
    let world = world().await;
    let program = world.program("Spring", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    let coupon = format!(r#"{{"coupon":"{0}","linkKey":"{0}","partnerId":"{1}"}}"#, ada.link, ada.partner);
    let recorded = world.record(NewEvent { metadata_json: coupon, ..event("user-1", "100") }).await;
    assert_eq!(recorded.status, "no_identity");
    assert!(world.commissions().await.is_empty());
    let click = RecordClickRequest {
        id: "a-click-of-their-own-making".to_owned(),
        link_key: ada.link.clone(),
        landing_url: "https://shop.example/".to_owned(),
        ..RecordClickRequest::default()
    };
    let refused = world.client().record_click(with("ak_events", click)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let link = CreateLinkRequest {
        key: "mine".to_owned(),
        partner_id: ada.partner,
        program_id: program,
        ..CreateLinkRequest::default()
    };
    let refused = world.client().create_link(with("ak_events", link)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

// Mistake 11
#[tokio::test(flavor = "multi_thread")]
async fn a_deal_is_more_than_its_first_contact_and_its_currency_and_its_reopening_count() {
    let crm = Crm::open().await;
    let rule = crm.rule(won()).await;
    let people = Some(vec!["assistant@shop.example".to_owned(), "Buyer@Shop.example".to_owned()]);
    let deal = |version, stage: &str, currency: &str| ChangeEvent {
        people: people.clone(),
        ..crm.deal(
            "1",
            version,
            &[
                ("dealstage", Value::text(stage)),
                ("amount", Value::Number(1000.into())),
                ("deal_currency_code", Value::text(currency)),
            ],
        )
    };
    crm.tell(&[deal(1, "contractsent", "JPY"), deal(2, "closedwon", "JPY")]).await;
    let event = crm.events().await.remove(0);
    assert_eq!((event.user_id.as_str(), event.status.as_str()), ("Buyer@Shop.example", "attributed"));
    assert_eq!(crm.earned().await, ["accrued 100 JPY"]);
    crm.tell(&[deal(3, "contractsent", "JPY")]).await;
    assert_eq!(crm.earned().await, ["reversed 0 JPY"], "it was reopened");
    crm.tell(&[deal(4, "closedwon", "JPY")]).await;
    assert_eq!(crm.earned().await, ["accrued 100 JPY"]);

    // Another currency is another event in place of this one.
    crm.tell(&[deal(5, "closedwon", "EUR")]).await;
    assert_eq!(crm.earned().await, ["accrued 100.00 EUR", "reversed 0 JPY"]);
    crm.tell(&[deal(6, "closedwon", "no money")]).await;
    assert_eq!(crm.records(&rule).await, ["1 recorded 1000.00 EUR"], "what cannot be read changes nothing");
    crm.world.assert_whole().await;
}

// Mistake 12
#[tokio::test(flavor = "multi_thread")]
async fn what_accrued_is_never_deleted_by_a_flag_or_its_lifting_but_corrected_by_entries() {
    let world = world().await;
    let Sold { ada, click, .. } = world.sold(percent("10")).await;
    let before = world.commissions().await[0].id.clone();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.decide_click(&click, "flag").await, 1);
    assert_eq!(world.commissions().await[0].reason, "click_flagged");
    assert!(world.balances(&ada).await.is_empty());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.decide_click(&click, "clear").await, 1);
    assert_eq!(world.earned(&ada).await, ["accrued 10.00 USD"]);
    assert_eq!(world.commissions().await[0].id, before);
    assert_eq!(world.kinds_of_entries().await, ["accrual", "reversal", "accrual"]);
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_that_was_flagged_before_anybody_was_identified_by_it_earns_nothing() {
    let world = world().await;
    let program = world.program("Spring", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    let click = world.click(&ada).await;
    world.record(event("user-1", "100")).await;
    assert_eq!(world.decide_click(&click, "flag").await, 0, "nobody has it");
    world.identify(&click, "user-1").await;
    assert!(world.earned(&ada).await.is_empty());
    world.assert_whole().await;
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.decide_click(&click, "clear").await, 1);
    assert_eq!(world.earned(&ada).await, ["accrued 10.00 USD"]);
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_identified_by_a_click_while_it_is_flagged_earns_nothing_by_it() {
    let world = world().await;
    let program = world.program("Spring", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    for round in 0..40 {
        let click = world.click(&ada).await;
        let (first, second) = (format!("first-{round}"), format!("second-{round}"));
        world.record(event(&first, "100")).await;
        world.record(event(&second, "100")).await;
        world.identify(&click, &first).await;
        tokio::join!(world.identify(&click, &second), world.decide_click(&click, "flag"));
    }
    assert!(world.earned(&ada).await.iter().all(|one| one.starts_with("reversed")));
    world.assert_whole().await;
}
