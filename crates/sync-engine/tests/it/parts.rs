//! Changes that bring only what changed of a record.

use model::{ChangeEvent, ReadRequested, kind};
use proto::sync as wire;

use crate::world::{World, by, text, texts};

/// Only these fields of a company were changed at the vendor.
fn part(world: &World, id: &str, fields: &[(&str, &str)]) -> ChangeEvent {
    ChangeEvent { is_partial: true, ..world.edited(id, fields) }
}

fn asked(world: &World) -> Vec<String> {
    world.all::<ReadRequested>(kind::READ_REQUESTED).into_iter().flat_map(|it| it.ids).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_of_a_synced_record_is_merged_and_the_rest_stays_as_it_is() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("domain", "one.test"), ("phone", "0")])]).await;
    let record = world.company_with("1", "phone", "0").await;
    world.deliver(&[part(&world, "1", &[("phone", "1")])]).await;
    let merged = world.company_with("1", "phone", "1").await;
    assert_eq!((merged.id, text(&world.get(&record.id).await, "name").as_str()), (record.id.clone(), "One"));
    assert_eq!(asked(&world), [""; 0], "it says enough");
    // Ours goes out against what was last seen of each field, whichever change showed it.
    world.edit(&record.id, &[("name", "Uno")]).await;
    assert_eq!(world.write(0).await.fields, texts(&[("name", "Uno")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_record_that_is_not_synced_has_it_read_and_makes_no_half_record() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let unknown = part(&world, "7", &[("phone", "1")]);
    world.deliver(&[unknown.clone(), part(&world, "7", &[("city", "Bern")])]).await;
    let ask = world.wait_for("the question", kind::READ_REQUESTED, |_: &ReadRequested| true).await;
    assert_eq!((ask.connection, ask.vendor_object.as_str()), (world.connection, "companies"));
    assert_eq!(ask.ids, ["7"], "once, however many parts came together");
    world.settled().await;
    assert!(world.find("company", "7").await.is_none());
    // The reading may carry an older version than the parts.
    let whole = world.edited("7", &[("name", "Seven"), ("domain", "seven.test"), ("phone", "1")]);
    world.deliver(&[ChangeEvent { version: unknown.version - 1, ..whole }]).await;
    let made = world.company_with("7", "phone", "1").await;
    assert_eq!(text(&made, "name"), "Seven");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_waits_for_a_reading_where_several_fields_decide_together() {
    let world = World::new().await;
    let active = world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("city", "Bern"), ("phone", "0")])]).await;
    world.company_with("1", "phone", "0").await;
    let filter = wire::Filter { any: false, conditions: vec!["there city is Bern".to_owned()] };
    let ask = wire::SetMappingRequest {
        mapping_id: active.id.clone(),
        filter: Some(filter),
        ..wire::SetMappingRequest::default()
    };
    world.api.clone().set_mapping(by("admin", ask)).await.unwrap();
    world.activate(&active.id, 1).await;
    world.deliver(&[part(&world, "1", &[("phone", "1")])]).await;
    world.wait_for("the question", kind::READ_REQUESTED, |it: &ReadRequested| it.ids == ["1"]).await;
    world.deliver(&[part(&world, "1", &[("phone", "2"), ("city", "Bern")])]).await;
    world.company_with("1", "phone", "2").await;
    // What the filter leaves out is kept for when it does not, and a part of it is not enough.
    world.deliver(&[part(&world, "1", &[("city", "Genf"), ("phone", "3")])]).await;
    world.deliver(&[part(&world, "1", &[("city", "Bern")])]).await;
    world.settled().await;
    assert_eq!(asked(&world), ["1", "1"]);
    assert_eq!(text(&world.company_with("1", "phone", "2").await, "address_city"), "Bern");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_comes_during_a_pause_is_read_whole() {
    let world = World::new().await;
    let active = world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "0")])]).await;
    world.company_with("1", "phone", "0").await;
    let mapping = wire::MappingRequest { mapping_id: active.id.clone() };
    world.api.clone().pause_mapping(by("admin", mapping.clone())).await.unwrap();
    world.deliver(&[part(&world, "1", &[("phone", "1")])]).await;
    world.wait_for("the question", kind::READ_REQUESTED, |it: &ReadRequested| it.ids == ["1"]).await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "1")])]).await;
    world.settled().await;
    world.api.clone().resume_mapping(by("admin", mapping)).await.unwrap();
    world.company_with("1", "phone", "1").await;
}
