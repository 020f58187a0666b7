"""The alerts and the dashboard of packaging/monitoring, in Prometheus over three servers under load.

Needs prometheus and promtool (Debian: prometheus) and openssl.
"""

import http.client
import json
import re
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from wstap_server import BINARY, LIMIT, ROOT, Server, WebSocket, free_port, insecure_tls, wait_for

FOLDER = ROOT / "packaging/monitoring"

# Queries of the dashboard that may be 0 in a server without these faults. Each other query has to be
# above 0 for one of the servers. No query may be empty.
MAY_BE_ZERO = [
    "wstap_log_failing",
    "wstap_log_unkept_events",
    # The stream of a listener has to stall.
    "wstap_lagged_total",
    "wstap_missed_events_total",
    "wstap_listener_lag_events",
    "wstap_queue_refusals_total",
    # A filter has to use up its budget.
    "wstap_filter_exhausted_total",
    # The inbox of the tap has to overflow.
    "wstap_unseen_messages_total",
    # The audit log has to stop for as long as its queue lasts.
    "wstap_audit_lost_total",
    # The clock of the machine has to be set back.
    "wstap_clock_behind_seconds",
]

# Alerts that the load and the faults of this test cause. `promtool test rules` fires all others from
# series that are written down.
CAUSED = {
    "WstapDown",
    "WstapLogFailing",
    "WstapLogLosesEvents",
    "WstapListenersLoseEvents",
    "WstapFull",
    "WstapWrongCredentials",
    "WstapRequestsFail",
}


def alerts():
    """The rules as Prometheus reads them: name and expression."""
    text = (FOLDER / "alerts.yml").read_text()
    return dict(re.findall(r"- alert: (\w+)\n\s+expr: (.*)\n", text))


def panels():
    return [panel for panel in json.loads((FOLDER / "grafana.json").read_text())["panels"] if panel["type"] != "row"]


