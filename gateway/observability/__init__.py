"""What operators see of a running gateway: metrics, logs and traces, all made of one record of each request.

`exchange.get()` is that record, from anywhere below; `Recorder` begins and ends it.
"""

from gateway.observability.logs import configure_logging, request_id

__all__ = ["configure_logging", "request_id"]
