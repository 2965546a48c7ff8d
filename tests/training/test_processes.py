"""Real processes: killed, interrupted, and two at once."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from comictool.core.errors import UsageError
from comictool.training import distributed
from comictool.training.distributed import ProcessInfo, first_host, process_info, slurm_meeting_point
from comictool.training.metrics_log import read_metrics
from comictool.training.run_folder import RunFolder
from tests.training.conftest import Start, run, same, weights

OFTEN = "training.checkpoint_every=4"


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(folder / "metrics.jsonl") if row["event"] == "step"]


@pytest.mark.slow
def test_killed_anywhere_and_run_again_gives_the_same_weights(tmp_path: Path, start: Start) -> None:
    """SIGKILL in a step, while validating and while exporting; then the run is finished in this process."""
    folder, sets = tmp_path / "killed", ["model.dropout=0.2"]
    run(tmp_path / "whole", *sets)
    for moment in ("step:5", "validate:12", "export:6"):
        process = start(folder, [*sets, OFTEN], SYNTHETIC_KILL=moment)
        output, errors = process.communicate(timeout=120)
        if moment == "export:6":  # passed long ago: the run was beyond step 6 when it went on
            assert process.returncode == 0, errors
            assert json.loads(output)["step"] == 24
        else:
            assert process.returncode == -signal.SIGKILL, errors
    assert same(weights(tmp_path / "whole"), weights(folder))
    assert same(weights(tmp_path / "whole", "best.pt"), weights(folder, "best.pt"))
    assert losses(tmp_path / "whole") == losses(folder)
    model = (folder / "model" / "model.json").read_text()
    assert model == (tmp_path / "whole" / "model" / "model.json").read_text()


def test_a_killed_run_of_composed_batches_resumes_to_the_bit(tmp_path: Path, start: Start) -> None:
    """M samples a class, drawn with repeats: nothing of the order is in the checkpoint."""
    folder, sets = tmp_path / "killed", ["per_class=8", "training.limit=130", "training.epochs=5", OFTEN]
    run(tmp_path / "whole", *sets)
    process = start(folder, sets, SYNTHETIC_KILL="step:9")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, errors
    assert run(folder, *sets).step == 20
    assert losses(tmp_path / "whole") == losses(folder)
    assert same(weights(tmp_path / "whole"), weights(folder))


def test_killed_from_outside_at_any_moment(tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "run"
    run(tmp_path / "whole")
    process = start(folder, ["load_seconds=0.0", "training.checkpoint_every=1"])
    deadline = time.monotonic() + 100
    while not (folder / "checkpoints" / "last.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()  # somewhere among steps, checkpoints, exports
    process.communicate()
    run(folder, "training.checkpoint_every=1")
    assert same(weights(tmp_path / "whole"), weights(folder))
    assert losses(tmp_path / "whole") == losses(folder)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path: Path, start: Start, number: int, code: int) -> None:
    folder = tmp_path / "run"
    process = start(folder, ["load_seconds=0.05"])
    deadline = time.monotonic() + 100
    while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert output == ""
    assert "of 24 steps are finished and saved" in errors
    assert f"comictool train synthetic -o {folder}" in errors
    run(folder, "load_seconds=0.05")
    run(tmp_path / "whole")
    assert same(weights(tmp_path / "whole"), weights(folder))


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(tmp_path: Path, start: Start) -> None:
    """Gloo on the CPU; with accumulation, so that gradients are held back between the parts of a step."""
    sets = ["training.accumulate=2", "training.clip_norm=1", "training.ema=0.9"]
    process = start(tmp_path / "two", sets, "--devices", "2")
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert json.loads(output)["plan"]["processes"] == 2
    run(tmp_path / "one", *sets)
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) == 24
    assert two == pytest.approx(one, rel=1e-5)
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=1e-4)
    assert errors.count("best so far") >= 1
    assert "Traceback" not in errors


@pytest.mark.slow
def test_two_processes_go_on_each_with_its_own_random_numbers(tmp_path: Path, start: Start) -> None:
    """Dropout in two processes, one killed at step 9: the state of both is in the checkpoint of step 8."""
    sets = ["model.dropout=0.3", "training.epochs=2", OFTEN]
    for folder, environment, code in (("whole", {}, 0), ("parts", {"SYNTHETIC_KILL": "step:9"}, 5), ("parts", {}, 0)):
        process = start(tmp_path / folder, sets, "--devices", "2", **environment)
        _, errors = process.communicate(timeout=200)
        assert process.returncode == code, errors
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


@pytest.mark.slow
def test_two_processes_stop_together_and_tell_errors_once(tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "run"
    process = start(folder, ["load_seconds=0.05", "training.epochs=30"], "--devices", "2")
    deadline = time.monotonic() + 150
    while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130, errors
    assert errors.count("steps are finished and saved") == 1
    assert "Traceback" not in errors
    assert (folder / "checkpoints" / "last.pt").exists()
    process = start(folder, ["unused=true"], "--devices", "2")
    _, errors = process.communicate(timeout=150)
    assert process.returncode == 2, errors
    assert errors.count("begun with other settings") == 1
    assert "Traceback" not in errors


@pytest.mark.slow
def test_ctrl_c_while_workers_start_saves_the_run(tmp_path: Path, start: Start) -> None:
    """A terminal's Ctrl-C reaches the whole process group: also the processes that are about to load data."""
    for delay in (0.05, 0.5):
        folder = tmp_path / str(delay)
        process = start(folder, ["training.workers=2", "load_seconds=0.05", "training.epochs=50"])
        deadline = time.monotonic() + 100
        while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 130, errors
        assert "steps are finished and saved" in errors
        assert "Traceback" not in errors


