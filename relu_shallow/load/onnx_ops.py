"""The ONNX operators that are read, on values that depend on the input and on constants, and why others are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relu_shallow.errors import ModelError
from relu_shallow.load.onnx_arithmetic import ARITHMETIC
from relu_shallow.load.onnx_constants import CONSTANT, constant_size
from relu_shallow.load.onnx_node import Node
from relu_shallow.load.onnx_resize import RESIZES
from relu_shallow.load.onnx_shapes import SHAPES
from relu_shallow.load.onnx_windows import WINDOWS
from relu_shallow.load.walk import refuse_layer

__all__ = ["CONSTANT", "SYMBOLIC", "constant_size", "refusal"]

SYMBOLIC: dict[str, Callable[..., Any]] = {**ARITHMETIC, **SHAPES, **WINDOWS, **RESIZES}

SMOOTH = ("Celu", "Elu", "Erf", "Exp", "Gelu", "HardSwish", "Log", "Mish", "Reciprocal", "Selu", "Softplus", "Softsign",
          "Sqrt", "Swish", "SwiGLU")  # fmt: skip
JUMPS = ("ArgMax", "ArgMin", "Ceil", "Equal", "Floor", "Greater", "GreaterOrEqual", "Hardmax", "IsInf", "IsNaN", "Less",
         "LessOrEqual", "Mod", "NonMaxSuppression", "NonZero", "Not", "Round", "Sign")  # fmt: skip
OWN_STATISTICS = ("GroupNormalization", "InstanceNormalization", "LayerNormalization", "LpNormalization", "LRN",
                  "MeanVarianceNormalization", "RMSNormalization")  # fmt: skip
CONTROL = ("If", "Loop", "Scan")
MANY_TENSORS = ("ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement", "SequenceAt",
                "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength",
                "SequenceMap", "SplitToSequence")  # fmt: skip
QUANTISED = ("ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv",
             "QLinearMatMul", "QuantizeLinear")  # fmt: skip
RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
WHY: dict[str, str] = (
    dict.fromkeys(SMOOTH, "curved")
    | dict.fromkeys(JUMPS, "not continuous: it jumps")
    | dict.fromkeys(OWN_STATISTICS, "a normalisation by each row's own values, which is a quotient of two of them")
    | dict.fromkeys(CONTROL, "control flow on values, which is not followed; export the model without")
    | dict.fromkeys(MANY_TENSORS, "an operation on sequences or optional values, of which only single tensors are read")
    | dict.fromkeys(RANDOM, "random")
)
DOMAINS = {
    "ai.onnx.ml": "an operator of classical machine learning (trees, vectors machines, scalers), not of a network",
    "com.microsoft": "made by onnxruntime's own optimiser or quantiser; give the file from before that",
    "ai.onnx.training": "an operator of training; export the model for inference",
    "ai.onnx.preview.training": "an operator of training; export the model for inference",
}


def refusal(node: Node) -> ModelError:
    """The error for an operator that is not read: what it is, and what can be done."""
    own = node.domain in ("", "ai.onnx")
    full = node.op if own else f"{node.domain}.{node.op}"
    if node.op in QUANTISED or (node.domain == "com.microsoft" and node.op.startswith("QLinear")):
        return ModelError(f"layer {node.name} is {full}: the model is quantised to whole numbers, so its outputs are "
                          "steps, not linear pieces. Convert the model in float from which it was made; to convert "
                          f"the part before it, use --until {node.name}")  # fmt: skip
    why = WHY.get(node.op, "") if own else DOMAINS.get(node.domain, "an operator of a domain of its own")
    return refuse_layer(node.name, f"{full} ({why})" if why else full)