def dashboard_queries():
    """The expressions of all panels, with the variables of Grafana replaced."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "30s")
            yield panel["title"], re.sub(r"\$(job|instance)\b", ".*", expression)


def metrics_of(expression):
    return set(re.findall(r"\bwstap_\w+", expression))


def get(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=LIMIT, context=insecure_tls()) as answer:
        return answer.read()


class Files(unittest.TestCase):
    def test_promtool_accepts_rules_and_configuration(self):
        subprocess.run(["promtool", "check", "rules", "alerts.yml"], cwd=FOLDER, check=True, capture_output=True)
        subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=FOLDER, check=True, capture_output=True)

    def test_each_alert_fires_from_the_series_of_its_fault(self):
        subprocess.run(["promtool", "test", "rules", "alerts.test.yml"], cwd=FOLDER, check=True, capture_output=True)
        tested = set(re.findall(r"alertname: (\w+)", (FOLDER / "alerts.test.yml").read_text()))
        self.assertEqual(tested, set(alerts()))

    def test_each_alert_has_a_section_in_the_documentation(self):
        page = (ROOT / "docs/operations.md").read_text()
        anchors = {title.strip("`").lower() for title in re.findall(r"^#+ (.*)$", page, re.M)}
        runbooks = re.findall(r"runbook: docs/operations.md#(\w+)", (FOLDER / "alerts.yml").read_text())
        self.assertEqual(len(runbooks), len(alerts()))
        self.assertLessEqual(set(runbooks), anchors)

    def test_panels_of_the_dashboard_have_their_own_ids_and_places(self):
        board = json.loads((FOLDER / "grafana.json").read_text())
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        taken = set()
        for panel in board["panels"]:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            self.assertFalse(taken & cells, panel["title"])
            taken |= cells


class Running(unittest.TestCase):
    """Prometheus scrapes a hub with a log, a relay in front of it, and a server with TLS and tokens."""

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.stop = threading.Event()
        cls.hub = cls.server("--data-dir", str(cls.folder / "log"), "--history-events", "100", "--max-listeners", "3",
                             "--audit-log", str(cls.folder / "audit"))
        cls.relay = cls.server("--upstream", f"http://127.0.0.1:{cls.hub.port}", "--history-events", "100")
        # The server that is stopped later.
        cls.victim = cls.server()
        cls.guarded, cls.token = cls.guarded_server()
        cls.start_prometheus()
        cls.start_load()

    @classmethod
    def server(cls, *flags):
        server = Server(*flags)
        cls.addClassCleanup(server.stop)
        return server

    @classmethod
    def guarded_server(cls):
        cert, key, tokens = (str(cls.folder / name) for name in ("cert.pem", "key.pem", "tokens"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"],
            check=True, capture_output=True,
        )
        made = subprocess.run([BINARY, "token", "new", "prometheus", "observe", "--token-file", tokens],
                              check=True, capture_output=True, text=True)
        token = made.stdout.strip()
        (cls.folder / "token").write_text(token)
        server = cls.server("--tls-cert", cert, "--tls-key", key, "--token-file", tokens, "--rate-sign-ins", "1")
        return server, token

    @classmethod
    def start_prometheus(cls):
        shutil.copy(FOLDER / "alerts.yml", cls.folder)
        plain = json.dumps([f"localhost:{it.tap_port}" for it in (cls.hub, cls.relay, cls.victim)])
        (cls.folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            "rule_files: [alerts.yml]\n"
            "scrape_configs:\n"
            "  - job_name: wstap\n"
            f"    static_configs: [{{targets: {plain}}}]\n"
            # Series of the same job: `job` is a label of the target.
            "  - job_name: guarded\n"
            "    scheme: https\n"
            "    tls_config: {insecure_skip_verify: true}\n"
            "    authorization: {credentials_file: token}\n"
            f"    static_configs: [{{targets: ['localhost:{cls.guarded.tap_port}'], labels: {{job: wstap}}}}]\n"
        )
        port = free_port()
        log = open(cls.folder / "prometheus.log", "w")
        cls.addClassCleanup(log.close)
        process = subprocess.Popen(
            ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
             f"--web.listen-address=127.0.0.1:{port}"],
            cwd=cls.folder, stdout=log, stderr=log,
        )
        cls.addClassCleanup(lambda: (process.terminate(), process.wait(LIMIT)))
        cls.prometheus = f"http://127.0.0.1:{port}"

        def is_ready():
            try:
                return get(f"{cls.prometheus}/-/ready")
            except OSError:
                return None

        wait_for("prometheus", is_ready)

    @classmethod
    def start_load(cls):
        thread = threading.Thread(target=cls.load)
        thread.start()
        cls.addClassCleanup(thread.join)
        cls.addClassCleanup(cls.stop.set)

    @classmethod
    def load(cls):
        """Registers, sends, joins, reads, and fails in each of the ways that clients do, until the end."""
        hub = f"http://127.0.0.1:{cls.hub.port}"
        listeners = [cls.listen(f"{hub}/events?{query}") for query in ("format=full", "filter=message.n%3E3")]
        number = 0
        while not cls.stop.is_set():
            number += 1
            # Its id is older than the log, so that it receives a gap.
            resumed = cls.listen(f"{hub}/events?last_event_id=1-0")
            member, client = WebSocket(cls.hub.port), WebSocket(cls.relay.port)
            member.send(json.dumps({"connectionId": f"m{number}"}))
            member.send('{"type":"subscribe","params":{"channels":["news"]}}')
            member.send('{"type":"publish","params":{"channel":"news","message":1}}')
            client.send(json.dumps({"connectionId": f"c{number}"}))
            for n in range(20):
                client.send(json.dumps({"connectionId": f"c{number}", "message": {"n": n}}))
            client.send('{"connectionId":"another","message":1}')
            for path in ("/healthz", "/no-such-thing"):
                cls.try_end(f"http://127.0.0.1:{cls.relay.port}{path}")
            # One listener over the limit.
            cls.try_end(f"{hub}/events")
            for _ in range(4):
                cls.try_end(f"https://localhost:{cls.guarded.port}/api/info", Authorization="Bearer wrong")
            time.sleep(0.2)
            member.close()
            client.close()
            resumed()
        for listener in listeners:
            listener()

    @classmethod
    def listen(cls, url):
        """Reads a stream in a thread, and returns what ends it."""
        # The place of the one before may not be free yet.
        stream = wait_for("a place for a listener", lambda: cls.try_open(url))
        reader = threading.Thread(target=cls.drain, args=(stream,))
        reader.start()

        def end():
            stream.fp.raw._sock.shutdown(socket.SHUT_RDWR)
            reader.join()
            stream.close()

        return end

    @staticmethod
    def drain(listener):
        try:
            while listener.read(4096):
                pass
        except (OSError, http.client.HTTPException):
            pass

    @staticmethod
    def try_open(url, **headers):
        """Returns the answer, or nothing if it is an error."""
        request = urllib.request.Request(url, headers=headers)
        try:
            return urllib.request.urlopen(request, timeout=LIMIT, context=insecure_tls())
        except urllib.error.HTTPError as error:
            error.close()

    @classmethod
    def try_end(cls, url, **headers):
        answer = cls.try_open(url, **headers)
        if answer:
            answer.close()

    def query(self, expression):
        """Returns the values of an expression now, without those that are no numbers."""
        answer = json.loads(get(f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"))
        assert answer["status"] == "success", answer
        return [float(it["value"][1]) for it in answer["data"]["result"]]

    def scraped_names(self):
        return set(json.loads(get(f"{self.prometheus}/api/v1/label/__name__/values"))["data"])

    def seen(self, *wanted):
        """Waits until each expression has a value that is accepted, from pairs of both."""
        left = dict(wanted)

        def look():
            for expression, accepts in list(left.items()):
                if any(map(accepts, self.query(expression))):
                    del left[expression]
            return not left

        try:
            wait_for("values", look)
        except AssertionError:
            self.fail("no such values: " + "\n".join(f"{it}: {self.query(it)}" for it in left))

    def test_a_each_query_of_the_dashboard_has_values(self):
        def accepts(expression):
            may_be_zero = any(name in expression for name in MAY_BE_ZERO)
            return (lambda value: value >= 0) if may_be_zero else (lambda value: value > 0)

        self.seen(*((it, accepts(it)) for _, it in dashboard_queries()))

    def test_b_each_alert_has_a_value_to_compare(self):
        compared = [re.fullmatch(r"(.*) [<>] [\d.e]+", it) for it in alerts().values()]
        self.assertTrue(all(compared), "each expression ends with a comparison")
        self.seen(*((it[1], lambda _: True) for it in compared))

    def test_c_dashboard_and_alerts_name_all_metrics_and_no_other(self):
        named = set().union(*(metrics_of(it) for _, it in dashboard_queries()), *map(metrics_of, alerts().values()))
        scraped = {it for it in self.scraped_names() if it.startswith("wstap_")}
        # These repeat others under the names of channelize.
        scraped -= {it for it in scraped if it.endswith("_storage_length")}
        scraped -= {"wstap_open_connections", "wstap_private_connections"}
        # A histogram is read by its buckets.
        scraped -= {it for it in scraped if f"{it.removesuffix('_sum').removesuffix('_count')}_bucket" in scraped}
        self.assertEqual(named, scraped)

    def test_d_faults_are_seen_by_their_alerts_and_others_are_quiet(self):
        expressions = alerts()
        for name in sorted(set(expressions) - CAUSED):
            with self.subTest(quiet=name):
                self.assertEqual(self.query(expressions[name]), [])
        self.assertEqual(self.query(expressions["WstapLogFailing"]), [])
        self.victim.stop()
        other = sqlite3.connect(self.folder / "log/events.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        self.seen((expressions["WstapLogFailing"], lambda _: True))
        other.execute("ROLLBACK")
        other.close()
        self.seen(*((expressions[it], lambda _: True) for it in CAUSED - {"WstapLogFailing"}))


if __name__ == "__main__":
    unittest.main()
