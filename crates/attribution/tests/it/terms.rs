//! When terms begin and end, and terms of one partner.

use std::time::Duration;

use proto::attribution::*;
use tonic::Status;

use crate::world::{Brought, World, by_all, event, percent, with, world};

/// What the deal of a new customer of this partner pays, as the amounts of its commissions.
async fn deal(world: &World, brought: &Brought, user: &str) -> Vec<String> {
    let click = world.click(brought).await;
    world.identify(&click, user).await;
    sale(world, user).await
}

/// The same of a customer who clicked before.
async fn sale(world: &World, user: &str) -> Vec<String> {
    let event = world.record(event(user, "100")).await.event_id;
    let all = world.commissions().await;
    all.iter().filter(|one| one.event_id == event).map(|one| one.amount.clone()).collect()
}

async fn agree(
    world: &World,
    brought: &Brought,
    program: &str,
    (terms, hours): (Option<Terms>, Option<i64>),
) -> Result<PartnerTerms, Status> {
    let request = SetPartnerTermsRequest {
        partner_id: brought.partner.clone(),
        program_id: program.to_owned(),
        terms,
        effective_from: hours.map(|hours| proto::to_wire_time(world.later(hours))),
    };
    Ok(world.client().set_partner_terms(by_all(request)).await?.into_inner())
}

