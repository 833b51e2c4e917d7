"""Texts of what the checks of the Data tab find, and of their fixes."""

TEXTS: dict[str, tuple[str, str]] = {
    "kind_near_duplicate": ("almost a duplicate", "几乎重复"),
    "kind_duplicate_id": ("name in use twice", "名称重复"),
    "kind_too_long": ("too long to be trained", "太长，无法训练"),
    "kind_personal": ("likely personal data", "疑似个人信息"),
    "kind_leak": ("also in a test suite", "与测试集重复"),
    "show_kind": ("Show", "查看"),
    "show_kind_about": ("Show only these samples: {kind}", "只看这些样本：{kind}"),
    "fix": ("Fix", "修复"),
    "fix_all": ("Fix all ({number})", "全部修复（{number}）"),
    "fix_all_some": ("Fix all that can be fixed", "修复所有可修复的"),
    "fix_about": ("{fix}; undo takes it back", "{fix}；可撤销"),
}
