"""Which Ray cluster is meant, and whether it lets us in: asked at once, where Ray would try for a minute or two."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

from raytrainer.config.problems import Problem, UserError

LOCAL = "local"
AUTO = "auto"
CLIENT = "ray://"
FORMS = "expected auto, local, host:port or ray://host:port"
JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable in which Ray hands a submitted job its configuration."""
ANSWER_SECONDS = 5.0
LAST_PORT = 65535


def asked_for(address: str | None) -> str:
    """The address as given, else `RAY_ADDRESS` of the environment, which Ray sets for a submitted job, else `local`."""
    return address or os.environ.get("RAY_ADDRESS") or LOCAL


def check_address(address: str) -> bool:
    """Ask the cluster at an address whether it is one, and whether it takes our token. Imports Ray.

    Returns:
        Whether it is heard on loopback only, where Ray, which takes 127.0.0.1 for this machine's address in the
        network, would look for it in vain, and for ever (see `on_loopback`).

    Raises:
        UserError: if it cannot be joined; it says why.
    """
    if address == LOCAL:
        return True
    where = _found() if address == AUTO else address
    host, _, port = where.removeprefix(CLIENT).rpartition(":")
    if not host or "/" in host or not port.isdigit() or int(port) > LAST_PORT:
        raise unreachable(where, _why_no_address(where))
    from ray._private import services
    from ray.exceptions import AuthenticationError

    try:
        refused = _ask(where)
    except AuthenticationError:
        refused = f"RAY_AUTH_MODE is token, but there is none: {_where_tokens_are()}"
    if refused:
        raise unreachable(where, refused)
    return not where.startswith(CLIENT) and _ask(services.canonicalize_bootstrap_address(where)) is not None


def unreachable(address: str, why: str) -> UserError:
    """The error for a cluster that cannot be joined."""
    return UserError([Problem("--address", None, None, f"no Ray cluster can be joined at '{address}': {why}")])


def _found() -> str:
    """The cluster of this machine: by `RAY_ADDRESS`, or as Ray has noted it, or by its processes."""
    from ray._private import services
    from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available

    services.find_gcs_addresses.cache_clear()
    try:
        found = str(services.get_ray_address_from_environment(AUTO, None))
    except ConnectionError as error:
        raise unreachable(AUTO, f"{error} {FORMS}") from error
    if not os.environ.get("RAY_ADDRESS"):  # as `ray.init` does: a token goes by itself to this machine's cluster only
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    return found


def _why_no_address(address: str) -> str:
    if address.startswith("http"):
        return f"this is where jobs are submitted, by `ray job submit`; {FORMS}"
    return FORMS


def _ask(address: str) -> str | None:
    """Why the cluster cannot be joined; None if it answers as one that can."""
    import grpc
    from ray._private.grpc_utils import init_grpc_channel

    with closing(init_grpc_channel(address.removeprefix(CLIENT))) as channel:
        try:
            _ping(channel, by_client=address.startswith(CLIENT))
        except grpc.RpcError as error:
            return _meaning(error, grpc.StatusCode)
    return None


def _ping(channel: Any, *, by_client: bool) -> None:
    if by_client:
        from ray.core.generated import ray_client_pb2 as client
        from ray.core.generated import ray_client_pb2_grpc

        ping = client.ClusterInfoRequest(type=client.ClusterInfoType.PING)
        ray_client_pb2_grpc.RayletDriverStub(channel).ClusterInfo(ping, timeout=ANSWER_SECONDS)
    else:
        from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

        alive = gcs_service_pb2.CheckAliveRequest()
        gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel).CheckAlive(alive, timeout=ANSWER_SECONDS)


def _meaning(error: Any, codes: Any) -> str:
    if error.code() == codes.UNAUTHENTICATED:
        return _refused_token()
    if error.code() == codes.UNIMPLEMENTED:
        return "another server of Ray's listens there; host:port is its GCS server, ray://host:port its client server"
    if error.code() == codes.DEADLINE_EXCEEDED:
        return f"nothing answers within {ANSWER_SECONDS:g} s"
    return f"nothing answers there ({' '.join(str(error.details()).split())[:200]})"


def _refused_token() -> str:
    from ray._private.authentication.authentication_utils import is_token_auth_enabled

    if is_token_auth_enabled():
        return f"it asks for another token than ours; {_where_tokens_are()}"
    return f"it asks for a token: set RAY_AUTH_MODE=token; {_where_tokens_are()}"


def _where_tokens_are() -> str:
    return "a token is looked for in RAY_AUTH_TOKEN, in the file that RAY_AUTH_TOKEN_PATH names, in ~/.ray/auth_token"
