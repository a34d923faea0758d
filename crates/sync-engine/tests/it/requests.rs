//! What requests for records promise.

use proto::sync as wire;
use testkit::eventually;
use tonic::Code;

use crate::world::{SOON, World, by, text, texts, values};

fn create(
    credential: &str,
    object: &str,
    name: &str,
    key: &str,
) -> tonic::Request<wire::CreateRecordRequest> {
    by(
        credential,
        wire::CreateRecordRequest {
            object: object.to_owned(),
            fields: values(&[("name", name)]),
            idempotency_key: key.to_owned(),
        },
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_belongs_to_one_credential_and_one_object() {
    let world = World::bare().await;
    let mut api = world.api.clone();
    let id = |answer: Result<tonic::Response<wire::Record>, tonic::Status>| answer.unwrap().into_inner().id;
    let first = id(api.create_record(create("member", "company", "One", "key")).await);
    assert_eq!(id(api.create_record(create("member", "company", "One", "key")).await), first);
    for request in [
        create("stranger", "company", "One", "key"),
        create("admin", "company", "One", "key"),
        create("member", "deal", "One", "key"),
        create("member", "company", "One", "another"),
    ] {
        assert_ne!(id(api.create_record(request).await), first);
    }
    let refused = api.create_record(create("member", "company", "Two", "key")).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert_eq!(chassis::guard::stable_code(&refused), Some("idempotency_key_reused"));
    assert_eq!(id(api.create_record(create("member", "company", "One", "key")).await), first);
    // What was refused took no key.
    api.create_record(create("member", "company", "", "later")).await.unwrap_err();
    api.create_record(create("member", "company", "Three", "later")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_sent_many_times_at_once_creates_one_record() {
    let world = World::bare().await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let mut api = world.api.clone();
            tokio::spawn(async move { api.create_record(create("member", "company", "One", "key")).await })
        })
        .collect();
    let mut ids = Vec::new();
    for task in tasks {
        ids.push(task.await.unwrap().unwrap().into_inner().id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(world.query::<i64>("SELECT count(*) FROM records").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_total_counts_what_fits_the_filters_on_all_pages() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("7", &[("name", "Linked Oak")])]).await;
    world.company_with("7", "name", "Linked Oak").await;
    for name in ["Red Oak", "White Oak", "Birch"] {
        world.create(&[("name", name)]).await;
    }
    let gone = world.create(&[("name", "Felled Oak")]).await;
    let mut api = world.api.clone();
    api.archive_record(by("member", wire::ArchiveRecordRequest { id: gone.id })).await.unwrap();
    let all = wire::ListRecordsRequest { object: "company".to_owned(), limit: 2, ..Default::default() };
    let oaks = wire::ListRecordsRequest { query: "oak".to_owned(), ..all.clone() };
    let archived = wire::ListRecordsRequest { include_archived: true, ..oaks.clone() };
    let linked =
        wire::ListRecordsRequest { vendor: "hubspot".to_owned(), vendor_id: "7".to_owned(), ..all.clone() };
    for (ask, total) in [(all, 4), (oaks.clone(), 3), (archived, 4), (linked, 1)] {
        let listed = api.list_records(by("viewer", ask.clone())).await.unwrap().into_inner();
        assert_eq!(listed.total, total, "{ask:?}");
    }
    let first = api.list_records(by("viewer", oaks.clone())).await.unwrap().into_inner();
    let rest = wire::ListRecordsRequest { page: first.next_page, ..oaks };
    let second = api.list_records(by("viewer", rest)).await.unwrap().into_inner();
    assert_eq!((first.records.len(), second.records.len(), second.total), (2, 1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picklist_without_options_of_its_own_is_told_by_what_the_vendor_calls_them() {
    let world = World::new().await;
    let industry = || async {
        let objects =
            world.api.clone().list_objects(by("viewer", wire::ListObjectsRequest {})).await.unwrap();
        let company =
            objects.into_inner().objects.into_iter().find(|object| object.name == "company").unwrap();
        company.fields.into_iter().find(|field| field.name == "industry").unwrap().options
    };
    assert_eq!(industry().await, [], "nothing is mapped to it yet");
    world.draft().await;
    let options = industry().await;
    let named: Vec<(&str, &str)> = options.iter().map(|o| (o.value.as_str(), o.label.as_str())).collect();
    assert_eq!(named, [("BANKING", "banking"), ("COMPUTER_SOFTWARE", "computer_software")]);
    // The vendor may have others tomorrow: any text is still taken.
    world.create(&[("name", "One"), ("industry", "BEEKEEPING")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_gives_way_to_another_one_is_done_once_that_is_over() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "0")])]).await;
    let record = world.company_with("1", "phone", "0").await;
    let pool = chassis::pool(&world.database_url, "sync", 1).await.unwrap();
    let mut other = pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM links FOR UPDATE").execute(&mut *other).await.unwrap();
    let meanwhile = async {
        let waits = "SELECT count(*) FROM pg_stat_activity \
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        eventually(SOON, "the edit to wait", || async {
            (world.query::<i64>(waits).await > 0).then_some(())
        })
        .await;
        // Each waits for the other now, and the database ends the one that has waited longer.
        sqlx::query("SELECT 1 FROM records FOR UPDATE").execute(&mut *other).await.unwrap();
        other.commit().await.unwrap();
    };
    let (edited, ()) = tokio::join!(world.edit(&record.id, &[("phone", "1")]), meanwhile);
    assert_eq!(text(&edited, "phone"), "1");
    assert_eq!(world.write(0).await.fields, texts(&[("phone", "1")]));
    pool.close().await;
}
