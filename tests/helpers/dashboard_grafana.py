"""Queries of a dashboard -> what Prometheus answers, with Grafana's variables put in as Grafana does it."""

import re
import time

import httpx
from dashboard_files import dashboard, variables


class Grafana:
    """Asks `prometheus` for a time range that began at `since`."""

    def __init__(self, prometheus, since, scrape_s):
        self._client = httpx.Client(base_url=prometheus, trust_env=False, timeout=20)
        self._since = since
        self._scrape_s = scrape_s

    def close(self):
        self._client.close()

    def choose(self, name, jobs):
        """Values of the dashboard's variables: these jobs, and All of everything else."""
        values = {"datasource": "x", "job": f"({'|'.join(jobs)})"}
        for variable in variables(name).values():
            if variable["name"] in values:
                continue
            if variable["type"] == "custom":  # windows: the longest
                values[variable["name"]] = variable["query"].split(",")[-1]
            elif variable["type"] == "textbox":
                values[variable["name"]] = variable["current"]["value"]
            elif variable.get("includeAll"):
                values[variable["name"]] = variable["allValue"]
            else:
                values[variable["name"]] = self._first_value(variable, values)
        return values

    def options(self, name, variable, jobs):
        """What the drop-down of a variable offers."""
        query = variables(name)[variable]["query"]["query"]
        found = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
        selector = self._fill(found[1], self.choose(name, jobs), 15)
        path = f"/api/v1/label/{found[2]}/values"
        return self._ask(path, **{"match[]": selector, "start": self._since, "end": time.time()})

    def answer(self, query, values, min_step=""):
        """The series of one query that have a number."""
        step = 2
        scrape = int(min_step.removesuffix("s")) if min_step else self._scrape_s
        expr = self._fill(query.expr, values, max(step + scrape, 4 * scrape))
        if query.instant:
            result = self._ask("/api/v1/query", query=expr, time=time.time())["result"]
            return [series for series in result if series["value"][1] != "NaN"]
        result = self._ask("/api/v1/query_range", query=expr, start=self._since, end=time.time(), step=step)
        return [one for one in result["result"] if any(value != "NaN" for _, value in one["values"])]

    def marks(self, name):
        """Name of each annotation -> its series."""
        found = {}
        for mark in dashboard(name)["annotations"]["list"]:
            if "expr" in mark:
                data = self._ask(
                    "/api/v1/query_range", query=mark["expr"], start=self._since, end=time.time(), step=1
                )
                found[mark["name"]] = data["result"]
        return found

    def _first_value(self, variable, values):
        """Of a `query_result` variable, as its regex cuts it out."""
        query = re.fullmatch(r"query_result\((.*)\)", variable["query"]["query"], re.DOTALL)[1]
        data = self._ask("/api/v1/query", query=self._fill(query, values, 60), time=time.time())
        series = data["result"][0]
        labels = ", ".join(f'{name}="{value}"' for name, value in series["metric"].items())
        text = f"{{{labels}}} {series['value'][1]} {int(series['value'][0] * 1000)}"
        return re.search(variable["regex"].strip("/"), text)[1]

    def _fill(self, expr, values, rate_s):
        own = {"__rate_interval": f"{rate_s}s", "__range": f"{int(time.time() - self._since)}s"}
        return re.sub(r"\$\{?(\w+)\}?", lambda found: {**values, **own}[found[1]], expr)

    def _ask(self, path, **parameters):
        answer = (
            self._client.post(path, data=parameters)
            if "label" not in path
            else self._client.get(path, params=parameters)
        )
        fields = answer.json()
        assert fields["status"] == "success", f"{fields.get('error')}: {parameters}"
        return fields["data"]
