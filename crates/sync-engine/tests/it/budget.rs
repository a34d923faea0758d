use std::time::Duration;

use bus::subject;
use model::{BudgetLevel, BudgetReached, BudgetSettings, Clock, ConnectionState, kind};
use proto::sync as wire;

use crate::world::{World, by};

/// As if events with far later places in the stream had been taken already.
const LATER_EVENTS: &str = "WITH u AS (UPDATE connections SET state_seq = 1000000, objects_seq = 1000000, \
     budget_seq = 1000000 RETURNING id) SELECT count(*) FROM u";

impl World {
    async fn reach(&self, level: BudgetLevel, used: u64) {
        let at = self.clock.now();
        let reached = BudgetReached {
            connection: self.connection,
            vendor: "hubspot".to_owned(),
            level,
            used,
            budget: Some(BudgetSettings { calls: 100, window_seconds: 3_600, warn_percent: 80 }),
            turns_at: at,
            at,
        };
        let subject = subject::connection(&self.organization(), "budget_reached");
        self.publish(subject, kind::BUDGET_REACHED, &reached).await;
        self.settled().await;
    }

    /// The messages of the connection's open issues.
    async fn budget_issues(&self) -> Vec<String> {
        let ask = wire::ListIssuesRequest {
            connection_id: self.connection.to_string(),
            category: "rate_limit".to_owned(),
            ..wire::ListIssuesRequest::default()
        };
        let found = self.api.clone().list_issues(by("owner", ask)).await.unwrap().into_inner().issues;
        found.into_iter().filter(|issue| issue.state == "open").map(|issue| issue.message).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_runs_low_is_an_issue_until_there_is_enough_again() {
    let world = World::new().await;
    world.reach(BudgetLevel::Warning, 83).await;
    let [message] = &world.budget_issues().await[..] else { panic!("one issue") };
    assert!(message.starts_with("83 of the 100 API calls of the budget are used"), "{message}");
    world.reach(BudgetLevel::Spent, 100).await;
    let [message] = &world.budget_issues().await[..] else { panic!("one issue") };
    assert!(message.starts_with("all 100 API calls of the budget are used"), "{message}");
    world.reach(BudgetLevel::Ok, 0).await;
    assert!(world.budget_issues().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_event_of_a_connection_that_comes_late_changes_nothing() {
    let world = World::new().await;
    let (id, now) = (world.connection, world.clock.now());
    let state = || world.query::<String>("SELECT state FROM connections");
    let fields = || world.query::<i64>("SELECT jsonb_array_length(objects)::bigint FROM connections");
    world.connection_state(id, kind::CONNECTION_CHANGED, ConnectionState::Paused).await;
    world.reach(BudgetLevel::Spent, 100).await;
    let objects = fields().await;
    assert!(objects > 0);
    assert_eq!(world.query::<i64>(LATER_EVENTS).await, 1);

    world.clock.set(now - Duration::from_secs(60));
    world.connection_state(id, kind::CONNECTION_CHANGED, ConnectionState::Active).await;
    world.describe(id, &[]).await;
    world.reach(BudgetLevel::Ok, 0).await;
    assert_eq!((state().await.as_str(), fields().await), ("paused", objects));
    assert_eq!(world.budget_issues().await.len(), 1);

    // What is newer is taken, wherever it stands: streams can be made anew.
    world.clock.set(now + Duration::from_secs(60));
    world.connection_state(id, kind::CONNECTION_CHANGED, ConnectionState::Active).await;
    world.describe(id, &[]).await;
    world.reach(BudgetLevel::Ok, 0).await;
    assert_eq!((state().await.as_str(), fields().await), ("active", 0));
    assert!(world.budget_issues().await.is_empty());
}
