"""Reads change events as an outside program would: grpcio for the stream, fastavro for the payloads.

Usage: client.py PROTO ENDPOINT CERTIFICATE TOKEN INSTANCE_URL TENANT TOPIC COUNT

Prints one JSON object for each of the first COUNT events of a topic, oldest first.
"""

import importlib
import io
import json
import sys
import tempfile
from pathlib import Path
from queue import Queue

import fastavro
import grpc
from grpc_tools import protoc


def stubs(proto):
    """The modules that grpcio-tools generates from the proto file."""
    folder = tempfile.mkdtemp()
    arguments = ["protoc", f"-I{proto.parent}", f"--python_out={folder}", f"--grpc_python_out={folder}", str(proto)]
    if protoc.main(arguments) != 0:
        sys.exit("the proto file cannot be compiled")
    sys.path.insert(0, folder)
    return importlib.import_module(f"{proto.stem}_pb2"), importlib.import_module(f"{proto.stem}_pb2_grpc")


def positions(bitmap):
    number = int(bitmap, 16)
    return [bit for bit in range(number.bit_length()) if number >> bit & 1]


def names(schema, bitmaps, records):
    """The fields that bitmaps name, nested ones with their parent's name."""
    found = []
    for element in bitmaps:
        if "-" not in element:
            found += [schema["fields"][at]["name"] for at in positions(element)]
            continue
        parent, bitmap = element.split("-")
        field = schema["fields"][int(parent)]
        record = next(branch for branch in field["type"] if branch not in ("null", "string"))
        record = records[record] if isinstance(record, str) else record
        found += [f"{field['name']}.{record['fields'][at]['name']}" for at in positions(bitmap)]
    return found


def main():
    proto, endpoint, certificate, token, instance_url, tenant, topic, count = sys.argv[1:]
    messages, services = stubs(Path(proto))
    if certificate:
        channel = grpc.secure_channel(endpoint, grpc.ssl_channel_credentials(Path(certificate).read_bytes()))
    else:
        channel = grpc.insecure_channel(endpoint)
    service = services.PubSubStub(channel)
    metadata = [("accesstoken", token), ("instanceurl", instance_url), ("tenantid", tenant)]
    assert service.GetTopic(messages.TopicRequest(topic_name=topic), metadata=metadata).can_subscribe

    requests = Queue()
    first = messages.FetchRequest(topic_name=topic, replay_preset=messages.EARLIEST, num_requested=5)
    requests.put(first)
    schemas, seen = {}, 0
    for response in service.Subscribe(iter(requests.get, None), metadata=metadata):
        for received in response.events:
            schema_id = received.event.schema_id
            if schema_id not in schemas:
                request = messages.SchemaRequest(schema_id=schema_id)
                text = service.GetSchema(request, metadata=metadata).schema_json
                parsed = json.loads(text)
                records = {}
                for field in parsed["fields"]:
                    for branch in field["type"] if isinstance(field["type"], list) else []:
                        if isinstance(branch, dict):
                            records[branch["name"]] = branch
                schemas[schema_id] = parsed, records, fastavro.parse_schema(json.loads(text))
            parsed, records, compiled = schemas[schema_id]
            payload = io.BytesIO(received.event.payload)
            event = fastavro.schemaless_reader(payload, compiled)
            assert not payload.read(), "bytes are left"
            header = event.pop("ChangeEventHeader")
            for bitmaps in ("changedFields", "nulledFields", "diffFields"):
                header[bitmaps] = names(parsed, header[bitmaps], records)
            values = {name: value for name, value in event.items() if value is not None}
            print(json.dumps({"schema": schema_id, "header": header, "values": values}), flush=True)
            seen += 1
        if seen >= int(count):
            requests.put(None)
            return
        if response.pending_num_requested == 0:
            requests.put(messages.FetchRequest(topic_name=topic, num_requested=5))
    sys.exit("the stream ended too early")


main()
