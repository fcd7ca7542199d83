"""action.yml -> its `run` steps as a GitHub runner runs them: bash, environment files, expressions."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import yaml

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass
class Runner:
    """One job: `workspace` is where its steps run, `action` the checkout of the action."""

    action: Path
    workspace: Path
    temp: Path
    environ: dict[str, str]
    given: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""

    def __post_init__(self) -> None:
        self.told = yaml.safe_load((self.action / "action.yml").read_text("utf-8"))
        assert set(self.given) <= set(self.told["inputs"])

    @property
    def steps(self) -> dict[str, dict]:
        """By name; those of other actions (`uses`) are GitHub's own."""
        return {step["name"]: step for step in self.told["runs"]["steps"] if "run" in step}

    def value(self, expression: str) -> str:
        """Of `inputs.a || inputs.b`, `steps.measure.outputs.exit-code`, `runner.temp`, ..."""
        return next(filter(None, map(self._one, expression.split(" || "))), "")

    def _one(self, name: str) -> str:
        if name.startswith("inputs."):
            name = name.removeprefix("inputs.")
            return self.given.get(name, self.told["inputs"][name]["default"])
        if name.startswith("steps.measure.outputs."):
            return self.outputs.get(name.rpartition(".")[2], "")
        known = {"github.action_path": str(self.action), "runner.temp": str(self.temp), "runner.os": "Linux"}
        return {**known, "github.token": "a-token"}[name]

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        step = self.steps[name]
        files = {key: self.temp / key for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        own = {
            key: _EXPRESSION.sub(lambda found: self.value(found.group(1)), str(text))
            for key, text in step.get("env", {}).items()
        }
        script = self.temp / "step.sh"
        script.write_text(step["run"])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace, capture_output=True, text=True, check=False,
            env={**os.environ, **self.environ, **own, **{key: str(file) for key, file in files.items()}},
        )  # fmt: skip
        for line in files["GITHUB_OUTPUT"].read_text().splitlines():
            key, _, text = line.partition("=")
            self.outputs[key] = text
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text("utf-8")
        return done
