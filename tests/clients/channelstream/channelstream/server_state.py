"""What the server remembers, as far as it tells. A test that empties it gets a new server."""

import uuid

from channelstream import Running, call


class State:
    def __setattr__(self, name, value):
        assert name in ("channels", "connections", "users", "stats"), name
        if name == "channels":
            assert value == {}
            Running.start()

    @property
    def channels(self):
        return call("POST", "/info", None)["channels"]

    @property
    def users(self):
        return {user["user"]: user for user in self.numbers["users"]}

    @property
    def connections(self):
        return {uuid.UUID(id): user for user in self.users.values() for id in user["connections"]}

    @property
    def stats(self):
        return self.numbers

    @property
    def numbers(self):
        return call("POST", "/admin/admin.json", {})


STATE = State()


def get_state():
    return STATE
