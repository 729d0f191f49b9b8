"""harness.plugins: strangers are isolated and named; the core depends on nobody it should not."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest

import harness
from harness import DatasetSpec, HarnessError, LossSpec, ProtocolSpec, hookspecs
from harness.kinds import KINDS
from harness.listing import plugin_listing
from harness.plugins import GROUP, Plugin, Registry, discover, load_factory
from harness.spec_types import wrong_field

CORE = Path(harness.__file__).parent
PLUGINS = CORE.parent / "plugins"

#: What a plugin may import of the harness.
PUBLIC = {
    *("harness", "harness.models", "harness.data", "harness.engine", "harness.lazy"),
    *("harness.data.annotations", "harness.data.files", "harness.data.scenes", "harness.data.writing"),
}
PUBLIC_PACKAGES = ("harness.results.",)

PROTOCOL = ProtocolSpec(name="test", summary="", train="train", test="test")

GOOD = """
from harness import LossSpec, MethodSpec, hookimpl

@hookimpl
def harness_losses():
    return [LossSpec(name="probe_loss", summary="", factory="probe:none")]
"""

BROKEN = {
    "missing import": ("import no_such_module_here", "import failed: ModuleNotFoundError"),
    "syntax error": ("def (", "import failed: SyntaxError"),
    "exit at import": ("raise SystemExit(3)", "import failed: SystemExit: 3"),
    "misspelt hook": (
        "@hookimpl\ndef harness_method():\n    return []",
        "unknown hook 'harness_method', did you mean harness_methods?",
    ),
    "unknown hook": ("@hookimpl\ndef something_else():\n    return []", "unknown hook 'something_else'"),
    "wrong signature": (
        "@hookimpl\ndef harness_run_event(event, load):\n    pass",
        "harness_run_event",
    ),
    "argument too many": ("@hookimpl\ndef harness_methods(registry):\n    return []", "registry"),
    "unmarked hook": (
        "def harness_methods():\n    return []",
        "harness_methods() is not marked with @harness.hookimpl",
    ),
    "newer API": ("HARNESS_API = (98, 99)", "written for hook API 98..99, this harness has"),
    "older API": ("HARNESS_API = (0, 0)", "written for hook API 0..0, this harness has"),
    "API that is no range": ("HARNESS_API = 1", "HARNESS_API is 1, expected a pair"),
    "hook that raises": (
        "@hookimpl\ndef harness_methods():\n    return 1 / 0",
        "harness_methods() failed: ZeroDivisionError",
    ),
    "hook that raises midway": (
        "@hookimpl\ndef harness_methods():\n"
        "    yield MethodSpec(name='half', summary='', recipe='')\n    raise OSError('a\\nb')",
        "harness_methods() failed: OSError: a b",
    ),
    "wrong type": (
        "@hookimpl\ndef harness_methods():\n    return harness_losses()",
        "harness_methods() returned a LossSpec, expected MethodSpec",
    ),
    "nothing returned": (
        "@hookimpl\ndef harness_methods():\n    pass",
        "harness_methods() returned a NoneType, expected a list of MethodSpec",
    ),
    "one instead of a list": (
        "@hookimpl\ndef harness_methods():\n    return MethodSpec(name='one', summary='', recipe='')",
        "harness_methods() returned a MethodSpec, expected a list of MethodSpec",
    ),
    "exit in a hook": (
        "@hookimpl\ndef harness_methods():\n    raise SystemExit(3)",
        "harness_methods() failed: SystemExit: 3",
    ),
    "one name twice": (
        "@hookimpl\ndef harness_methods():\n    return 2 * [MethodSpec(name='one', summary='', recipe='')]",
        "it declares the method 'one' twice",
    ),
    "a field that there is not": (
        "@hookimpl\ndef harness_methods():\n    return [MethodSpec(name='one', summery='', recipe='')]",
        "unexpected keyword argument 'summery' (",
    ),
    "no name": (
        "@hookimpl\ndef harness_methods():\n    return [MethodSpec(name=None, summary='', recipe='')]",
        "harness_methods(): method None: name is None, expected str",
    ),
    "no aliases": (
        "@hookimpl\ndef harness_methods():\n"
        "    return [MethodSpec(name='one', summary='', recipe='', aliases=None)]",
        "method 'one': aliases is None, expected a tuple of str",
    ),
    "a tuple without its comma": (
        "@hookimpl\ndef harness_methods():\n"
        "    return [MethodSpec(name='one', summary='', recipe='', aliases=('One'))]",
        "aliases is 'One', expected a tuple of str; a tuple of one needs a comma",
    ),
    "recipes in a list": (
        "@hookimpl\ndef harness_methods():\n"
        "    return [MethodSpec(name='one', summary='', recipe='', recipes=['a:b.yaml'])]",
        "method 'one': recipes is ['a:b.yaml'], expected a dict",
    ),
    "a module that answers with an error": (
        "def __getattr__(name):\n    raise OSError(name)",
        "its hooks cannot be read: OSError: HARNESS_API (",
    ),
    "name that is a path": (
        "@hookimpl\ndef harness_methods():\n    return [MethodSpec(name='a/b', summary='', recipe='')]",
        "harness_methods() names a method 'a/b'",
    ),
}


def install(folder: Path, distribution: str, source: str) -> None:
    """Lay an installed distribution with one plugin of its name into ``folder``."""
    module = distribution.replace("-", "_")
    (folder / f"{module}.py").write_text(source)
    metadata = folder / f"{module}-1.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{module} = {module}\n")


@pytest.fixture
def add(tmp_path, monkeypatch) -> Iterator[Callable[..., Registry]]:
    """Install distributions beside the real ones: ``add({name: source})`` is the new registry."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def with_more(sources: dict[str, str]) -> Registry:
        for name, source in sources.items():
            install(tmp_path, name, source)
        importlib.invalidate_caches()
        return installed()

    yield with_more
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def installed() -> Registry:
    """A new registry of every plugin that is installed now."""
    return discover(entry_points(group=GROUP))


