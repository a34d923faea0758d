use base64::{Engine, prelude::BASE64_STANDARD};
use model::{FieldSchema, ObjectSchema};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

const ACCOUNT: &str = include_str!("../../../fixtures/account_change_event.avsc");
const CONTACT: &str = include_str!("../../../fixtures/contact_change_event.avsc");
const UPDATE: &str = include_str!("../../../fixtures/captured_account_update.json");
const CREATION: &str = include_str!("../../../fixtures/captured_account_creation.json");

fn object(fields: &[(&str, FieldType)]) -> ObjectSchema {
    let field = |(name, field_type): &(&str, FieldType)| FieldSchema {
        name: (*name).to_owned(),
        label: String::new(),
        field_type: *field_type,
        description: String::new(),
        options: Vec::new(),
        read_only: false,
        required: false,
        unique: false,
        custom: false,
        references: None,
    };
    ObjectSchema { name: "Account".into(), label: String::new(), fields: fields.iter().map(field).collect() }
}

fn plan(avsc: &str, fields: &[(&str, FieldType)]) -> Plan {
    let wanted: Vec<String> = fields.iter().map(|(name, _)| (*name).to_owned()).collect();
    Plan::new(Schema::parse(avsc).unwrap(), &object(fields), &wanted).unwrap()
}

fn captured(json: &str, at: usize) -> Vec<u8> {
    let json: Json = serde_json::from_str(json).unwrap();
    let events = json.get("events").unwrap_or(&json);
    BASE64_STANDARD.decode(events[at]["event"]["payload"].as_str().unwrap()).unwrap()
}

