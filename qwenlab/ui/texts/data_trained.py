"""Texts of what will be trained: the tokens of a sample, the lengths of a set."""

from __future__ import annotations

TEXTS: dict[str, tuple[str, str]] = {
    "trained_title": ("What will be trained", "将要训练的内容"),
    "trained_title_set": ("What will be trained, in the whole set", "整个数据集将要训练的内容"),
    "trained_loading": ("Reading the model's vocabulary, once", "正在读取模型词表（仅首次）"),
    "trained_counting": ("Counting tokens: {done} of {all} samples", "正在统计 token：{done} / {all} 个样本"),
    "trained_count": ("{trained} of {tokens} tokens are trained", "{tokens} 个 token 中有 {trained} 个参与训练"),
    "trained_for": ("with {model}", "模型：{model}"),
    "trained_legend_yes": ("trained: the model learns to say this", "参与训练：模型学习这样回答"),
    "trained_legend_no": ("only read", "仅供阅读"),
    "trained_legend_special": ("sign between turns", "轮次间的特殊标记"),
    "trained_token": ("token {id}", "token {id}"),
    "trained_tokens": ("tokens {ids}", "token {ids}"),
    "trained_chatml": (
        "This model does not say how turns are to be marked (it has no chat template), so Qwen's way is used: ChatML.",
        "该模型没有说明如何标记轮次（没有聊天模板），因此采用 Qwen 的方式：ChatML。",
    ),
    "trained_system_added": (
        "The sample has no system turn, so the model's chat template begins with its own: “{words}”",
        "此样本没有系统轮，模型的聊天模板会在开头加上自己的：“{words}”",
    ),
    "trained_no_thoughts": (
        "The template begins the answer with an empty pair of <think> tags: the model learns to answer without "
        "thinking first.",
        "模板在回答开头加上一对空的 <think> 标签：模型学习不经思考直接回答。",
    ),
    "trained_left_out": ("Training leaves this sample out:", "训练时会排除此样本："),
    "trained_more": ("and {number} more tokens", "还有 {number} 个 token"),
    "trained_no_sample": ("No sample is open.", "没有打开的样本。"),
    "trained_lengths": ("Tokens per sample", "每个样本的 token 数"),
    "trained_bin": ("samples of {low} to {high} tokens: {number}", "{low} 至 {high} 个 token 的样本：{number}"),
    "trained_limit": ("longest sample: {limit}", "最长样本：{limit}"),
    "trained_limit_beyond": ("longest sample {limit} →", "最长样本 {limit} →"),
    "trained_picture": (
        "Histogram of tokens per sample, from {low} to {high}; most samples have about {middle}; the limit is {limit}.",
        "每个样本 token 数的直方图，从 {low} 到 {high}；多数样本约 {middle} 个；上限为 {limit}。",
    ),
    "trained_fact_samples": ("samples trained", "个样本参与训练"),
    "trained_fact_tokens": ("tokens are read per epoch", "个 token 每轮被读取"),
    "trained_fact_share": ("of them are trained ({trained})", "参与训练（{trained} 个）"),
    "trained_fact_longest": ("tokens in the longest sample", "个 token（最长样本）"),
    "trained_fact_time": ("expected here", "预计用时（本机）"),
    "trained_time_run": (
        "for {epochs} epochs, at the {speed} tokens/s of the run {run}",
        "共 {epochs} 轮，按训练 {run} 的速度 {speed} token/秒计算",
    ),
    "trained_time_guess": (
        "for {epochs} epochs; an estimate: this model has not been trained here yet, another computer did about "
        "{speed} tokens/s",
        "共 {epochs} 轮；仅为估计：本机尚未训练过此模型，其他电脑上约为 {speed} token/秒",
    ),
    "trained_about": (
        "Estimated from {measured} samples drawn at random, because the set has {all}.",
        "数据集共有 {all} 个样本，以上数字由随机抽取的 {measured} 个样本估计得出。",
    ),
    "trained_over": (
        "Samples longer than {limit} tokens, left out: {number}.",
        "{number} 个样本超过 {limit} 个 token，不参与训练。",
    ),
    "trained_other_language": (
        "Samples in a language that this model is not trained in, left out: {number}.",
        "{number} 个样本的语言不在此模型的训练范围内，不参与训练。",
    ),
    "trained_unusable": (
        "Samples that cannot be trained: {number}.",
        "{number} 个样本无法训练。",
    ),
    "trained_nothing": ("No sample of this set can be trained.", "此数据集中没有可训练的样本。"),
    "trained_nothing_do": (
        "See below why, or choose another model in Train.",
        "原因见下，或在“训练”中选择其他模型。",
    ),
}
