use std::time::Duration;

use chassis::guard::forward;
use model::{Role, Scope};
use proto::{
    identity::{
        CheckRequest, FindOrganizationRequest, ListKeysRequest, MintApiKeyRequest, MintIntegrationKeyRequest,
        RevokeKeyRequest, RotateIntegrationKeyRequest, SetRoleRequest, WhoAmIRequest,
    },
    to_wire_time,
};
use testkit::eventually;
use tonic::{Code, metadata::MetadataMap};

use crate::house::{SOON, call, credential, house, key_of, refused};

#[tokio::test]
async fn a_wrong_an_expired_and_a_revoked_key_are_refused() {
    let house = house().await;
    let (admin, guard) = (house.sign_in(Role::Admin).await, house.guard_elsewhere().await);
    let hour = house.now() + Duration::from_secs(3600);
    let wanted = MintApiKeyRequest {
        label: "Short".into(),
        scopes: vec!["records:read".into()],
        expires_at: Some(to_wire_time(hour)),
    };
    let short = admin.client.clone().mint_api_key(admin.ask(wanted)).await.unwrap().into_inner();
    let revoked = admin.mint_api_key(&[Scope::RecordsRead]).await.unwrap();
    for key in [&short, &revoked] {
        call(&guard, &key.secret, Scope::RecordsRead).await.unwrap();
    }

    house.clock.advance(Duration::from_secs(3600));
    let request = RevokeKeyRequest { key_id: key_of(&revoked).id };
    admin.client.clone().revoke_api_key(admin.ask(request)).await.unwrap();
    let mut wrong = short.secret.clone();
    let last = if wrong.ends_with('A') { 'E' } else { 'A' };
    wrong.pop();
    wrong.push(last);

    let cases = [
        (short.secret.as_str(), "credential_expired"),
        (&revoked.secret, "credential_revoked"),
        (&wrong, "credential_unknown"),
        ("ak_short", "credential_malformed"),
        ("al_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "credential_malformed"),
        ("", "credential_malformed"),
    ];
    let guard = house.guard_elsewhere().await;
    for (secret, code) in cases {
        let answer = call(&guard, secret, Scope::RecordsRead).await;
        assert_eq!(refused(answer), (Code::Unauthenticated, code.to_owned()), "{code}");
    }
    let answer = guard.authorize(&MetadataMap::new(), Scope::RecordsRead).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_missing".to_owned()));
}

#[tokio::test]
async fn an_expired_key_is_refused_also_while_its_answer_is_remembered() {
    let house = house().await;
    let (admin, guard) = (house.sign_in(Role::Admin).await, house.guard_elsewhere().await);
    let soon = house.now() + Duration::from_secs(2);
    let wanted = MintApiKeyRequest {
        label: "Short".into(),
        scopes: vec!["records:read".into()],
        expires_at: Some(to_wire_time(soon)),
    };
    let short = admin.client.clone().mint_api_key(admin.ask(wanted)).await.unwrap().into_inner();
    call(&guard, &short.secret, Scope::RecordsRead).await.unwrap();
    house.clock.advance(Duration::from_secs(2));
    let answer = call(&guard, &short.secret, Scope::RecordsRead).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_expired".to_owned()));
}

#[tokio::test]
async fn a_key_does_only_what_its_scopes_allow() {
    let house = house().await;
    let (admin, guard) = (house.sign_in(Role::Admin).await, house.guard_elsewhere().await);
    let key = admin.mint_api_key(&[Scope::RecordsRead]).await.unwrap();
    let allowed = call(&guard, &key.secret, Scope::RecordsRead).await.unwrap();
    assert_eq!(allowed.caller.organization, house.organization());
    assert_eq!(allowed.caller.actor.to_string(), format!("api_key:{}", key_of(&key).id));
    for scope in Scope::ALL.into_iter().filter(|scope| *scope != Scope::RecordsRead) {
        let answer = call(&guard, &key.secret, scope).await;
        assert_eq!(refused(answer), (Code::PermissionDenied, "scope_missing".to_owned()), "{scope}");
    }
    let list = forward(&credential(&key.secret), ListKeysRequest {}).unwrap();
    let answer = house.client().list_api_keys(list).await;
    assert_eq!(refused(answer), (Code::PermissionDenied, "scope_missing".to_owned()));
}

#[tokio::test]
async fn the_key_of_another_organization_is_not_found() {
    let house = house().await;
    let (admin, kim) = (house.sign_in(Role::Admin).await, house.sign_in_elsewhere().await);
    let api = key_of(&admin.mint_api_key(&[Scope::RecordsRead]).await.unwrap());
    let integration = admin.mint_integration_key("psa", &[Scope::RecordsRead]).await.unwrap();

    let mut client = kim.client.clone();
    let request = RevokeKeyRequest { key_id: api.id.clone() };
    let answer = client.revoke_api_key(kim.ask(request)).await;
    assert_eq!(refused(answer), (Code::NotFound, "key_not_found".to_owned()));
    let id = key_of(&integration).id;
    let answer = client.revoke_integration_key(kim.ask(RevokeKeyRequest { key_id: id.clone() })).await;
    assert_eq!(refused(answer), (Code::NotFound, "key_not_found".to_owned()));
    let request = RotateIntegrationKeyRequest { key_id: id, overlap_seconds: 0 };
    let answer = client.rotate_integration_key(kim.ask(request)).await;
    assert_eq!(refused(answer), (Code::NotFound, "key_not_found".to_owned()));
    let listed = client.list_api_keys(kim.ask(ListKeysRequest {})).await.unwrap().into_inner();
    assert!(listed.keys.is_empty());

    let guard = house.guard_elsewhere().await;
    let allowed = call(&guard, &integration.secret, Scope::RecordsRead).await.unwrap();
    assert_eq!(allowed.caller.organization, house.organization());
}

#[tokio::test]
async fn nobody_mints_or_rotates_above_their_own_scopes() {
    let house = house().await;
    let (admin, member) = (house.sign_in(Role::Admin).await, house.sign_in(Role::Member).await);
    let answer = member.mint_api_key(&[Scope::RecordsRead]).await;
    assert_eq!(refused(answer), (Code::PermissionDenied, "scope_missing".to_owned()));

    let minter = admin.mint_api_key(&[Scope::KeysManage, Scope::RecordsRead]).await.unwrap();
    let strong = admin.mint_integration_key("psa", &[Scope::RecordsWrite]).await.unwrap();
    let minter = credential(&minter.secret);
    let wanted = |scopes: &[&str]| {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        forward(&minter, MintApiKeyRequest { label: "Child".into(), scopes, expires_at: None }).unwrap()
    };
    let mut client = house.client();
    client.mint_api_key(wanted(&["records:read"])).await.unwrap();
    let answer = client.mint_api_key(wanted(&["records:read", "records:write"])).await;
    assert_eq!(refused(answer), (Code::PermissionDenied, "scope_above_own".to_owned()));
    let rotate = RotateIntegrationKeyRequest { key_id: key_of(&strong).id, overlap_seconds: 60 };
    let answer = client.rotate_integration_key(forward(&minter, rotate).unwrap()).await;
    assert_eq!(refused(answer), (Code::PermissionDenied, "scope_above_own".to_owned()));
}

#[tokio::test]
async fn a_malformed_wish_for_a_key_is_refused_with_its_field() {
    let house = house().await;
    let owner = house.sign_in(Role::Owner).await;
    let good = MintIntegrationKeyRequest {
        product: "psa".into(),
        label: "PSA".into(),
        scopes: vec!["records:read".into()],
        expires_at: None,
    };
    let past = Some(to_wire_time(house.now()));
    let nonsense = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: -1 });
    let cases = [
        (MintIntegrationKeyRequest { product: "PSA 2".into(), ..good.clone() }, "product_invalid", "product"),
        (MintIntegrationKeyRequest { product: String::new(), ..good.clone() }, "product_invalid", "product"),
        (MintIntegrationKeyRequest { label: " ".into(), ..good.clone() }, "text_invalid", "label"),
        (MintIntegrationKeyRequest { label: "a\0b".into(), ..good.clone() }, "text_invalid", "label"),
        (MintIntegrationKeyRequest { label: "x".repeat(201), ..good.clone() }, "text_invalid", "label"),
        (MintIntegrationKeyRequest { scopes: vec![], ..good.clone() }, "scopes_missing", "scopes"),
        (MintIntegrationKeyRequest { scopes: vec!["all".into()], ..good.clone() }, "scope_unknown", "scopes"),
        (MintIntegrationKeyRequest { expires_at: past, ..good.clone() }, "expires_at_invalid", "expires_at"),
        (
            MintIntegrationKeyRequest { expires_at: nonsense, ..good.clone() },
            "expires_at_invalid",
            "expires_at",
        ),
    ];
    for (wish, code, field) in cases {
        let status = owner.client.clone().mint_integration_key(owner.ask(wish)).await.unwrap_err();
        assert_eq!(chassis::guard::field(&status), Some(field), "{code}");
        assert_eq!(refused::<()>(Err(status)), (Code::InvalidArgument, code.to_owned()));
    }
    for id in ["", "intkey_1", "apikey_00000000000000000000000000000000", "\u{0}"] {
        let request = owner.ask(RevokeKeyRequest { key_id: id.into() });
        let answer = owner.client.clone().revoke_integration_key(request).await;
        assert_eq!(refused(answer), (Code::InvalidArgument, "id_invalid".to_owned()), "{id:?}");
    }
    let listed = owner.client.clone().list_integration_keys(owner.ask(ListKeysRequest {})).await.unwrap();
    assert!(listed.into_inner().keys.is_empty());
}

