"""Texts of the Test tab: the form, the running test, and a result at a glance."""

TEXTS: dict[str, tuple[str, str]] = {
    "test_suite": ("Suite", "测试集"),
    "test_who": ("Who is tested; the first is what the others are compared with", "测试谁；其余各方都与第一个比较"),
    "test_language": ("Language of the cases", "用例的语言"),
    "test_language_own": ("the models' own", "模型支持的语言"),
    "test_language_en": ("English", "英文"),
    "test_language_zh": ("Chinese", "中文"),
    "test_language_all": ("all", "全部"),
    "test_limit": ("First cases (0: all)", "前几例（0：全部）"),
    "test_how": ("How it asks", "如何提问"),
    "test_repeats": ("Answers to each case (0: as the suite says)", "每个用例回答几次（0：按测试集）"),
    "test_temperature": ("Temperature (empty: as the suite says)", "温度（留空：按测试集）"),
    "test_temperature_wrong": ("The temperature is no number.", "温度不是数字。"),
    "test_temperature_remedy": ("Write a number from 0 to 5, or nothing.", "请写 0 到 5 之间的数字，或留空。"),
    "test_at_once": ("Requests at once to an endpoint", "对接口的同时请求数"),
    "test_per_minute": ("Requests per minute to it (0: no limit)", "对接口的每分钟请求数（0：不限）"),
    "test_enforce": ("Ask a second time with the schema enforced", "再以强制 Schema 的方式问一遍"),
    "test_enforce_about": (
        "Tells mistakes of format from mistakes of content. Takes about twice as long.",
        "用来区分格式错误和内容错误，耗时约为两倍。",
    ),
    "test_enforce_remedy": (
        "Untick “Ask a second time with the schema enforced”, or add a schema to the suite.",
        "请取消勾选“再以强制 Schema 的方式问一遍”，或为测试集添加 Schema。",
    ),
    "test_enforce_words": (
        "{number} cases want words, not JSON; with the schema enforced they cannot be right.",
        "有 {number} 个用例期望的是文字而不是 JSON，强制 Schema 后不可能正确。",
    ),
    "test_fresh": ("Ask anew what is known already", "已有的回答也重新提问"),
    "test_fresh_about": (
        "Answers that the same weights gave to the same messages in an earlier test are otherwise taken from there.",
        "否则，同一权重在以前的测试中对相同消息的回答会直接取用。",
    ),
    "test_fresh_hint": (
        "To ask everybody everything again, tick “Ask anew what is known already” under “How it asks”.",
        "如需全部重新提问，请在“如何提问”中勾选“已有的回答也重新提问”。",
    ),
    "test_same_answers": (
        "At temperature 0 a model here gives the same answer each time.",
        "温度为 0 时，这里的模型每次都给出相同的回答。",
    ),
    "test_same_answers_remedy": ("Set the temperature to 0.7, say.", "可以把温度设为 0.7。"),
    "test_run": ("Run the test", "开始测试"),
    "test_result": ("Result", "结果"),
    "test_none": (
        "No test has been run yet. Choose a suite and who is tested, then run it: each case is asked, and every "
        "answer is judged value by value. A model that is not here yet is got on the Train tab.",
        "还没有测试结果。请选择测试集和测试对象，然后开始：每个用例都会提问，每个回答都会逐值评判。"
        "尚未下载的模型可在“训练”页获取。",
    ),
    "test_no_answers": ("No answer has come yet.", "还没有回答。"),
    "test_no_suite": ("There is no suite to run.", "没有可用的测试集。"),
    "test_no_suite_remedy": (
        "Put one into the folder eval_suites of your workspace.",
        "请把测试集放入工作目录的 eval_suites 文件夹。",
    ),
    "test_no_case": ("The suite has no case in this language.", "此测试集没有这种语言的用例。"),
    "test_no_case_remedy": ("Choose another language.", "请选择其他语言。"),
    "test_running": ("The test {name} is still running.", "测试 {name} 仍在进行。"),
    "test_running_remedy": ("Wait for it or stop it first.", "请等待，或先停止它。"),
    "test_starting": ("{name}: starting, loading the model", "{name}：正在启动并加载模型"),
    "test_stopping": ("{name}: stopping", "{name}：正在停止"),
    "test_progress": ("Testing {name}: {done} of {number}", "正在测试 {name}：{done} / {number}"),
    "test_progress_known": ("{number} of them known already", "其中 {number} 个已有回答"),
    "test_failed": ("The test {name} failed: {reason}", "测试 {name} 失败：{reason}"),
    "test_stopped": ("The test {name} was stopped.", "测试 {name} 已停止。"),
    "test_interrupted": ("The test {name} was cut off.", "测试 {name} 意外中断。"),
    "test_kept_answers": ("What was answered until then is kept below.", "此前的回答保留在下面。"),
    "test_so_far": ("{done} of {number} so far", "已完成 {done} / {number}"),
    "test_about_passed": (
        "Usable as it is, and every value right.",
        "可直接使用，并且每个值都正确。",
    ),
    "test_about_pass_all": (
        "Every answer to the case passes, however often it was asked: what can be relied on (pass^n). “Passed” is then "
        "what one answer is worth (pass@1).",
        "同一用例多次提问，每次回答都通过，即可以信赖的部分（pass^n）。此时“通过”指单次回答的水平（pass@1）。",
    ),
    "test_about_agreement": (
        "Share of the most frequent answer to a case, right or wrong; JSON is compared by value.",
        "同一用例中最常见的回答所占的比例，不论对错；JSON 按值比较。",
    ),
    "test_unjudged_about": (
        "Answers whose judging failed, because a rule or the schema did; they are in none of these figures.",
        "评判时规则或 Schema 出错的回答，不计入任何数字。",
    ),
    "test_about_strict": (
        "The whole answer is one JSON value: nothing before it, nothing after it.",
        "整个回答就是一个 JSON 值，前后没有其他文字。",
    ),
    "test_about_usable": (
        "Strict JSON that fits the schema and was not cut off (text: not empty and not cut off).",
        "严格 JSON、符合 Schema 且未被截断（文本：非空且未被截断）。",
    ),
    "test_about_field_accuracy": (
        "Share of right values over all cases; unreadable answers count as wrong.",
        "所有用例中正确值的比例；无法读取的回答计为错误。",
    ),
    "test_about_document_exact": (
        "Every value right and nothing extra, whether the form is strict or not.",
        "每个值都正确且没有多余内容，不论格式是否严格。",
    ),
    "test_intervals": (
        "Small figures: where the true rate lies with 95 % confidence. Few cases make it wide.",
        "小字为 95% 置信区间，即真实比例所在的范围；用例越少，范围越宽。",
    ),
    "test_leaked": (
        "Cases that are also in the training data, or used to choose the checkpoint: {number}. "
        "They are kept out of the figures above.",
        "有 {number} 个用例也出现在训练数据中，或曾用来选择检查点，不计入上面的数字。",
    ),
    "test_leaked_by": ("{name} knows {number}: {ways}.", "{name} 见过 {number} 个：{ways}。"),
    "test_leaked_exact": ("{number} word for word", "{number} 个原样出现"),
    "test_leaked_near": ("{number} nearly", "{number} 个几乎相同"),
    "test_leaked_burned": ("{number} sent to its training data", "{number} 个曾加入训练数据"),
    "test_leaked_passed": ("Passed among them: {passed}.", "其中通过的：{passed}。"),
    "test_leaked_none_left": (
        "No case is left to judge by: add cases to the suite, or let fewer of them decide while training.",
        "已没有可用来评判的用例：请为测试集增加用例，或在训练中少用一些用例来决定。",
    ),
    "test_fields": ("Right values, field by field", "各字段的正确率"),
    "test_incomplete": ("Not every case was asked.", "并非所有用例都已提问。"),
    "test_incomplete_remedy": (
        "It was started on the command line: run the same command with --output {folder} to go on.",
        "它是在命令行启动的：用同样的命令加上 --output {folder} 即可继续。",
    ),
    "test_go_on": ("Go on", "继续"),
    "test_go_on_about": (
        "Asks only the cases that have no answer yet; everything else stays.",
        "只提问还没有回答的用例，其余保持不变。",
    ),
    "test_go_on_unknown": ("{name} was not started from this page.", "{name} 不是从本页启动的。"),
    "test_go_on_unknown_remedy": (
        "Go on with it on the command line, or run the test again.",
        "请在命令行继续，或重新测试。",
    ),
    "test_errors": ("Cases that got no answer because of an error: {number}.", "因出错而没有回答的用例：{number}。"),
    "test_retry": ("Ask them again", "重新提问"),
    "test_entrant_done": ("done", "已完成"),
    "test_entrant_waits": ("waiting", "等待中"),
    "test_newest": ("Newest answer, {name} to {case}:", "最新回答（{name}，{case}）："),
    "test_rules_changed": (
        "The rules of this suite have changed since: the saved answers can be scored again, without the model.",
        "此测试集的规则之后有改动：可以按新规则重新评判已保存的回答，无需模型。",
    ),
    "test_rules_left_out": (
        "Left out, because they are asked differently now: {number}.",
        "有 {number} 个用例现在的问法不同，将不计入。",
    ),
    "test_score_again": ("Score again", "重新评判"),
    "test_score_again_about": (
        "Makes a new result beside this one, in seconds.",
        "几秒钟内生成一个新结果，原结果保留。",
    ),
    "test_asked_otherwise": (
        "The questions of this suite have changed since.",
        "此测试集的问题之后有改动。",
    ),
    "test_asked_otherwise_remedy": (
        "These answers do not answer the new ones: run the test again.",
        "这些回答与新问题不对应：请重新测试。",
    ),
    "test_rescored": ("Scored again; the result before is still in the list.", "已重新评判；之前的结果仍在列表中。"),
    "test_is_judged": ("Who is judged", "评判谁"),
    "test_is_reference": ("What it is compared with", "与谁比较"),
    "test_compare_two": ("Compare {judged} with {reference}:", "将 {judged} 与 {reference} 对比："),
    "test_not_compared": (
        "They can be compared once both have answered every case.",
        "两者都答完全部用例后才能对比。",
    ),
    "test_meaning_sure": ("How sure is that?", "有多确定？"),
    "test_meaning_unsure": (
        "What does “cannot tell” mean, and what would help?",
        "“无法判断”是什么意思，怎样才能判断？",
    ),
    "test_way": ("Step by step", "逐步变化"),
    "test_step_adapter": ("Training ({before} → {after})", "训练（{before} → {after}）"),
    "test_step_merged": ("Merging ({before} → {after})", "合并（{before} → {after}）"),
    "test_step_int4": ("Quantizing to int4 ({before} → {after})", "量化为 int4（{before} → {after}）"),
    "test_step_counts": ("{fixed} fixed, {broken} broken", "改好 {fixed}，改坏 {broken}"),
    "test_step_broke": (
        "Of {number} cases right until then, it broke {broken}:",
        "此前正确的 {number} 例中，改坏了 {broken} 例：",
    ),
    "test_step_broke_all": (
        "It broke all {broken} cases that were right until then:",
        "此前正确的 {broken} 例全部被改坏：",
    ),
    "test_step_held": (
        "All {number} cases that were right until then stayed right.",
        "此前正确的 {number} 例全部保持正确。",
    ),
    "test_step_none_right": ("No case was right before it.", "此前没有正确的用例。"),
    "test_step_fixed": ("It fixed {fixed}:", "改好了 {fixed} 例："),
    "test_weakest": (" (weakest for {contestant}: {name}, {value} %)", "（{contestant} 最弱的字段：{name}，{value}%）"),
    "test_slices": ("By language, length and tag", "按语言、长度和标签"),
    "test_slices_about": (
        "Share of cases passed, with its 95 % interval; parts of fewer than three cases are left out.",
        "通过的比例及其 95% 置信区间；不足三例的部分不列出。",
    ),
    "test_slice": ("Part", "部分"),
    "test_slice_language": ("language", "语言"),
    "test_slice_length": ("length of the question", "问题长度"),
    "test_slice_tag": ("tag", "标签"),
    "test_past": ("This suite over time: {number} results", "此测试集的历次结果：{number} 个"),
    "test_past_measure": ("What is drawn", "显示的指标"),
    "test_past_about": (
        "Each dot is one contestant, the bar through it its 95 % interval, and a filled dot the last one of a test; "
        "click it to open that result. A dashed line: cases or rules changed there, so do not compare across it.",
        "每个点是一个测试对象，竖条为 95% 置信区间，实心点为该次测试的最后一个对象；点击即可打开该结果。"
        "虚线处用例或规则有改动，两侧不宜直接比较。",
    ),
    "test_past_dot": (
        "{name}: {value} % ({low}–{high}) of {n} cases, {day}",
        "{name}：{n} 例的 {value}%（{low}–{high}），{day}",
    ),
    "test_report": ("Download the report:", "下载报告："),
    "test_report_gone": ("There is no such report any more.", "该报告已不存在。"),
    "test_step_list": ("list", "列出"),
}
