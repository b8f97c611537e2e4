"""`hosts` of the settings files: where runs lie on other machines."""

from __future__ import annotations

from tuitrain.remote.address import Address, AddressError, checked_host, is_address, parse_address
from tuitrain.settings import DEFAULT_RUNS_DIR, SettingsError, settings_files


def hosts_of_settings() -> list[Address]:
    """The folders in `hosts = ["HOST", "HOST:PATH"]`; a HOST alone, or HOST:, is `runs` there. Raises SettingsError."""
    for file in settings_files():
        hosts = file.values.get("hosts")
        if hosts is None:
            continue
        if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
            raise SettingsError(f'{file.path}: hosts = {hosts!r} is not valid: write hosts = ["HOST", "HOST:PATH"].')
        try:
            return list(dict.fromkeys(map(_address, hosts)))
        except AddressError as error:
            raise SettingsError(f"{file.path}: hosts: {error}") from None
    return []


def host_address(text: str) -> Address:
    """The place of HOST:PATH; of HOST or HOST: alone the folder of its runs, that of the settings, else `runs`.

    Raises AddressError, SettingsError.
    """
    address = _address(text)
    if has_path(text):
        return address
    return next((each for each in hosts_of_settings() if each.host == address.host), address)


def _address(text: str) -> Address:
    if has_path(text):
        return parse_address(text)
    return Address(checked_host(text.removesuffix(":")), str(DEFAULT_RUNS_DIR))


def has_path(text: str) -> bool:
    """Whether a place on another machine is more than its host."""
    return is_address(text.removesuffix(":"))
