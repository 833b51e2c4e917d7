"""Texts of the form for JSON answers."""

from __future__ import annotations

TEXTS: dict[str, tuple[str, str]] = {
    "form_show": ("Form", "表单"),
    "form_show_about": ("Fill in this answer field by field", "逐项填写此回答"),
    "form_show_text": ("Text", "文本"),
    "form_show_text_about": ("Edit this answer as text", "以文本方式编辑此回答"),
    "form_start": ("Fill in a form", "用表单填写"),
    "form_huge": (
        "This answer is too large for a form (over {fields} fields or {depth} levels); edit it as text.",
        "此回答太大，无法用表单显示（超过 {fields} 个字段或 {depth} 层），请以文本方式编辑。",
    ),
    "form_of_turn": ("Form of turn {number}", "第 {number} 轮的表单"),
    "form_required": ("must be there", "必填"),
    "form_null": ("not said (null)", "未提及（null）"),
    "form_set_null": ("Write null: the customer did not say", "写入 null：对话中没有提到"),
    "form_filled": ("filled in", "已填写"),
    "form_absent": ("not in the answer", "回答中没有此项"),
    "form_choose": ("choose", "请选择"),
    "form_kind": ("What stands here", "此处的内容"),
    "form_kind_text": ("text", "文字"),
    "form_kind_number": ("number", "数字"),
    "form_kind_whole": ("whole number", "整数"),
    "form_kind_yes_no": ("yes or no", "是或否"),
    "form_kind_choice": ("one of a list", "选项"),
    "form_kind_group": ("several fields", "一组字段"),
    "form_kind_list": ("list", "列表"),
    "form_kind_json": ("JSON", "JSON"),
    "form_yes": ("yes (true)", "是（true）"),
    "form_no": ("no (false)", "否（false）"),
    "form_add_item": ("+ entry", "+ 添加一项"),
    "form_add_part": ("+ fill in", "+ 填写"),
    "form_drop": ("Take {name} out of the answer", "从回答中删除 {name}"),
    "form_up": ("Move {name} up", "上移 {name}"),
    "form_down": ("Move {name} down", "下移 {name}"),
    "form_as_number": ("Write it as a number", "改为数字"),
    "form_as_text": ("Write it as text", "改为文字"),
    "form_not_number": (
        "“{typed}” is not a number, so the answer was left as it was. Write digits only, such as 12 or 3.5.",
        "“{typed}”不是数字，回答未改动。请只写数字，例如 12 或 3.5。",
    ),
    "form_not_json": (
        "This is not JSON yet: {why}. The answer was left as it was; text needs double quotes.",
        "还不是 JSON：{why}。回答未改动；文字需要加双引号。",
    ),
    "form_not_text": (
        "This text contains half of a character, so the answer was left as it was. Type that character again.",
        "文字中含有残缺字符，回答未改动。请重新输入该字符。",
    ),
}
