"""The defaults that its tests begin with."""

SHARED_DEFAULTS = {
    "secret": "secret",
    "allow_posting_from": ["127.0.0.1"],
    "validate_requests": True,
    "enforce_https": False,
}