#[tokio::test]
async fn keys_are_listed_one_by_one_and_a_new_one_replaces_a_revoked_one() {
    let house = house().await;
    let (admin, guard) = (house.sign_in(Role::Admin).await, house.guard_elsewhere().await);
    let old = admin.mint_api_key(&[Scope::RecordsRead]).await.unwrap();
    let request = RevokeKeyRequest { key_id: key_of(&old).id };
    let mut client = admin.client.clone();
    let gone = client.revoke_api_key(admin.ask(request.clone())).await.unwrap().into_inner();
    house.clock.advance(Duration::from_secs(5));
    let again = client.revoke_api_key(admin.ask(request)).await.unwrap().into_inner();
    assert_eq!(gone.revoked_at, again.revoked_at);
    let new = admin.mint_api_key(&[Scope::RecordsRead]).await.unwrap();
    call(&guard, &new.secret, Scope::RecordsRead).await.unwrap();

    let listed = client.list_api_keys(admin.ask(ListKeysRequest {})).await.unwrap().into_inner().keys;
    let ids: Vec<_> = listed.iter().map(|key| key.id.clone()).collect();
    assert_eq!(ids, [key_of(&new).id, key_of(&old).id]);
    assert_eq!(listed[0].created_by, format!("user:{}", admin.id()));
    assert!(new.secret.starts_with(&listed[0].prefix) && listed[0].prefix.len() < 12);
    assert!(listed[0].revoked_at.is_none() && listed[1].revoked_at.is_some());
    let products = client.list_integration_keys(admin.ask(ListKeysRequest {})).await.unwrap();
    assert!(products.into_inner().keys.is_empty());
}

