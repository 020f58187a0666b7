"""The functions behind the calls of the API: each makes one."""

from channelstream import call


def connect(request):
    return call("POST", "/connect", request.json_body)


def subscribe(request):
    return call("POST", "/subscribe", request.json_body)


def unsubscribe(request):
    return call("POST", "/unsubscribe", request.json_body)


def user_state(request):
    return call("POST", "/user_state", request.json_body)


def message(request):
    return call("POST", "/message", request.json_body)


def messages_patch(request):
    return call("PATCH", "/message", request.json_body)


def messages_delete(request):
    return call("DELETE", "/message", request.json_body)


def channel_config(request):
    return call("POST", "/channel_config", request.json_body)


def info(request):
    return call("POST", "/info", request.json_body if request.body else None)
