"""A client of gRPC, Debian's: calls as JSON lines on standard input, what came of them as JSON
lines on standard output. Messages are made and read by hand, numbers as in Envoy's files."""

import json
import sys

import grpc


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """Pairs of number and value."""
    at, found = 0, []

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            found.append((key >> 3, number()))
        else:
            length = number()
            found.append((key >> 3, data[at:at + length]))
            at += length
    return found


def one(data, wanted, default=b""):
    return next((value for key, value in fields(data) if key == wanted), default)


def check(call):
    http = b""
    for name, key in (("method", 2), ("path", 4), ("host", 5), ("scheme", 6)):
        http += field(key, call.get(name, ""))
    for name, value in call.get("headers", {}).items():
        http += field(3, field(1, name) + field(2, value))
    if "raw" in call:
        pairs = call["raw"].items()
        http += field(13, b"".join(field(1, field(1, n) + field(3, v)) for n, v in pairs))
    # What a filter sends besides: it is not looked at.
    http += field(1, "4711") + field(9, 7) + field(10, "HTTP/1.1") + field(11, call.get("body", ""))
    socket = field(2, call.get("client", "")) + field(3, 4711)
    source = field(1, field(1, socket)) + field(4, "spiffe://client")
    time = field(1, 1700000000) + field(2, 5)
    attributes = field(1, source) + field(2, source)
    attributes += field(4, field(1, time) + field(2, http)) + field(10, field(1, "a") + field(2, "b"))
    return field(1, attributes)


def options(message, key):
    found = []
    for option in (value for number, value in fields(message) if number == key):
        header, append = one(option, 1), one(option, 2, None)
        # A message that is there and empty says false.
        said = None if append is None else bool(one(append, 1, 0))
        found.append([one(header, 1).decode(), one(header, 2).decode(), said])
    return found


def shown(data):
    out = {"code": one(one(data, 1), 1, 0)}
    for key, value in fields(data):
        if key == 2:
            out["denied"] = {
                "status": one(one(value, 1), 1, 0),
                "headers": options(value, 2),
                "body": one(value, 3).decode(),
            }
        if key == 3:
            out["ok"] = {
                "headers": options(value, 2),
                "remove": [v.decode() for k, v in fields(value) if k == 5],
                "response": options(value, 6),
            }
    return out


channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.enable_http_proxy", 0)])
for line in sys.stdin:
    call = json.loads(line)
    method = call.get("call", "/envoy.service.auth.v3.Authorization/Check")
    if method.startswith("/grpc.health"):
        message = field(1, call["service"]) if call.get("service") else b""
    else:
        message = bytes.fromhex(call["hex"]) if "hex" in call else check(call)
    try:
        answer = channel.unary_unary(method)(message, timeout=10)
        if method.startswith("/grpc.health"):
            said = {"serving": one(answer, 1, 0)}
        else:
            said = shown(answer)
    except grpc.RpcError as error:
        said = {"error": error.code().name}
    print(json.dumps(said), flush=True)