#[tokio::test]
async fn an_integration_key_speaks_for_one_product_and_only_in_its_own_header() {
    let house = house().await;
    let (admin, guard) = (house.sign_in(Role::Admin).await, house.guard_elsewhere().await);
    let key = admin.mint_integration_key("psa", &[Scope::RecordsRead]).await.unwrap();
    let allowed = call(&guard, &key.secret, Scope::RecordsRead).await.unwrap();
    assert_eq!(allowed.product.as_deref(), Some("psa"));
    assert_eq!(allowed.caller.actor.to_string(), format!("integration_key:{}", key_of(&key).id));
    assert_eq!(allowed.caller.role, None);

    let api = admin.mint_api_key(&[Scope::RecordsRead]).await.unwrap();
    for (header, value) in
        [("authorization", format!("Bearer {}", key.secret)), ("x-integration-key", api.secret.clone())]
    {
        let mut metadata = MetadataMap::new();
        metadata.insert(header, value.parse().unwrap());
        let answer = guard.authorize(&metadata, Scope::RecordsRead).await;
        assert_eq!(refused(answer), (Code::Unauthenticated, "credential_malformed".to_owned()));
    }
    let me = forward(&credential(&key.secret), WhoAmIRequest {}).unwrap();
    let me = house.client().who_am_i(me).await.unwrap().into_inner();
    assert_eq!((me.user, me.scopes), (None, vec!["records:read".to_owned()]));
}

