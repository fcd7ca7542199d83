"""Settings: what a file and the environment make, and every error with its place and its cure."""

import re
from pathlib import Path

import pytest

from astrometer.config.loader import load
from astrometer.config.settings import Config, ConfigError, ProbeSettings
from astrometer.config.target_access import target_from_options

WHOLE = """
[targets.prod]
url = "https://bot.example.org/"
[targets.prod.keys.chat]
env = "CHAT_KEY"
scopes = ["chat", "file"]
id = "7b1e"
[targets.prod.keys.im]
file = "im.key"

[targets.lab]
url = "http://127.0.0.1:6185"

[probes.chat]
interval = "1m30s"
timeout = "20s"
connect = "2s"
first_token = "5s"
idle = "750ms"
targets = ["prod"]
[probes.chat.options]
question = "why"
[probes.im]
enabled = false

[slo]
objectives = ["ttft_p95 < 2s"]
"""


@pytest.fixture
def read(tmp_path):
    (tmp_path / "im.key").write_text("abk_im\n")

    def load_text(text: str, **environ: str) -> Config:
        path = tmp_path / "astrometer.toml"
        path.write_text(text)
        return load(path, {"CHAT_KEY": "abk_chat", **environ})

    return load_text


def test_a_whole_file(read):
    config = read(WHOLE)
    prod = config.target("prod")
    assert prod.url == "https://bot.example.org"
    assert prod.keys["chat"].secret.reveal() == "abk_chat"
    assert prod.keys["chat"].scopes == {"chat", "file"}
    assert prod.keys["chat"].id == "7b1e"
    assert prod.keys["im"].secret.reveal() == "abk_im"
    assert prod.keys["im"].scopes is None
    chat = config.probe("chat")
    assert (chat.interval_s, chat.timeout_s, chat.connect_s) == (90, 20, 2)
    assert (chat.first_token_s, chat.idle_s, chat.targets) == (5, 0.75, ("prod",))
    assert chat.options["question"] == "why"
    assert not config.probe("im").enabled
    assert config.probe("reads") == ProbeSettings()
    assert len(config.objectives) == 1


def test_a_key_is_chosen_by_its_stated_scope_before_one_that_states_none(read):
    prod = read(WHOLE).target("prod")
    assert prod.key_for("chat").name == "chat"
    assert prod.key_for("config").name == "im"
    assert read(WHOLE).target("lab").key_for("chat") is None


def test_a_key_with_the_scope_star_is_the_key_for_every_scope(read):
    prod = read(WHOLE.replace('["chat", "file"]', '["*"]')).target("prod")
    assert {prod.key_for(scope).name for scope in ("chat", "config", "im")} == {"chat"}


def test_no_output_of_a_config_holds_a_key(read):
    config = read(WHOLE)
    assert "abk_" not in repr(config) + str(config)
    assert str(config.target("prod").keys["chat"].secret) == "Secret(***)"


