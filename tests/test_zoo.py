"""The zoo's models are repeatable, build as they are, and tell right numbers from wrong ones."""

import numpy as np
import numpy.typing as npt
import pytest
import tvm
from tvm import relay
from tvm.contrib.graph_executor import GraphModule

from benchmarks import zoo


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
