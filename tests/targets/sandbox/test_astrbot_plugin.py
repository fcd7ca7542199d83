"""What is taken for a plugin of AstrBot, and what a real server says of one that it cannot load."""

import pytest
from astrbot_plugins import write_plugin

from astrometer.targets.sandbox.astrbot_plugin import PluginError, read_plugin, refuse_twins
from astrometer.targets.sandbox.box import SandboxOptions, sandbox


def test_the_folder_gets_the_name_that_its_metadata_says(tmp_path):
    folder = write_plugin(tmp_path / "checkout-1.2", requirements="emoji\n")
    for more in (".git/HEAD", "data/words.txt", "__pycache__/main.pyc"):
        (folder / more).parent.mkdir()
        (folder / more).touch()
    plugin = read_plugin(folder)
    assert plugin.requirements == folder / "requirements.txt"
    plugin.copy_into(tmp_path / "plugins")
    copied = {str(file.relative_to(tmp_path / "plugins")) for file in (tmp_path / "plugins").rglob("*.*")}
    names = {"main.py", "metadata.yaml", "requirements.txt", "data/words.txt"}
    assert copied == {f"astrbot_plugin_empty/{name}" for name in names}


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "metadata.yaml").unlink(), "has no metadata.yaml"),
        (lambda folder: (folder / "main.py").unlink(), "has no main.py"),
        (lambda folder: (folder / "metadata.yaml").write_text("name: [\n"), "cannot be read as YAML"),
        (
            lambda folder: (folder / "metadata.yaml").write_text("desc: x\n"),
            "name None: expected a Python id",
        ),
        (
            lambda folder: (folder / "metadata.yaml").write_text("name: a-b\n"),
            "name 'a-b': expected a Python",
        ),
        (lambda folder: folder.rename(folder.with_name("moved")), "expected the folder of a plugin"),
    ],
)
def test_what_is_no_plugin_is_refused_with_the_file_that_is_wrong(tmp_path, spoil, told):
    folder = write_plugin(tmp_path / "plugin")
    spoil(folder)
    with pytest.raises(PluginError) as caught:
        read_plugin(folder)
    assert told in str(caught.value)
    assert str(folder) in str(caught.value)


def test_two_plugins_of_one_name_are_refused(tmp_path):
    plugins = [read_plugin(write_plugin(tmp_path / place)) for place in ("one", "two")]
    with pytest.raises(PluginError, match="another plugin is called astrbot_plugin_empty, too"):
        refuse_twins(plugins)


@pytest.mark.process
@pytest.mark.astrbot
@pytest.mark.timeout(600)
def test_a_plugin_that_does_not_load_is_told_in_the_words_of_the_server(tmp_path, python_for_astrbot):
    good = read_plugin(write_plugin(tmp_path / "good"))
    bad = read_plugin(write_plugin(tmp_path / "bad", "astrbot_plugin_bad", "import no_such_library\n"))
    with (
        pytest.raises(
            PluginError, match="did not load the plugin astrbot_plugin_bad: No module named 'no_su"
        ),
        sandbox(SandboxOptions(plugins=[good, bad])),
    ):
        pytest.fail("it started")
