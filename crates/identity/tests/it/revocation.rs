use std::{sync::Arc, time::Duration};

use chassis::guard::Guard;
use identity::{Config, NewKey, Operator};
use model::{Role, Scope};
use proto::identity::{CheckRequest, RevokeKeyRequest, SetRoleRequest, SignOutRequest};
use secrecy::ExposeSecret;
use testkit::eventually;
use tonic::Code;

use crate::house::{SOON, call, house, key_of, refused};

/// Far less than the eight seconds for which a guard believes an answer.
const AT_ONCE: Duration = Duration::from_secs(2);

#[tokio::test]
async fn another_process_refuses_a_revoked_key_at_once() {
    let house = house().await;
    let (admin, guard) = (house.sign_in(Role::Admin).await, house.guard_elsewhere().await);
    let key = admin.mint_integration_key("psa", &[Scope::RecordsRead]).await.unwrap();
    let other = admin.mint_integration_key("books", &[Scope::RecordsRead]).await.unwrap();
    for key in [&key, &other] {
        call(&guard, &key.secret, Scope::RecordsRead).await.unwrap();
    }
    let request = RevokeKeyRequest { key_id: key_of(&key).id };
    admin.client.clone().revoke_integration_key(admin.ask(request)).await.unwrap();
    eventually(AT_ONCE, "the guard elsewhere refuses the key", || async {
        call(&guard, &key.secret, Scope::RecordsRead).await.err()
    })
    .await;
    call(&guard, &other.secret, Scope::RecordsRead).await.unwrap();
}

#[tokio::test]
async fn a_guard_that_hears_nothing_of_it_is_why_the_bus_is_told() {
    let house = house().await;
    let admin = house.sign_in(Role::Admin).await;
    let deaf = Guard::with_clock(house.channel.clone(), Arc::new(house.clock.clone()));
    let key = admin.mint_api_key(&[Scope::RecordsRead]).await.unwrap();
    call(&deaf, &key.secret, Scope::RecordsRead).await.unwrap();
    let request = RevokeKeyRequest { key_id: key_of(&key).id };
    admin.client.clone().revoke_api_key(admin.ask(request)).await.unwrap();
    // Without the bus the answer is still believed, but for no more than ten seconds.
    call(&deaf, &key.secret, Scope::RecordsRead).await.unwrap();
    eventually(SOON, "the answer is no longer believed", || async {
        call(&deaf, &key.secret, Scope::RecordsRead).await.err()
    })
    .await;
}

#[tokio::test]
async fn a_new_role_holds_at_once_and_everywhere() {
    let house = house().await;
    let (owner, member) = (house.sign_in(Role::Owner).await, house.sign_in(Role::Member).await);
    let guard = house.guard_elsewhere().await;
    call(&guard, &member.session.token, Scope::RecordsWrite).await.unwrap();
    let request = SetRoleRequest { user_id: member.id(), role: "viewer".into() };
    owner.client.clone().set_role(owner.ask(request)).await.unwrap();
    let refusal = eventually(AT_ONCE, "the guard elsewhere knows the new role", || async {
        call(&guard, &member.session.token, Scope::RecordsWrite).await.err()
    })
    .await;
    assert_eq!(refused::<()>(Err(refusal)), (Code::PermissionDenied, "scope_missing".to_owned()));
    let reading = call(&guard, &member.session.token, Scope::RecordsRead).await.unwrap();
    assert_eq!(reading.caller.role, Some(Role::Viewer));
}

#[tokio::test]
async fn signing_out_ends_the_session_at_once() {
    let house = house().await;
    let (viewer, guard) = (house.sign_in(Role::Viewer).await, house.guard_elsewhere().await);
    call(&guard, &viewer.session.token, Scope::RecordsRead).await.unwrap();
    viewer.client.clone().sign_out(viewer.ask(SignOutRequest {})).await.unwrap();
    let answer = viewer.client.clone().sign_out(viewer.ask(SignOutRequest {})).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_revoked".to_owned()));
    eventually(AT_ONCE, "the guard elsewhere refuses the session", || async {
        call(&guard, &viewer.session.token, Scope::RecordsRead).await.err()
    })
    .await;
}

#[tokio::test]
async fn a_guard_that_lost_the_bus_for_a_while_forgets_everything() {
    let house = house().await;
    let guard = house.guard_elsewhere().await;
    // This operator has no bus: as if the bus had lost what was told.
    let config = Config::new(house.database.url());
    let operator = Operator::connect(config, None, Arc::new(house.clock.clone())).await.unwrap();
    let new = NewKey {
        label: "Operator".into(),
        product: String::new(),
        scopes: [Scope::RecordsRead].into(),
        expires_at: None,
    };
    let key = operator.mint_api_key(house.organization(), new).await.unwrap();
    let secret = key.secret.expose_secret();
    call(&guard, secret, Scope::RecordsRead).await.unwrap();
    assert_eq!(operator.revoke_keys_labelled(house.organization(), "Operator").await.unwrap(), 1);
    // Identity itself knows it soon, from the database.
    eventually(SOON, "identity refuses the key", || async {
        house.client().check(CheckRequest { credential: secret.to_owned() }).await.err()
    })
    .await;
    house.nats.restart().await;
    eventually(Duration::from_secs(5), "the guard elsewhere asks again", || async {
        call(&guard, secret, Scope::RecordsRead).await.err()
    })
    .await;
}

#[tokio::test]
async fn a_key_is_revoked_also_while_the_bus_is_away() {
    let house = house().await;
    let admin = house.sign_in(Role::Admin).await;
    let key = admin.mint_api_key(&[Scope::RecordsRead]).await.unwrap();
    house.nats.kill().await;
    let request = RevokeKeyRequest { key_id: key_of(&key).id };
    admin.client.clone().revoke_api_key(admin.ask(request)).await.unwrap();
    let answer = house.client().check(CheckRequest { credential: key.secret.clone() }).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_revoked".to_owned()));
    // The event waits in the outbox.
    house.nats.start().await;
    let prefix = key_of(&key).prefix;
    house.publishes("revoked", ("prefix", &prefix)).await;
}
