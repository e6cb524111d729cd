"""`/metrics`, for Prometheus. It asks for no credential, like the probes: it is not meant for the internet."""

from fastapi import APIRouter, Request, Response

from gateway.observability.metrics import Metrics


def router(metrics: Metrics) -> APIRouter:
    """The metrics of all workers, as text or as OpenMetrics, whichever is accepted."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/metrics")
    async def show(request: Request) -> Response:
        content, media = metrics.render(request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": media})

    return routes
