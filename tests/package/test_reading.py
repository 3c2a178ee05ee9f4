from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkev.base.errors import Faults, UserError
from inkev.package.reading import read_manifest, read_package

GOOD = """
schema = 1
[package]
name = "firewall"
version = "1.2.0"
summary = "Ordered rules"
license = "GPL-2.0-only OR BSD-2-Clause"
[requires]
inkev = ">=0.1"
kernel = ["lpm-trie"]
[requires.packages]
counter = "~=1.0"
[programs.main]
file = "src/firewall.c"
entry = "firewall"
[ports.outside]
[ports.inside]
[config.default]
type = "enum"
values = ["accept", "drop"]
default = "drop"
[config.timeout]
type = "duration"
default = "30s"
minimum = 1
[maps.flows]
version = 2
[tables.rules]
map = "rules"
engine = "classifier"
[tables.rules.columns]
src = { type = "prefix", default = "any" }
dport = { type = "l4ports", default = "any", field = "key.port" }
verdict = { type = "enum", values = ["accept", "drop"] }
[metrics.accepted]
help = "Packets accepted"
[reasons]
no-rule = "No rule matched"
[permissions]
packet = "read"
helpers = ["bpf_fib_lookup"]
"""

ENTRY = 'entry = "firewall"'
XDP = 'entry = "f"\ndialect = "xdp"\n'


def faults_of(text: str) -> set[tuple[str, str]]:
    with pytest.raises(Faults) as caught:
        read_manifest(text, "nf.toml")
    return {(fault.code, fault.where.removeprefix("nf.toml, ")) for fault in caught.value.faults}


def test_a_good_manifest_becomes_typed_values_in_the_order_of_the_file():
    manifest = read_manifest(GOOD, "nf.toml")
    assert manifest.package.version == "1.2.0"
    assert list(manifest.ports) == ["outside", "inside"]
    assert manifest.programs["main"].hooks == ("xdp", "tc")
    assert manifest.tables["rules"].columns["dport"].field == "key.port"


def test_every_fault_is_reported_at_once_with_its_place():
    text = """
        schema = 1
        lisence = 1
        [package]
        name = "Fire Wall"
        version = "1!2"
        summary = 5
        license = "GPL"
        [programs.main]
        file = "../x.c"
        hooks = ["xdp", "tcp"]
        includes = ["/usr/include"]
        [ports.in]
        program = "mian"
        [config.ttl]
        type = "u8"
        default = 300
        [config.mode]
        type = "enun"
        default = "x"
        [tables.t]
        map = "m"
        [tables.t.columns]
        a = { type = "u8", minimum = 9, maximum = 3 }
        b = { type = "mac", minimum = 1 }
        [permissions]
        packet = "all"
    """
    assert faults_of(text) == {
        ("unknown-key", "lisence"), ("bad-name", "package.name"), ("bad-version", "package.version"),
        ("wrong-type", "package.summary"), ("bad-license", "package.license"),
        ("unsafe-file-name", "programs.main.file"),
        ("missing-key", "programs.main.entry"), ("wrong-type", "programs.main.hooks"),
        ("unsafe-file-name", "programs.main.includes"), ("unknown-program", "ports.in.program"),
        ("bad-value", "config.ttl.default"), ("unknown-column-type", "config.mode.type"),
        ("bad-range", "tables.t.columns.a"), ("bad-range", "tables.t.columns.b"), ("wrong-type", "permissions.packet"),
    }


def test_an_unknown_key_offers_the_nearest_one():
    with pytest.raises(Faults) as caught:
        read_manifest(GOOD.replace("summary", "sumary"), "nf.toml")
    assert [fault.hint for fault in caught.value.faults if fault.code == "unknown-key"] == ["did you mean summary?"]


