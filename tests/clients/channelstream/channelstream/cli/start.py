"""An application that hands all requests to a server of wstap."""

from http.client import responses

from channelstream import Running


class RoutingApplication:
    def __init__(self, config):
        flags = ["--channelstream-enforce-https"] if config["enforce_https"] else []
        self.server = Running.start(*flags)

    def __call__(self, environ, start_response):
        headers = {
            name[5:].replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_") and name != "HTTP_HOST"
        }
        headers["Content-Type"] = environ.get("CONTENT_TYPE", "")
        # A proxy that speaks TLS says so.
        headers["X-Forwarded-Proto"] = environ["wsgi.url_scheme"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        method = environ["REQUEST_METHOD"]
        status, got, answer = self.server.ask(method, environ["PATH_INFO"], headers, body or None)
        start_response(f"{status} {responses[status]}", [("Content-Type", got["Content-Type"])])
        return [answer]
