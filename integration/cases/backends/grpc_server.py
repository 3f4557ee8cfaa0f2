"""grpc.health.v1.Health by hand: ADDRESS FILE. The file has a line for each service: its name and its number."""

import sys
from concurrent import futures

import grpc


def check(request, context):
    # HealthCheckRequest: nothing, or field 1, a text of less than 128 bytes.
    name = request[2:].decode() or "all"
    with open(sys.argv[2]) as file:
        states = dict(line.split() for line in file)
    if name not in states:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return bytes([0x08, int(states[name])])


health = {"Check": grpc.unary_unary_rpc_method_handler(check)}
server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("grpc.health.v1.Health", health)])
server.add_insecure_port(sys.argv[1])
server.start()
server.wait_for_termination()
