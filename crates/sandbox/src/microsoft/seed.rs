//! Made-up mail.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Deserialize;

use super::control::invalid;
use super::errors::Failure;
use super::mailbox::{INBOX, Mailbox, SENT};
use super::message::{Address, Body, Message};
use super::names::{FAMILY_NAMES, FIRST_WORDS, GIVEN_NAMES, SECOND_WORDS, slug};

const DAY_MS: i64 = 86_400_000;
/// How many can be planted at once.
const MOST: usize = 2_000_000;
const TOPICS: [&str; 10] = [
    "Renewal of the support contract",
    "Questions about the quote",
    "Next steps after the workshop",
    "Introduction",
    "Invoice and payment terms",
    "Joint webinar in spring",
    "Security questionnaire",
    "Rollout plan",
    "Feedback from the pilot",
    "Referral for a new customer",
];
const SENTENCES: [&str; 8] = [
    "Thank you for the call yesterday, it helped us a lot.",
    "Could you send the figures for the second quarter until Friday?",
    "We have spoken with the team and would like to go ahead.",
    "The people from purchasing need the papers signed by both sides.",
    "I have added our partner in copy, who knows the details.",
    "Is there a time next week that suits you?",
    "Attached is the plan as we discussed it, with the dates moved by a week.",
    "Please have a look & tell me whether anything is missing.",
];

/// What to plant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) mailbox: Option<String>,
    pub(crate) count: usize,
    #[serde(default)]
    seed: Option<u64>,
    /// Over how many days in the past; 90 without it.
    spread_days: Option<u64>,
    /// One folder; without it two thirds come to the inbox and one third is in Sent Items.
    folder: Option<String>,
    /// Whom the mail is with; made-up people without it.
    #[serde(default)]
    correspondents: Vec<String>,
}

impl Order {
    /// One mail to the inbox, now.
    pub(crate) fn one() -> Self {
        let folder = Some("inbox".to_owned());
        Self { mailbox: None, count: 1, seed: None, spread_days: Some(0), folder, correspondents: Vec::new() }
    }
}

/// Plants mail that nobody is told of.
pub(crate) fn plant(mailbox: &mut Mailbox, order: &Order, seed: u64, now_ms: i64) -> Result<usize, Failure> {
    let days = i64::try_from(order.spread_days.unwrap_or(90)).ok().filter(|days| *days <= 20_000);
    let days = days.filter(|_| order.count <= MOST).ok_or_else(|| invalid("too many mails or days"))?;
    let folder = order.folder.as_deref().map(|folder| mailbox.folder_at(folder)).transpose()?;
    let mut rng = StdRng::seed_from_u64(order.seed.unwrap_or(seed) ^ mailbox.tick);
    let span = (days * DAY_MS).max(1);
    let mut last: Option<(u64, String)> = None;
    for number in 0..order.count {
        let back = span - span * i64::try_from(number).unwrap_or(0) / i64::try_from(order.count).unwrap_or(1);
        let mut message = mail(mailbox, order, now_ms - back, &mut rng);
        let outward = folder.map_or_else(|| rng.random_range(0..3) == 0, |folder| folder == SENT);
        message.folder = folder.unwrap_or(if outward { SENT } else { INBOX });
        if outward {
            let own = message.to.pop();
            message.to.extend(message.from.take());
            message.from = own;
        }
        message.is_read = outward || rng.random_range(0..4) > 0;
        let domain =
            message.from.as_ref().and_then(|from| from.address.split_once('@')).map(|(_, domain)| domain);
        message.internet_id =
            format!("<{:016x}.{}@{}>", rng.random::<u64>(), mailbox.tick, domain.unwrap_or("x.example"));
        let answers = last.take().filter(|_| rng.random_range(0..3) == 0);
        match &answers {
            Some((conversation, subject)) => {
                message.conversation = *conversation;
                message.subject = format!("RE: {}", subject.trim_start_matches("RE: "));
            }
            None => message.conversation = mailbox.conversation(None),
        }
        last = Some((message.conversation, message.subject.clone()));
        mailbox.insert(message, false);
    }
    Ok(order.count)
}

/// A mail from somebody to the owner of the mailbox.
fn mail(mailbox: &Mailbox, order: &Order, at_ms: i64, rng: &mut StdRng) -> Message {
    let mut message = Message::new(at_ms);
    let (given, family) = (pick(&GIVEN_NAMES, rng), pick(&FAMILY_NAMES, rng));
    let address = match order.correspondents.as_slice() {
        [] => {
            let domain =
                format!("{}{}.example", slug(pick(&FIRST_WORDS, rng)), slug(pick(&SECOND_WORDS, rng)));
            format!("{}.{}@{domain}", slug(given), slug(family))
        }
        some => some[rng.random_range(0..some.len())].clone(),
    };
    message.from = Some(Address::new(&format!("{given} {family}"), &address));
    message.to = vec![Address::new(&mailbox.person.name, &mailbox.person.address)];
    message.subject = pick(&TOPICS, rng).to_owned();
    let words = [pick(&SENTENCES, rng), pick(&SENTENCES, rng), pick(&SENTENCES, rng)].join(" ");
    let html = rng.random_range(0..3) > 0;
    let content = if html {
        let words = crate::page::escape(&words);
        format!(
            "<html><body><p>Hello,</p><p>{words}</p><p>Kind regards<br>{given} {family}</p></body></html>"
        )
    } else {
        format!("Hello,\r\n\r\n{words}\r\n\r\nKind regards\r\n{given} {family}")
    };
    message.set_body(Body { html, content: content.into() });
    message
}

fn pick(list: &[&'static str], rng: &mut StdRng) -> &'static str {
    list[rng.random_range(0..list.len())]
}