fn changed(event: &Event) -> &BTreeMap<String, Value> {
    match &event.said {
        Said::Changed { fields, .. } => fields,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_captured_update_decodes_to_its_known_values() {
    let modified = ("LastModifiedDate", FieldType::DateTime);
    let text = FieldType::Text;
    let avsc: Json = serde_json::from_str(ACCOUNT).unwrap();
    let name_of_68 = avsc["fields"][68]["name"].as_str().unwrap().to_owned();
    let plan =
        plan(ACCOUNT, &[modified, (&name_of_68, FieldType::Number), ("Name", text), ("BillingCity", text)]);
    let event = plan.read(&captured(UPDATE, 0)).unwrap();
    assert_eq!(event.ids, ["001Dp00000JJkkHIAT"]);
    assert_eq!(event.at, "2026-02-17T01:29:32Z".parse().unwrap());
    let fields = changed(&event);
    assert_eq!(fields["LastModifiedDate"], Value::DateTime(event.at));
    assert_eq!(fields[&name_of_68], Value::Number(3233.into()));
    assert_eq!(fields.len(), 2, "what did not change is not told: {fields:?}");
    assert!(matches!(event.said, Said::Changed { is_partial: true, .. }));
}

#[test]
fn a_captured_event_of_another_schema_is_not_taken_for_what_it_is_not() {
    let plan = plan(ACCOUNT, &[("Name", FieldType::Text), ("Phone", FieldType::Phone)]);
    for at in 0..3 {
        let event = plan.read(&captured(CREATION, at)).unwrap();
        assert_eq!(event.ids[0].len(), 18);
        // The header is the same in all schemas; the body does not fit this one.
        assert_eq!(event.said, Said::Untold);
    }
}

#[test]
fn captured_creations_decode_to_their_known_values() {
    // They were made when addresses had one part more.
    let mut avsc: Json = serde_json::from_str(ACCOUNT).unwrap();
    let fields = avsc["fields"].as_array_mut().unwrap();
    let address = fields.iter_mut().find(|field| field["name"] == "BillingAddress").unwrap();
    let part = serde_json::json!({"name": "Xyz", "type": ["null", "string"]});
    address["type"][1]["fields"].as_array_mut().unwrap().push(part);
    let text = FieldType::Text;
    let wanted = [("Name", text), ("BillingCountry", text), ("Phone", FieldType::Phone), ("Industry", text)];
    let plan = plan(&avsc.to_string(), &wanted);
    let rows = [
        ("001Dp00000JJkjiIAD", "Bulk Acc1", "9283921923"),
        ("001Dp00000JJkjjIAD", "Bulk Acc2", "9851457458"),
        ("001Dp00000JJkjkIAD", "Bulk Acc3", "4512361522"),
    ];
    for (at, (id, name, phone)) in rows.into_iter().enumerate() {
        let event = plan.read(&captured(CREATION, at)).unwrap();
        assert_eq!(event.ids, [id]);
        let fields = changed(&event);
        assert_eq!(fields["Name"], Value::text(name));
        assert_eq!(fields["Phone"], Value::text(phone));
        assert_eq!(fields["BillingCountry"], Value::text("United States"));
        assert_eq!(fields["Industry"], Value::Null);
        assert!(matches!(event.said, Said::Changed { is_partial: false, .. }));
    }
}

#[test]
fn an_event_that_touches_no_wanted_field_says_nothing() {
    let plan = plan(ACCOUNT, &[("Phone", FieldType::Phone)]);
    assert_eq!(plan.read(&captured(UPDATE, 0)).unwrap().said, Said::Nothing);
}

#[test]
fn a_wanted_field_that_events_never_carry_has_the_record_read() {
    let plan = plan(ACCOUNT, &[("Phone", FieldType::Phone), ("Health__c", FieldType::Number)]);
    assert_eq!(plan.read(&captured(UPDATE, 0)).unwrap().said, Said::Untold);
}

#[test]
fn a_captured_event_that_is_cut_or_has_more_is_untold_or_refused() {
    let plan = plan(ACCOUNT, &[("LastModifiedDate", FieldType::DateTime)]);
    let whole = captured(UPDATE, 0);
    for end in 0..whole.len() {
        if let Ok(event) = plan.read(&whole[..end]) {
            assert_eq!(event.said, Said::Untold, "cut at {end}");
        }
    }
    let more = [whole.as_slice(), &[0]].concat();
    assert_eq!(plan.read(&more).unwrap().said, Said::Untold);
}

/// An encoder of its own, so that the decoder is not tested by itself.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn long(mut self, number: i64) -> Self {
        let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
        while rest > 0x7f {
            self.0.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        self.0.push(u8::try_from(rest).unwrap());
        self
    }

    fn text(mut self, text: &str) -> Self {
        self = self.long(i64::try_from(text.len()).unwrap());
        self.0.extend(text.bytes());
        self
    }

    fn texts(mut self, texts: &[&str]) -> Self {
        if !texts.is_empty() {
            self = self.long(i64::try_from(texts.len()).unwrap());
            for text in texts {
                self = self.text(text);
            }
        }
        self.long(0)
    }

    fn header(ids: &[&str], kind: i64, nulled: &[&str], diff: &[&str], changed: &[&str]) -> Self {
        let header = Self::default().text("Contact").texts(ids).long(kind).text("origin").text("key").long(1);
        header.long(1_700_000_000_000).long(42).text("005").texts(nulled).texts(diff).texts(changed)
    }

    fn some(self, text: &str) -> Self {
        self.long(1).text(text)
    }

    fn nulls(mut self, count: usize) -> Self {
        self.0.extend(vec![0; count]);
        self
    }
}

const CREATE: i64 = 0;
const UPDATED: i64 = 1;

fn contact() -> Plan {
    let text = FieldType::Text;
    plan(
        CONTACT,
        &[
            ("FirstName", text),
            ("LastName", text),
            ("MailingCity", text),
            ("MailingStreet", text),
            ("Email", FieldType::Email),
            ("Description", text),
        ],
    )
}

/// A contact whose name's, mailing address's and e-mail's bytes are these; all other fields have none.
fn body(header: Bytes, name: &[u8], mailing: &[u8], email: &[u8]) -> Vec<u8> {
    let mut bytes = header.nulls(2).0;
    bytes.extend(name);
    bytes.push(0);
    bytes.extend(mailing);
    bytes.extend([0; 7]);
    bytes.extend(email);
    let fields = Schema::parse(CONTACT).unwrap().root().fields.len();
    bytes.extend(vec![0; fields - 14]);
    bytes
}

fn parts(record: &str) -> usize {
    let schema = Schema::parse(CONTACT).unwrap();
    schema.records.iter().find(|one| one.name == record).unwrap().fields.len()
}

fn name(first: Option<&str>, last: Option<&str>) -> Vec<u8> {
    let text = |bytes: Bytes, text: Option<&str>| match text {
        Some(text) => bytes.some(text),
        None => bytes.nulls(1),
    };
    let bytes = text(text(Bytes::default().long(1).nulls(1), first), last);
    bytes.nulls(parts("PersonName") - 3).0
}

fn mailing(street: Option<&str>) -> Vec<u8> {
    let bytes = Bytes::default().long(1);
    let bytes = match street {
        Some(street) => bytes.some(street),
        None => bytes.nulls(1),
    };
    bytes.nulls(parts("Address") - 1).0
}

#[test]
fn a_part_of_a_compound_is_the_field_that_rest_knows() {
    let header = Bytes::header(&["003A"], UPDATED, &[], &[], &["3-0x04"]);
    let event = contact().read(&body(header, &name(None, Some("Doe")), &[0], &[0])).unwrap();
    assert_eq!(changed(&event), &BTreeMap::from([("LastName".to_owned(), Value::text("Doe"))]));
}

#[test]
fn what_is_nulled_is_blank_and_what_is_unchanged_is_not_there() {
    let header = Bytes::header(&["003A"], UPDATED, &["0x2000"], &[], &["0x2000", "5-0x01"]);
    let event = contact().read(&body(header, &[0], &mailing(None), &[0])).unwrap();
    let expected = [("Email".to_owned(), Value::Null), ("MailingStreet".to_owned(), Value::Null)];
    assert_eq!(changed(&event), &BTreeMap::from(expected));
}

#[test]
fn a_compound_named_as_a_whole_with_parts_that_may_be_untouched_has_the_record_read() {
    let header = Bytes::header(&["003A"], UPDATED, &[], &[], &["0x08"]);
    let event = contact().read(&body(header, &name(None, Some("Doe")), &[0], &[0])).unwrap();
    assert_eq!(event.said, Said::Untold);
    let header = Bytes::header(&["003A"], UPDATED, &["0x20"], &[], &["0x20"]);
    let event = contact().read(&body(header, &[0], &[0], &[0])).unwrap();
    let expected = [("MailingCity".to_owned(), Value::Null), ("MailingStreet".to_owned(), Value::Null)];
    assert_eq!(changed(&event), &BTreeMap::from(expected));
}

#[test]
fn a_creation_tells_everything_and_what_it_leaves_out_is_blank() {
    let header = Bytes::header(&["003A", "003B"], CREATE, &[], &[], &[]);
    let email = Bytes::default().some("a@b.example").0;
    let event = contact().read(&body(header, &name(Some("Jo"), Some("Doe")), &[0], &email)).unwrap();
    assert_eq!(event.ids, ["003A", "003B"]);
    let fields = changed(&event);
    assert_eq!(fields["FirstName"], Value::text("Jo"));
    assert_eq!(fields["MailingCity"], Value::Null);
    assert_eq!(fields["Description"], Value::Null);
    assert_eq!(fields.len(), 6);
    assert!(matches!(event.said, Said::Changed { is_partial: false, .. }));
}

#[test]
fn long_texts_that_come_as_a_patch_have_the_record_read() {
    let header = Bytes::header(&["003A"], UPDATED, &[], &["0x080000"], &["0x082000"]);
    let event = contact().read(&body(header, &[0], &[0], &[0])).unwrap();
    assert_eq!(event.said, Said::Untold);
}

#[test]
fn deletions_gaps_and_overflows_say_what_they_can() {
    let read = |ids: &[&str], kind| {
        let event = contact().read(&body(Bytes::header(ids, kind, &[], &[], &[]), &[0], &[0], &[0]));
        event.unwrap().said
    };
    assert_eq!(read(&["003A"], 2), Said::Deleted);
    for gap in 4..=7 {
        assert_eq!(read(&["003A"], gap), Said::Untold);
        assert_eq!(read(&["003*"], gap), Said::LeftOut);
    }
    assert_eq!(read(&["000000000000000AAA"], 8), Said::LeftOut);
    assert_eq!(read(&["003A"], 9), Said::Untold);
    assert_eq!(read(&["003A"], 77), Said::Untold, "a type of tomorrow");
}

#[test]
fn a_bitmap_wider_than_the_schema_has_the_record_read() {
    let header = Bytes::header(&["003A"], UPDATED, &[], &[], &["0x0100000000000000"]);
    assert_eq!(contact().read(&body(header, &[0], &[0], &[0])).unwrap().said, Said::Untold);
}

#[test]
fn values_of_all_types_read_as_rest_spells_them() {
    let rows = [
        (FieldType::Date, Datum::Long(1_706_659_200_000), Value::Date(jiff::civil::date(2024, 1, 31))),
        (
            FieldType::DateTime,
            Datum::Long(1_706_742_000_000),
            Value::DateTime("2024-01-31T23:00:00Z".parse().unwrap()),
        ),
        (FieldType::Text, Datum::Long(45_296_007), Value::text("12:34:56.007Z")),
        (FieldType::Number, Datum::Int(3), Value::Number(3.into())),
        (FieldType::Currency, Datum::Double(1500.10), Value::Number("1500.1".parse().unwrap())),
        (FieldType::Boolean, Datum::Boolean(true), Value::Bool(true)),
        (FieldType::MultiPicklist, Datum::Text("b;a"), Value::list(["a".into(), "b".into()])),
        (FieldType::Text, Datum::Null, Value::Null),
    ];
    for (field_type, datum, expected) in rows {
        assert_eq!(value(field_type, datum), expected, "{field_type:?}");
    }
}

#[test]
fn parts_of_custom_compounds_have_their_own_spelling() {
    assert_eq!(part_name("Loc__c", "Latitude"), "Loc__Latitude__s");
    assert_eq!(part_name("Address", "City"), "City");
    assert_eq!(part_name("PersonMailingAddress", "City"), "PersonMailingCity");
    assert_eq!(part_name("Name", "FirstName"), "FirstName");
}

proptest! {
    #[test]
    fn no_bytes_make_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), flips in proptest::collection::vec((0_usize..300, any::<u8>()), 0..8)) {
        let plan = plan(ACCOUNT, &[("Name", FieldType::Text), ("BillingCity", FieldType::Text)]);
        let _ = plan.read(&bytes);
        let mut event = captured(UPDATE, 0);
        for (at, byte) in flips {
            let at = at % event.len();
            event[at] = byte;
        }
        let _ = plan.read(&event);
    }
}