@pytest.mark.slow
def test_one_of_two_processes_is_killed(tmp_path: Path, start: Start) -> None:
    process = start(tmp_path / "run", [], "--devices", "2", SYNTHETIC_KILL="step:5")
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 5, errors
    assert "one of the 2 processes of this run was killed" in errors
    assert "error: unexpected" not in errors, "the other one has nothing to report"


@pytest.mark.slow
def test_a_second_signal_leaves_no_process_behind(tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "run"
    process = start(folder, ["load_seconds=2", "training.epochs=30"], "--devices", "2")
    deadline = time.monotonic() + 150
    while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    process.communicate(timeout=60)  # ends when the last process has closed its streams: the run would take 6 minutes
    assert process.returncode == 130
    with RunFolder(folder).locked():
        pass


def test_a_process_that_lost_another_one_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "process_info", lambda: ProcessInfo(1, 2, 1, "torchrun"))
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda *a, **k: None)
    gloo = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:18155"
    with pytest.raises(distributed.PeerGone), distributed.group(torch.device("cpu")):
        raise RuntimeError(gloo)
    with pytest.raises(RuntimeError, match="shapes"), distributed.group(torch.device("cpu")):
        raise RuntimeError("shapes differ")


def test_the_place_of_a_process_comes_from_its_starter() -> None:
    assert process_info({}).world_size == 1
    torchrun = process_info({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"})
    assert (torchrun.rank, torchrun.world_size, torchrun.local_rank, torchrun.starter) == (3, 8, 1, "torchrun")
    step = {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "6", "SLURM_LOCALID": "2", "SLURM_NTASKS": "6"}
    assert process_info(step).starter == "slurm"
    batch_script = {"SLURM_PROCID": "0", "SLURM_NTASKS": "6", "SLURM_JOB_ID": "12"}
    assert process_info(batch_script).world_size == 1, "sbatch's own script has no other process to wait for"
    with pytest.raises(UsageError):
        process_info({"RANK": "8", "WORLD_SIZE": "8"})
    with pytest.raises(UsageError, match="not numbers"):
        process_info({**step, "SLURM_STEP_NUM_TASKS": "many"})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("gpu[07-09,12],big1", "gpu07"), ("n1", "n1"), ("n1,n2", "n1"), ("a,b[1-2]", "a"), ("rack[3,5]x", "rack3x")],
)
def test_first_machine_of_a_slurm_list(nodes: str, first: str) -> None:
    assert first_host(nodes) == first


def test_slurm_processes_meet_at_the_first_machine() -> None:
    many = {"SLURM_JOB_ID": "40001", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "gpu[07-08]"}
    assert slurm_meeting_point(many) == {"MASTER_ADDR": "gpu07", "MASTER_PORT": "20001"}
    assert slurm_meeting_point({**many, "SLURM_STEP_NUM_NODES": "1"})["MASTER_ADDR"] == "127.0.0.1"
    assert slurm_meeting_point({**many, "MASTER_PORT": "5"})["MASTER_PORT"] == "5"
    ports = {slurm_meeting_point({**many, "SLURM_STEP_ID": str(step)})["MASTER_PORT"] for step in range(50)}
    assert len(ports) == 50, "steps of one job that run side by side"
    with pytest.raises(UsageError, match="SLURM_STEP_ID"):
        slurm_meeting_point({**many, "SLURM_STEP_ID": "batch"})