def test_the_environment_alone_makes_a_target(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load(None, {"ASTRBOT_URL": "http://127.0.0.1:6185/", "ASTRBOT_API_KEY": "abk_x"})
    target = config.target()
    assert (target.name, target.url) == ("default", "http://127.0.0.1:6185")
    assert target.keys["default"].secret.reveal() == "abk_x"


def test_the_key_may_be_in_a_file(tmp_path):
    (tmp_path / "key").write_text("abk_y\n")
    target = target_from_options("http://x", {"ASTRBOT_API_KEY_FILE": str(tmp_path / "key")})
    assert target.keys["default"].secret.reveal() == "abk_y"


def test_a_variable_made_of_a_file_ends_like_one_and_is_a_key_all_the_same(read):
    target = target_from_options("http://x", {"ASTRBOT_API_KEY": "abk_y\n"})
    assert target.keys["default"].secret.reveal() == "abk_y"
    config = read('[targets.a]\nurl = "http://a"\n[targets.a.keys.k]\nenv = "KEY"\n', KEY="abk_y\n")
    assert config.target().keys["k"].secret.reveal() == "abk_y"


def test_astrometer_toml_here_is_read_by_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("astrometer.toml").write_text('[targets.a]\nurl = "http://a"\n')
    assert list(load(None, {}).targets) == ["a"]


def test_without_anything_it_says_what_to_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        load(None, {})
    assert str(error.value) == (
        "no target: give --host, write astrometer.toml, or set ASTRBOT_URL; the key is in ASTRBOT_API_KEY "
        "(or ASTRBOT_API_KEY_FILE)"
    )


A = '[targets.a]\nurl = "http://a"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'no targets; add [targets.NAME] with url = "http://..."'),
        (
            '[targets.prod.keys.chat]\nscope = ["chat"]\n[targets.prod]\nurl = "http://a"\n',
            'targets.prod.keys.chat: unknown key "scope" (did you mean "scopes"?)',
        ),
        (  # names that are keys elsewhere in the file
            '[targets.keys.keys.messenger]\nscope = ["chat"]\n[targets.keys]\nurl = "http://a"\n',
            'targets.keys.keys.messenger: unknown key "scope" (did you mean "scopes"?)',
        ),
        (
            '[targets.messenger]\nurl = "http://a"\nconcurency = 3\n',
            'targets.messenger: unknown key "concurency" (did you mean "concurrency"?)',
        ),
        ('[target.a]\nurl = "http://a"\n', 'top level: unknown key "target" (did you mean "targets"?)'),
        ("[targets.a]\n", 'targets.a: "url" is missing'),
        (
            '[targets.a]\nurl = "a.example"\n',
            "targets.a.url: 'a.example' is not a URL like http://a.example",
        ),
        (
            '[targets.a]\nurl = "http://a:99999"\n',
            "targets.a.url: 'http://a:99999' is not a URL like http://127.0.0.1:6185",
        ),
        (
            '[targets.a]\nurl = "http://u:p@a"\n',
            "targets.a.url: only scheme, host, port and path; keys go into [targets.NAME.keys]",
        ),
        (
            A + "[targets.a.keys.k]\n",
            'targets.a.keys.k: say where the key is: env = "NAME" or file = "PATH" (one of the two)',
        ),
        (
            A + 'keys.k = "abk_oops"\n',
            'targets.a.keys.k: write { env = "NAME" } or { file = "PATH" }, never the key itself',
        ),
        (
            A + 'keys = "abk_oops"\n',
            'targets.a.keys: write { env = "NAME" } or { file = "PATH" }, never the key itself',
        ),
        (
            A + '[targets.a.keys.k]\nenv = "NOT_SET"\n',
            "targets.a.keys.k.env: the environment variable NOT_SET is not set",
        ),
        (
            A + '[targets.a.keys.k]\nenv = "BAD"\n',
            "targets.a.keys.k.env: not an API key (empty, or with spaces, line breaks or non-ASCII letters)",
        ),
        (
            A + '[probes.chat]\ninterval = "often"\n',
            "probes.chat.interval: 'often' is not a duration (write 30s, 1m30s or 250ms)",
        ),
        (
            A + "[probes.chat]\nfirst-token = 3\n",
            'probes.chat: unknown key "first-token" (did you mean "first_token"?)',
        ),
        (
            A + '[targets.a.keys.k]\nenv = "GOOD"\nscopes = ["chat", "imm"]\n',
            "targets.a.keys.k.scopes: no scope 'imm' (did you mean \"im\"?)",
        ),
        (A + "[probes.chat]\ninterval = inf\n", "probes.chat.interval: must be a number, not inf or nan"),
        (A + "[probes.chat]\nidle = 0\n", "probes.chat.idle: must be more than 0"),
        (A + "concurrency = 0\n", "targets.a.concurrency: must be 1 or more"),
        (A + "concurrency = 500\n", "targets.a.concurrency: must be 100 or less"),
        (A + 'concurrency = "two"\n', "targets.a.concurrency: must be a whole number"),
        (A + "concurrency = 1.5\n", "targets.a.concurrency: must be a whole number"),
        (A + "probes = 5\n", "targets.a.probes: must be a table: write [targets.a.probes]"),
        (A + "budget = 5\n", "targets.a.budget: must be a table: write [targets.a.budget]"),
        ('targets = "http://a"\n', 'targets: write [targets.NAME] with url = "http://..."'),
        ('[targets]\na = "http://a"\n', 'targets.a: write [targets.NAME] with url = "http://..."'),
        ("[targets.a]\nurl = 5\n", 'targets.a.url: must be text in quotes: "..."'),
        (A + '[slo]\nobjectives = "errors < 1%"\n', 'slo.objectives: must be a list: ["..."]'),
        (A + "[slo]\nobjectives = [5]\n", 'slo.objectives[0]: must be text in quotes: "..."'),
        (A + '[probes.chat]\nenabled = "perhaps"\n', "probes.chat.enabled: must be true or false"),
        (A + "[probes.chat]\nenabled = 5\n", "probes.chat.enabled: must be true or false"),
        (
            A + '[probes.chat]\ninterval = ["1m"]\n',
            "probes.chat.interval: ['1m'] is not a duration (write 30s, 1m30s or 250ms)",
        ),
        (A + '[probes.chat]\ntargets = ["b"]\n', "probes.chat.targets: no target 'b' (there are: a)"),
    ],
)
def test_an_error_names_file_place_and_cure(read, tmp_path, text, message):
    with pytest.raises(ConfigError) as error:
        read(text, BAD="two\r\nlines", GOOD="abk_x")
    assert str(error.value) == f"{tmp_path}/astrometer.toml: {message}"