#[tokio::test]
async fn a_rotated_key_works_beside_its_successor_for_the_overlap() {
    let house = house().await;
    let (admin, guard) = (house.sign_in(Role::Admin).await, house.guard_elsewhere().await);
    let old = admin.mint_integration_key("books", &[Scope::RecordsRead]).await.unwrap();
    call(&guard, &old.secret, Scope::RecordsRead).await.unwrap();
    let rotate = |key_id: &str, overlap_seconds| {
        admin.ask(RotateIntegrationKeyRequest { key_id: key_id.to_owned(), overlap_seconds })
    };
    let mut client = admin.client.clone();
    let answer = client.rotate_integration_key(rotate(&key_of(&old).id, u32::MAX)).await;
    assert_eq!(refused(answer), (Code::InvalidArgument, "overlap_invalid".to_owned()));
    let new = client.rotate_integration_key(rotate(&key_of(&old).id, 600)).await.unwrap().into_inner();
    assert_eq!((key_of(&new).product, key_of(&new).label), ("books".into(), "A product".into()));
    let answer = client.rotate_integration_key(rotate(&key_of(&old).id, 600)).await;
    assert_eq!(refused(answer), (Code::FailedPrecondition, "key_rotated".to_owned()));

    house.clock.advance(Duration::from_secs(599));
    for key in [&old, &new] {
        call(&guard, &key.secret, Scope::RecordsRead).await.unwrap();
    }
    house.clock.advance(Duration::from_secs(1));
    let answer = call(&guard, &old.secret, Scope::RecordsRead).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_expired".to_owned()));
    call(&guard, &new.secret, Scope::RecordsRead).await.unwrap();

    let newest = client.rotate_integration_key(rotate(&key_of(&new).id, 0)).await.unwrap().into_inner();
    let check = |secret: &str| CheckRequest { credential: secret.to_owned(), passive: false };
    let answer = client.check(check(&new.secret)).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_expired".to_owned()));
    client.check(check(&newest.secret)).await.unwrap();
    house.publishes("rotated", ("overlap_seconds", "0")).await;
}

#[tokio::test]
async fn the_last_use_is_written_down_at_most_once_a_minute() {
    let house = house().await;
    let admin = house.sign_in(Role::Admin).await;
    let key = admin.mint_api_key(&[Scope::RecordsRead]).await.unwrap();
    let last_used = || async {
        let mut client = admin.client.clone();
        let listed = client.list_api_keys(admin.ask(ListKeysRequest {})).await.unwrap().into_inner();
        listed.keys[0].last_used_at
    };
    let use_it = || async {
        house.client().check(CheckRequest { credential: key.secret.clone(), passive: false }).await.unwrap();
    };
    assert_eq!(last_used().await, None);
    use_it().await;
    let first = eventually(SOON, "the first use is noted", last_used).await;
    house.clock.advance(Duration::from_secs(59));
    use_it().await;
    house.clock.advance(Duration::from_secs(1));
    use_it().await;
    let second =
        eventually(SOON, "the later use is noted", || async { last_used().await.filter(|at| *at != first) })
            .await;
    assert_eq!(second.seconds - first.seconds, 60);
}

#[tokio::test]
async fn an_organization_is_found_by_its_slug_and_by_nothing_else() {
    let house = house().await;
    let find = |slug: &str| {
        let (mut client, slug) = (house.client(), slug.to_owned());
        async move { client.find_organization(FindOrganizationRequest { slug }).await }
    };
    let found = find("northwind-traders").await.unwrap().into_inner();
    assert_eq!(found.organization_id, house.organization().to_string());
    for slug in ["", "Northwind-Traders", "contoso", "northwind%", "a\0b"] {
        let answer = find(slug).await.map(drop);
        assert_eq!(refused(answer), (Code::NotFound, "organization_not_found".to_owned()), "{slug}");
    }
}