def names(registry: Registry) -> dict[str, list[str]]:
    return {kind: [spec.name for spec, _ in registry.specs(kind)] for kind in KINDS}


# a stranger's plugin


def test_the_built_in_plugins_come_by_entry_points():
    """Every built-in plugin is found as a stranger's is, without a problem, and no name twice."""
    registry = installed()
    assert {p.name for p in registry.plugins} >= {
        "standard",
        "clip",
        "clip4clip",
        "clip_vip",
        "shapes",
        "msrvtt",
    }
    assert [p.problem for p in registry.plugins if p.problem] == []
    assert registry.conflicts() == []


def test_a_healthy_plugin_is_found(add):
    """The components of another distribution are found by name, with the distribution's name."""
    spec, plugin = add({"probe-good": GOOD}).find("losses", "probe_loss")
    assert spec.name == "probe_loss" and plugin.label == "probe_good (probe-good 1.5)"


@pytest.mark.parametrize(("source", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_isolated(add, source, problem):
    """It is listed with its reason in one line, gives no component, and takes nobody else down."""
    before = names(installed())
    registry = add({"probe-bad": GOOD + source + "\n"})
    (broken,) = [plugin for plugin in registry.plugins if plugin.problem]
    assert broken.distribution == "probe-bad"
    assert problem in broken.problem and "\n" not in broken.problem
    assert names(registry) == before
    registry.emit("step", {})


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("options", dict, "a subclass of harness.Options"),
        ("small", "tiny", "a dict or None"),
        ("generated", "yes", "bool"),
        ("protocols", PROTOCOL, "a tuple of ProtocolSpec; a tuple of one needs a comma, (x,)"),
        ("protocols", (replace(PROTOCOL, n_queries="2"),), "int"),
        ("protocols", (replace(PROTOCOL, tasks="retrieval"),), "a tuple of str"),
    ],
)
def test_a_field_of_another_type(field, value, expected):
    """A spec's fields, and those of the protocols in it, are what they are declared to be, or named."""
    sound = DatasetSpec(name="mine", summary="", factory="a:b", protocols=(PROTOCOL,), small=None)
    assert wrong_field(sound) == ""
    assert f"expected {expected}" in wrong_field(replace(sound, **{field: value}))


