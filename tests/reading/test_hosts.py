"""Hosts of URLs."""

import pytest

from gateway.reading.hosts import host_of


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Hooks.Example/cb?x=1", "hooks.example"),
        ("https://hooks.example:443/", "hooks.example"),
        ("http://hooks.example:443/", "hooks.example:443"),
        ("https://user:p@ss@hooks.example:8443", "hooks.example:8443"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("hooks.example/cb", None),
        ("http://:80/", None),
        ("http://hooks.example:port/", None),
        ("http://[::1/", None),
        ("", None),
        (None, None),
    ],
)
def test_a_host_is_lower_case_with_its_unusual_port_and_nothing_secret(url: str | None, host: str | None) -> None:
    assert host_of(url) == host
