//! What a person does in a browser, here without one.

use reqwest::Method;
use serde_json::json;

use super::app::{Plan, app};
use super::{good, reason_dialog, registration, slack};
use crate::client::read;

#[tokio::test]
async fn a_person_clicks_and_fills_in_a_dialog_in_the_browser() {
    let (slack, app) = (slack().await, app().await);
    slack.control("settings", json!({"interactivity_url": app.url})).await;
    let token = slack.install().await;
    let order = json!({"channel": "deal-registrations", "text": "A deal", "blocks": registration()});
    let posted = good(slack.call("chat.postMessage", &token, order).await);
    let home = slack.send(Method::GET, "/", None).await;
    let path = home.header("location").expect("a channel").to_owned();
    assert!(path.ends_with(posted["channel"].as_str().expect("an id")), "{path}");
    let adam = slack.user("adam").await;
    let look = async || {
        let answer = slack.send(Method::GET, &format!("{path}?user={adam}"), None).await;
        answer.body.as_str().expect("a page").to_owned()
    };
    let page = look().await;
    for part in [
        "<b>Acme &amp; Söhne</b> by <i>Bluefin</i>",
        "data-action=\"approve\"",
        "class=\"danger\"",
        "aria-label=\"private\"",
        "</svg> leadership",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let private = page.split("href=\"").find(|part| part.contains("</svg> leadership"));
    let private = private.and_then(|part| part.split('"').next()).expect("a private channel");
    let private = slack.send(Method::GET, &private.replace("&amp;", "&"), None).await;
    let private = private.body.as_str().expect("a page").to_owned();
    assert!(private.contains("</svg> leadership</h2>"), "{private}");
    assert!(!private.contains("placeholder=\"Message <"), "nothing is drawn within an input");
    let form = async |action: &str, fields: &[(&str, &str)]| {
        let url = format!("{}{path}/{action}", slack.handle.url());
        let answer = read(slack.http.post(url).form(fields).send().await.expect("an answer")).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.header("location").expect("a way back").to_owned()
    };
    let ts = posted["ts"].as_str().expect("a timestamp");
    let click = [("user", adam.as_str()), ("ts", ts), ("block_id", "decision"), ("action_id", "reject")];
    assert!(!form("click", &click).await.contains("trouble"));
    let trigger = app.last().payload()["trigger_id"].clone();
    let open = json!({"trigger_id": trigger, "view": reason_dialog()});
    let view =
        good(slack.call("views.open", &token, open).await)["view"]["id"].as_str().expect("an id").to_owned();
    let page = look().await;
    assert!(page.contains("Reject the deal") && page.contains("name=\"why/reason\""), "{page}");
    let empty = [("user", adam.as_str()), ("view_id", &view), ("why/reason", "")];
    form("submit", &empty).await;
    assert!(look().await.contains("Please complete this required field."));
    let filled = [("user", adam.as_str()), ("view_id", &view), ("why/reason", "<b>no</b>")];
    form("submit", &filled).await;
    assert_eq!(app.last().payload()["view"]["state"]["values"]["why"]["reason"]["value"], "<b>no</b>");
    assert!(!look().await.contains("Reject the deal"));
    form("post", &[("user", adam.as_str()), ("text", "<script>alert(1)</script>")]).await;
    let page = look().await;
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script>alert"), "{page}");
    app.plan(Plan::Answer(500, String::new()));
    assert!(form("click", &click).await.ends_with("&trouble=1"));
    let trigger = app.last().payload()["trigger_id"].clone();
    good(slack.call("views.open", &token, json!({"trigger_id": trigger, "view": reason_dialog()})).await);
    form("close", &[("user", adam.as_str())]).await;
    assert!(!look().await.contains("role=\"dialog\""));
    let secret = slack.channel("leadership").await;
    let hidden = path.rsplit_once('/').expect("a path").0;
    let mia = slack.user("mia").await;
    let page = slack.send(Method::GET, &format!("{hidden}/{secret}?user={mia}"), None).await.ok().to_string();
    assert!(page.contains("Mia Member is not in this channel."));
}