def test_a_list_does_for_a_tuple():
    """What is a tuple by declaration may be written as a list."""
    assert (
        wrong_field(LossSpec(name="mine", summary="", factory="a:b", sources=["text"], features=None)) == ""
    )


def test_the_authors_own_line_is_named(add):
    """What an error is about stands with the line of the plugin, not with that of whatever it called."""
    source = "import json\n@hookimpl\ndef harness_methods():\n    return json.loads('{')\n"
    (broken,) = [plugin for plugin in add({"probe-bad": GOOD + source}).plugins if plugin.problem]
    line = 1 + (GOOD + source).splitlines().index("    return json.loads('{')")
    assert broken.problem.endswith(f"probe_bad.py:{line})")


def test_a_class_is_no_plugin():
    """An entry point to a class instead of an instance is named, since its hooks would lack ``self``."""

    class Mine:
        @hookspecs.hookimpl
        def harness_losses(self):
            return []

    registry = Registry()
    registry.add(Plugin("mine", "tests", "1", "tests:Mine", Mine))
    assert registry.plugins[0].problem == "Mine is a class, expected a module or an instance"


def test_an_unknown_name_mentions_broken_plugins(add):
    """Whoever asks for a component of a plugin that did not load is sent to `harness plugins`."""
    registry = add({"probe-bad": "raise ValueError"})
    with pytest.raises(HarnessError) as caught:
        registry.find("losses", "probe_loss")
    assert "1 plugin(s) failed to load: see `harness plugins`" in caught.value.hint


def test_a_hook_may_have_another_function_name(add):
    """A function that says with ``specname`` which hook it implements counts as that hook."""
    source = GOOD.replace("@hookimpl\ndef harness_losses", "@hookimpl(specname='harness_losses')\ndef mine")
    assert add({"probe-good": source}).find("losses", "probe_loss")


def test_one_name_in_two_plugins(add):
    """Asking for a name that two plugins declare names both; everything else works."""
    expected = names(installed())
    registry = add({"probe-one": GOOD, "probe-two": GOOD.replace('""', '"another"')})
    with pytest.raises(HarnessError) as caught:
        registry.find("losses", "probe_loss")
    for label in ("probe_one (probe-one 1.5)", "probe_two (probe-two 1.5)"):
        assert label in caught.value.message
    assert caught.value.hint.startswith("write probe_one:probe_loss or probe_two:probe_loss, ")
    (clash,) = registry.conflicts()
    assert (clash.kind, clash.name) == ("losses", "probe_loss")
    assert registry.find("losses", "info_nce")[0].name == "info_nce"
    expected["losses"] += ["probe_one:probe_loss", "probe_two:probe_loss"]
    found = names(registry)
    assert {**found, "losses": sorted(found["losses"])} == {
        **expected,
        "losses": sorted(expected["losses"]),
    }


def test_a_qualified_name_finds_its_plugin(add):
    """``plugin:name`` finds the component of that plugin, under a name that finds it again."""
    registry = add({"probe-one": GOOD, "probe-two": GOOD.replace('""', '"another"')})
    for plugin, summary in (("probe_one", ""), ("probe_two", "another")):
        spec, owner = registry.find("losses", f"{plugin}:probe_loss")
        assert (spec.summary, owner.name) == (summary, plugin)
        assert registry.find("losses", spec.name) == (spec, owner)
    assert registry.find("losses", "standard:info_nce") == registry.find("losses", "info_nce")
    with pytest.raises(HarnessError, match="unknown loss 'probe_one:info_nce'"):
        registry.find("losses", "probe_one:info_nce")


