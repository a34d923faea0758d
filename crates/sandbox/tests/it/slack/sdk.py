"""Drives the sandbox through the vendor's own SDK. Arguments: origin, code, client id and secret, redirect URI, signing secret."""

import json
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.models.blocks import ActionsBlock, ButtonElement, InputBlock, PlainTextInputElement, SectionBlock
from slack_sdk.models.views import View
from slack_sdk.signature import SignatureVerifier
from slack_sdk.webhook import WebhookClient

origin, code, client_id, client_secret, back, signing_secret = sys.argv[1:7]
base = origin + "/api/"


def control(path, body):
    request = urllib.request.Request(f"{origin}/_sandbox/{path}", data=json.dumps(body).encode(), method="POST")
    return json.load(urllib.request.urlopen(request, timeout=20))


def refused(error, call, **arguments):
    try:
        call(**arguments)
    except SlackApiError as answer:
        assert answer.response["error"] == error, answer.response
        return answer.response
    raise SystemExit(f"not refused with {error}")


# OAuth: the client's id and secret go as HTTP Basic.
installed = WebClient(base_url=base).oauth_v2_access(
    client_id=client_id, client_secret=client_secret, code=code, redirect_uri=back)
client = WebClient(token=installed["access_token"], base_url=base)
client.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=2))
assert client.auth_test()["team_id"] == installed["team"]["id"]

# Channels and people.
channels = [row for page in client.conversations_list(limit=2, exclude_archived=True) for row in page["channels"]]
channel = next(row["id"] for row in channels if row["name"] == "deal-registrations")
client.conversations_join(channel=channel)
assert client.conversations_info(channel=channel)["channel"]["is_member"]
adam = client.users_lookupByEmail(email="adam@northwind.example")["user"]["id"]
assert client.users_info(user=adam)["user"]["tz"] == "Europe/London"
assert any(row["id"] == adam for page in client.users_list(limit=3) for row in page["members"])
refused("users_not_found", client.users_lookupByEmail, email="nobody@example.com")

# Messages, with the SDK's own models of blocks.
blocks = [
    SectionBlock(block_id="deal", text="*Acme* by Bluefin"),
    ActionsBlock(block_id="decision", elements=[
        ButtonElement(action_id="approve", text="Approve", value="dreg_1", style="primary"),
        ButtonElement(action_id="reject", text="Reject", value="dreg_1", style="danger")]),
]
posted = client.chat_postMessage(channel=channel, text="A deal", blocks=blocks,
                                 metadata={"event_type": "deal", "event_payload": {"id": "dreg_1"}})
assert posted["message"]["blocks"][1]["elements"][0]["value"] == "dreg_1"
history = client.conversations_history(channel=channel, include_all_metadata=True)
assert history["messages"][0]["metadata"]["event_payload"]["id"] == "dreg_1"
client.chat_postEphemeral(channel=channel, user=adam, text="Only for you")
wrong = refused("invalid_blocks", client.chat_postMessage, channel=channel, text="x", blocks=[{"type": "poem"}])
assert "unsupported type: poem" in wrong["response_metadata"]["messages"][0]

# Limits: the SDK waits as long as it is told.
control("faults", {"kind": "429", "retry_after_s": 1, "times": 1})
assert client.chat_update(channel=channel, ts=posted["ts"], text="A deal", blocks=blocks)["ts"] == posted["ts"]

# A click: the SDK's verifier knows the signature, and the app opens a dialog.
verifier, received = SignatureVerifier(signing_secret), []


class App(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received.append((verifier.is_valid_request(body, dict(self.headers)), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), App)
threading.Thread(target=server.serve_forever, daemon=True).start()
control("settings", {"interactivity_url": f"http://127.0.0.1:{server.server_port}/interactivity"})
clicked = control("click", {"channel": channel, "ts": posted["ts"], "user": adam, "action_id": "reject"})
assert clicked["delivery"]["state"] == "acknowledged", clicked
valid, body = received[-1]
assert valid, "the signature"
click = json.loads(parse_qs(body.decode())["payload"][0])
dialog = View(type="modal", callback_id="reject", title="Reject", submit="Reject", private_metadata="dreg_1", blocks=[
    InputBlock(block_id="why", label="Reason", element=PlainTextInputElement(action_id="reason", multiline=True))])
opened = client.views_open(trigger_id=click["trigger_id"], view=dialog)
client.views_update(view_id=opened["view"]["id"], hash=opened["view"]["hash"], view=dialog)
refused("exchanged_trigger_id", client.views_open, trigger_id=click["trigger_id"], view=dialog)
control("submit", {"user": adam, "values": {"reason": "Known already"}})
valid, body = received[-1]
submitted = json.loads(parse_qs(body.decode())["payload"][0])
assert valid and submitted["view"]["state"]["values"]["why"]["reason"]["value"] == "Known already"
told = WebhookClient(click["response_url"]).send(text="Rejected", replace_original=True)
assert (told.status_code, told.body) == (200, "ok")
forged = control("redeliver", {"id": clicked["delivery"]["id"], "forged": True})
assert forged["delivery"]["state"] == "acknowledged" and not received[-1][0], "a forged signature is told"
stale = control("redeliver", {"id": clicked["delivery"]["id"], "age_s": 400})
assert stale["delivery"]["state"] == "acknowledged" and not received[-1][0], "an old signature is told"

# The end.
assert client.auth_revoke()["revoked"]
refused("token_revoked", client.auth_test)
server.shutdown()
print("the vendor's SDK is content")
