use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use model::{CanonicalObject, Clock, SystemClock};
use proto::crm::{
    GetTimelineRequest, NewActivity, Participant, RecordActivitiesRequest, crm_client::CrmClient,
};
use tokio::time::Instant;
use tonic::transport::{Channel, Server, server::TcpIncoming};

use super::{crm, number, tell};
use crate::{
    servers::Servers,
    stage::Started,
    sync::listen,
    table::{Row, ms, note, percentile, times},
    vendor::{Rooms, nobody},
};

const ACTIVITIES: usize = 50_000;
/// As many as one request records.
const TOGETHER: usize = 500;
const PAGES: usize = 400;
const GOAL: Duration = Duration::from_millis(30);

/// Pages of the timeline of one company and of its deal, as the console asks for them: from the first on, and so deep.
pub(super) async fn measure() -> Result<Vec<Row>> {
    let activities = number("ACTIVITIES", ACTIVITIES)?;
    let servers = Servers::start().await?;
    let started = Started::default();
    let rooms = Rooms::open(&servers, &started, &started, Arc::new(nobody()?)).await?;
    let room = crm(&servers, &started, &rooms).await?;
    let (listener, channel) = listen().await?;
    let stopped = started.shutdown.clone().cancelled_owned();
    let serving = Server::builder().add_service(room.grpc());
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    started.tasks.spawn(serving.serve_with_incoming_shutdown(incoming, stopped));
    let mut client = CrmClient::new(channel);
    let bus = servers.bus("bench").await?;
    let field = ("domain", "acme.example".to_owned());
    let company = tell(&bus, rooms.organization, CanonicalObject::Company, field).await?.to_string();
    for first in (0..activities).step_by(TOGETHER) {
        let batch = (first..(first + TOGETHER).min(activities)).map(|nth| activity(nth, &company));
        let request = RecordActivitiesRequest { activities: batch.collect() };
        client.record_activities(rooms.by(request)?).await?;
    }
    let deal = tell(&bus, rooms.organization, CanonicalObject::Deal, ("company_id", company.clone()))
        .await?
        .to_string();
    let known = || async { first(client.clone(), &rooms, &deal).await.ok().filter(|is_there| *is_there) };
    testkit::eventually(Duration::from_secs(60), "the deal is known", known).await;
    let of_company = row("Page of a timeline of 50,000, p99", read(&mut client, &rooms, &company).await?);
    let of_deal = row("Page of a deal's timeline beside it, p99", read(&mut client, &rooms, &deal).await?);
    started.stop().await;
    servers.stop().await;
    Ok(vec![of_company, of_deal])
}

fn row(what: &'static str, mut took: Vec<Duration>) -> Row {
    let (p50, p99) = (percentile(&mut took, 50), percentile(&mut took, 99));
    note(&format!("timeline: {what}: {} pages, p50 {p50:?}, p99 {p99:?}", took.len()));
    Row { what, ours: ms(p99), floor: ms(GOAL), ratio: times(p99, GOAL), goal: "< 30 ms", disk: None }
}

/// Whether there is anything on its timeline.
async fn first(mut client: CrmClient<Channel>, rooms: &Rooms, record: &str) -> Result<bool> {
    let request = GetTimelineRequest { record_id: record.to_owned(), limit: 1, ..Default::default() };
    Ok(!client.get_timeline(rooms.by(request)?).await?.into_inner().activities.is_empty())
}

/// How long each page takes.
async fn read(client: &mut CrmClient<Channel>, rooms: &Rooms, record: &str) -> Result<Vec<Duration>> {
    let (mut took, mut page) = (Vec::new(), String::new());
    while took.len() < PAGES {
        let request = GetTimelineRequest { record_id: record.to_owned(), page, ..Default::default() };
        let request = rooms.by(request)?;
        let began = Instant::now();
        let answer = client.get_timeline(request).await?.into_inner();
        took.push(began.elapsed());
        ensure!(!answer.activities.is_empty(), "a page of the timeline is empty");
        page = answer.next_page;
        if page.is_empty() {
            break;
        }
    }
    Ok(took)
}

fn activity(nth: usize, company: &str) -> NewActivity {
    let ago = SignedDuration::from_mins(i64::try_from(nth).unwrap_or_default());
    let at: Timestamp = SystemClock.now().checked_sub(ago).unwrap_or_default();
    let who = |role: &str, name: &str, email: String| Participant {
        role: role.to_owned(),
        name: name.to_owned(),
        email,
    };
    NewActivity {
        source: "bench".to_owned(),
        external_id: format!("mail {nth}"),
        version: 1,
        kind: "email".to_owned(),
        direction: "inbound".to_owned(),
        at: Some(proto::to_wire_time(at)),
        subject: format!("Offer {nth}"),
        body: "Thank you for the call yesterday, it helped us a lot. ".repeat(20),
        participants: vec![
            who("from", "Carol Wild", format!("person{}@acme.example", nth % 100)),
            who("to", "Nora Field", "nora@own.example".to_owned()),
        ],
        record_ids: vec![company.to_owned()],
        ..NewActivity::default()
    }
}
