use std::time::Duration;

use futures::future::join_all;
use identity::FirstUser;
use model::{Role, Scope};
use proto::identity::{
    CheckRequest, Session, SetPasswordRequest, SignInWithLinkRequest, SignInWithPasswordRequest,
    WhoAmIRequest,
};
use secrecy::ExposeSecret;
use tonic::{Code, Status};

use crate::house::{House, NORTHWIND, Person, call, first_users, house, refused};

const PASSWORD: &str = "correct horse battery";
const OWNER: &str = "owner@northwind.example";

async fn with_password(house: &House, email: &str, password: &str, client: &str) -> Result<Session, Status> {
    let request = SignInWithPasswordRequest {
        email: email.to_owned(),
        password: password.to_owned(),
        client: client.to_owned(),
    };
    Ok(house.client().sign_in_with_password(request).await?.into_inner())
}

async fn set_password(by: &Person, current: &str, new: &str) -> Result<(), Status> {
    let request = SetPasswordRequest { current_password: current.into(), new_password: new.into() };
    by.client.clone().set_password(by.ask(request)).await.map(|_| ())
}

async fn house_with_password() -> (House, Person) {
    let house = house().await;
    let owner = house.sign_in(Role::Owner).await;
    set_password(&owner, "", PASSWORD).await.unwrap();
    (house, owner)
}

#[tokio::test]
async fn a_link_signs_in_once_however_many_try_at_once() {
    let house = house().await;
    let link = &house.northwind.users[0].link;
    let request = || SignInWithLinkRequest { token: link.token.expose_secret().to_owned() };
    let answers = join_all((0..8).map(|_| {
        let mut client = house.client();
        async move { client.sign_in_with_link(request()).await }
    }))
    .await;
    let (good, bad): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(good.len(), 1);
    for answer in bad {
        assert_eq!(refused(answer), (Code::Unauthenticated, "link_used".to_owned()));
    }
    let session = good.into_iter().next().unwrap().unwrap().into_inner();
    let me = Person { session, client: house.client() };
    let known = me.client.clone().who_am_i(me.ask(WhoAmIRequest {})).await.unwrap().into_inner();
    assert_eq!(known.organization_slug, "northwind-traders");
    assert_eq!((known.user.unwrap().email.as_str(), known.organization_name.as_str()), (OWNER, NORTHWIND));
    assert_eq!(known.scopes.len(), Scope::ALL.len());
    house.publishes("sign_in_refused", ("reason", "link_used")).await;
}

#[tokio::test]
async fn a_late_or_unknown_link_does_not_sign_in() {
    let house = house().await;
    let token = house.northwind.users[0].link.token.expose_secret().to_owned();
    let wrong = format!("al_{}", "A".repeat(43));
    for token in [wrong.as_str(), "al_1", "", &token.replacen("al_", "as_", 1)] {
        let request = SignInWithLinkRequest { token: token.to_owned() };
        let answer = house.client().sign_in_with_link(request).await;
        assert_eq!(refused(answer), (Code::Unauthenticated, "link_unknown".to_owned()));
    }
    let answer = house.client().check(CheckRequest { credential: token.clone(), passive: false }).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_unknown".to_owned()));
    house.clock.advance(Duration::from_secs(3600));
    let answer = house.client().sign_in_with_link(SignInWithLinkRequest { token }).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "link_expired".to_owned()));
}

#[tokio::test]
async fn a_password_signs_in_and_a_wrong_one_says_no_more_than_an_unknown_address() {
    let (house, _) = house_with_password().await;
    let session = with_password(&house, " OWNER@northwind.example ", PASSWORD, "10.0.0.1").await.unwrap();
    assert_eq!(session.user.unwrap().email, OWNER);
    let wrong = with_password(&house, OWNER, "wrong", "10.0.0.1").await.unwrap_err();
    let unknown = with_password(&house, "nobody@northwind.example", "wrong", "10.0.0.1").await.unwrap_err();
    let without = with_password(&house, "admin@northwind.example", "", "10.0.0.1").await.unwrap_err();
    let nonsense = with_password(&house, "\0", "\0", "10.0.0.1").await.unwrap_err();
    for status in [&wrong, &unknown, &without, &nonsense] {
        assert_eq!(status.message(), wrong.message());
    }
    for status in [wrong, unknown, without, nonsense] {
        assert_eq!(refused::<()>(Err(status)), (Code::Unauthenticated, "sign_in_refused".to_owned()));
    }
    house.publishes("sign_in_refused", ("reason", "wrong_password")).await;
}

