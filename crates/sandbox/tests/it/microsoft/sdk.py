"""Drives the sandbox through the vendor's own SDK. Arguments: origin, access token."""

import asyncio
import datetime
import json
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator, BaseBearerTokenAuthenticationProvider
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.headers_collection import HeadersCollection
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.internet_message_header import InternetMessageHeader
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.models.subscription import Subscription
from msgraph.generated.users.item.mail_folders.item.messages.delta.delta_request_builder import DeltaRequestBuilder
from msgraph.generated.users.item.messages.item.move.move_post_request_body import MovePostRequestBody
from msgraph.generated.users.item.messages.item.reply.reply_post_request_body import ReplyPostRequestBody
from msgraph.generated.users.item.messages.messages_request_builder import MessagesRequestBuilder
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

origin, token = sys.argv[1], sys.argv[2]


class Token(AccessTokenProvider):
    async def get_authorization_token(self, uri, additional_authentication_context={}):
        return token

    def get_allowed_hosts_validator(self):
        return AllowedHostsValidator([])


adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(Token()))
adapter.base_url = origin + "/v1.0"
client = GraphServiceClient(request_adapter=adapter)
told, heard = [], threading.Event()


class Endpoint(BaseHTTPRequestHandler):
    def do_POST(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        answer = query["validationToken"][0].encode() if "validationToken" in query else b""
        if not answer:
            told.extend(json.loads(body)["value"])
            heard.set()
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def preferring(*values, query=None):
    headers = HeadersCollection()
    for value in values:
        headers.add("Prefer", value)
    return RequestConfiguration(headers=headers, query_parameters=query)


def to(address):
    return [Recipient(email_address=EmailAddress(address=address))]


async def delta(builder, config):
    """Every row of a round, and the link for the next."""
    rows, page = [], await builder.get(config)
    while True:
        rows += page.value
        if not page.odata_next_link:
            return rows, page.odata_delta_link
        page = await builder.with_url(page.odata_next_link).get(config)


async def main():
    immutable = preferring('IdType="ImmutableId"')
    me = await client.me.get()
    assert me.user_principal_name == "nora.field@harborline.example", me

    # Lists.
    folders = await client.me.mail_folders.get()
    assert {"Inbox", "Sent Items"} <= {folder.display_name for folder in folders.value}
    query = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(
        select=["subject", "from", "receivedDateTime"], top=5, filter="isDraft eq false", orderby=["receivedDateTime desc"])
    page = await client.me.messages.get(RequestConfiguration(query_parameters=query))
    assert len(page.value) == 5 and page.odata_next_link and page.value[0].received_date_time.tzinfo
    rest = await client.me.messages.with_url(page.odata_next_link).get()
    assert rest.value[0].received_date_time <= page.value[-1].received_date_time

    # A delta query, and what changed since.
    builder = client.me.mail_folders.by_mail_folder_id("inbox").messages.delta
    query = DeltaRequestBuilder.DeltaRequestBuilderGetQueryParameters(select=["subject", "from", "isRead"])
    config = preferring('IdType="ImmutableId"', "odata.maxpagesize=4", query=query)
    rows, link = await delta(builder, config)
    inbox = await client.me.mail_folders.by_mail_folder_id("inbox").get()
    assert len(rows) == inbox.total_item_count > 8, len(rows)
    first, second = rows[0].id, rows[1].id
    await client.me.messages.by_message_id(first).patch(Message(is_read=False, categories=["Partner"]))
    await client.me.messages.by_message_id(second).move.post(MovePostRequestBody(destination_id="archive"))
    changed, link = await delta(builder.with_url(link), preferring('IdType="ImmutableId"'))
    assert [row.id for row in changed] == [first, second], changed
    assert changed[1].additional_data["@removed"]["reason"] == "deleted"

    # A draft that is sent keeps its immutable id; an answer; a mail at once.
    draft = await client.me.messages.post(Message(
        subject="Grüße aus dem SDK", body=ItemBody(content_type=BodyType.Html, content="<p>Hallo</p>"),
        to_recipients=to("jonas.weber@harborline.example"),
        internet_message_headers=[InternetMessageHeader(name="x-accord-message", value="1")]), immutable)
    assert draft.is_draft and draft.conversation_id and draft.internet_message_id
    await client.me.messages.by_message_id(draft.id).send.post()
    sent = await client.me.messages.by_message_id(draft.id).get(immutable)
    assert sent.id == draft.id and not sent.is_draft and sent.from_.email_address.address == me.mail
    await client.me.messages.by_message_id(first).reply.post(ReplyPostRequestBody(comment="Thank you"))
    await client.me.send_mail.post(SendMailPostRequestBody(
        message=Message(subject="At once", to_recipients=to("out@side.example")), save_to_sent_items=False))

    # Errors reach the SDK as its own exceptions.
    try:
        await client.me.messages.by_message_id("nonsense").get()
        raise SystemExit("a malformed id was accepted")
    except ODataError as refused:
        assert refused.response_status_code == 400 and refused.error.code == "ErrorInvalidIdMalformed", refused

    # A subscription.
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/notifications"
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    subscription = await client.subscriptions.post(Subscription(
        change_type="created", notification_url=url, resource="me/mailFolders('sentitems')/messages",
        expiration_date_time=until, client_state="secret"))
    assert subscription.id and subscription.client_state == "secret"
    await client.me.send_mail.post(SendMailPostRequestBody(
        message=Message(subject="Told", to_recipients=to("out@side.example")), save_to_sent_items=True))
    assert await asyncio.to_thread(heard.wait, 20), "the endpoint was not told"
    assert told[0]["subscriptionId"] == subscription.id and told[0]["clientState"] == "secret"
    later = await client.subscriptions.by_subscription_id(subscription.id).patch(
        Subscription(expiration_date_time=until + datetime.timedelta(hours=1)))
    assert later.expiration_date_time > subscription.expiration_date_time
    await client.subscriptions.by_subscription_id(subscription.id).delete()
    assert (await client.subscriptions.get()).value == []
    server.shutdown()
    print("the vendor's SDK is content")


asyncio.run(main())