fn code(refused: &Status) -> &str {
    chassis::guard::stable_code(refused).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_earns_by_its_own_terms_from_their_moment_on_and_others_by_the_programs() {
    let world = world().await;
    let program = world.program("Spring", percent("10")).await;
    let (ada, bob) = (world.partner("ada", &program).await, world.partner("bob", &program).await);
    assert_eq!(deal(&world, &ada, "user-1").await, ["10.00"]);
    world.clock.advance(Duration::from_secs(3_600));
    let agreed = agree(&world, &ada, &program, (Some(percent("25")), Some(24))).await.unwrap();
    assert_eq!((agreed.version, agreed.program_name.as_str()), (2, "Spring"));
    assert_eq!(deal(&world, &ada, "user-2").await, ["10.00"], "it is not the time yet");
    world.clock.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(deal(&world, &ada, "user-3").await, ["25.00"]);
    assert_eq!(deal(&world, &bob, "user-4").await, ["10.00"]);

    // Other terms of the program do not change what was agreed, and a late event is paid by the terms of its time.
    let other = UpdateProgramRequest {
        program_id: program.clone(),
        terms: Some(percent("5")),
        ..UpdateProgramRequest::default()
    };
    let updated = world.client().update_program(by_all(other)).await.unwrap().into_inner();
    assert_eq!(updated.terms.unwrap().version, 3);
    assert_eq!(deal(&world, &ada, "user-5").await, ["25.00"]);
    assert_eq!(deal(&world, &bob, "user-6").await, ["5.00"]);
    let ts = Some(proto::to_wire_time(world.later(2)));
    let late = world.record(NewEvent { ts, ..event("user-1", "200") }).await;
    let commissions = world.commissions().await;
    assert_eq!(commissions.iter().find(|one| one.event_id == late.event_id).unwrap().amount, "20.00");

    world.clock.advance(Duration::from_secs(60));
    let ended = agree(&world, &ada, &program, (None, None)).await.unwrap();
    assert_eq!((ended.version, ended.terms), (4, None));
    assert_eq!(deal(&world, &ada, "user-7").await, ["5.00"], "the program's hold again");
    let listed = ListPartnerTermsRequest { partner_id: ada.partner.clone(), ..Default::default() };
    let listed = world.client().list_partner_terms(by_all(listed)).await.unwrap().into_inner().terms;
    assert_eq!(listed.iter().map(|one| one.version).collect::<Vec<_>>(), [4, 2]);
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_of_a_time_to_come_is_derived_again_by_the_terms_of_that_time() {
    let world = world().await;
    let program = world.program("Spring", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    world.identify(&world.click(&ada).await, "user-1").await;
    let tomorrow = Some(proto::to_wire_time(world.later(24)));
    world.record(NewEvent { ts: tomorrow, ..event("user-1", "100") }).await;
    agree(&world, &ada, &program, (Some(percent("30")), Some(12))).await.unwrap();
    assert_eq!(world.earned(&ada).await, ["accrued 30.00 USD"]);
    world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn terms_of_a_partner_are_refused_for_the_past_for_nobody_and_to_who_may_not_agree() {
    let world = world().await;
    let program = world.program("Spring", percent("10")).await;
    let ada = world.partner("ada", &program).await;
    let terms = || Some(percent("30"));
    let past = agree(&world, &ada, &program, (terms(), Some(-1))).await.unwrap_err();
    assert_eq!(code(&past), "in_the_past");
    let wrong = agree(&world, &ada, &program, (Some(percent("130")), None)).await.unwrap_err();
    assert_eq!(code(&wrong), "percent_invalid");
    let nobody = Brought { partner: "ptnr_1".to_owned(), link: String::new() };
    assert_eq!(
        code(&agree(&world, &nobody, &program, (terms(), None)).await.unwrap_err()),
        "partner_not_found"
    );
    assert_eq!(code(&agree(&world, &ada, "prog_1", (terms(), None)).await.unwrap_err()), "program_not_found");
    let request = SetPartnerTermsRequest { partner_id: ada.partner.clone(), ..Default::default() };
    for key in ["ak_events", "ak_other"] {
        world.client().set_partner_terms(with(key, request.clone())).await.unwrap_err();
    }
    let request = ListPartnerTermsRequest { partner_id: ada.partner, ..Default::default() };
    let elsewhere = world.client().list_partner_terms(with("ak_other", request)).await.unwrap_err();
    assert_eq!(code(&elsewhere), "partner_not_found");
}

/// Changes a program as said; the code of the refusal where it is refused.
async fn change(
    world: &World,
    program: &str,
    change: impl FnOnce(&mut UpdateProgramRequest),
) -> Result<Program, String> {
    let mut request = UpdateProgramRequest { program_id: program.to_owned(), ..Default::default() };
    change(&mut request);
    let answer = world.client().update_program(by_all(request)).await;
    answer.map(tonic::Response::into_inner).map_err(|status| code(&status).to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_programs_start_and_end_are_moved_and_taken_away_and_what_was_earned_stays() {
    let world = world().await;
    let at = |hours| Some(proto::to_wire_time(world.later(hours)));
    let program = world.program("Spring", percent("10")).await;
    let (ada, bob) = (world.partner("ada", &program).await, world.partner("bob", &program).await);
    agree(&world, &ada, &program, (Some(percent("20")), None)).await.unwrap();
    assert_eq!(deal(&world, &ada, "user-1").await, ["20.00"]);
    assert_eq!(deal(&world, &bob, "user-2").await, ["10.00"]);

    world.clock.advance(Duration::from_secs(3_600));
    change(&world, &program, |asked| asked.starts_at = at(20)).await.unwrap();
    change(&world, &program, |asked| asked.starts_at = at(30)).await.unwrap();
    world.clock.advance(Duration::from_secs(24 * 3_600));
    assert!(sale(&world, "user-1").await.is_empty(), "what was agreed pays in a program that has begun");
    assert!(sale(&world, "user-2").await.is_empty(), "the start was moved");
    world.clock.advance(Duration::from_secs(60));
    let cleared = change(&world, &program, |asked| asked.clear_starts_at = true).await.unwrap();
    assert_eq!(cleared.starts_at, None);
    assert_eq!(sale(&world, "user-1").await, ["20.00"], "it begins now");
    assert_eq!(sale(&world, "user-2").await, ["10.00"]);
    let again = change(&world, &program, |asked| asked.clear_starts_at = true).await.unwrap();
    assert_eq!(again.terms, cleared.terms, "nothing to take away, no new version");
    world.assert_whole().await;

    change(&world, &program, |asked| asked.ends_at = at(100)).await.unwrap();
    let cleared = change(&world, &program, |asked| asked.clear_ends_at = true).await.unwrap();
    assert_eq!(cleared.ends_at, None);
    world.clock.advance(Duration::from_secs(100 * 3_600));
    assert_eq!(sale(&world, "user-2").await, ["10.00"], "it did not end");
    change(&world, &program, |asked| asked.ends_at = at(200)).await.unwrap();
    world.clock.advance(Duration::from_secs(100 * 3_600));
    assert!(sale(&world, "user-1").await.is_empty(), "it ended for everybody");
    let refused = change(&world, &program, |asked| asked.clear_ends_at = true).await;
    assert_eq!(refused.unwrap_err(), "in_the_past", "it has ended");
    assert_eq!(world.earned(&ada).await, ["accrued 20.00 USD", "accrued 20.00 USD"]);
    world.assert_whole().await;
}
