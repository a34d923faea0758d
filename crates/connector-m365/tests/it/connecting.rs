use connector::{Connector, ErrorKind};
use serde_json::json;

use crate::mailbox::{GIL, NORA, connected, consent, sandbox, session};

#[tokio::test]
async fn without_the_right_to_read_mail_the_account_says_what_does_not_work() {
    let (sandbox, m365) = sandbox().await;
    sandbox.change_settings(json!({"scopes_granted": ["offline_access", "User.Read"]})).unwrap();
    let grant = consent(&sandbox, &m365, NORA).await;
    let account = m365.account(&session(&m365, &grant)).await.unwrap();
    assert_eq!(account.missing.len(), 1, "{account:?}");
    assert_eq!(account.missing[0].scope, "Mail.Read");
    assert!(account.missing[0].consequence.contains("nothing is logged"), "{account:?}");
    assert_eq!(account.scopes, ["User.Read"]);
}

/// R249, R250: reading goes on where sending is not allowed.
#[tokio::test]
async fn without_the_right_to_send_the_mailbox_is_read_and_the_account_says_what_does_not_work() {
    for granted in [&["Mail.Read"][..], &["Mail.Read", "Mail.Send"], &["Mail.Read", "Mail.ReadWrite"]] {
        let (sandbox, m365) = sandbox().await;
        let all: Vec<&str> = ["offline_access", "User.Read"].iter().chain(granted).copied().collect();
        sandbox.change_settings(json!({"scopes_granted": all})).unwrap();
        let grant = consent(&sandbox, &m365, NORA).await;
        let account = m365.account(&session(&m365, &grant)).await.unwrap();
        assert!(account.missing.is_empty(), "{account:?}");
        assert_eq!(account.scopes[1..], *granted);
        assert!(account.notices.len() == 1 && account.notices[0].contains("cannot send"), "{account:?}");
    }
}

#[tokio::test]
async fn a_guest_without_a_mailbox_is_told_so() {
    let (sandbox, m365) = sandbox().await;
    let grant = consent(&sandbox, &m365, GIL).await;
    let refused = m365.account(&session(&m365, &grant)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Permission);
    assert!(refused.message.contains("no mailbox"), "{refused}");
}

#[tokio::test]
async fn a_tenant_may_be_named_and_another_is_refused() {
    let (sandbox, m365) = sandbox().await;
    for site in ["", "harborline.example", "7c0a4f5e-2f6b-4d0c-9a41-5b1f2c8e7d30"] {
        let url = m365.login_url(site).unwrap();
        assert!(url.as_str().starts_with(sandbox.url()), "{url}");
    }
    assert_eq!(m365.login_url("https://evil.example").unwrap_err().kind, ErrorKind::Validation);
}

#[tokio::test]
async fn an_access_token_that_expired_is_told_from_a_grant_that_is_dead() {
    let mailbox = connected().await;
    mailbox.sandbox.expire_tokens();
    let refused = mailbox.try_read("inbox", None).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TokenExpired);
    let token = mailbox.grant.refresh_token.as_ref().unwrap();
    let answer = mailbox.session.send(mailbox.m365.refresh_request(token)).await.unwrap();
    let grant = mailbox.m365.read_grant(&answer).unwrap();
    let session = session(&mailbox.m365, &grant);
    let now = session.vendor_now();
    mailbox.m365.fetch_activities(&session, "inbox", None, now).await.unwrap();
    // Ninety days of rest end the grant.
    mailbox.control("expire_tokens", json!({"kind": "refresh"}));
    let refused = mailbox.session.send(mailbox.m365.refresh_request(token)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::AccessRevoked);
    assert!(refused.message.contains("90 days"), "{refused}");
}
