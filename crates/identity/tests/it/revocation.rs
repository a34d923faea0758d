use std::{sync::Arc, time::Duration};

use chassis::guard::Guard;
use identity::{Config, NewKey, Operator};
use model::{Role, Scope};
use proto::identity::{
    CheckRequest, EndOtherSessionsRequest, InviteUserRequest, MintApiKeyRequest, RemoveUserRequest,
    RevokeKeyRequest, RotateIntegrationKeyRequest, SetRoleRequest, SignInWithLinkRequest, SignOutRequest,
};
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
async fn whoever_is_removed_is_out_at_once_and_everywhere_with_all_keys() {
    let house = house().await;
    let (owner, admin) = (house.sign_in(Role::Owner).await, house.sign_in(Role::Admin).await);
    let guard = house.guard_elsewhere().await;
    let own = admin.mint_api_key(&[Scope::RecordsRead, Scope::KeysManage]).await.unwrap();
    let product = admin.mint_integration_key("psa", &[Scope::RecordsRead]).await.unwrap();
    // A key that was made with a key of theirs is theirs too.
    let wanted = MintApiKeyRequest {
        label: "Made by a key".into(),
        scopes: vec![Scope::RecordsRead.to_string()],
        expires_at: None,
    };
    let by_key = chassis::guard::forward(&crate::house::credential(&own.secret), wanted).unwrap();
    let second = house.client().mint_api_key(by_key).await.unwrap().into_inner();
    let others = owner.mint_api_key(&[Scope::RecordsRead]).await.unwrap();
    let theirs = [&admin.session.token, &own.secret, &product.secret, &second.secret];
    for secret in theirs.into_iter().chain([&others.secret]) {
        call(&guard, secret, Scope::RecordsRead).await.unwrap();
    }
    let invite = InviteUserRequest {
        email: "viewer@northwind.example".into(),
        name: "V".into(),
        role: "viewer".into(),
    };
    let link = admin.client.clone().invite_user(admin.ask(invite)).await.unwrap().into_inner().link_token;

    let request = RemoveUserRequest { user_id: admin.id() };
    let done = owner.client.clone().remove_user(owner.ask(request)).await.unwrap().into_inner();
    assert_eq!(done.revoked_keys, 3);
    for secret in theirs {
        let refusal = eventually(AT_ONCE, "the guard elsewhere refuses", || async {
            call(&guard, secret, Scope::RecordsRead).await.err()
        })
        .await;
        assert_eq!(refusal.code(), Code::Unauthenticated);
    }
    call(&guard, &others.secret, Scope::RecordsRead).await.unwrap();
    let link = house.client().sign_in_with_link(SignInWithLinkRequest { token: link }).await;
    assert_eq!(refused(link), (Code::Unauthenticated, "link_expired".to_owned()));
    let maker = admin.id();
    house.publishes("revoked", ("maker", &maker)).await;
}

#[tokio::test]
async fn a_demoted_admins_keys_keep_what_the_new_role_may() {
    let house = house().await;
    let (owner, admin) = (house.sign_in(Role::Owner).await, house.sign_in(Role::Admin).await);
    let guard = house.guard_elsewhere().await;
    let wide = admin.mint_api_key(&[Scope::RecordsRead, Scope::KeysManage]).await.unwrap();
    let managing = admin.mint_api_key(&[Scope::ConnectionsManage]).await.unwrap();
    let reading = admin.mint_api_key(&[Scope::RecordsRead]).await.unwrap();
    call(&guard, &wide.secret, Scope::KeysManage).await.unwrap();
    call(&guard, &managing.secret, Scope::ConnectionsManage).await.unwrap();
    call(&guard, &reading.secret, Scope::RecordsRead).await.unwrap();
    let request = SetRoleRequest { user_id: admin.id(), role: "member".into() };
    owner.client.clone().set_role(owner.ask(request)).await.unwrap();
    let refusal = eventually(AT_ONCE, "the guard elsewhere knows the narrower key", || async {
        call(&guard, &wide.secret, Scope::KeysManage).await.err()
    })
    .await;
    assert_eq!(refused::<()>(Err(refusal)), (Code::PermissionDenied, "scope_missing".to_owned()));
    call(&guard, &wide.secret, Scope::RecordsRead).await.unwrap();
    call(&guard, &reading.secret, Scope::RecordsRead).await.unwrap();
    let refusal = eventually(AT_ONCE, "the guard elsewhere refuses the empty key", || async {
        call(&guard, &managing.secret, Scope::ConnectionsManage).await.err()
    })
    .await;
    assert_eq!(refused::<()>(Err(refusal)), (Code::Unauthenticated, "credential_revoked".to_owned()));
    house.publishes("narrowed", ("previous_scopes", "records:read keys:manage")).await;
}