def test_a_key_file_that_is_not_there_is_named(read, tmp_path):
    with pytest.raises(ConfigError) as error:
        read(A + '[targets.a.keys.k]\nfile = "no.key"\n')
    place = f"{tmp_path}/astrometer.toml: targets.a.keys.k.file"
    assert str(error.value) == f"{place}: {tmp_path}/no.key cannot be read (No such file or directory)"


def test_broken_toml_is_named_with_its_line(read):
    with pytest.raises(ConfigError, match=r"astrometer\.toml: is not valid TOML: .*line 1"):
        read("[targets\n")


def test_an_error_never_shows_the_key(read):
    with pytest.raises(ConfigError) as error:
        read(A + '[targets.a.keys.k]\nenv = "BAD"\n', BAD="abk_secret with spaces")
    assert "abk_secret" not in str(error.value)


def test_an_unknown_objective_is_named_with_its_place(read):
    with pytest.raises(ConfigError, match=r"astrometer\.toml: slo\.objectives\[0\]: "):
        read(A + '[slo]\nobjectives = ["fast"]\n')


def test_choosing_a_target(read):
    config = read(WHOLE)
    with pytest.raises(ConfigError, match=r"several targets; choose one of prod, lab"):
        config.target()
    with pytest.raises(ConfigError, match=r"no target 'prd' \(did you mean \"prod\"\?\)"):
        config.target("prd")


MESSENGER = """
[targets.a]
url = "http://127.0.0.1:6185"
[targets.a.messenger]
url = "ws://127.0.0.1:6199/ws"
"""


def test_a_messenger_has_its_token_from_the_environment_or_a_file_and_never_shows_it(read, tmp_path):
    (tmp_path / "token").write_text("tok-of-file\n")
    named = read(MESSENGER + 'env = "TOKEN"\n', TOKEN="tok-of-env").target()
    filed = read(MESSENGER + 'file = "token"\n').target()
    assert (named.messenger.token.reveal(), filed.messenger.token.reveal()) == ("tok-of-env", "tok-of-file")
    assert read(MESSENGER).target().messenger.url == "ws://127.0.0.1:6199/ws"
    assert named.secrets == ["tok-of-env"]
    assert "tok-of" not in repr((named, filed))


