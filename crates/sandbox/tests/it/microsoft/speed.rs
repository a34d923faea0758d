//! A large mailbox is made in seconds, and its pages stay fast.

use std::time::Instant;

use super::{IMMUTABLE, cloud};

#[tokio::test]
async fn a_hundred_thousand_mails_are_planted_at_once_and_read_page_by_page() {
    let cloud = cloud().await;
    let began = Instant::now();
    cloud.handle.seed(100_000, 90).expect("planted");
    let planted = began.elapsed();
    let mut link =
        "me/mailFolders/inbox/messages/delta?$select=subject,from,toRecipients,bodyPreview".to_owned();
    let headers = [IMMUTABLE, ("prefer", "odata.maxpagesize=500")];
    let (pages, began) = (20, Instant::now());
    for _ in 0..pages {
        let page = cloud.get_with(&link, &headers).await.ok();
        assert_eq!(page["value"].as_array().map(Vec::len), Some(500));
        link = page["@odata.nextLink"].as_str().expect("more").to_owned();
    }
    let each = began.elapsed() / pages;
    println!("100,000 mails planted in {planted:?}; a page of 500 takes {each:?} over HTTP");
    assert!(planted.as_secs() < 60 && each.as_millis() < 1_000, "{planted:?}, {each:?}");
}