#[tokio::test]
async fn after_five_wrong_passwords_even_the_right_one_waits() {
    let (house, _) = house_with_password().await;
    for attempt in 0..5 {
        let answer = with_password(&house, OWNER, "wrong", &format!("10.0.0.{attempt}")).await;
        assert_eq!(refused(answer), (Code::Unauthenticated, "sign_in_refused".to_owned()));
    }
    let answer = with_password(&house, OWNER, PASSWORD, "10.0.0.9").await;
    assert_eq!(refused(answer), (Code::ResourceExhausted, "too_many_attempts".to_owned()));
    let other = with_password(&house, "admin@northwind.example", "wrong", "10.0.0.9").await;
    assert_eq!(refused(other), (Code::Unauthenticated, "sign_in_refused".to_owned()));
    house.clock.advance(Duration::from_secs(2));
    with_password(&house, OWNER, PASSWORD, "10.0.0.9").await.unwrap();
    // The success clears the count.
    let answer = with_password(&house, OWNER, "wrong", "10.0.0.9").await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "sign_in_refused".to_owned()));
    with_password(&house, OWNER, PASSWORD, "10.0.0.9").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_attempts_at_once_are_five() {
    let (house, _) = house_with_password().await;
    // Every database connection is open before the rush begins.
    let strangers = (0..50).map(|_| async {
        house
            .client()
            .check(CheckRequest { credential: format!("ak_{}", "A".repeat(43)), passive: false })
            .await
    });
    assert!(join_all(strangers).await.iter().all(Result::is_err));
    let house = &house;
    let attempts = (0..100)
        .map(|client| async move { with_password(house, OWNER, "wrong", &format!("10.0.0.{client}")).await });
    let answers = join_all(attempts).await;
    let tried = answers.into_iter().map(refused).filter(|(code, _)| *code == Code::Unauthenticated).count();
    assert_eq!(tried, 5);
}

#[tokio::test]
async fn one_client_that_tries_many_addresses_waits_too() {
    let house = house().await;
    let mut waits = 0;
    for attempt in 0..40 {
        let answer =
            with_password(&house, &format!("guess{attempt}@northwind.example"), "x", "10.6.6.6").await;
        waits += usize::from(refused(answer).0 == Code::ResourceExhausted);
    }
    assert_eq!(waits, 10);
    let answer = with_password(&house, "somebody@northwind.example", "x", "10.0.0.1").await;
    assert_eq!(refused(answer).0, Code::Unauthenticated);
}

#[tokio::test]
async fn clients_that_nobody_knows_are_not_counted_as_one() {
    let house = house().await;
    for attempt in 0..40 {
        let answer = with_password(&house, &format!("guess{attempt}@northwind.example"), "x", "").await;
        assert_eq!(refused(answer).0, Code::Unauthenticated);
    }
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_the_other_sessions() {
    let (house, owner) = house_with_password().await;
    let denied = refused(set_password(&owner, "wrong", "another long password").await);
    assert_eq!(denied, (Code::PermissionDenied, "password_wrong".to_owned()));
    let short = refused(set_password(&owner, PASSWORD, "short").await);
    assert_eq!(short, (Code::InvalidArgument, "password_too_short".to_owned()));
    let guard = house.guard_elsewhere().await;
    let elsewhere = with_password(&house, OWNER, PASSWORD, "10.0.0.1").await.unwrap();
    call(&guard, &elsewhere.token, Scope::RecordsRead).await.unwrap();
    let link = house
        .operator
        .create_link(house.organization(), owner.id().parse().unwrap(), Duration::from_secs(60))
        .await
        .unwrap();

    set_password(&owner, PASSWORD, "another long password").await.unwrap();
    call(&guard, &owner.session.token, Scope::RecordsRead).await.unwrap();
    let answer = house.client().check(CheckRequest { credential: elsewhere.token, passive: false }).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_revoked".to_owned()));
    let request = SignInWithLinkRequest { token: link.token.expose_secret().to_owned() };
    let answer = house.client().sign_in_with_link(request).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "link_expired".to_owned()));
    let answer = with_password(&house, OWNER, PASSWORD, "10.0.0.1").await;
    assert_eq!(refused(answer).0, Code::Unauthenticated);
    with_password(&house, OWNER, "another long password", "10.0.0.1").await.unwrap();
}