#[tokio::test]
async fn no_key_is_minted_past_a_demotion() {
    let house = house().await;
    let owner = house.sign_in(Role::Owner).await;
    let admin = house.sign_in(Role::Admin).await;
    let set = |role: &'static str| {
        let request = SetRoleRequest { user_id: admin.id(), role: role.into() };
        let (mut client, request) = (owner.client.clone(), owner.ask(request));
        async move { client.set_role(request).await.unwrap() }
    };
    for _ in 0..10 {
        let (minted, _) = tokio::join!(admin.mint_api_key(&[Scope::ConnectionsManage]), set("member"));
        if let Ok(minted) = minted {
            let answer = house
                .client()
                .check(CheckRequest { credential: minted.secret.clone(), passive: false })
                .await;
            assert_eq!(refused(answer).1, "credential_revoked");
        }
        set("admin").await;
    }
}

/// A demotion holds the person and then their keys. A rotation that held a key while it waits for the person would wait
/// for ever.
#[tokio::test]
async fn a_rotation_waits_for_a_demotion_with_no_key_in_its_hands() {
    let house = house().await;
    let admin = house.sign_in(Role::Admin).await;
    let key = key_of(&admin.mint_integration_key("psa", &[Scope::RecordsRead]).await.unwrap());
    let pool = house.database.pool("identity").await;
    let mut demotion = pool.begin().await.unwrap();
    let id = admin.id().parse::<model::UserId>().unwrap().uuid();
    sqlx::query("SELECT 1 FROM users WHERE id = $1 FOR UPDATE")
        .bind(id)
        .execute(&mut *demotion)
        .await
        .unwrap();

    let request = RotateIntegrationKeyRequest { key_id: key.id.clone(), overlap_seconds: 0 };
    let (mut client, request) = (admin.client.clone(), admin.ask(request));
    let rotation = tokio::spawn(async move { client.rotate_integration_key(request).await });
    eventually(SOON, "the rotation waits", || async {
        let waiting =
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::query(waiting).fetch_optional(&pool).await.unwrap()
    })
    .await;
    let id = key.id.parse::<model::IntegrationKeyId>().unwrap().uuid();
    let free = sqlx::query("SELECT 1 FROM keys WHERE id = $1 FOR UPDATE NOWAIT").bind(id);
    free.execute(&mut *demotion).await.expect("the rotation holds the key while it waits for the person");
    demotion.commit().await.unwrap();
    rotation.await.unwrap().unwrap();
}

#[tokio::test]
async fn ending_the_other_sessions_leaves_this_one() {
    let house = house().await;
    let (here, there) = (house.sign_in(Role::Viewer).await, house.sign_in(Role::Viewer).await);
    let guard = house.guard_elsewhere().await;
    call(&guard, &there.session.token, Scope::RecordsRead).await.unwrap();
    let done = here.client.clone().end_other_sessions(here.ask(EndOtherSessionsRequest {})).await.unwrap();
    assert_eq!(done.into_inner().ended, 1);
    eventually(AT_ONCE, "the guard elsewhere refuses the other session", || async {
        call(&guard, &there.session.token, Scope::RecordsRead).await.err()
    })
    .await;
    call(&guard, &here.session.token, Scope::RecordsRead).await.unwrap();
    let key = house.sign_in(Role::Admin).await.mint_api_key(&[Scope::RecordsRead]).await.unwrap();
    let by_key =
        chassis::guard::forward(&crate::house::credential(&key.secret), EndOtherSessionsRequest {}).unwrap();
    let answer = house.client().end_other_sessions(by_key).await;
    assert_eq!(refused(answer), (Code::PermissionDenied, "session_required".to_owned()));
    house.publishes("other_sessions_ended", ("sessions", "1")).await;
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
        house.client().check(CheckRequest { credential: secret.to_owned(), passive: false }).await.err()
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
    let answer = house.client().check(CheckRequest { credential: key.secret.clone(), passive: false }).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_revoked".to_owned()));
    // The event waits in the outbox.
    house.nats.start().await;
    let prefix = key_of(&key).prefix;
    house.publishes("revoked", ("prefix", &prefix)).await;
}
