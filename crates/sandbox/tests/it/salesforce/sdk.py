"""Drives the sandbox through simple-salesforce. Arguments: origin, access token, org id."""

import datetime
import io
import csv
import sys

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce, format_soql
from simple_salesforce.exceptions import (
    SalesforceError, SalesforceExpiredSession, SalesforceMalformedRequest, SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

origin, token, org_id = sys.argv[1:4]


class Plain(HTTPAdapter):
    """The client speaks HTTPS only; the sandbox has no certificate."""

    def send(self, request, **options):
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, **options)


session = requests.Session()
session.mount("https://", Plain())
sf = Salesforce(instance_url=origin, session_id=token, session=session, version="62.0", client_id="Accord")


def refused(error, call):
    try:
        call()
    except error as refusal:
        return refusal
    raise AssertionError(f"{error.__name__} was expected")


# Describe.
names = [one["name"] for one in sf.describe()["sobjects"]]
assert names[:2] == ["Account", "Contact"], names
fields = {field["name"]: field for field in sf.Opportunity.describe()["fields"]}
assert fields["StageName"]["type"] == "picklist" and len(fields["StageName"]["picklistValues"]) == 10
assert sf.Account.metadata()["objectDescribe"]["keyPrefix"] == "001"
assert sf.is_sandbox() is False
assert sf.query("SELECT Id FROM Organization")["records"][0]["Id"] == org_id

# Records.
made = sf.Account.create({"Name": "SDK & Söhne", "BillingCity": "Zürich", "NumberOfEmployees": 3})
assert made["success"] and len(made["id"]) == 18
account = sf.Account.get(made["id"])
assert account["Name"] == "SDK & Söhne" and account["BillingAddress"]["city"] == "Zürich"
assert sf.Account.update(made["id"], {"Phone": "1"}) == 204
custom = {"FullName": "Account.Key__c", "Metadata": {"type": "Text", "label": "Key", "length": 20, "unique": True,
                                                     "externalId": True}}
assert sf.toolingexecute("sobjects/CustomField", method="POST", data=custom)["success"]
assert sf.Account.upsert("Key__c/k-1", {"Name": "Upserted"}) == 201
assert sf.Account.upsert("Key__c/k-1", {"Phone": "2"}) == 200
assert sf.Account.get_by_custom_id("Key__c", "k-1")["Phone"] == "2"
for last in ("One", "Two"):
    sf.Contact.create({"LastName": last, "Email": "same@mail.example", "AccountId": made["id"]})
refused(SalesforceMoreThanOneRecord, lambda: sf.Contact.get_by_custom_id("Email", "same@mail.example"))
problem = refused(SalesforceMalformedRequest, lambda: sf.Account.create({"foo": 1}))
assert problem.content[0]["errorCode"] == "INVALID_FIELD", problem.content
refused(SalesforceResourceNotFound, lambda: sf.Account.get("001000000000000AAA"))

# Queries.
soql = format_soql("SELECT Id, Name, Account.Name FROM Contact WHERE Account.Name = {} ORDER BY Name", "SDK & Söhne")
contacts = sf.query(soql)
assert [row["Name"] for row in contacts["records"]] == ["One", "Two"], contacts
assert contacts["records"][0]["Account"]["Name"] == "SDK & Söhne"
quote = format_soql("SELECT Id FROM Lead WHERE Company = {}", "O'Neil \\ Sons")
assert sf.query(quote)["totalSize"] == 0
first = sf.query("SELECT Id FROM Lead")
assert first["totalSize"] == 4500 and not first["done"]
second = sf.query_more(first["nextRecordsUrl"], identifier_is_url=True)
third = sf.query_more(second["nextRecordsUrl"].rsplit("/", 1)[1])
assert third["done"] and len(first["records"] + second["records"] + third["records"]) == 4500
assert len({row["Id"] for row in sf.query_all_iter("SELECT Id, Name FROM Lead")}) == 4500
refused(SalesforceMalformedRequest, lambda: sf.query("SELECT FROM"))

# Deletions and replication.
assert sf.Account.delete(made["id"]) == 204
gone = sf.query_all("SELECT Id FROM Contact WHERE IsDeleted = true", include_deleted=True)
assert gone["totalSize"] == 2, gone
now = datetime.datetime.now(datetime.timezone.utc)
deleted = sf.Contact.deleted(now - datetime.timedelta(hours=1), now + datetime.timedelta(minutes=2))
assert len(deleted["deletedRecords"]) == 2, deleted
updated = sf.Account.updated(now - datetime.timedelta(hours=1), now + datetime.timedelta(minutes=2))
assert len(updated["ids"]) == 1, updated

# Collections and limits through the generic call; API usage is read from the header.
done = sf.restful("composite/sobjects", method="POST",
                  json={"allOrNone": False, "records": [{"attributes": {"type": "Lead"}, "LastName": "L"}]})
assert done[0]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING", done
assert sf.limits()["DailyApiRequests"]["Max"] == 100000
usage = sf.api_usage["api-usage"]
assert usage.total == 100000 and usage.used > 20, usage

# Bulk API 2.0.
pages = list(sf.bulk2.Lead.query("SELECT Id, Company FROM Lead ORDER BY Id", max_records=2000))
rows = [row for page in pages for row in csv.DictReader(io.StringIO(page))]
assert len(pages) == 3 and len(rows) == 4500 and rows[0]["Id"].startswith("00Q"), (len(pages), len(rows))

stranger = Salesforce(instance_url=origin, session_id="00D!nothing", session=session)
refused(SalesforceExpiredSession, lambda: stranger.limits())
assert issubclass(SalesforceExpiredSession, SalesforceError)
