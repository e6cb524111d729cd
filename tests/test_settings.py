"""Settings: what is no sensible value is refused by name, and what is forgiven is put in order."""

import pytest
from pydantic import ValidationError

from gateway.settings import DocumentSettings, Profile, Section, Settings

SECTIONS = Section.__subclasses__()


def test_origins_are_split_and_lose_their_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_CORS_ORIGINS", "https://app.example/, http://localhost:3000")
    assert Settings().cors_origins == ("https://app.example", "http://localhost:3000")


@pytest.mark.parametrize("origin", ["nope", "app.example", "https://app.example/path", "https://user@app.example"])
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("GATEWAY_TRUSTED_ORIGINS", origin)
    with pytest.raises(ValidationError, match="is no origin"):
        Settings()


@pytest.mark.parametrize(("level", "read"), [("debug", "DEBUG"), ("WARNING", "WARNING")])
def test_levels_are_read_in_any_case(monkeypatch: pytest.MonkeyPatch, level: str, read: str) -> None:
    monkeypatch.setenv("GATEWAY_LOG_LEVEL", level)
    assert Settings().log_level == read


def test_an_unknown_level_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_LOG_LEVEL", "loud")
    with pytest.raises(ValidationError, match="log_level"):
        Settings()


def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7 ::1,fd00::/8")
    assert Settings().trusted_proxies == ("10.0.0.0/8", "192.0.2.7", "::1", "fd00::/8")
    monkeypatch.setenv("GATEWAY_TRUSTED_PROXIES", "*")
    assert Settings().trusted_proxies == ("*",)


@pytest.mark.parametrize(
    "proxy", ["proxy.example", "10.0.0.1/8", "10.0.0", "10.0.0.1:80", "[::1]", "10.0.0.0/33", "10.*"]
)
def test_what_is_no_address_of_a_proxy_is_refused(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("GATEWAY_TRUSTED_PROXIES", proxy)
    with pytest.raises(ValidationError, match="is no address such as"):
        Settings()


def test_each_setting_belongs_to_one_section() -> None:
    named = [name for section in SECTIONS for name in section.model_fields]
    assert sorted(named) == sorted([*Settings.model_fields, *["profile"] * (len(SECTIONS) - 1)])
    assert issubclass(Settings, tuple(SECTIONS))


def test_a_section_by_itself_looks_at_no_variable_and_at_its_own_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_MAX_DEPTH", "3")
    assert (Settings().max_depth, DocumentSettings().max_depth) == (3, 12)
    assert DocumentSettings(profile=Profile.DEVELOPMENT).max_depth == 20


def test_a_section_by_itself_takes_no_setting_of_another() -> None:
    with pytest.raises(ValidationError, match="rate_limit"):
        DocumentSettings(rate_limit=3)  # type: ignore[call-arg]