def test_a_qualified_alias_leads_to_the_own_name(add):
    """An alias that clashes, qualified, finds its component under the name that does not clash."""
    registry = add({"probe-one": GOOD.replace('summary=""', 'summary="", aliases=("info_nce",)')})
    assert registry.find("losses", "probe_one:info_nce")[0].name == "probe_loss"
    assert registry.find("losses", "standard:info_nce")[0].name == "standard:info_nce"


def test_two_plugins_of_one_name(tmp_path, add):
    """Where qualified names are the same too, the error asks for no name that would not work."""
    install(tmp_path, "probe-one", GOOD)
    install(tmp_path, "probe-two", GOOD)
    for name in ("one", "two"):
        entry = tmp_path / f"probe_{name}-1.5.dist-info" / "entry_points.txt"
        entry.write_text(f"[{GROUP}]\nsame = probe_{name}\n")
    registry = add({})
    for name in ("probe_loss", "same:probe_loss"):
        with pytest.raises(HarnessError) as caught:
            registry.find("losses", name)
        assert caught.value.hint.startswith("uninstall one of the two")


def test_a_plan_keeps_the_name_that_identifies(add):
    """Plans of two losses of one name differ, each can be read by a worker, and without a clash a
    qualified name gives the plan of the plain one."""
    from harness.plan.plan import Request, build_plan

    def plan(registry: Registry, loss: str):
        request = Request(method="clip_vip", dataset="shapes", settings=(f"train.loss={{name: '{loss}'}}",))
        return build_plan(request, registry)[0]

    alone = installed()
    assert plan(alone, "standard:info_nce").digest == plan(alone, "info_nce").digest
    registry = add({"probe-one": GOOD, "probe-two": GOOD})
    one, two = (plan(registry, f"probe_{which}:probe_loss") for which in ("one", "two"))
    assert one.digest != two.digest
    assert one.recipe.stages["finetune"].loss["name"] == "probe_one:probe_loss"
    assert "probe-one:probe_one" in one.versions and "probe-two:probe_two" not in one.versions


def test_a_qualified_data_set_keeps_its_recipes(add):
    """A data set that has to be qualified is trained as before, and its name can stand in paths."""
    from harness.plan.plan import Request, build_plan

    source = """
from dataclasses import replace
from harness import hookimpl
from harness_shapes import plugin

@hookimpl
def harness_datasets():
    return [replace(spec, summary="a copy") for spec in plugin.harness_datasets()]
"""
    method = "clip4clip_seqtransf"
    before = build_plan(Request(method=method, dataset="shapes", backbone="tiny"), installed())[0]
    plan = build_plan(
        Request(method=method, dataset="shapes:shapes", backbone="tiny"), add({"probe-one": source})
    )[0]
    assert plan.dataset == "shapes:shapes" and ":" not in plan.name
    assert plan.recipe == before.recipe


def test_a_retired_hook_warns(add, monkeypatch):
    """A plugin that implements a deprecated hook works, and is told whose it is and what to do."""

    def harness_old_losses():
        """Called never."""

    retired = DeprecationWarning("retired with API 2, implement harness_losses instead")
    hook = hookspecs.hookspec(warn_on_impl=retired)(harness_old_losses)
    monkeypatch.setattr(hookspecs, "harness_old_losses", hook, raising=False)
    with pytest.warns(DeprecationWarning) as caught:
        registry = add({"probe-good": GOOD + "\n@hookimpl\ndef harness_old_losses():\n    return []\n"})
    expected = f"plugin probe_good (probe-good 1.5) implements harness_old_losses: {retired}"
    assert [str(warning.message) for warning in caught] == [expected]
    assert registry.find("losses", "probe_loss")
    assert plugin_listing(registry).count(f"warning: {expected}") == 1


@pytest.mark.parametrize("stated", ["(1, 1)", "(0, 1)", "(1, 5)", "[1, 2]"])
def test_a_range_that_holds_our_version(add, stated):
    """A plugin for a range of versions works in all of them."""
    assert hookspecs.API_VERSION == 1
    assert add({"probe-good": f"HARNESS_API = {stated}\n{GOOD}"}).find("losses", "probe_loss")


