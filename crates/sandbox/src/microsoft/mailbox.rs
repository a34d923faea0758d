//! A mailbox: its folders, its messages, and the count of changes that delta queries follow.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::errors::Failure;
use super::ids::Item;
use super::message::Message;

pub(crate) const INBOX: usize = 0;
pub(crate) const DRAFTS: usize = 1;
pub(crate) const SENT: usize = 2;
pub(crate) const DELETED: usize = 3;
/// Where lies what was deleted from Deleted Items, as long as it can be recovered. No list of folders has it.
pub(crate) const RECOVERABLE: usize = 7;
const WELL_KNOWN: [(&str, &str); 8] = [
    ("inbox", "Inbox"),
    ("drafts", "Drafts"),
    ("sentitems", "Sent Items"),
    ("deleteditems", "Deleted Items"),
    ("archive", "Archive"),
    ("junkemail", "Junk Email"),
    ("outbox", "Outbox"),
    ("recoverableitemsdeletions", "Deletions"),
];

/// A user of the tenant.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) address: String,
    /// Guests have none.
    pub(crate) has_mailbox: bool,
    pub(crate) disabled: bool,
}

/// What the latest change of something in a folder was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Live { serial: u64 },
    Gone { serial: u64, place: u32, moved: bool },
}

/// A folder with its messages by time, and its changes by their count.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    pub(crate) name: String,
    pub(crate) unread: usize,
    pub(crate) by_received: BTreeSet<(i64, u64)>,
    pub(crate) changes: BTreeMap<u64, Change>,
}

/// What subscribers are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notice {
    pub(crate) word: &'static str,
    pub(crate) folder: usize,
    pub(crate) serial: u64,
    pub(crate) place: u32,
    pub(crate) version: u32,
}

/// What the state file has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Touched {
    Message(u64),
    Folder(usize),
    Gone { folder: usize, tick: u64, serial: u64, place: u32, moved: bool, whole: bool },
    Epoch,
}

/// A user with what they have.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) person: Person,
    pub(crate) folders: Vec<Folder>,
    pub(crate) messages: BTreeMap<u64, Message>,
    pub(crate) by_received: BTreeSet<(i64, u64)>,
    /// Counts changes.
    pub(crate) tick: u64,
    /// Links of delta queries given out before it moved on are dead.
    pub(crate) epoch: u64,
    pub(crate) notices: Vec<Notice>,
    pub(crate) touched: Vec<Touched>,
    next_serial: u64,
    next_conversation: u64,
    by_internet_id: HashMap<String, u64>,
}

impl Mailbox {
    pub(crate) fn new(person: Person) -> Self {
        let folder = |(_, name): &(&str, &str)| Folder { name: (*name).to_owned(), ..Folder::default() };
        Self {
            person,
            folders: WELL_KNOWN.iter().map(folder).collect(),
            messages: BTreeMap::new(),
            by_received: BTreeSet::new(),
            tick: 1,
            epoch: 1,
            notices: Vec::new(),
            touched: Vec::new(),
            next_serial: 1,
            next_conversation: 1,
            by_internet_id: HashMap::new(),
        }
    }

    /// A folder by its well-known name or its id.
    pub(crate) fn folder_at(&self, name: &str) -> Result<usize, Failure> {
        if let Some(at) = WELL_KNOWN.iter().position(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Ok(at);
        }
        match Item::read(name, &self.person.id) {
            Some(Item::Folder { at }) if at < self.folders.len() => Ok(at),
            Some(_) => Err(Failure::item_not_found()),
            None => Err(Failure::malformed_id()),
        }
    }

    /// A message by either of its ids.
    pub(crate) fn serial_of(&self, id: &str) -> Result<u64, Failure> {
        let (serial, wanted) = match Item::read(id, &self.person.id).ok_or_else(Failure::malformed_id)? {
            Item::Message { serial, place } => (serial, Some(place)),
            Item::Immutable { serial } => (serial, None),
            Item::Folder { .. } | Item::Conversation { .. } => return Err(Failure::item_not_found()),
        };
        let message = self.messages.get(&serial).ok_or_else(Failure::item_not_found)?;
        // Without an immutable id a message that moved is another item.
        if wanted.is_some_and(|place| place != message.place) {
            return Err(Failure::item_not_found());
        }
        Ok(serial)
    }

    pub(crate) fn message(&self, id: &str) -> Result<&Message, Failure> {
        self.messages.get(&self.serial_of(id)?).ok_or_else(Failure::item_not_found)
    }

    /// The message of a Message-ID.
    pub(crate) fn by_internet_id(&self, id: &str) -> Option<&Message> {
        self.messages.get(self.by_internet_id.get(id)?)
    }

    /// The conversation of a message that answers another, or a new one.
    pub(crate) fn conversation(&mut self, answered: Option<&str>) -> u64 {
        let known =
            answered.and_then(|ids| ids.split_whitespace().rev().find_map(|id| self.by_internet_id(id)));
        if let Some(known) = known {
            return known.conversation;
        }
        self.next_conversation += 1;
        self.next_conversation - 1
    }