#[tokio::test]
async fn a_password_that_the_operator_sets_ends_every_session_and_link() {
    let (house, owner) = house_with_password().await;
    let id = owner.id().parse().unwrap();
    let link = house.operator.create_link(house.organization(), id, Duration::from_secs(60)).await.unwrap();
    let new = "an operator's password".into();
    house.operator.set_password(house.organization(), id, new).await.unwrap();
    let answer = house.client().check(CheckRequest { credential: owner.session.token, passive: false }).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_revoked".to_owned()));
    let request = SignInWithLinkRequest { token: link.token.expose_secret().to_owned() };
    assert_eq!(refused(house.client().sign_in_with_link(request).await).0, Code::Unauthenticated);
    with_password(&house, OWNER, "an operator's password", "10.0.0.1").await.unwrap();
}

#[tokio::test]
async fn a_key_has_no_password_and_no_session() {
    let house = house().await;
    let key = house.sign_in(Role::Owner).await.mint_api_key(&Scope::ALL).await.unwrap();
    let session = Session { token: key.secret, expires_at: None, user: None };
    let key = Person { session, client: house.client() };
    let answer = set_password(&key, "", "a long enough password").await;
    assert_eq!(refused(answer), (Code::PermissionDenied, "session_required".to_owned()));
    let request = key.ask(proto::identity::SignOutRequest {});
    assert_eq!(refused(house.client().sign_out(request).await).0, Code::PermissionDenied);
}

#[tokio::test]
async fn a_session_slides_twelve_hours_from_its_last_use() {
    let house = house().await;
    let (viewer, guard) = (house.sign_in(Role::Viewer).await, house.guard_elsewhere().await);
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let database = house.database.pool("identity").await;
    let end = || async {
        let (end,): (jiff_sqlx::Timestamp,) =
            sqlx::query_as("SELECT max(expires_at) FROM sessions").fetch_one(&database).await.unwrap();
        end.to_jiff()
    };
    for _ in 0..3 {
        house.clock.advance(hours(11));
        call(&guard, &viewer.session.token, Scope::RecordsRead).await.unwrap();
        house
            .client()
            .check(CheckRequest { credential: viewer.session.token.clone(), passive: false })
            .await
            .unwrap();
        let until = house.now() + hours(12);
        testkit::eventually(crate::house::SOON, "the session ends later", || async {
            (end().await == until).then_some(())
        })
        .await;
    }
    house.clock.advance(hours(12));
    let answer = call(&guard, &viewer.session.token, Scope::RecordsRead).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_expired".to_owned()));
}

#[tokio::test]
async fn a_page_that_keeps_itself_fresh_keeps_no_session_alive() {
    let house = house().await;
    let (viewer, guard) = (house.sign_in(Role::Viewer).await, house.guard_elsewhere().await);
    let token = &viewer.session.token;
    let polled = async || {
        let mut metadata = tonic::metadata::MetadataMap::new();
        viewer.credential().apply(&mut metadata).unwrap();
        metadata.insert("accord-passive", "1".parse().unwrap());
        let mut who = viewer.ask(proto::identity::WhoAmIRequest {});
        who.metadata_mut().insert("accord-passive", "1".parse().unwrap());
        let known = viewer.client.clone().who_am_i(who).await.map(|_| ());
        guard.authorize(&metadata, Scope::RecordsRead).await.map(|_| ()).and(known)
    };
    for _ in 0..11 {
        house.clock.advance(Duration::from_secs(3600));
        polled().await.unwrap();
    }
    house.clock.advance(Duration::from_secs(3600));
    assert_eq!(refused(polled().await), (Code::Unauthenticated, "credential_expired".to_owned()));
    let answer = call(&guard, token, Scope::RecordsRead).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_expired".to_owned()));
}

#[tokio::test]
async fn starting_again_finds_the_same_organization_and_users() {
    let house = house().await;
    let again = house.operator.bootstrap(NORTHWIND, &first_users(), Duration::from_secs(60)).await.unwrap();
    assert_eq!(again.organization_id, house.organization());
    for (one, other) in again.users.iter().zip(&house.northwind.users) {
        assert_eq!((one.user, one.role), (other.user, other.role));
        assert_ne!(one.link.token.expose_secret(), other.link.token.expose_secret());
    }
    let bad = FirstUser { email: "nobody".into(), name: "Nobody".into(), role: Role::Viewer };
    let refusal = house.operator.bootstrap(NORTHWIND, &[bad], Duration::from_secs(60)).await.unwrap_err();
    assert!(matches!(refusal, identity::Error::Refused(refusal) if refusal.code() == "email_invalid"));
}
