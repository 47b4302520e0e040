"""The signature of webhooks, against the specification's own example."""

from __future__ import annotations

from connector.services.notifying import signature


def test_the_signature_is_that_of_the_standard_webhooks_specification() -> None:
    """Its example, with which its libraries test themselves (standard-webhooks, spec/standard-webhooks.md)."""
    signed = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signed == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