def test_a_target_given_by_its_url_takes_the_messenger_of_the_environment():
    told = {"ASTRBOT_MESSENGER_URL": "ws://127.0.0.1:6199/ws", "ASTRBOT_MESSENGER_TOKEN": "tok"}
    target = target_from_options("http://127.0.0.1:6185", told)
    assert (target.messenger.url, target.messenger.token.reveal()) == ("ws://127.0.0.1:6199/ws", "tok")
    assert target_from_options("http://127.0.0.1:6185", {}).messenger is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('env = "A"\nfile = "b"', "targets.a.messenger: the token is in env"),
        ('env = "NOT_SET"', "targets.a.messenger.env: the environment variable NOT_SET is not set"),
        ('token = "x"', 'targets.a.messenger: unknown key "token"'),
    ],
)
def test_a_messenger_that_cannot_be_used_is_named_with_its_cure(read, more, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        read(MESSENGER + more)


def test_a_token_in_the_url_of_a_messenger_is_refused_and_not_shown(read):
    with pytest.raises(ConfigError, match=r"targets\.a\.messenger\.url: AstrBot reads no token") as refused:
        read(MESSENGER.replace('/ws"', '/ws?access_token=tok-secret"'))
    assert "tok-secret" not in str(refused.value)


NOTIFY = """
[targets.prod]
url = "http://127.0.0.1:6185"
[[notify]]
name = "phone"
"""


def test_receivers_of_messages_and_where_their_urls_come_from(read, tmp_path):
    (tmp_path / "push").write_text("http://kuma:3001/api/push/t0ken?status=up\n")
    config = read(
        NOTIFY + 'webhook = "https://u:p@ntfy.example.org/t0pic?a=b"\nmin_severity = "page"\nafter = "2m"\n'
        '[[notify]]\nname = "kuma"\nkuma = { file = "push" }\ntargets = ["prod"]\n'
        '[[notify]]\nname = "group"\napprise = { env = "CHAT" }\n',
        CHAT="wecombot://b0tkey",
    )
    phone, kuma, group = config.notify
    assert phone.url.reveal() == "https://u:p@ntfy.example.org/t0pic?a=b"
    assert (phone.kind, phone.min_severity, phone.after_s) == ("webhook", "page", 120.0)
    assert (kuma.url.reveal(), kuma.targets) == ("http://kuma:3001/api/push/t0ken?status=up", ("prod",))
    assert (group.url.reveal(), group.min_severity, group.after_s) == ("wecombot://b0tkey", "ticket", 30.0)
    assert not any(word in repr(config) for word in ("t0pic", "t0ken", "b0tkey"))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "notify[0]: say one of webhook, kuma, apprise"),
        ('webhook = "t0ken"', "notify[0].webhook: not a URL (https://... expected)"),
        ('kuma = "ftp://h/t0ken"', "notify[0].kuma: not a URL (https://... expected)"),
        ('apprise = "t0ken"', "notify[0].apprise: not a URL (its documentation lists them)"),
        ("webhook = 3", "notify[0].webhook: write [[notify]] with name"),
        ('webhook = { env = "NO" }', "notify[0].webhook.env: the environment variable NO is not set"),
        ("webhook = { }", 'notify[0].webhook: write "URL", { env = "NAME" } or { file = "PATH" }'),
        ('webhook = { evn = "NO" }', 'notify[0].webhook: unknown key "evn" (did you mean "env"?)'),
        ('webhook = "http://h"\nkuma = "http://h"', "notify[0]: say one of webhook, kuma, apprise"),
        ('kuma = "http://h"\ntemplate = "x"', "notify[0].template: only a webhook has a template"),
        (
            'webhook = "http://h"\ntemplate = "{titel}"',
            'notify[0].template: no {titel} (did you mean "title"?)',
        ),
        ('webhook = "http://h"\ntargets = ["prd"]', "notify[0].targets: no target 'prd' (did"),
        (
            'webhook = "http://h"\n[[notify]]\nname = "phone"\nkuma = "http://h"',
            "notify[1].name: 'phone' is taken; give each receiver its own name",
        ),
    ],
)  # fmt: skip
def test_a_receiver_that_cannot_be_used_is_named_and_its_url_is_not(read, text, error):
    with pytest.raises(ConfigError) as caught:
        read(NOTIFY + text)
    assert error in str(caught.value)
    assert "t0ken" not in str(caught.value)
