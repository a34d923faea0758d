"""Drives the sandbox through google-api-python-client. Arguments: origin, account, client id, secret, meeting code."""

import json
import os
import sys
import urllib.parse
import urllib.request

from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google_auth_oauthlib.flow import Flow
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

origin, account, client_id, secret, code = sys.argv[1:6]
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
SCOPES = ["https://www.googleapis.com/auth/calendar", "https://www.googleapis.com/auth/meetings.space.readonly"]


def control(path, body=None):
    request = urllib.request.Request(f"{origin}/_sandbox/{path}", data=json.dumps(body or {}).encode(), method="POST")
    return json.load(urllib.request.urlopen(request))


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def consent(url):
    """Presses the button of the consent page and gives where it leads."""
    fields = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query), account=account, decision="allow")
    try:
        urllib.request.build_opener(Stay).open(f"{origin}/o/oauth2/v2/auth", urllib.parse.urlencode(fields).encode())
    except urllib.error.HTTPError as answer:
        return answer.headers["Location"]


# OAuth with PKCE, as the vendor's own library does it.
config = {"web": {"client_id": client_id, "client_secret": secret, "auth_uri": f"{origin}/o/oauth2/v2/auth",
                  "token_uri": f"{origin}/token"}}
flow = Flow.from_client_config(config, SCOPES, redirect_uri="http://127.0.0.1:9/callback")
url, state = flow.authorization_url(access_type="offline", prompt="consent")
back = consent(url)
assert f"state={state}" in back, back
flow.fetch_token(authorization_response=back)
credentials = flow.credentials
assert credentials.refresh_token and credentials.valid, credentials
options = {"api_endpoint": f"{origin}/calendar/v3/"}
calendar = build("calendar", "v3", credentials=credentials, client_options=options, static_discovery=True)
meet = build("meet", "v2", credentials=credentials, client_options={"api_endpoint": origin}, static_discovery=True)
events = calendar.events()

assert calendar.calendarList().list().execute()["items"][0]["id"] == account
assert calendar.calendars().get(calendarId="primary").execute()["timeZone"] == "Europe/Zurich"


def sync(token=None, **options):
    """The whole loop: every page, and the next token."""
    found, request = [], events.list(calendarId="primary", maxResults=2, syncToken=token, **options)
    while request is not None:
        answer = request.execute()
        found += answer["items"]
        request = events.list_next(request, answer)
    return found, answer["nextSyncToken"]


found, token = sync()
assert len(found) == 6, found
event = events.insert(calendarId="primary", conferenceDataVersion=1, body={
    "summary": "From the SDK",
    "start": {"dateTime": "2027-03-01T09:00:00", "timeZone": "America/New_York"},
    "end": {"dateTime": "2027-03-01T09:30:00", "timeZone": "America/New_York"},
    "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=4"],
    "attendees": [{"email": "mia@northwind.example"}],
    "conferenceData": {"createRequest": {"requestId": "1"}},
}).execute()
assert event["hangoutLink"].startswith("https://meet.google.com/"), event
assert event["start"]["dateTime"] == "2027-03-01T15:00:00+01:00", event
times = events.instances(calendarId="primary", eventId=event["id"]).execute()["items"]
assert len(times) == 4 and times[2]["start"]["dateTime"] == "2027-03-15T14:00:00+01:00", times
events.patch(calendarId="primary", eventId=times[1]["id"], body={"summary": "Another topic"}).execute()
events.delete(calendarId="primary", eventId=times[3]["id"]).execute()
changed, token = sync(token)
assert [one["id"] for one in changed] == [event["id"], times[1]["id"], times[3]["id"]], changed
assert changed[2]["status"] == "cancelled" and changed[2]["originalStartTime"], changed[2]
assert sync(token)[0] == []

# A token that is gone: everything again, nothing twice.
control("expire_sync_tokens")
try:
    sync(token)
    raise AssertionError("410 was expected")
except HttpError as refusal:
    assert refusal.resp.status == 410 and refusal.error_details[0]["reason"] == "fullSyncRequired", refusal
again, token = sync()
assert len({one["id"] for one in again}) == len(again) == 9, again

# Access tokens end; the library refreshes by itself.
control("expire_tokens")
credentials.expiry = None
assert sync(token)[0] == []
assert calendar.events().get(calendarId="primary", eventId=event["id"]).execute()["etag"]

# A channel.
body = {"id": "c-1", "type": "web_hook", "address": "http://127.0.0.1:9/"}
channel = events.watch(calendarId="primary", body=body).execute()
calendar.channels().stop(body={"id": channel["id"], "resourceId": channel["resourceId"]}).execute()

# What was said.
records = meet.conferenceRecords()
record = records.list(filter=f'space.meeting_code = "{code}" AND start_time > "2024-01-01T00:00:00Z"').execute()
record = record["conferenceRecords"][0]
people = records.participants().list(parent=record["name"]).execute()["participants"]
speakers = {one["name"]: one["signedinUser"]["displayName"] for one in people}
transcript = records.transcripts().list(parent=record["name"]).execute()["transcripts"][0]
assert transcript["state"] == "FILE_GENERATED", transcript
lines, entries = [], records.transcripts().entries()
request = entries.list(parent=transcript["name"])
while request is not None:
    answer = request.execute()
    lines += [(speakers[one["participant"]], one["text"]) for one in answer["transcriptEntries"]]
    request = entries.list_next(request, answer)
assert lines == [("Mia Novak", f"Line {at}") for at in range(25)], lines
try:
    records.get(name="conferenceRecords/nothing").execute()
    raise AssertionError("404 was expected")
except HttpError as refusal:
    assert refusal.resp.status == 404, refusal

control("revoke")
try:
    credentials.refresh(Request())
    raise AssertionError("a refusal was expected")
except RefreshError as refusal:
    assert "invalid_grant" in str(refusal), refusal
