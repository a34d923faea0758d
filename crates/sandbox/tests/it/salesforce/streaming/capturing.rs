//! Change events that were captured from the real service read as what they are known to be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::avro::{Change, decode};

fn file(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn schema() -> Value {
    file(include_str!("../../../../data/salesforce/cdc/AccountChangeEvent.avsc"))
}

fn payload(event: &Value) -> Vec<u8> {
    STANDARD.decode(event["event"]["payload"].as_str().expect("a payload")).expect("base64")
}

#[test]
fn a_captured_update_reads_as_the_change_it_was() {
    let captured = file(include_str!("../../../../data/salesforce/cdc/account-update.json"));
    let change = Change::read(&schema(), &payload(&captured["events"][0])).expect("a change");
    assert_eq!((change.kind(), change.ids()), ("UPDATE", vec!["001Dp00000JJkkHIAT"]));
    assert_eq!(change.header["changedFields"], json!(["0x100000000000800000"]));
    assert_eq!(change.changed, ["LastModifiedDate", "Amount_Owed__c"]);
    let expected = [("Amount_Owed__c", json!(3233.0)), ("LastModifiedDate", json!(1_771_291_772_000_i64))];
    assert_eq!(change.values, expected.map(|(name, value)| (name.to_owned(), value)).into());
    assert_eq!(change.header["commitTimestamp"], json!(1_771_291_772_000_i64));
    assert_eq!(change.header["commitUser"], "005Dp000000PpjsIAC");
}

/// They were written when addresses had one part more. With the newer schema nothing of them makes sense.
#[test]
fn captured_creations_read_by_the_schema_of_their_time_and_by_no_other() {
    let captured = file(include_str!("../../../../data/salesforce/cdc/account-create.json"));
    let mut older = schema();
    let address = &mut older["fields"][5]["type"][1]["fields"];
    let xyz = json!({"name": "Xyz", "type": ["null", "string"], "default": null});
    address.as_array_mut().expect("parts").push(xyz);
    let expected = [
        ("Bulk Acc1", "9283921923", "Yes", "asdkjansd@asd.com"),
        ("Bulk Acc2", "9851457458", "No", "g4345@adsd.com"),
        ("Bulk Acc3", "4512361522", "No", "2133445ds@sd.com"),
    ];
    for ((event, sequence), (name, phone, active, email)) in
        captured.as_array().expect("events").iter().zip(1..).zip(expected)
    {
        let bytes = payload(event);
        assert!(decode(&schema(), &bytes).is_err());
        let change = Change::read(&older, &bytes).expect("a change");
        assert_eq!((change.kind(), &change.header["sequenceNumber"]), ("CREATE", &json!(sequence)));
        assert!(change.changed.is_empty() && change.nulled.is_empty());
        let known = [
            ("Name", name),
            ("Phone", phone),
            ("Active__c", active),
            ("Some_Email__c", email),
            ("BillingAddress.Country", "United States"),
            ("ShippingAddress.CountryCode", "US"),
            ("CleanStatus", "Pending"),
        ];
        for (field, value) in known {
            assert_eq!(change.values[field], value, "{field}");
        }
        assert_eq!(change.values["CreatedDate"], json!(1_690_667_843_000_i64));
        assert_eq!(change.values["Some_Check_Box__c"], json!(true));
    }
}
