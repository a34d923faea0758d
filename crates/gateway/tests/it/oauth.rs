use axum::body::Body;
use chassis::guard;
use http::{Request, StatusCode};
use proto::connections::{
    CompleteAuthorizationRequest, CompleteAuthorizationResponse, StartAuthorizationRequest,
    StartAuthorizationResponse,
};
use tonic::Code;

use crate::client::{Answer, Door, door};

const START: &str = "accord.connections.v1.Connections/StartAuthorization";
const COMPLETE: &str = "accord.connections.v1.Connections/CompleteAuthorization";

async fn open(door: &Door, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    door.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_browser_goes_to_the_consent_page_with_a_cookie_and_comes_back_to_the_console() {
    let door = door().await;
    door.rooms.on(START, |request: StartAuthorizationRequest| {
        assert_eq!(request.ticket, "al_ticket");
        Ok(StartAuthorizationResponse {
            authorize_url: "https://vendor.example/oauth?state=s&scope=a%20b".into(),
            browser_nonce: "nonce-1".into(),
        })
    });
    door.rooms.on(COMPLETE, |_: CompleteAuthorizationRequest| {
        let confirm_url = "https://console.accord.example/settings/integrations/return?confirm=t".into();
        Ok(CompleteAuthorizationResponse { confirm_url })
    });
    let started = open(&door, "/oauth/start?ticket=al_ticket", &[]).await;
    assert_eq!(started.status, StatusCode::FOUND);
    assert_eq!(started.header("location"), "https://vendor.example/oauth?state=s&scope=a%20b");
    let cookie = started.header("set-cookie").to_owned();
    for part in ["accord_oauth=nonce-1", "HttpOnly", "SameSite=Lax", "Secure", "Path=/oauth"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    let back = "/oauth/callback/hubspot?code=c&state=s&extra=of-the-vendor";
    let completed = open(&door, back, &[("cookie", "other=1; accord_oauth=nonce-1")]).await;
    assert_eq!(completed.status, StatusCode::SEE_OTHER);
    let place = "https://console.accord.example/settings/integrations/return?confirm=t";
    assert_eq!(completed.header("location"), place);
    assert!(completed.header("set-cookie").contains("Max-Age=0"), "{completed:?}");
    let request: CompleteAuthorizationRequest = door.rooms.last().message();
    let given = (request.vendor, request.code, request.state, request.browser_nonce);
    assert_eq!(given, ("hubspot".into(), "c".into(), "s".into(), "nonce-1".into()));
}

#[tokio::test]
async fn a_refused_callback_is_an_error_for_a_program_and_a_page_for_a_browser() {
    let door = door().await;
    door.rooms.on(COMPLETE, |_: CompleteAuthorizationRequest| {
        let refusal =
            guard::status(Code::PermissionDenied, "oauth_state_unknown", "It was not started here.");
        Err::<CompleteAuthorizationResponse, _>(refusal)
    });
    let back = "/oauth/callback/hubspot?code=c&state=wrong";
    let program = open(&door, back, &[]).await;
    assert_eq!((program.status, program.code().as_str()), (StatusCode::FORBIDDEN, "oauth_state_unknown"));
    let browser = open(&door, back, &[("accept", "text/html,*/*")]).await;
    assert_eq!(browser.status, StatusCode::SEE_OTHER);
    let place = "https://console.accord.example/settings/integrations?error=oauth_state_unknown";
    assert_eq!(browser.header("location"), place);
    // Whoever comes without anything is asked about as well, so that it is on record.
    open(&door, "/oauth/callback/hubspot", &[]).await;
    assert_eq!(door.rooms.calls().len(), 3);
}

#[tokio::test]
async fn the_front_page_leads_to_the_console() {
    let door = door().await;
    let answer = open(&door, "/", &[]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.header("location"), "https://console.accord.example/");
}
