"""Texts of the Train tab about the test that decides which state of a run is the result."""

TEXTS: dict[str, tuple[str, str]] = {
    "looks_suite": ("4. Which test decides?", "4. 由哪个测试决定？"),
    "looks_suite_about": (
        "Some of its questions are asked a few times during training. The state of the model that answers them best "
        "becomes the result.",
        "训练过程中会几次提出其中一些问题，回答得最好的那个状态成为训练结果。",
    ),
    "looks_none": ("none: the state at the end is the result", "无：以训练结束时的状态为结果"),
    "looks_none_short": ("none", "无"),
    "looks_cost": ("Asks {asked} of its {all} cases {looks} times", "从 {all} 个用例中提问 {asked} 个，共 {looks} 次"),
    "looks_cost_time": (", about {time} in all judging by {run}.", "；参照 {run}，共约需 {time}。"),
    "looks_cost_longer": ("; training takes that much longer.", "；训练会相应变长。"),
    "looks_rest": (
        "The other {rest} stay new for the final test.",
        "其余 {rest} 个留给最后的测试。",
    ),
    "looks_no_rest": (
        "No case is left to prove the result on.",
        "没有留下可以证明结果的用例。",
    ),
    "looks_no_rest_do": (
        "Ask fewer cases per look (under Advanced), or add cases to the suite.",
        "请在“高级设置”中减少每次检查的用例数，或为测试集增加用例。",
    ),
    "looks_phase": ("Asking the test's questions ({done} of {number})", "正在提出测试中的问题（{done} / {number}）"),
    "looks_score": ("Score on the test that decides, %", "决定性测试的得分（%）"),
    "looks_score_about": (
        "Share of right values; an answer that cannot be used as it is counts as none right.",
        "正确值的比例；不能直接使用的回答按全错计算。",
    ),
    "looks_point": ("step {step}: score {score} on {cases} cases", "第 {step} 步：{cases} 个用例得分 {score}"),
    "looks_best_mark": ("best {score}", "最佳 {score}"),
    "looks_best": (
        "Best: step {step}, score {score} on {cases} cases. That state is the result.",
        "最佳：第 {step} 步，{cases} 个用例得分 {score}。以该状态为结果。",
    ),
    "looks_best_so_far": (
        "Best so far: step {step}, score {score} on {cases} cases.",
        "目前最佳：第 {step} 步，{cases} 个用例得分 {score}。",
    ),
    "looks_nothing_right_yet": (
        "No answer was right yet, so the test cannot choose. If it stays so, the state at the end is the result.",
        "还没有正确的回答，测试无法选择；若一直如此，则以训练结束时的状态为结果。",
    ),
    "looks_nothing_right": (
        "No answer was right at any look, so the test could not choose. The state at the end is the result.",
        "每次检查都没有正确的回答，测试无法选择。以训练结束时的状态为结果。",
    ),
    "looks_fact_best": ("best score (step {step})", "最佳得分（第 {step} 步）"),
    "looks_fold": ("Looks at the test: {number}", "测试检查：{number} 次"),
    "looks_fold_about": (
        "What the answers at each look were worth. The cases that were asked count apart when this run is tested.",
        "每次检查的回答得分。之后测试此训练时，提问过的用例会单独计算。",
    ),
    "looks_col_step": ("Step", "步"),
    "looks_col_score": ("Score", "得分"),
    "looks_col_passed": ("All values right", "全部正确"),
    "looks_col_loss": ("Loss", "损失"),
    "looks_col_cases": ("Cases", "用例"),
    "looks_col_seconds": ("Time", "用时"),
    "looks_failed": (
        "The test could not be asked at step {steps}; training goes on without it.",
        "第 {steps} 步未能完成测试，训练照常继续。",
    ),
    "looks_row_best": ("Best score on the deciding test", "决定性测试的最佳得分"),
    "looks_row_best_one": ("{score} on {cases} cases, step {step}", "{cases} 个用例得分 {score}，第 {step} 步"),
}
