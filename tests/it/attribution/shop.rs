use serde_json::{Value, json};
use tests::House;

/// A merchant with a program that pays a fifth, a partner and their link, who calls the public API.
#[derive(Clone, Debug)]
pub(super) struct Shop {
    http: reqwest::Client,
    url: String,
    key: String,
    base: String,
    pub(super) partner: String,
    pub(super) program: String,
}

/// The body that the documents print.
pub(super) fn sample() -> Value {
    let text = r#"{
        "userId": "user_or_email_from_your_system",
        "type": "opportunity_won",
        "value": 4500.00,
        "currency": "USD",
        "metadata": { "deal_id": "0061k00000ABC", "stage": "Closed Won" }
    }"#;
    serde_json::from_str(text).expect("it is JSON")
}

impl Shop {
    pub(super) async fn open(house: &House) -> Self {
        let text = |path: &str| house.ready(path).to_owned();
        let (partner, program) = (String::new(), String::new());
        let (http, base) = (house.http().clone(), "/api".to_owned());
        let mut shop = Self { http, url: text("api_url"), key: text("api_key"), base, partner, program };
        let id = |row: Value| row["id"].as_str().expect("an id").to_owned();
        let rules = json!([{ "trigger": "every", "type": "percent", "value": 20 }]);
        let program = json!({ "name": "Referrals", "commissionRule": rules, "destinationUrl": "https://shop.example/?plan=pro" });
        shop.program = id(shop.ok("POST", "/programs", Some(program)).await);
        let partner = json!({ "email": "ada@blog.example", "name": "Ada" });
        shop.partner = id(shop.ok("POST", "/partners", Some(partner)).await);
        let link = json!({ "linkKey": "ada-2026", "programId": shop.program });
        shop.ok("POST", &format!("/partners/{}/links", shop.partner), Some(link)).await;
        shop
    }

    /// The same with another key.
    pub(super) fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// The same at another base.
    pub(super) fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// Where this API is.
    pub(super) fn address(&self) -> String {
        format!("{}{}", self.url, self.base)
    }

    pub(super) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.try_call(method, path, body).await.expect("the API answers")
    }

    /// The same; none where nobody answers, or not to the end.
    pub(super) async fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Option<(u16, Value)> {
        let method = method.parse().expect("a test names a method");
        let mut request =
            self.http.request(method, format!("{}{path}", self.address())).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.ok()?;
        Some((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// The same shop, where the house is after it was started again.
    pub(super) fn moved_to(&self, house: &House) -> Self {
        let text = |path: &str| house.ready(path).to_owned();
        Self { url: text("api_url"), key: text("api_key"), ..self.clone() }
    }

    /// A call that must succeed.
    pub(super) async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    /// A key for these scopes.
    pub(super) async fn mint(&self, scopes: &[&str]) -> String {
        let minted =
            self.ok("POST", "/api-keys/scoped", Some(json!({ "scopes": scopes, "label": "a CRM" }))).await;
        minted["plaintext"].as_str().expect("it is shown once").to_owned()
    }

    /// Follows a link as a browser does; gives where it leads and the cookie.
    pub(super) async fn follow(&self, path: &str) -> (String, String) {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.expect("the link answers");
        assert_eq!(answer.status().as_u16(), 302);
        let header = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
        (header("location"), header("set-cookie"))
    }

    /// Somebody follows the partner's link; gives the click.
    pub(super) async fn visit(&self) -> String {
        let (location, _) = self.follow("/r/ada-2026").await;
        location.rsplit_once("cref=").expect("a click").1.to_owned()
    }

    /// The same of a house that may be killed at any moment; none where nobody answers with a click.
    pub(super) async fn try_visit(&self) -> Option<String> {
        let answer = self.http.get(format!("{}/r/ada-2026", self.url)).send().await.ok()?;
        let location = answer.headers().get("location")?.to_str().ok()?;
        Some(location.rsplit_once("cref=")?.1.to_owned())
    }

    /// A body that is sent with what its sender proves itself by instead of a key; none where nobody answers.
    pub(super) async fn try_deliver(
        &self,
        path: &str,
        user: &str,
        password: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        let request =
            self.http.post(format!("{}{path}", self.url)).basic_auth(user, Some(password)).json(body);
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.ok()?))
    }

    /// A body with these headers and without a key, to where a CRM was told to send it.
    pub(super) async fn send(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let mut request = self.http.post(format!("{}{path}", self.address())).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer =
            request.header("content-type", "application/json").send().await.expect("the API answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("it is JSON"))
    }

    /// A call with a header by which a repeat is recognized, where it is not empty; none where nobody answers to the end.
    pub(super) async fn try_keyed(
        &self,
        path: &str,
        idempotency_key: &str,
        body: &Value,
    ) -> Option<(u16, Value)> {
        let mut request = self.http.post(format!("{}{path}", self.address())).bearer_auth(&self.key);
        if !idempotency_key.is_empty() {
            request = request.header("idempotency-key", idempotency_key);
        }
        let answer = request.json(body).send().await.ok()?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.ok()?;
        Some((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// The same of a house that answers.
    pub(super) async fn keyed(&self, path: &str, idempotency_key: &str, body: &Value) -> (u16, Value) {
        self.try_keyed(path, idempotency_key, body).await.expect("the API answers")
    }

    /// The same as another program, which shares no connection.
    pub(super) fn with_own_connections(&self) -> Self {
        Self { http: reqwest::Client::new(), ..self.clone() }
    }

    /// A click of this user.
    pub(super) async fn click(&self, user: &str) -> String {
        let click = self.visit().await;
        self.identify(&click, user).await;
        click
    }

    /// As a page does it, without a key.
    pub(super) async fn identify(&self, click: &str, user: &str) -> Value {
        let request = self.http.post(format!("{}/attribution/identify", self.address()));
        let request = request.json(&json!({ "cref": click, "userId": user }));
        let answer = request.send().await.expect("the API answers");
        assert_eq!(answer.status().as_u16(), 200);
        answer.json().await.expect("it is JSON")
    }
}
