"""OAuth 2 clients that others have written, against the server of the environment."""

import os
import sys

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the server of the test has no TLS
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

issuer, token, secret = (os.environ[name] for name in ("ISSUER", "REFRESH_TOKEN", "SECRET"))
client, endpoint = "shop", issuer + "/oauth/token"


def requests_oauthlib():
    """An API call whose token has expired refreshes by itself, in the form."""
    from requests_oauthlib import OAuth2Session

    kept = []
    session = OAuth2Session(
        client,
        token={"access_token": "x", "refresh_token": token, "token_type": "Bearer", "expires_in": -10},
        auto_refresh_url=endpoint,
        auto_refresh_kwargs={"client_id": client, "client_secret": secret},
        token_updater=kept.append,
    )
    assert session.get(issuer + "/auth/me").json()["clientId"] == client
    assert kept and kept[0]["refresh_token"] != token


def authlib():
    """Refreshing, and revoking with Basic authentication."""
    from authlib.integrations.requests_client import OAuth2Session

    session = OAuth2Session(client, secret, token_endpoint_auth_method="client_secret_basic")
    fresh = session.refresh_token(endpoint, refresh_token=token)
    assert session.get(issuer + "/auth/me").status_code == 200
    assert session.revoke_token(issuer + "/oauth/revoke", fresh["refresh_token"]).status_code == 200
    assert session.get(issuer + "/auth/me").status_code == 401


{"requests_oauthlib": requests_oauthlib, "authlib": authlib}[sys.argv[1]]()
print("done")