// R32
#[tokio::test]
async fn a_link_to_a_partners_form_is_a_key_that_may_do_nothing_else_until_it_is_revoked() {
    let house = house().await;
    let (admin, guard) = (house.sign_in(Role::Admin).await, house.guard_elsewhere().await);
    let partner = format!("ptnr_{}", "1".repeat(32));
    let mint = |scope: String| {
        let mut client = admin.client.clone();
        let wanted = MintApiKeyRequest { label: "Form".into(), scopes: vec![scope], expires_at: None };
        let request = admin.ask(wanted);
        async move { client.mint_api_key(request).await }
    };
    for scope in ["form:", "partner:", "form:ann", "partner:form:ptnr_1"] {
        let code = refused(mint(scope.to_owned()).await).1;
        assert!(matches!(&*code, "partner_invalid" | "scope_unknown"), "{scope}: {code}");
    }
    let link = mint(format!("form:{partner}")).await.unwrap().into_inner();
    let mut metadata = MetadataMap::new();
    credential(&link.secret).apply(&mut metadata).unwrap();
    let known = guard.authenticate(&metadata).await.unwrap();
    assert_eq!(known.form_of().map(|id| id.to_string()), Some(partner.clone()));
    assert!(known.partner().is_none() && known.caller.scopes.is_empty());
    let answer = call(&guard, &link.secret, Scope::PartnersRead).await;
    assert_eq!(refused(answer), (Code::PermissionDenied, "partner_key".to_owned()));
    let more = forward(&credential(&link.secret), ListKeysRequest {}).unwrap();
    assert_eq!(refused(admin.client.clone().list_api_keys(more).await).1, "partner_key");

    let request = RevokeKeyRequest { key_id: key_of(&link).id };
    admin.client.clone().revoke_api_key(admin.ask(request)).await.unwrap();
    let guard = house.guard_elsewhere().await;
    assert_eq!(refused(guard.authenticate(&metadata).await).1, "credential_revoked");
}

#[tokio::test]
async fn a_link_to_a_partners_form_is_minted_by_whoever_may_register_deals_and_lost_with_that_right() {
    let house = house().await;
    let (owner, admin) = (house.sign_in(Role::Owner).await, house.sign_in(Role::Admin).await);
    let wanted = || {
        let scopes = vec![format!("form:ptnr_{}", "1".repeat(32))];
        MintApiKeyRequest { label: "Form".into(), scopes, expires_at: None }
    };
    let reader = admin.mint_api_key(&[Scope::KeysManage, Scope::PartnersRead]).await.unwrap();
    let writer =
        admin.mint_api_key(&[Scope::KeysManage, Scope::PartnersRead, Scope::RecordsWrite]).await.unwrap();
    let mut client = house.client();
    let answer = client.mint_api_key(forward(&credential(&reader.secret), wanted()).unwrap()).await;
    assert_eq!(refused(answer), (Code::PermissionDenied, "scope_above_own".to_owned()));
    let by_key = client.mint_api_key(forward(&credential(&writer.secret), wanted()).unwrap()).await.unwrap();
    let by_admin = client.mint_api_key(admin.ask(wanted())).await.unwrap();

    let role = |role: &str| SetRoleRequest { user_id: admin.id(), role: role.to_owned() };
    let checks = |secret: String| {
        let mut client = house.client();
        async move { client.check(CheckRequest { credential: secret, passive: false }).await }
    };
    let links = [by_key.into_inner().secret, by_admin.into_inner().secret];
    owner.client.clone().set_role(owner.ask(role("member"))).await.unwrap();
    for link in &links {
        checks(link.clone()).await.expect("a member registers deals, so the link stays");
    }
    owner.client.clone().set_role(owner.ask(role("viewer"))).await.unwrap();
    for link in links {
        assert_eq!(refused(checks(link).await).1, "credential_revoked");
    }
}
