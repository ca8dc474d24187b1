"""The zoo's models are repeatable, build as they are, and tell right numbers from wrong ones; so do their peers."""

import os
import sys

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm import relay
from tvm.contrib.graph_executor import GraphModule

from benchmarks import peers, torch_models, zoo
from benchmarks.own_process import CORES, OwnProcess, PeerError, Run


def outputs(model: zoo.ZooModel, seeds: tuple[int, ...]) -> list[npt.NDArray[np.float32]]:
    target = f"llvm -mcpu={tvm.target.codegen.llvm_get_system_cpu()}"
    with tvm.transform.PassContext(opt_level=3):
        library = relay.build(model.mod, target, params=model.params)
    executor = GraphModule(library["default"](tvm.cpu(0)))
    results = []
    for seed in seeds:
        executor.set_input(**zoo.input_values(model.mod, seed, model.params))
        executor.run()
        results.append(executor.get_output(0).numpy())
    return results


@pytest.mark.parametrize("name", ["squeezenet", "lstm"])
def test_outputs_are_finite_and_depend_on_the_inputs(name: str) -> None:
    first, second, again = outputs(zoo.load(name), (0, 1, 0))
    assert np.isfinite(first).all() and first.std() > 0
    assert not np.allclose(first, second, rtol=1e-3, atol=0)
    np.testing.assert_array_equal(first, again)


def test_a_seed_fixes_the_weights() -> None:
    first, again, other = (zoo.load("lstm", seed).params for seed in (0, 0, 1))
    assert first.keys() == again.keys() == other.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value.numpy(), again[name].numpy())
        assert not np.array_equal(value.numpy(), other[name].numpy())


def test_every_input_has_its_own_name() -> None:
    model = zoo.load("lstm")
    names = [var.name_hint for var in model.mod["main"].params]
    assert len(names) == len(set(names))
    inputs = zoo.input_values(model.mod, 0, model.params)
    assert sorted(inputs) == [f"data_{step}" for step in range(6)]
    assert set(inputs) | set(model.params) == set(names)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no model 'squeezent' in the zoo; there are alexnet, .*bert2"):
        zoo.load("squeezent")


def test_the_physics_formulas_give_the_published_check_values() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks import physics

    def scalars(*values: float) -> list[object]:
        return [torch.tensor(value, dtype=torch.float64) for value in values]

    assert physics.density(*scalars(5, 35, 0)).item() == pytest.approx(1027.67547, abs=1e-5)
    assert physics.density(*scalars(25, 35, 1000)).item() == pytest.approx(1062.53817, abs=1e-5)
    assert physics.sound_speed(*scalars(25, 35, 1000)).item() == pytest.approx(1550.744, abs=1e-3)


def test_a_torch_model_has_no_weight_that_simplifies_away() -> None:
    model = torch_models.load("bert2", np.random.default_rng(0))
    for key, value in model.module.named_parameters():
        assert value.std() > 0.01, key


def test_eager_pytorch_computes_what_relay_build_computes() -> None:
    assert_peers_agree("lstm", ["torch eager"])


@pytest.mark.campaign
@pytest.mark.parametrize("name", peers.MODELS)
def test_every_peer_computes_what_relay_build_computes(name: str) -> None:
    assert_peers_agree(name, ["onnxruntime"] if name in zoo.LIGHT_ONNX else ["torch eager", "torch.compile"])


def assert_peers_agree(name: str, systems: list[str]) -> None:
    chosen = [peer for peer in peers.peers(name) if peer.name in systems]
    assert [peer.name for peer in chosen] == systems
    with OwnProcess(peers.relay_build(name).prepare) as process:
        reference = process.outputs
    for peer in chosen:
        with OwnProcess(peer.prepare) as process:
            assert peers.max_relative_difference(process.outputs, reference) < 1e-3


def cores_of_a_run() -> Run:
    cores = np.array(sorted(os.sched_getaffinity(0)))
    return lambda: [cores]


def fails() -> Run:
    raise ValueError("no such thing\nmore")


def ends() -> Run:
    sys.exit(3)


def test_an_own_process_has_all_cores_though_its_parent_is_bound_to_one() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(CORES)})
    try:
        with OwnProcess(cores_of_a_run) as process:
            assert set(process.outputs[0].tolist()) == CORES
            assert len(process.times_ms(0.0, at_least=7)) == 7
    finally:
        os.sched_setaffinity(0, before)


def test_an_own_process_says_why_it_failed() -> None:
    with pytest.raises(PeerError, match=r"^ValueError: no such thing$"):
        OwnProcess(fails)
    with pytest.raises(PeerError, match="exit code 3"):
        OwnProcess(ends)


def test_a_peer_refuses_more_threads_than_its_cores() -> None:
    (peer,) = peers.peers("squeezenet", threads=len(CORES) + 1)
    with pytest.raises(PeerError, match=f"{len(CORES) + 1} threads on cores"):
        peer.prepare()


@pytest.mark.parametrize("number", range(10))
def test_a_net_of_every_drawn_family_is_imported_and_is_always_the_same(number: int) -> None:
    first, again = (zoo.load(f"drawn_{number}").mod for _ in range(2))
    tvm.ir.assert_structural_equal(first, again)
    assert not tvm.ir.structural_equal(first, zoo.load(f"drawn_{number + 10}").mod)


@pytest.mark.parametrize("number", [1, 2, 13, 17])
def test_a_small_published_net_is_imported_and_is_always_the_same(number: int) -> None:
    first, again = (zoo.load(f"published_{number}").mod for _ in range(2))
    tvm.ir.assert_structural_equal(first, again)
