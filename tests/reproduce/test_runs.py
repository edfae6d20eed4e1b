"""A run that is run again is the same to the last bit; what is not the same is found and placed."""

import re

import pandas as pd
import pytest

from backscope.config import compose
from backscope.tracking import store


def alter(path, change):
    """Change a run's trace."""
    trace = pd.read_parquet(path)
    change(trace)
    trace.to_parquet(path)


def test_a_run_is_identical(reproduce, recorded):
    status, said = reproduce()
    count = len(pd.read_parquet(recorded.files / "trace.parquet"))
    keys = [key for key in store.client(recorded.uri).get_run(recorded.run_id).data.metrics if "seconds" not in key]
    assert said.startswith(f"he · relu · 3 · sgd, {recorded.run_id}\n")
    assert f"identical: {len(keys)} metrics, {count:,} measurements, bit for bit" in said
    assert status == 0 and count > 300 and len(keys) > 15


def test_the_command_in_the_description_reproduces(reproduce, recorded):
    note = store.client(recorded.uri).get_run(recorded.run_id).data.tags["mlflow.note.content"]
    entry = re.search(r"`make reproduce RUN=(\S+)`", note)[1]
    status, said = reproduce(entry)
    assert status == 0 and said.startswith(f"he · relu · 3 · sgd, {recorded.run_id}\n")
    recorded.change("UPDATE tags SET value = 'false' WHERE key = 'entry' AND value = ?", entry)
    assert reproduce(entry)[0] == 2


def test_nothing_is_tracked(reproduce, recorded):
    def kept():
        return {path: path.read_bytes() for path in recorded.files.rglob("*") if path.is_file()}

    before = kept()
    assert reproduce()[0] == 0
    assert kept() == before
    assert len(store.client(recorded.uri).search_runs(["0", "1"])) == 1


def test_a_seed_that_was_tampered_with_is_noticed_and_placed_at_the_initialization(reproduce, recorded, edit):
    edit(recorded.files / "config.yaml", lambda config: config.update(seed=1))
    status, said = reproduce()
    assert status == 1
    assert "altered: config.yaml has the hash " in said
    assert "altered: seed is 1 in config.yaml, 0 in the run's parameters" in said
    assert "first grad_norm, layer 1, step 0, replica 0: " in said


def test_a_tampered_seed_whose_traces_were_covered_up_is_found_by_the_numbers(reproduce, recorded, edit):
    edit(recorded.files / "config.yaml", lambda config: config.update(seed=1))
    digest = compose(*recorded.overrides, "seed=1").hash()
    recorded.change("UPDATE tags SET value = ? WHERE key = 'config_hash'", digest)
    recorded.change("UPDATE params SET value = '1' WHERE key = 'seed'")
    status, said = reproduce()
    assert status == 1 and "altered" not in said
    assert "first grad_norm, layer 1, step 0, replica 0: " in said


def test_a_parameter_that_was_altered_in_the_store(reproduce, recorded):
    recorded.change("UPDATE params SET value = '7' WHERE key = 'model.depth'")
    status, said = reproduce()
    assert status == 1 and "altered: model.depth is 3 in config.yaml, 7 in the run's parameters" in said
    assert "identical: " in said


def test_a_metric_that_was_altered_in_the_store(reproduce, recorded):
    where = "WHERE key = 'grad_norm/layer_02' AND step = 10"
    recorded.change(f"UPDATE metrics SET value = value * (1 + 1e-12) {where}")
    status, said = reproduce()
    assert status == 1
    assert "different:\n  1 of " in said and "values of metrics, by at most 1e-12 relative" in said
    assert "first grad_norm/layer_02, step 10: " in said
    assert reproduce(recorded.run_id, "--tolerance", "1e-11")[0] == 0
    recorded.change(f"DELETE FROM metrics {where}")
    status, said = reproduce(recorded.run_id, "--tolerance", "1")
    assert status == 1 and "grad_norm/layer_02, step 10: nothing recorded, " in said


