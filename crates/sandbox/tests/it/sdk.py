"""Drives the sandbox through the vendor's own SDK. Arguments: origin, access token, portal id."""

import sys

from hubspot import HubSpot
from hubspot.crm.associations.v4 import AssociationSpec
from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest, PublicFetchAssociationsBatchRequest
from hubspot.crm.companies import (
    ApiException, BatchInputSimplePublicObjectBatchInput, BatchInputSimplePublicObjectBatchInputForCreate,
    BatchInputSimplePublicObjectId, BatchReadInputSimplePublicObjectId, Filter, FilterGroup,
    PublicObjectSearchRequest, SimplePublicObjectBatchInput, SimplePublicObjectBatchInputForCreate,
    SimplePublicObjectId, SimplePublicObjectInput, SimplePublicObjectInputForCreate,
)
from hubspot.crm.deals import SimplePublicObjectInputForCreate as NewDeal
from hubspot.crm.properties import PropertyCreate

origin, token, portal_id = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = HubSpot(access_token=token)


def api(factory):
    """The SDK has no setting for the host; its configuration object does."""
    factory.api_client.configuration.host = origin
    return factory


companies = client.crm.companies
basic, batch, search = api(companies.basic_api), api(companies.batch_api), api(companies.search_api)

# Create, read, update, list.
made = basic.create(simple_public_object_input_for_create=SimplePublicObjectInputForCreate(
    properties={"name": "SDK & Söhne", "domain": "sdk.example", "industry": "COMPUTER_SOFTWARE"}))
assert made.id.isdigit() and made.properties["name"] == "SDK & Söhne", made
read = basic.get_by_id(made.id, properties=["name", "city"], properties_with_history=["name"])
assert read.properties["city"] is None and read.properties_with_history["name"][0].source_type == "INTEGRATION"
changed = basic.update(made.id, simple_public_object_input=SimplePublicObjectInput(properties={"city": "Bern"}))
assert changed.properties["city"] == "Bern" and changed.updated_at >= read.updated_at
assert [row.id for row in basic.get_page(limit=10).results] == [made.id]

# Batches.
created = batch.create(batch_input_simple_public_object_batch_input_for_create=BatchInputSimplePublicObjectBatchInputForCreate(
    inputs=[SimplePublicObjectBatchInputForCreate(properties={"name": f"Batch {n}"}, associations=[]) for n in range(5)]))
ids = [row.id for row in created.results]
assert created.status == "COMPLETE" and len(ids) == 5
batch.update(batch_input_simple_public_object_batch_input=BatchInputSimplePublicObjectBatchInput(
    inputs=[SimplePublicObjectBatchInput(id=i, properties={"city": "Oslo"}) for i in ids]))
found = batch.read(batch_read_input_simple_public_object_id=BatchReadInputSimplePublicObjectId(
    inputs=[SimplePublicObjectId(id=i) for i in ids + ["999"]], properties=["city"], properties_with_history=[]))
assert found.num_errors == 1 and {row.properties["city"] for row in found.results} == {"Oslo"}

# Search, with both ways to page.
request = PublicObjectSearchRequest(
    filter_groups=[FilterGroup(filters=[Filter(property_name="city", operator="EQ", value="Oslo")])],
    sorts=["-name"], properties=["name"], limit=3)
page = search.do_search(public_object_search_request=request)
assert page.total == 5 and page.results[0].properties["name"] == "Batch 4" and page.paging.next.after == "3"

# Errors reach the SDK as its own exceptions.
try:
    basic.update(made.id, simple_public_object_input=SimplePublicObjectInput(properties={"industry": "nonsense"}))
    raise SystemExit("an invalid option was accepted")
except ApiException as refused:
    assert refused.status == 400 and "INVALID_OPTION" in refused.body, refused

# Properties, pipelines, owners, schemas.
core = api(client.crm.properties.core_api)
assert len(core.get_all("companies").results) == 153
new = core.create("companies", property_create=PropertyCreate(
    name="accord_record_id", label="Accord record", type="string", field_type="text",
    group_name="companyinformation", has_unique_value=True))
assert new.has_unique_value and core.get_by_name("companies", "accord_record_id").name == new.name
stages = api(client.crm.pipelines.pipelines_api).get_all("deals").results[0].stages
assert len(stages) == 7 and stages[5].metadata["isClosed"] == "true"
assert len(api(client.crm.owners.owners_api).get_page().results) == 5
assert api(client.crm.schemas.core_api).get_all().results == []

# Associations.
deal = api(client.crm.deals.basic_api).create(simple_public_object_input_for_create=NewDeal(
    properties={"dealname": "SDK deal", "dealstage": "closedwon"}))
links = api(client.crm.associations.v4.basic_api)
links.create("deals", deal.id, "companies", made.id, [AssociationSpec("HUBSPOT_DEFINED", 5)])
page = links.get_page("deals", deal.id, "companies")
assert page.results[0].to_object_id == made.id or str(page.results[0].to_object_id) == made.id
assert {kind.type_id for kind in page.results[0].association_types} == {5, 341}
many = api(client.crm.associations.v4.batch_api).get_page(
    "deals", "companies", batch_input_public_fetch_associations_batch_request=BatchInputPublicFetchAssociationsBatchRequest(
        inputs=[PublicFetchAssociationsBatchRequest(id=deal.id)]))
assert str(many.results[0].to[0].to_object_id) == made.id

# Archive.
basic.archive(made.id)
batch.archive(batch_input_simple_public_object_id=BatchInputSimplePublicObjectId(inputs=[SimplePublicObjectId(id=ids[0])]))
assert made.id not in [row.id for row in basic.get_page(limit=100).results]
assert {row.id for row in basic.get_page(limit=100, archived=True).results} == {made.id, ids[0]}

# OAuth: code for tokens, refresh, token information. The code arrives as a fourth argument.
code, client_id, client_secret, redirect_uri = sys.argv[4:8]
tokens_api, access_api = api(client.oauth.tokens_api), api(client.oauth.access_tokens_api)
tokens = tokens_api.create(grant_type="authorization_code", code=code, redirect_uri=redirect_uri,
                           client_id=client_id, client_secret=client_secret)
tokens = tokens_api.create(grant_type="refresh_token", refresh_token=tokens.refresh_token,
                           client_id=client_id, client_secret=client_secret)
info = access_api.get(tokens.access_token)
assert info.hub_id == portal_id and "oauth" in info.scopes, info
assert api(client.oauth.refresh_tokens_api).get(tokens.refresh_token).hub_id == portal_id
print("the vendor's SDK is content")