    /// Takes a message in; it gets its number.
    pub(crate) fn insert(&mut self, mut message: Message, tell: bool) -> u64 {
        self.tick += 1;
        message.serial = self.next_serial;
        (message.changed, message.entered) = (self.tick, self.tick);
        let serial = message.serial;
        if tell {
            self.tell("created", &message);
        }
        self.load(message);
        self.touched.push(Touched::Message(serial));
        serial
    }

    /// Puts a message where it says it is.
    pub(crate) fn load(&mut self, message: Message) {
        self.unload(message.serial);
        let serial = message.serial;
        self.next_serial = self.next_serial.max(serial + 1);
        self.next_conversation = self.next_conversation.max(message.conversation + 1);
        self.tick = self.tick.max(message.changed);
        let folder = &mut self.folders[message.folder];
        folder.unread += usize::from(!message.is_read);
        folder.by_received.insert((message.received_ms, serial));
        folder.changes.insert(message.changed, Change::Live { serial });
        self.by_received.insert((message.received_ms, serial));
        if !message.internet_id.is_empty() {
            self.by_internet_id.entry(message.internet_id.clone()).or_insert(serial);
        }
        self.messages.insert(serial, message);
    }

    fn unload(&mut self, serial: u64) -> Option<Message> {
        let message = self.messages.remove(&serial)?;
        let folder = &mut self.folders[message.folder];
        folder.unread -= usize::from(!message.is_read);
        folder.by_received.remove(&(message.received_ms, serial));
        folder.changes.remove(&message.changed);
        self.by_received.remove(&(message.received_ms, serial));
        if self.by_internet_id.get(&message.internet_id) == Some(&serial) {
            self.by_internet_id.remove(&message.internet_id);
        }
        Some(message)
    }

    /// Changes a message where it is.
    pub(crate) fn update(&mut self, serial: u64, now_ms: i64, change: impl FnOnce(&mut Message)) {
        let Some(mut message) = self.unload(serial) else { return };
        change(&mut message);
        self.tick += 1;
        (message.changed, message.modified_ms) = (self.tick, now_ms);
        message.version += 1;
        self.tell("updated", &message);
        self.load(message);
        self.touched.push(Touched::Message(serial));
    }

    /// Moves a message to another folder, changed as told.
    pub(crate) fn relocate(
        &mut self,
        serial: u64,
        to: usize,
        now_ms: i64,
        change: impl FnOnce(&mut Message),
    ) {
        let Some(mut message) = self.unload(serial) else { return };
        self.leave(&message, true, false);
        change(&mut message);
        self.tick += 1;
        (message.changed, message.entered) = (self.tick, self.tick);
        (message.folder, message.modified_ms) = (to, now_ms);
        message.place += 1;
        message.version += 1;
        self.tell("created", &message);
        self.load(message);
        self.touched.push(Touched::Message(serial));
    }

    /// Deletes a message for good.
    pub(crate) fn erase(&mut self, serial: u64) {
        if let Some(message) = self.unload(serial) {
            self.leave(&message, false, true);
        }
    }

    fn leave(&mut self, message: &Message, moved: bool, whole: bool) {
        self.tick += 1;
        let (serial, place, folder) = (message.serial, message.place, message.folder);
        self.folders[folder].changes.insert(self.tick, Change::Gone { serial, place, moved });
        self.touched.push(Touched::Gone { folder, tick: self.tick, serial, place, moved, whole });
        self.tell("deleted", message);
    }

    /// Remembers, on a restart, what left a folder.
    pub(crate) fn forget(&mut self, touched: Touched) {
        let Touched::Gone { folder, tick, serial, place, moved, whole } = touched else { return };
        if whole {
            self.unload(serial);
        }
        self.tick = self.tick.max(tick);
        self.next_serial = self.next_serial.max(serial + 1);
        if let Some(folder) = self.folders.get_mut(folder) {
            folder.changes.insert(tick, Change::Gone { serial, place, moved });
        }
    }

    fn tell(&mut self, word: &'static str, message: &Message) {
        let Message { folder, serial, place, version, .. } = *message;
        self.notices.push(Notice { word, folder, serial, place, version });
    }

    /// Tells of what came last.
    pub(crate) fn announce_last(&mut self) {
        if let Some(last) = self.messages.last_key_value().map(|(_, message)| message.clone()) {
            self.tell("created", &last);
        }
    }

    /// The id of a message: where it is, or wherever it goes.
    pub(crate) fn id(&self, serial: u64, place: u32, immutable: bool) -> String {
        let item = if immutable { Item::Immutable { serial } } else { Item::Message { serial, place } };
        item.text(&self.person.id)
    }

    pub(crate) fn folder_id(&self, at: usize) -> String {
        Item::Folder { at }.text(&self.person.id)
    }
}