def test_a_trace_that_was_altered_in_one_place_is_different_there_whatever_the_tolerance_below(reproduce, recorded):
    def change(trace):
        at = trace[(trace.quantity == "delta_rms") & (trace.step == 10) & (trace.replica == 1) & (trace.layer == 2)]
        trace.loc[at.index, "value"] *= 1 + 1e-6

    alter(recorded.files / "trace.parquet", change)
    status, said = reproduce(recorded.run_id, "--tolerance", "1e-9")
    assert status == 1 and "different:\n  1 of " in said
    assert "first delta_rms, layer 2, step 10, replica 1: " in said and "1e-06 relative" in said
    status, said = reproduce(recorded.run_id, "--tolerance", "1e-5")
    assert status == 0 and "within the tolerance of 1e-05:\n  1 of " in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda config: config["model"].pop("dropout"), "another schema than this version's: missing model.dropout"),
        (
            lambda config: config["tracking"].pop("series"),
            "another schema than this version's: missing tracking",
        ),
        (lambda config: config["init"].update(size=1), "another schema than this version's: unknown init.size"),
        (lambda config: config.pop("loss"), "missing loss.name"),
        (lambda config: config["init"].update(_target_="os.system"), "config.yaml: init._target_: not allowed"),
        (lambda config: config["model"].update(depth=-1), "config.yaml: model.depth=-1: allowed is "),
        (lambda config: config["data"].update(name="arrays", digest="12ab"), "on arrays of its own, 12ab, which"),
        (lambda config: config["activation"].update(name="swish"), "activation.name=swish: allowed is one of "),
    ],
)
def test_a_configuration_that_this_version_does_not_allow(reproduce, recorded, change, said, edit):
    edit(recorded.files / "config.yaml", change)
    status, output = reproduce()
    assert status == 2 and output.count("\n") == 1
    assert output.startswith(f"backscope: RUN={recorded.run_id}: config.yaml: ") and said in output


def test_keys_that_say_only_where_a_run_was_tracked_may_be_those_of_another_version(reproduce, recorded, edit):
    edit(recorded.files / "config.yaml", lambda config: config.update(tracking={"series": ["grad_norm"], "place": 1}))
    assert reproduce()[0] == 0


def test_files_that_are_missing_or_are_something_else(reproduce, recorded):
    trace, config = recorded.files / "trace.parquet", recorded.files / "config.yaml"
    content = trace.read_bytes()
    for broken, said in (
        (lambda: trace.write_bytes(b"nothing"), "trace.parquet: "),
        (lambda: pd.DataFrame({"a": [1]}).to_parquet(trace), "allowed are the columns quantity, step"),
        (trace.unlink, "its file trace.parquet is missing"),
        (lambda: config.write_text("- a\n") and trace.write_bytes(content), "allowed is a mapping"),
        (lambda: config.write_text("a: [\n"), "config.yaml: not YAML"),
        (lambda: config.write_text("!!python/object/apply:os.getcwd []\n"), "config.yaml: not YAML"),
        (config.unlink, "its file config.yaml is missing"),
    ):
        broken()
        status, output = reproduce()
        assert status == 2 and output.count("\n") == 1 and said in output, output


def test_runs_that_cannot_be_reproduced(reproduce, recorded):
    client = store.client(recorded.uri)
    tags = ({"kind": "sweep"}, {}, {"error": "ValueError: no"}, {})
    parent, running, failed, deleted = (client.create_run("1", tags=each).info.run_id for each in tags)
    client.set_terminated(failed, "FAILED")
    client.delete_run(deleted)
    for run_id, said in (
        ("abc", "no such run in sqlite:///"),
        ("../../etc/passwd", "no such run in sqlite:///"),
        (parent, "a sweep, not a run"),
        (running, "it is RUNNING; allowed is a run that is FINISHED"),
        (failed, "it is FAILED (ValueError: no)"),
        (deleted, "it was deleted"),
    ):
        status, output = reproduce(run_id)
        assert status == 2 and output.startswith(f"backscope: RUN={run_id}: {said}"), output
    status, output = reproduce(failed, recorded.run_id)
    assert status == 2 and "identical: " in output
