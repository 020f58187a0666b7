"""Django with its CSRF check, and a consumer of Channels behind a check of the Origin."""

import os

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="a-key-of-a-test",
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
django.setup()

from channels.generic.websocket import WebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.template import engines  # noqa: E402
from django.urls import path  # noqa: E402

PAGE = """<!doctype html><link rel="icon" href="data:,"><title>Django</title>
<form method="post">{% csrf_token %}<input id="name" name="name"><button id="submit">Post</button></form>
<p>{% if name %}posted {{ name }}{% endif %}</p>
<input id="text"><button id="send">Send</button><pre></pre>
<script>
const opened = new WebSocket(`ws://${location.host}/ws/chat/`);
opened.onmessage = (event) => { document.querySelector("pre").textContent += event.data + "\\n"; };
const ready = new Promise((open) => { opened.onopen = open; });
document.querySelector("#send").onclick = async () => { await ready; opened.send(document.querySelector("#text").value); };
</script>"""


def page(request):
    template = engines["django"].from_string(PAGE)
    return HttpResponse(template.render({"name": request.POST.get("name")}, request))


class Chat(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data="consumer " + text_data)


urlpatterns = [path("", page)]
application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": AllowedHostsOriginValidator(URLRouter([path("ws/chat/", Chat.as_asgi())])),
    }
)
