//! What requests for records promise.

use proto::sync as wire;

use crate::world::{World, by};

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
