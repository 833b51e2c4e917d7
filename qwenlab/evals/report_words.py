"""What the reports say around the figures, in English and in Chinese."""

from __future__ import annotations

from typing import Any

from qwenlab.evals.bilingual import Words
from qwenlab.evals.findings import Findings
from qwenlab.evals.words import Language

TEXTS: dict[str, Words] = {
    "report": Words("Test report", "测试报告"),
    "counted": Words("{cases} cases, {contestants} contestants.", "{cases} 个用例，{contestants} 个测试对象。"),
    "counted_one": Words("{cases} cases, one contestant.", "{cases} 个用例，1 个测试对象。"),
    "leaked": Words(
        "Kept out of all figures: {number} cases that are also in the training data, or used to choose the checkpoint.",
        "所有数字均未计入 {number} 个用例：训练数据中也有，或用于选择检查点。",
    ),
    "errors": Words(
        "{name}: {number} cases without an answer; they count as wrong.", "{name}：{number} 个用例没有回答，按错误计。"
    ),
    "unfinished": Words(
        "Left out, because not asked every case yet: {names}.", "未列入（尚未答完全部用例）：{names}。"
    ),
    "headline_better": Words(
        "{name} is better than {base}: {now} of the cases pass instead of {before}.",
        "{name} 优于 {base}：用例通过率由 {before} 变为 {now}。",
    ),
    "headline_worse": Words(
        "{name} is worse than {base}: {now} of the cases pass instead of {before}.",
        "{name} 不如 {base}：用例通过率由 {before} 变为 {now}。",
    ),
    "headline_cannot_tell": Words(
        "Whether {name} is better than {base} cannot be told from these cases: {now} pass, {before} before.",
        "这些用例无法判断 {name} 是否优于 {base}：通过率 {now}，原为 {before}。",
    ),
    "headline_alone": Words("{name} passes {now} of the cases.", "{name} 通过了 {now} 的用例。"),
    "headline_nothing": Words(
        "No case counts: all of them are in the training data.", "没有可计入的用例：它们都在训练数据中。"
    ),
    "gates_passed": Words("All {number} thresholds met", "{number} 项门槛全部达到"),
    "gates_passed_one": Words("The threshold is met", "已达到门槛"),
    "gates_missed": Words("{missed} of {number} thresholds missed", "{number} 项门槛中有 {missed} 项未达到"),
    "instead_of": Words("{name}: {rate}", "{name}：{rate}"),
    "scoreboard": Words("Scoreboard", "成绩"),
    "scoreboard_about": Words(
        "The thin line is the range in which the true rate lies with 95 % confidence (Wilson). Few cases make it wide.",
        "细线为 95% 置信区间（Wilson），即真实比例所在的范围；用例越少，范围越宽。",
    ),
    "verdicts": Words("Compared, case by case", "逐例比较"),
    "better": Words("better", "更好"),
    "worse": Words("worse", "更差"),
    "cannot_tell": Words("cannot tell", "无法判断"),
    "gates": Words("Thresholds", "门槛"),
    "met": Words("met", "达到"),
    "missed": Words("missed", "未达到"),
    "remarks": Words("How the answers came about", "回答是怎样得来的"),
    "steps": Words("From base to the delivered model", "从基础模型到交付的模型"),
    "steps_about": Words(
        "base: the model before training. adapter: what training adds to it. merged: both in one. int4: made small.",
        "base：训练前的模型。adapter：训练所增加的部分。merged：两者合一。int4：压缩后用于交付。",
    ),
    "step_counts": Words("{fixed} fixed, {broken} broken", "改好 {fixed} 例，改坏 {broken} 例"),
    "step_same": Words("nothing changed", "没有变化"),
    "step_broke": Words("broke", "改坏的用例"),
    "and_more": Words("and {number} more", "另有 {number} 个"),
    "fields": Words("Field by field", "逐个字段"),
    "fields_about": Words(
        "Share of right values. What could not be read counts as wrong.", "正确值的比例；无法读取的计为错误。"
    ),
    "field": Words("field", "字段"),
    "rungs": Words("How the JSON came", "JSON 的形式"),
    "rungs_about": Words(
        "Only strict JSON can be read by the next system as it is.", "只有严格 JSON 才能被下游系统直接读取。"
    ),
    "slices": Words("Kinds of questions", "各类问题"),
    "slices_about": Words(
        "Share of cases passed. A weakness is only claimed where it is sure after looking at so many kinds (Holm), and "
        "where there are cases enough.",
        "用例通过率。只有在校正多次比较（Holm）后仍可确定、且用例足够时，才会指出弱项。",
    ),
    "slices_none": Words(
        "No kind of question is surely worse than the others.", "没有哪一类问题可以确定比其他的更差。"
    ),
    "slices_few": Words(
        "There are too few cases of each kind to say that one is worse than the others.",
        "每一类的用例都太少，无法判断哪一类更差。",
    ),
    "few_cases": Words("few cases", "用例太少"),
    "slice": Words("kind", "类别"),
    "slice_tag": Words("by tag", "按标签"),
    "slice_language": Words("by language", "按语言"),
    "slice_length": Words("by length, among questions of the same language", "按长度（与同语言的问题相比）"),
    "history": Words("Over time", "历次结果"),
    "history_about": Words(
        "Every result of this suite, each with its 95 % range.", "此测试集的历次结果，竖线为 95% 置信区间。"
    ),
    "history_changed": Words(
        "Every result of this suite, each with its 95 % range. At a dashed line {changed}; what stands left and right "
        "of it cannot be compared.",
        "此测试集的历次结果，竖线为 95% 置信区间。虚线处{changed}，其左右的结果不可比较。",
    ),
    "cases": Words("Case by case", "逐个用例"),
    "cases_about": Words(
        "Open a case to see value by value what was expected and what came.", "展开用例可逐项查看期望值与实际值。"
    ),
    "all": Words("all", "全部"),
    "broken": Words("broken", "改坏"),
    "fixed": Words("fixed", "改好"),
    "failed": Words("wrong", "错误"),
    "failed_both": Words("still wrong", "仍然错误"),
    "unjudged": Words("could not be judged", "无法评判"),
    "passed": Words("right", "正确"),
    "leaked_case": Words("in the training data", "训练数据中有"),
    "broken_title": Words(
        "Broken: right with {first}, wrong with {last} ({number})", "改坏：{first} 正确，{last} 错误（{number} 例）"
    ),
    "fixed_title": Words(
        "Fixed: wrong with {first}, right with {last} ({number})", "改好：{first} 错误，{last} 正确（{number} 例）"
    ),
    "case": Words("case", "用例"),
    "question": Words("question", "问题"),
    "why_wrong": Words("what was wrong with {name}", "{name} 错在哪里"),
    "more_elsewhere": Words(
        "{number} more cases are in the CSV and JSON reports.", "另有 {number} 个用例，见 CSV 或 JSON 报告。"
    ),
    "expected": Words("expected", "期望"),
    "right_everywhere": Words("Right in every answer: {names}.", "所有回答都正确：{names}。"),
    "field_missing": Words("missing", "缺少"),
    "field_unexpected": Words("not asked for", "多出的字段"),
    "unreadable": Words("not readable", "无法读取"),
    "repeats": Words("{passed} of {n} answers pass.", "{n} 个回答中通过 {passed} 个。"),
    "cached": Words("known from an earlier test", "取自以前的测试"),
    "raw": Words("Answers as they were written", "原始回答"),
    "no_words": Words("(no text)", "（没有文字）"),
    "said_system": Words("Instructions to the model", "给模型的指令"),
    "said_user": Words("Customer", "用户"),
    "said_assistant": Words("Assistant", "助手"),
    "method": Words("How this was measured", "测量方法"),
    "made_from": Words("What answered", "由谁回答"),
    "suite": Words("The suite", "测试集"),
    "fingerprint": Words("fingerprint {digest}", "指纹 {digest}"),
    "settings": Words("settings: {settings}", "设置：{settings}"),
    "means": Words("What the figures mean", "数字的含义"),
    "about_strict": Words(
        "The whole answer is one JSON value: nothing before it, nothing after it.",
        "整个回答就是一个 JSON 值，前后没有其他文字。",
    ),
    "about_usable": Words(
        "Strict JSON that fits the schema and was not cut off (text: not empty and not cut off).",
        "严格 JSON、符合 Schema 且未被截断（文本：非空且未被截断）。",
    ),
    "about_field_accuracy": Words(
        "Share of right values over all cases; unreadable answers count as wrong.",
        "所有用例中正确值的比例；无法读取的回答计为错误。",
    ),
    "about_document_exact": Words(
        "Every value right and nothing extra, whether the form is strict or not.",
        "每个值都正确且没有多余内容，不论格式是否严格。",
    ),
    "about_passed": Words("Usable as it is, and every value right.", "可直接使用，并且每个值都正确。"),
    "about_sure": Words(
        "“Sure” means: were there no difference, chance would show one like this in fewer than 5 of 100 tests. "
        "Contestants are compared on the same cases; cases made from one template count together.",
        "“可以确定”是指：若并无差别，100 次测试中偶然出现这种差别的不到 5 次。各测试对象在相同用例上比较；"
        "同一模板的用例合并计算。",
    ),
}


def say(key: str, language: Language, **values: Any) -> str:
    """The words for a key, with its values filled in."""
    return getattr(TEXTS[key], language).format(**values) if values else str(getattr(TEXTS[key], language))


def counted(findings: Findings) -> str:
    """How many cases and contestants, and what was kept out."""
    language, leaked = findings.language, findings.result.leaked & findings.result.suite.by_id.keys()
    number = len(findings.result.suite.cases) - len(leaked)
    many = len(findings.contestants)
    parts = [say("counted_one" if many == 1 else "counted", language, cases=number, contestants=many)]
    if leaked:
        parts.append(say("leaked", language, number=len(leaked)))
    parts += [
        say("errors", language, name=one.name, number=one.summary.errors)
        for one in findings.contestants
        if one.summary.errors
    ]
    unfinished = [one.name for one in findings.result.contestants if not one.complete]
    if unfinished:
        parts.append(say("unfinished", language, names=", ".join(unfinished)))
    return (" " if language == "en" else "").join(parts)