def test_an_alias_that_is_another_plugins_name(add):
    """A plugin cannot take a name over by an alias: the name is refused for both."""
    source = GOOD.replace('summary=""', 'summary="", aliases=("info_nce",)')
    registry = add({"probe-one": source})
    with pytest.raises(HarnessError, match="declared twice"):
        registry.find("losses", "info_nce")
    assert registry.find("losses", "probe_loss")


def test_an_alias_equal_to_the_own_name_is_no_conflict(add):
    """A spec that repeats its name as an alias is found."""
    source = GOOD.replace('summary=""', 'summary="", aliases=("probe_loss",)')
    assert add({"probe-one": source}).find("losses", "probe_loss")


def test_a_module_that_is_registered_twice(tmp_path, add):
    """Two entry points for one module: the second is listed with the reason, the first works."""
    install(tmp_path, "probe-one", GOOD)
    (tmp_path / "probe_one-1.5.dist-info" / "entry_points.txt").write_text(
        f"[{GROUP}]\na = probe_one\nb = probe_one\n"
    )
    registry = add({})
    assert [p.name for p in registry.plugins if p.problem] == ["b"]
    assert registry.find("losses", "probe_loss")[1].name == "a"


def test_a_factory_that_cannot_be_imported_names_its_plugin(add):
    """A wrong factory string is the plugin's mistake, and the message says whose."""
    spec, plugin = add({"probe-good": GOOD.replace("probe:none", "probe_good:none")}).find(
        "losses", "probe_loss"
    )
    with pytest.raises(HarnessError) as caught:
        load_factory(spec.factory, plugin)
    assert plugin.label in caught.value.message and "probe_good:none" in caught.value.message


@pytest.mark.parametrize(
    ("factory", "source", "said", "hint"),
    [
        ("probe_part", "", "which is no place", "package.module:callable"),
        ("probe_part:biuld", "def build(): ...", "has no 'biuld'", "did you mean probe_part:build?"),
        ("probe_part:build", "import os\n\nos.nothing", "AttributeError", "repair that module"),
        ("probe_part:build", "def (", "SyntaxError", "repair that module"),
    ],
)
def test_a_factory_that_cannot_be_had(add, factory, source, said, hint):
    """Whatever keeps a factory from being imported is one line with its plugin and the place, and a hint."""
    add({"probe-part": source})
    owner = Plugin("mine", "tests", "1", "probe_part", ModuleType("probe_part"))
    with pytest.raises(HarnessError) as caught:
        load_factory(factory, owner)
    assert "plugin mine (tests 1)" in caught.value.message and said in caught.value.message
    assert hint in caught.value.hint
    if "os.nothing" in source:
        assert caught.value.message.endswith("probe_part.py:3)")


def test_the_command_works_beside_broken_plugins(tmp_path, harness):
    """`harness plugins` lists what is wrong, and other commands work, with bad distributions installed."""
    install(tmp_path, "probe-bad", "import no_such_module_here")
    install(tmp_path, "probe-one", GOOD)
    install(tmp_path, "probe-two", GOOD)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = harness("plugins", PYTHONPATH=path)
    assert done.returncode == 0 and not done.stderr
    shown = " ".join(done.stdout.split())
    assert "NOT LOADED: import failed: ModuleNotFoundError: No module named 'no_such_module_here'" in shown
    assert "conflict: loss 'probe_loss'" in shown and "probe-two 1.5" in shown
    done = harness("list", "losses", PYTHONPATH=path)
    assert done.returncode == 0 and "info_nce" in done.stdout
    done = harness("describe", "clip_vip", "--dataset", "shapes", PYTHONPATH=path)
    assert done.returncode == 0 and "stages.finetune.lr" in done.stdout


# the interface