@pytest.mark.parametrize(("old", "new", "code", "where"), [
    ("schema = 1", "", "missing-key", "schema"),
    ('name = "firewall"', "", "missing-key", "package.name"),
    ('name = "firewall"', 'name = ""', "missing-key", "package.name"),
    ('"1.2.0"', '"1.2.0+mine"', "bad-version", "package.version"),
    ('"1.2.0"', '"new"', "bad-version", "package.version"),
    ('">=0.1"', '"0.1"', "bad-requirement", "requires.inkev"),
    ('counter = "~=1.0"', 'counter = "===1.0"', "bad-requirement", "requires.packages.counter"),
    ('counter = "~=1.0"', 'firewall = "*"', "requires-itself", "requires.packages.firewall"),
    ('["lpm-trie"]', '["LPM trie"]', "bad-name", "requires.kernel"),
    ('entry = "firewall"', 'entry = "fire-wall"', "bad-name", "programs.main.entry"),
    ('entry = "firewall"', 'entry = "f"\nhooks = []', "bad-hooks", "programs.main.hooks"),
    ('entry = "firewall"', 'entry = "f"\ndialect = "xdp"\nhooks = ["tc"]', "bad-hooks", "programs.main.hooks"),
    ('entry = "firewall"', 'entry = "f"\ndialect = "xdp"\nhooks = ["xdp", "tc"]', "bad-hooks", "programs.main.hooks"),
    ('entry = "firewall"', 'entry = "f"\ndialect = "bcc"', "bad-hooks", "programs.main.hooks"),
    ('entry = "firewall"', 'entry = "f"\ncodes = { XDP_DROP = "drop" }', "foreign-only", "programs.main.codes"),
    (ENTRY, f'{XDP}codes = {{ 2 = "port:sideways" }}', "unknown-port", "programs.main.codes.2"),
    (ENTRY, f'{XDP}codes = {{ 2 = "lose" }}', "bad-verdict", "programs.main.codes.2"),
    (ENTRY, f'{XDP}map-entries = {{ m = {{ 0g = "00" }} }}', "bad-value", "programs.main.map-entries.m"),
    ("[ports.inside]", "[ports.Inside]", "bad-name", "ports.Inside"),
    ("[ports.inside]", "[ports.inside]\n[programs.b]\nfile='b.c'\nentry='b'", "missing-key", "ports.inside.program"),
    ("[ports.inside]", "[ports.inside]\n" + "\n".join(f"[ports.p{n}]" for n in range(31)), "too-many-ports", "ports"),
    ('default = "30s"', 'default = "30"', "bad-value", "config.timeout.default"),
    ("minimum = 1", "minimum = 60_000_000_000", "value-out-of-range", "config.timeout.default"),
    ("[config.timeout]", "[config.a-b]\ntype = 'u8'\ndefault = 1\n[config.a_b]", "name-clash", "config.a_b"),
    ('type = "duration"', 'type = "duration"\nvalues = ["a"]', "bad-enum", "config.timeout.values"),
    ("version = 2", "version = 0", "bad-version", "maps.flows.version"),
    ("version = 2", "export = 'a'\nimport = 'b'", "bad-map", "maps.flows"),
    ('field = "key.port"', 'field = "key..port"', "bad-name", "tables.rules.columns.dport.field"),
    ('"bpf_fib_lookup"', '"fib_lookup"', "bad-name", "permissions.helpers"),
    ('version = "1.2.0"', 'version = "1.2.0"\nkind = "library"', "not-a-function", "programs"),
    ('version = "1.2.0"', 'version = "1.2.0"\nkind = "graph"', "wrong-kind", "graph"),
    ("[reasons]", "[graph]\n[reasons]", "wrong-kind", "graph"),
    ("[reasons]", "[reasons]\nNo = 'x'", "bad-name", "reasons.No"),
    ("[metrics.accepted]", "[metrics]\naccepted = 5\n[metrics.more]", "wrong-type", "metrics.accepted"),
])
def test_a_fault_is_found_where_it_stands(old, new, code, where):
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    assert (code, where) in faults_of(text)


def test_a_foreign_program_runs_on_the_hook_of_its_dialect():
    codes = 'codes = { TC_ACT_OK = "port:inside", -1 = "port:inside" }'
    foreign = GOOD.replace('entry = "firewall"', f'entry = "f"\ndialect = "tc"\n{codes}')
    assert read_manifest(foreign, "nf.toml").programs["main"].hooks == ("tc",)


def test_a_foreign_program_with_several_ways_out_says_which_is_meant():
    with pytest.raises(Faults) as caught:
        read_manifest(GOOD.replace('entry = "firewall"', 'entry = "f"\ndialect = "tc"'), "nf.toml")
    (fault,) = caught.value.faults
    assert (fault.code, fault.where) == ("which-port", "nf.toml, programs.main.codes")
    assert "TC_ACT_OK or 0, TC_ACT_UNSPEC or -1" in fault.message
    assert fault.hint.startswith('write codes = { TC_ACT_OK = "port:')


def test_text_that_is_not_toml_names_the_line():
    with pytest.raises(UserError) as caught:
        read_manifest("schema = 1\n[package\n", "nf.toml")
    assert caught.value.code == "bad-toml"
    assert "line 2" in caught.value.faults[0].why


def test_a_newer_schema_is_refused_alone():
    with pytest.raises(UserError) as caught:
        read_manifest("schema = 2\nnew = 1", "nf.toml")
    assert caught.value.code == "unknown-schema"


def test_a_package_names_only_files_that_it_has(tmp_path: Path):
    (tmp_path / "nf.toml").write_text(GOOD)
    with pytest.raises(Faults) as caught:
        read_package(tmp_path)
    assert caught.value.code == "no-such-file"
    (tmp_path / "src").mkdir()
    (tmp_path / "src/firewall.c").write_text("int x;")
    assert read_package(tmp_path)[1] == tmp_path


def test_a_link_out_of_the_package_is_no_file_of_it(tmp_path: Path):
    (tmp_path / "nf.toml").write_text(GOOD)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/firewall.c").symlink_to("/etc/hostname")
    with pytest.raises(Faults):
        read_package(tmp_path)


def test_a_folder_without_a_manifest_is_no_package(tmp_path: Path):
    with pytest.raises(UserError) as caught:
        read_package(tmp_path)
    assert caught.value.code == "no-manifest"


KEYS = ["schema", "package", "name", "type", "programs", "hooks", "dialect", "columns", "default", "codes", "x"]
SECTIONS = ["schema", "package", "requires", "programs", "ports", "config", "maps", "tables", "metrics", "reasons"]
toml_values = st.recursive(
    st.integers(-5, 5) | st.booleans() | st.sampled_from(["", "a", "u8", "xdp", "drop"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(SECTIONS), toml_values, min_size=1))
def test_no_table_however_odd_raises_anything_but_faults(table):
    import tomlkit

    with pytest.raises(UserError):
        read_manifest(tomlkit.dumps(table), "nf.toml")
