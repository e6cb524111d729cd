"""The frozen REST endpoint, `GET /v1/batches/{batch_id}/callback`, for legacy clients."""