def test_every_hook_says_what_it_is_for():
    """Each hook has a docstring that says when it is called."""
    hooks = {n: f for n, f in vars(hookspecs).items() if n.startswith("harness_") and callable(f)}
    assert len(hooks) >= len(KINDS)
    for name, hook in hooks.items():
        assert "Called" in (hook.__doc__ or ""), name


def test_every_kind_of_component_has_its_hook():
    """Each kind that can be looked up is filled by a hook of the interface."""
    for hook, _ in KINDS.values():
        assert hasattr(hookspecs, hook)


# who imports whom


def sources(*folders: Path) -> list[Path]:
    found = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    assert len(found) > 10
    return found


def imported(path: Path) -> set[str]:
    """Every module that a file imports by name, by statement or by ``import_module("...")``."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            modules.add(node.module)
            modules |= {f"{node.module}.{a.name}" for a in node.names if is_module(node.module, a.name)}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("import_module", "__import__"):
                modules.add(str(node.args[0].value))
    return modules


def is_module(package: str, name: str) -> bool:
    """Whether ``from package import name`` imports a module of the harness."""
    place = CORE.parent.joinpath(*package.split("."), name)
    return place.is_dir() or place.with_suffix(".py").is_file()


def tops(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in imported(path)}


def test_the_core_names_no_method_and_no_data_set():
    """No file of the core contains the name of a method or a data set; papers it may cite."""
    words = {"msrvtt", "clip4clip", "clip_vip", "didemo", "lsmdc", "activitynet", "vlab"}
    registry = installed()
    for kind in ("methods", "datasets"):
        words |= {spec.name for spec, _ in registry.specs(kind)}
    words -= {"shapes", "folder"}  # also what arrays have, and where files lie
    pattern = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, sorted(words)))})(?![\w-])")
    found = {
        str(path.relative_to(CORE)): sorted(set(pattern.findall(path.read_text(encoding="utf-8"))))
        for path in sources(CORE)
    }
    assert {path: hits for path, hits in found.items() if hits} == {}


def test_the_core_imports_no_plugin():
    """Plugins depend on the core, never the other way round."""
    packages = {path.name for path in PLUGINS.iterdir() if path.is_dir()}
    assert "harness_standard" in packages
    assert {str(path): tops(path) & packages for path in sources(CORE) if tops(path) & packages} == {}


def test_plugins_import_only_the_public_interface():
    """A built-in plugin uses the modules that a stranger's may use, and no others."""
    found = {}
    for path in sources(PLUGINS):
        inner = {m for m in imported(path) if m.partition(".")[0] == "harness"} - PUBLIC
        private = {m for m in inner if not f"{m}.".startswith(PUBLIC_PACKAGES)}
        if private:
            found[str(path.relative_to(PLUGINS))] = private
    assert found == {}


def test_plugins_do_not_import_each_other():
    """Each built-in plugin could be a distribution of its own."""
    packages = {path.name for path in PLUGINS.iterdir() if path.is_dir()}
    found = {}
    for path in sources(PLUGINS):
        others = tops(path) & packages - {path.relative_to(PLUGINS).parts[0]}
        if others:
            found[str(path.relative_to(PLUGINS))] = others
    assert found == {}


@pytest.mark.parametrize(
    ("door", "modules"),
    [("engine/execute*.py", {"ray"}), ("lazy.py", {"torchvision", "open_clip", "timm"})],
)
def test_heavy_libraries_have_one_door(door, modules):
    """Ray is imported where runs are executed, and torchvision, open_clip and timm in one module."""
    users = [path for path in sources(CORE, PLUGINS) if tops(path) & modules]
    assert users == sorted(CORE.glob(door))


@pytest.mark.parametrize("package", ["plan", "results", "report"])
def test_the_light_packages_import_no_torch(package):
    """Importing every module of the package leaves torch, ray and av alone."""
    modules = [f"harness.{package}.{path.stem}" for path in sorted((CORE / package).glob("*.py"))]
    code = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        "print(sorted({'torch', 'ray', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
