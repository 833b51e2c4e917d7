"""A recipe: every training setting, declared once with its default, range and help in two languages.

The form on the page, the JSON or YAML file and the command-line flags are derived from this class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from qwenlab.errors import QwenlabError, nearest

Language = Literal["en", "zh"]


def _setting(default: Any, en: tuple[str, str], zh: tuple[str, str], **limits: Any) -> Any:
    """A field with (title, help) in English and Chinese."""
    extra: dict[str, Any] = {"title_zh": zh[0], "help_zh": zh[1]}
    return Field(default, title=en[0], description=en[1], json_schema_extra=extra, **limits)


class Recipe(BaseModel):
    """How to train one model. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    model: str = _setting(
        "qwen2.5-coder-0.5b",
        ("Base model", "Catalogue name or Hugging Face folder of the model that learns."),
        ("基础模型", "要学习的模型：目录中的名称，或 Hugging Face 文件夹。"),
    )
    data: str = _setting(
        "data/after-sales.train.json",
        ("Training data", "The train.json to learn from."),
        ("训练数据", "用来学习的 train.json。"),
    )
    languages: list[Language] = _setting(
        [],
        ("Languages", "Train on samples in these languages only; empty: all that the model speaks."),
        ("语言", "只用这些语言的样本训练；留空则使用模型会说的全部语言。"),
    )
    method: Literal["lora", "qlora", "full"] = _setting(
        "lora",
        (
            "Method",
            "lora: a small adapter beside the frozen base. qlora: the same beside a 4-bit base, which needs less "
            "memory. full: every weight of the model, which needs many times more.",
        ),
        (
            "方法",
            "lora：基础模型不变，旁边训练一个小的适配器。qlora：同上，但基础模型为 4 位，更省内存。"
            "full：训练模型的全部权重，需要多倍的内存。",
        ),
    )
    target: Literal["all", "attention"] = _setting(
        "all",
        ("Adapted layers", "all: every linear layer. attention: the attention layers only; smaller, learns less."),
        ("适配的层", "all：所有线性层。attention：只有注意力层，更小，但学得更少。"),
    )
    labels: Literal["answers", "qwen-original"] = _setting(
        "answers",
        (
            "What is trained",
            "answers: what the assistant says, and that it stops then. qwen-original: also the signs around every "
            "turn, as Qwen's own script did; only for models that write in ChatML.",
        ),
        (
            "训练的内容",
            "answers：助手说的话，以及说完即止。qwen-original：另加每一轮前后的标记，与 Qwen 原脚本相同；"
            "仅适用于使用 ChatML 格式的模型。",
        ),
    )
    epochs: float = _setting(
        2.0,
        ("Epochs", "How many times every sample is seen."),
        ("轮数", "每个样本学习多少遍。"),
        gt=0,
        le=100,
    )
    max_steps: int = _setting(
        0,
        ("Most steps", "Stop after this many optimizer steps; 0: as the epochs say."),
        ("最多步数", "到达这么多优化步后停止；0 表示由轮数决定。"),
        ge=0,
        le=1_000_000,
    )
    learning_rate: float = _setting(
        3e-4,
        ("Learning rate", "How far each step moves the adapter. Above 1e-3 training often falls apart."),
        ("学习率", "每一步移动的幅度。超过 1e-3 训练常会崩溃。"),
        gt=0,
        le=1e-2,
    )
    schedule: Literal["linear", "cosine", "constant"] = _setting(
        "linear",
        ("Schedule", "How the learning rate falls towards the end."),
        ("学习率曲线", "学习率在训练中如何下降。"),
    )
    warmup: float = _setting(
        0.05,
        ("Warm-up", "Share of the steps in which the learning rate rises from zero."),
        ("预热", "学习率从零上升所占步数的比例。"),
        ge=0,
        le=0.5,
    )
    batch_size: int = _setting(
        8,
        ("Batch size", "Samples per optimizer step."),
        ("批大小", "每个优化步使用的样本数。"),
        ge=1,
        le=1024,
    )
    micro_batch: int = _setting(
        4,
        ("Micro-batch", "Samples computed at once; smaller needs less memory and gives the same result."),
        ("微批大小", "一次同时计算的样本数；越小越省内存，结果不变。"),
        ge=1,
        le=256,
    )
    checkpointing: Literal["no", "yes"] = _setting(
        "no",
        ("Save memory", "yes: compute the layers again on the way back; far less memory, about half as slow again."),
        ("节省内存", "yes：反向时重新计算各层；内存大减，时间约增加一半。"),
    )
    max_length: int = _setting(
        1024,
        ("Longest sample", "In tokens. No longer sample is ever cut through an answer."),
        ("最长样本", "以 token 计。更长的样本绝不会从回答中间截断。"),
        ge=32,
        le=32768,
    )
    too_long: Literal["leave_out", "drop_history"] = _setting(
        "leave_out",
        (
            "Samples that are too long",
            "leave_out: they are not trained. drop_history: their oldest turns are dropped until the rest fits. "
            "Either way they are listed.",
        ),
        (
            "过长的样本",
            "leave_out：不参与训练。drop_history：从最早的轮次开始去掉，直到放得下。两种情况都会列出。",
        ),
    )
    rank: int = _setting(
        16,
        ("LoRA rank", "Width of the adapter: more can learn more and costs a little more."),
        ("LoRA 秩", "适配器的宽度：越大能学得越多，成本略增。"),
        ge=1,
        le=256,
    )
    alpha: int = _setting(
        32,
        ("LoRA alpha", "Weight of the adapter; twice the rank is customary."),
        ("LoRA alpha", "适配器的权重；通常为秩的两倍。"),
        ge=1,
        le=1024,
    )
    dropout: float = _setting(
        0.0,
        ("LoRA dropout", "Share of adapter inputs left out at random; helps with very few samples."),
        ("LoRA dropout", "随机丢弃的适配器输入比例；样本很少时有帮助。"),
        ge=0,
        le=0.5,
    )
    weight_decay: float = _setting(
        0.0,
        ("Weight decay", "Pulls the adapter's weights towards zero."),
        ("权重衰减", "把适配器权重拉向零。"),
        ge=0,
        le=1,
    )
    validation: float = _setting(
        0.0,
        ("Validation share", "Share of the samples kept out of training to watch the loss on."),
        ("验证比例", "不参与训练、只用来观察损失的样本比例。"),
        ge=0,
        le=0.5,
    )
    suite: str = _setting(
        "",
        (
            "Deciding test",
            "Name or path of a test suite: the checkpoint that scores best on it becomes the result. "
            "Empty: the last one does.",
        ),
        ("决定性测试", "测试集的名称或路径：在其中得分最高的检查点成为训练结果。留空则采用最后的结果。"),
    )
    looks: int = _setting(
        4,
        (
            "Looks",
            "How often, evenly spread and at last at the end, the model so far is saved and tried: on the deciding "
            "test, and on the samples kept out.",
        ),
        ("检查次数", "训练中均匀检查几次，最后一次在结束时：保存当前模型，用决定性测试和未参与训练的样本检验。"),
        ge=1,
        le=50,
    )
    look_cases: int = _setting(
        24,
        (
            "Test cases per look",
            "How many cases of the deciding test a look asks, evenly chosen; 0: all. "
            "A later test of this run counts them apart.",
        ),
        ("每次检查的用例数", "每次检查从决定性测试中均匀选出几个用例；0 表示全部。之后测试此训练时，它们单独计算。"),
        ge=0,
        le=10_000,
    )
    patience: int = _setting(
        0,
        (
            "Patience",
            "Stop after this many looks in a row without a better result: on the deciding test, or else on the samples "
            "kept out; 0: train to the end.",
        ),
        (
            "耐心",
            "连续这么多次检查都没有更好的结果就停止：看决定性测试，没有时看未参与训练的样本；0 表示训练到底。",
        ),
        ge=0,
        le=100,
    )
    save_minutes: float = _setting(
        2.0,
        ("Save every ... minutes", "A crash loses at most this much work."),
        ("每隔几分钟保存", "意外中断最多损失这么久的工作。"),
        gt=0,
        le=600,
    )
    seed: int = _setting(
        7,
        ("Seed", "The same seed gives the same order of samples and the same start."),
        ("随机种子", "相同的种子得到相同的样本顺序和起点。"),
        ge=0,
        le=2**31 - 1,
    )
    processes: int = _setting(
        1,
        ("Processes", "On each machine; one per GPU. They share every batch."),
        ("进程数", "每台机器上的进程数，每块 GPU 一个；它们分担每一批样本。"),
        ge=1,
        le=64,
    )
    machines: int = _setting(
        1,
        (
            "Machines",
            "How many machines train together. The run waits for the others and shows the command to run there.",
        ),
        ("机器数", "一起训练的机器数量。训练会等待其他机器，并给出要在那里运行的命令。"),
        ge=1,
        le=64,
    )
    sharding: Literal["none", "zero2", "zero3"] = _setting(
        "none",
        (
            "Sharding",
            "Through DeepSpeed. zero2: the processes divide gradients and optimizer among them. "
            "zero3: the weights as well; slower.",
        ),
        ("分片", "使用 DeepSpeed。zero2：各进程分担梯度和优化器状态。zero3：连权重也分担，更慢。"),
    )

    @field_validator("checkpointing", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> Any:
        return ("no", "yes")[value] if isinstance(value, bool) else value  # YAML reads yes as true

    @property
    def share(self) -> int:
        """Samples of one optimizer step that each process takes."""
        return max(1, self.batch_size // (self.processes * self.machines))

    @property
    def at_once(self) -> int:
        """Samples that a process really computes at once: the largest divisor of its share within `micro_batch`."""
        return next(micro for micro in range(min(self.micro_batch, self.share), 0, -1) if self.share % micro == 0)


RECOMMENDED: dict[str, dict[str, Any]] = {
    "qwen2.5-coder-0.5b": {"epochs": 1, "batch_size": 4, "learning_rate": 3e-4},
    "smollm2-135m": {"epochs": 3, "learning_rate": 8e-4},
}
"""What each catalogue model learns the shipped case with; docs/benchmarks.md says how it was chosen."""


def recommended(model: str) -> dict[str, Any]:
    """Settings that suit a model; a model that is not in the catalogue gets the defaults."""
    return dict(RECOMMENDED.get(Path(model).name, {}))


def read(values: dict[str, Any]) -> Recipe:
    """A checked recipe from plain values.

    Raises:
        QwenlabError: naming the first wrong setting, with its range or the nearest known name, or two settings
            that cannot go together.
    """
    for key in values:
        if key not in Recipe.model_fields:
            known = ", ".join(Recipe.model_fields)
            hint = nearest(key, Recipe.model_fields, "zh")
            raise QwenlabError(
                f"A recipe has no setting {key!r}.{nearest(key, Recipe.model_fields)}",
                f"Settings are: {known}.",
                zh=(f"配方中没有设置 {key!r}。{hint}", f"可用的设置：{known}。"),
            )
    try:
        recipe = Recipe(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise QwenlabError(
            f"The recipe's {name} is {first['input']!r}: {first['msg'].lower()}.",
            Recipe.model_fields[name].description or "",
            zh=_wrong_zh(name, first["input"]),
        ) from error
    _check_together(recipe)
    return recipe


def _check_together(recipe: Recipe) -> None:
    """Refuse settings that are right one by one and impossible together."""
    everywhere = recipe.processes * recipe.machines
    if recipe.batch_size % everywhere:
        raise QwenlabError(
            f"A batch of {recipe.batch_size} samples cannot be shared evenly by {everywhere} processes.",
            f"Set batch_size to a multiple of {everywhere}, or change processes and machines.",
            zh=(
                f"每批 {recipe.batch_size} 个样本无法平均分给 {everywhere} 个进程。",
                f"请把“批大小”设为 {everywhere} 的倍数，或更改进程数和机器数。",
            ),
        )
    if recipe.method == "qlora" and recipe.sharding == "zero3":
        raise QwenlabError(
            "qlora cannot be used with zero3: a 4-bit base is not divided among processes.",
            "Set sharding to zero2 or none, or method to lora.",
            zh=(
                "qlora 不能与 zero3 一起使用：4 位基础模型无法分给各进程。",
                "请把“分片”设为 zero2 或 none，或把“方法”设为 lora。",
            ),
        )
    if recipe.suite and recipe.sharding == "zero3":
        raise QwenlabError(
            "No test can decide with zero3: each process holds a part of the weights, so none can answer.",
            "Set sharding to zero2 or none, or leave suite empty.",
            zh=(
                "使用 zero3 时不能由测试来决定：每个进程只有一部分权重，无法回答问题。",
                "请把“分片”设为 zero2 或 none，或不选“决定性测试”。",
            ),
        )


def named(changes: dict[str, Any]) -> tuple[str, str]:
    """Settings and the values they shall get, in words: "micro_batch to 1 and checkpointing to yes", and in Chinese."""
    settings = Recipe.model_json_schema()["properties"]
    *first, last = [f"{name} to {value}" for name, value in changes.items()]
    zh = "，".join(f"“{settings[name]['title_zh']}”设为 {value}" for name, value in changes.items())
    return f"{', '.join(first)} and {last}" if first else last, zh


def _wrong_zh(name: str, value: Any) -> tuple[str, str]:
    """In Chinese: which setting is wrong, its range or choices, and its help."""
    schema = Recipe.model_json_schema()["properties"][name]
    signs = {"exclusiveMinimum": "大于 ", "minimum": "不小于 ", "maximum": "不大于 "}
    limits = [f"{sign}{schema[key]:g}" for key, sign in signs.items() if key in schema]
    choices = schema.get("enum") or [schema[key] for key in ("const",) if key in schema]
    limits += [f"可选 {'、'.join(choices)}"] if choices else []
    allowed = f"（{'，'.join(limits)}）" if limits else ""
    return f"设置“{schema['title_zh']}”的值 {value!r} 不合法{allowed}。", schema["help_zh"]


def read_file(path: Path) -> dict[str, Any]:
    """The settings that a YAML or JSON recipe file names, unchecked.

    Raises:
        QwenlabError: when the file is missing or holds no mapping.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise QwenlabError(
            f"The recipe {path} cannot be read: {error}.",
            "Check the path and the file.",
            zh=(f"无法读取配方 {path}：{error}。", "请检查路径和文件。"),
        ) from error
    if not isinstance(values, dict):
        raise QwenlabError(
            f"The recipe {path} holds no settings.",
            "Write lines such as: epochs: 2",
            zh=(f"配方 {path} 中没有任何设置。", "请写成 epochs: 2 这样的行。"),
        )
    return values
