use std::collections::BTreeSet;

use identity::NewKey;
use model::{Role, Scope};
use proto::identity::{
    InviteUserRequest, RevokeKeyRequest, RotateIntegrationKeyRequest, SetPasswordRequest, SetRoleRequest,
    SignInWithPasswordRequest, SignOutRequest,
};
use secrecy::ExposeSecret;
use sqlx::AssertSqlSafe;

use crate::house::{House, house, key_of};

/// Does everything once and returns every secret that was seen.
async fn do_everything(house: &House) -> Vec<String> {
    let owner = house.sign_in(Role::Owner).await;
    let mut client = owner.client.clone();
    let mut secrets: Vec<String> =
        house.northwind.users.iter().map(|user| user.link.token.expose_secret().to_owned()).collect();
    let api = owner.mint_api_key(&[Scope::RecordsRead]).await.unwrap();
    let integration = owner.mint_integration_key("psa", &[Scope::RecordsRead]).await.unwrap();
    let rotate = RotateIntegrationKeyRequest { key_id: key_of(&integration).id, overlap_seconds: 5 };
    let rotated = client.rotate_integration_key(owner.ask(rotate)).await.unwrap().into_inner();
    client.revoke_api_key(owner.ask(RevokeKeyRequest { key_id: key_of(&api).id })).await.unwrap();
    let email = "casey@northwind.example".to_owned();
    let request = InviteUserRequest { email, name: "Casey Jones".into(), role: "member".into() };
    let invited = client.invite_user(owner.ask(request)).await.unwrap().into_inner();
    let request = SetRoleRequest { user_id: invited.user.unwrap().id, role: "viewer".into() };
    client.set_role(owner.ask(request)).await.unwrap();
    let password = "correct horse battery".to_owned();
    let request = SetPasswordRequest { current_password: String::new(), new_password: password.clone() };
    client.set_password(owner.ask(request)).await.unwrap();
    let sign_in = |password: &str| SignInWithPasswordRequest {
        email: "owner@northwind.example".into(),
        password: password.into(),
        client: "203.0.113.9".into(),
    };
    client.sign_in_with_password(sign_in("the wrong password")).await.unwrap_err();
    let session = client.sign_in_with_password(sign_in(&password)).await.unwrap().into_inner();
    let new = NewKey {
        label: "Operator".into(),
        product: String::new(),
        scopes: BTreeSet::from(Scope::ALL),
        expires_at: None,
    };
    let minted = house.operator.mint_api_key(house.organization(), new).await.unwrap();
    assert_eq!(house.operator.revoke_keys_labelled(house.organization(), "Operator").await.unwrap(), 1);
    secrets.push(minted.secret.expose_secret().to_owned());
    client.sign_out(owner.ask(SignOutRequest {})).await.unwrap();
    secrets.extend([api.secret, integration.secret, rotated.secret, invited.link_token]);
    secrets.extend([session.token, owner.session.token, password, "the wrong password".into()]);
    secrets
}

/// What a reader could make of a secret: the text, and its part behind the prefix.
fn traces(secrets: &[String]) -> Vec<String> {
    secrets.iter().flat_map(|secret| [secret.clone(), secret[9..].to_owned()]).collect()
}

#[tokio::test]
async fn no_event_holds_a_secret_a_name_or_an_address() {
    let house = house().await;
    let secrets = do_everything(&house).await;
    let facts = house.published_until("sign-out", |fact| fact.action == "signed_out").await;
    let actions: BTreeSet<&str> = facts.iter().map(|(_, fact)| fact.action.as_str()).collect();
    let expected = [
        "invited",
        "minted",
        "password_set",
        "revoked",
        "role_set",
        "rotated",
        "sign_in_refused",
        "signed_in",
        "signed_out",
    ];
    assert_eq!(actions, expected.into());
    let text = format!("{}{facts:?}", serde_json::to_string(&facts).unwrap());
    for trace in traces(&secrets) {
        assert!(!text.contains(&trace), "{trace} in {text}");
    }
    for personal in ["@northwind", "Casey", "Robin", "203.0.113.9"] {
        assert!(!text.contains(personal), "{personal} in {text}");
    }
}

#[tokio::test]
async fn the_database_holds_only_hashes() {
    let house = house().await;
    let secrets = do_everything(&house).await;
    let pool = house.database.pool("identity").await;
    let tables: Vec<(String,)> = sqlx::query_as(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'identity'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(tables.len() >= 8, "{tables:?}");
    let mut rows = 0;
    for (table,) in tables {
        let select = AssertSqlSafe(format!(r#"SELECT t::text FROM identity."{table}" t"#));
        let stored: Vec<(String,)> = sqlx::query_as(select).fetch_all(&pool).await.unwrap();
        for (row,) in stored {
            rows += 1;
            // Bytes are shown in hex, so a secret stored as bytes is looked for in hex as well.
            let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
            for trace in traces(&secrets) {
                assert!(!row.contains(&trace) && !row.contains(&hex(&trace)), "{trace} in {table}: {row}");
            }
        }
    }
    assert!(rows > 20);
}
