"""What the lab says about conversations, in English and in Chinese: what is wrong, and what to do."""

from __future__ import annotations

from typing import Any, Literal

from qwenlab.errors import QwenlabError

Language = Literal["en", "zh"]

JSON = {
    "json_empty": ("it is empty", "内容为空"),
    "json_bom": ("an invisible byte order mark stands before it", "开头有不可见的字节顺序标记（BOM）"),
    "json_duplicate_key": ('the key "{key}" stands there twice', "键“{key}”出现了两次"),
    "json_constant": ("{name} is not a JSON number", "{name} 不是合法的 JSON 数字"),
    "json_comma": (
        "a comma or a closing bracket is missing{place}",
        "{place}缺少逗号或右括号",
    ),
    "json_colon": ("a colon is missing after a key{place}", "{place}键后面缺少冒号"),
    "json_key": ("a key in double quotes is missing{place}", "{place}缺少用双引号括起的键"),
    "json_trailing_comma": ("there is a comma too many{place}", "{place}多了一个逗号"),
    "json_open_string": ("a text is not closed with a double quote{place}", "{place}文字缺少结尾的双引号"),
    "json_control": (
        "a line break or control character stands inside a text; write \\n{place}",
        "{place}文字中有换行或控制字符，请写成 \\n",
    ),
    "json_escape": ("a backslash is not followed by a known sign{place}", "{place}反斜杠后面的字符不合法"),
    "json_extra": ("something stands after the JSON{place}", "{place}JSON 之后还有多余内容"),
    "json_value": ("a JSON value is missing{place}", "{place}缺少 JSON 值"),
    "json_deep": ("it is nested too deeply to be read", "嵌套层数太多，无法读取"),
    "json_number": ("a number is too large to be read", "数字太大，无法读取"),
    "json_surrogate": ("it contains half of a character", "含有残缺的字符"),
}
"""Why a text is not one JSON value; {place} is added where a line is known."""

ERRORS = {
    "file_missing": ("There is no file {path}.", "没有文件 {path}。", "Check the path.", "请检查路径。"),
    "file_unreadable": (
        "{path} cannot be read: {why}.",
        "无法读取 {path}：{why}。",
        "Check its permissions.",
        "请检查文件权限。",
    ),
    "file_encoding": (
        "The file is neither UTF-8 nor GBK text.",
        "文件既不是 UTF-8 也不是 GBK 文本。",
        "Save it as UTF-8 in the program it comes from.",
        "请在原程序中另存为 UTF-8。",
    ),
    "file_empty": (
        "The file is empty.",
        "文件是空的。",
        "Choose another, or write [] into it for a new data set.",
        "请选择其他文件；若要新建数据集，请写入 []。",
    ),
    "file_jsonl": (
        "The file holds one object per line (JSONL), not a list.",
        "文件是每行一个对象（JSONL），不是列表。",
        "Use Import; it reads this form.",
        "请使用“导入”，它支持这种格式。",
    ),
    "file_object": (
        "The file holds one object, not a list of samples.",
        "文件是一个对象，而不是样本列表。",
        "Put the samples between [ and ], or use Import.",
        "请把样本放在 [ 和 ] 之间，或使用“导入”。",
    ),
    "file_not_json": (
        "The file does not begin with a JSON list.",
        "文件开头不是 JSON 列表。",
        "Open a train.json, or use Import for CSV and Excel.",
        "请打开 train.json；CSV 和 Excel 请使用“导入”。",
    ),
    "file_rest": (
        "Something stands after the end of the list, in line {line}.",
        "列表结束后第 {line} 行还有多余内容。",
        "Delete it.",
        "请删除它。",
    ),
    "file_broken": (
        "Sample {number}{id} cannot be read: line {line}, column {column}: {reason}.",
        "第 {number} 个样本{id}无法读取：第 {line} 行第 {column} 列：{reason}。",
        "Correct that place in a text editor and open the file again.",
        "请在文本编辑器中改正该处，然后重新打开文件。",
    ),
    "file_changed": (
        "{name} was changed by another program or window since you opened it.",
        "{name} 打开后被其他程序或窗口修改过。",
        "Save under another name to keep both, or overwrite it (the other version stays in .versions).",
        "可另存为新文件以保留两份，或直接覆盖（对方的版本会保留在 .versions 中）。",
    ),
    "edited_elsewhere": (
        "This data set is being edited in another Qwenlab on this computer.",
        "此数据集正在本机的另一个 Qwenlab 中编辑。",
        "Close that one first, or save a copy there; you can read it here meanwhile.",
        "请先关闭那一个，或在那里另存副本；在此期间这里可以查看。",
    ),
    "edited_meanwhile": (
        "Another Qwenlab edited this data set since it was opened here.",
        "此数据集在这里打开后，被另一个 Qwenlab 编辑过。",
        "Reload the page and make your change again.",
        "请刷新页面，然后重新修改。",
    ),
    "journal_unwritable": (
        "The edit was not taken, because it could not be put on disk ({path}): {why}.",
        "修改未被接受，因为无法写入磁盘（{path}）：{why}。",
        "Free some disk space and try again; all earlier edits are safe.",
        "请释放磁盘空间后重试；之前的修改都已安全保存。",
    ),
    "journal_odd": (
        "Unsaved edits of {name} were found that do not fit the file as it is now.",
        "发现 {name} 有未保存的修改，但与当前文件不符。",
        "They were put aside in {folder}; open the data set again to go on with the file as it is.",
        "这些修改已移到 {folder}；再次打开数据集即可继续使用当前文件。",
    ),
    "file_exists": (
        "{name} already exists.",
        "{name} 已存在。",
        "Choose another name.",
        "请换一个名称。",
    ),
    "schema_unusable": (
        "The JSON Schema {path} cannot be used: {why}.",
        "无法使用 JSON Schema {path}：{why}。",
        "Correct it, or remove it from {sidecar}.",
        "请改正它，或从 {sidecar} 中移除。",
    ),
    "import_kind": (
        "{name} is none of the forms that can be read.",
        "无法识别 {name} 的格式。",
        "Bring train.json, OpenAI messages (JSON or JSONL), ShareGPT, Alpaca, CSV or Excel.",
        "支持 train.json、OpenAI messages（JSON/JSONL）、ShareGPT、Alpaca、CSV 和 Excel。",
    ),
    "import_columns": (
        "No question and answer columns were found in {name}; its columns are: {columns}.",
        "在 {name} 中找不到问题列和答案列；现有列：{columns}。",
        'Name them "prompt" and "answer" (and "system" if there is one).',
        "请把列名改为 prompt 和 answer（如有系统提示，用 system）。",
    ),
    "import_excel": (
        "Excel files need the package openpyxl, which is not installed.",
        "读写 Excel 需要 openpyxl 包，目前未安装。",
        "Install it (pip install openpyxl), or save the sheet as CSV.",
        "请安装（pip install openpyxl），或把表格另存为 CSV。",
    ),
    "import_excel_broken": (
        "{name} cannot be read as an Excel file: {why}.",
        "无法作为 Excel 文件读取 {name}：{why}。",
        "Save it again as .xlsx or as CSV.",
        "请重新另存为 .xlsx 或 CSV。",
    ),
    "export_kind": (
        "There is no export form for {suffix}.",
        "不支持导出为 {suffix}。",
        "Use .json, .jsonl, .csv or .xlsx.",
        "请使用 .json、.jsonl、.csv 或 .xlsx。",
    ),
    "export_cell": (
        "Sample {id} does not fit into an Excel cell (32,767 characters, no control characters).",
        "样本 {id} 无法放入 Excel 单元格（最多 32767 个字符，不能有控制字符）。",
        "Export as .jsonl or .csv instead.",
        "请改用 .jsonl 或 .csv 导出。",
    ),
}
"""What happened (English, Chinese) and what to do (English, Chinese)."""


PROBLEMS = {
    "broken_not_object": (
        "The sample is not an object.",
        "样本不是对象。",
        'Write it as {{"id": ..., "conversations": [...]}}.',
        '请写成 {{"id": ..., "conversations": [...]}}。',
    ),
    "broken_no_conversations": (
        'The key "conversations" is missing.',
        "缺少“conversations”键。",
        "Add it with a list of turns, or use Import for other forms.",
        "请加上它和轮次列表；其他格式请使用“导入”。",
    ),
    "broken_not_list": (
        '"conversations" is not a list.',
        "“conversations”不是列表。",
        "Put the turns between [ and ].",
        "请把各轮放在 [ 和 ] 之间。",
    ),
    "broken_turn": (
        "A turn is not an object.",
        "有一轮不是对象。",
        'Write each turn as {{"from": "user", "value": "..."}}.',
        '请把每一轮写成 {{"from": "user", "value": "..."}}。',
    ),
    "broken_keys": (
        'A turn has no "from" or no "value".',
        "有一轮缺少“from”或“value”。",
        'Write each turn as {{"from": "user", "value": "..."}}.',
        '请把每一轮写成 {{"from": "user", "value": "..."}}。',
    ),
    "no_turns": (
        "The sample has no turns.",
        "样本没有任何轮次。",
        "Add a user and an assistant turn, or delete the sample.",
        "请添加用户和助手轮次，或删除该样本。",
    ),
    "empty_turn": (
        "The {role} turn is empty.",
        "{role}轮是空的。",
        "Write its text or delete the turn.",
        "请填写文字，或删除这一轮。",
    ),
    "unknown_role": (
        'The role "{role}" is unknown.',
        "未知角色“{role}”。",
        "Choose system, user or assistant.",
        "请选择系统、用户或助手。",
    ),
    "role_order": (
        "{role} stands where {expected} should speak.",
        "此处应为{expected}，却是{role}。",
        "Change the role, or add or delete a turn.",
        "请更改角色，或增删一轮。",
    ),
    "no_answer": (
        "There is no assistant answer at the end, so nothing after the last question is trained.",
        "结尾没有助手回答，最后一个问题之后没有可训练的内容。",
        "Add the answer, or delete the last turn.",
        "请补上回答，或删除最后一轮。",
    ),
    "not_text": (
        "The value in the file is not text; it is trained as its JSON text.",
        "文件中的值不是文字，训练时使用它的 JSON 文本。",
        "Check the words shown; editing them stores them as text.",
        "请核对显示的文字；编辑后会以文字保存。",
    ),
    "not_json": (
        "The answer is not clean JSON: {why}.",
        "回答不是干净的 JSON：{why}。",
        "Correct it; the whole answer must be one JSON value.",
        "请改正；整个回答必须是一个 JSON 值。",
    ),
    "schema": (
        "The answer breaks the schema at {pointer}: {why}.",
        "回答不符合 Schema，位置 {pointer}：{why}。",
        "Correct that value.",
        "请改正该值。",
    ),
    "duplicate": (
        "Every turn is the same as in sample {other}.",
        "与样本 {other} 完全相同。",
        "Delete one of the two.",
        "请删除其中一个。",
    ),
    "contradiction": (
        "Sample {other} asks the same and answers differently.",
        "样本 {other} 的问题相同，回答却不同。",
        "Decide which answer is right and correct or delete the other.",
        "请确定哪个回答正确，改正或删除另一个。",
    ),
    "near_duplicate": (
        "Almost the same as sample {other}.",
        "与样本 {other} 几乎相同。",
        "Keep both only if the difference matters; otherwise delete one of the two.",
        "如果差别不重要，请删除其中一个。",
    ),
    "duplicate_id": (
        'Sample number {other} has the same name "{id}".',
        "第 {other} 个样本的名称也是“{id}”。",
        "Give one of the two another name, so that reports and notes mean the right one.",
        "请给其中一个改名，以免报告和备注混淆。",
    ),
    "too_long": (
        "It has {tokens} tokens, but training takes at most {limit}; from “{words}” on it is too long.",
        "共 {tokens} 个 token，训练最多 {limit} 个；从“{words}”开始超出长度。",
        "Shorten or split the sample, or raise the longest sample in Train.",
        "请缩短或拆分该样本，或在“训练”中调大最长样本。",
    ),
    "personal": (
        "This looks like {kind}: {quote}.",
        "疑似{kind}：{quote}。",
        "Mask it, or leave it if it belongs to nobody; what is trained can be said to anyone.",
        "请打码；如果不属于任何人可保留。模型学到的内容可能会说给任何人。",
    ),
    "leak": (
        "This also stands in the test suite {suite}, case {case}; a test that was trained on proves nothing.",
        "此内容也出现在测试集 {suite} 的用例 {case} 中；训练过的题目不能用来检验。",
        "Delete the sample, or that case of the suite.",
        "请删除该样本，或删除测试集中的这个用例。",
    ),
    "special_token": (
        "The text contains {token}, a sign that the model uses between turns.",
        "文字中含有 {token}，这是模型用来分隔轮次的标记。",
        "Delete it unless it is meant literally.",
        "如非有意，请删除。",
    ),
    "lone_surrogate": (
        "The text contains half of a character.",
        "文字中含有残缺字符。",
        "Type that character again.",
        "请重新输入该字符。",
    ),
}
"""What is wrong in a sample (English, Chinese) and what to do (English, Chinese)."""

PERSONAL = {
    "mobile": ("a mobile number", "手机号"),
    "phone": ("a phone number", "电话号码"),
    "id_card": ("an ID card number", "身份证号"),
    "bank_card": ("a bank card number", "银行卡号"),
    "email": ("an e-mail address", "邮箱地址"),
}
"""What `personal` finds."""

FIXES = {
    "not_json": ("Keep only the JSON, written correctly", "只保留 JSON 并改正写法"),
    "not_text": ("Store it as the text shown", "按显示的文字保存"),
    "schema": ("Write the number as the schema wants it", "按 Schema 要求改写数字"),
    "empty_turn": ("Remove what follows the last answer", "删除最后一个回答之后的内容"),
    "no_answer": ("Remove what follows the last answer", "删除最后一个回答之后的内容"),
    "role_order": ("Join turns of one speaker; put the system turn first", "合并同一发言者的轮次，系统轮移到最前"),
    "duplicate": ("Delete the copy", "删除重复的样本"),
    "lone_surrogate": ("Replace it by the sign for an unreadable character", "替换为“无法识别字符”标记"),
    "personal": ("Mask it with stars", "用星号打码"),
}
"""What the fix of a problem does (English, Chinese)."""

ROLE_WORDS = {
    "system": ("system", "系统"),
    "user": ("user", "用户"),
    "assistant": ("assistant", "助手"),
}

SCHEMA = {
    "required": ("{missing} is missing", "缺少 {missing}"),
    "additionalProperties": ("{extra} is not allowed", "不允许出现 {extra}"),
    "type": ("it must be {wanted}, not {found}", "类型应为 {wanted}，而不是 {found}"),
    "enum": ("{value} is none of {wanted}", "{value} 不在可选值 {wanted} 中"),
    "const": ("it must be {wanted}", "必须是 {wanted}"),
    "pattern": ("{value} does not have the form {wanted}", "{value} 不符合格式 {wanted}"),
    "format": ("{value} is not a {wanted}", "{value} 不是合法的 {wanted}"),
    "minimum": ("{value} is less than {wanted}", "{value} 小于 {wanted}"),
    "maximum": ("{value} is more than {wanted}", "{value} 大于 {wanted}"),
    "minLength": ("it is shorter than {wanted} characters", "少于 {wanted} 个字符"),
    "maxLength": ("it is longer than {wanted} characters", "多于 {wanted} 个字符"),
    "minItems": ("it has fewer than {wanted} entries", "少于 {wanted} 项"),
    "maxItems": ("it has more than {wanted} entries", "多于 {wanted} 项"),
    "exclusiveMinimum": ("{value} is not more than {wanted}", "{value} 没有大于 {wanted}"),
    "exclusiveMaximum": ("{value} is not less than {wanted}", "{value} 没有小于 {wanted}"),
    "multipleOf": ("{value} is no multiple of {wanted}", "{value} 不是 {wanted} 的倍数"),
    "uniqueItems": ("an entry stands there twice", "有重复的项"),
    "anyOf": ("{value} fits none of the allowed forms", "{value} 不符合任何一种允许的形式"),
    "oneOf": ("{value} does not fit exactly one of the allowed forms", "{value} 没有恰好符合一种允许的形式"),
    "other": ("{message}", "{message}"),
}
"""What a value breaks, by JSON Schema keyword."""


class DataError(QwenlabError):
    """An error about a data file that can be said in both languages.

    Attributes:
        code: its entry in `ERRORS`.
        values: what the sentences name.
    """

    def __init__(self, code: str, **values: Any) -> None:
        self.code = code
        self.values = values
        super().__init__(*self._words("en"), zh=self._words("zh"))

    def _words(self, language: Language) -> tuple[str, str]:
        what_en, what_zh, do_en, do_zh = ERRORS[self.code]
        values = dict(self.values)
        if "reason" in values:
            values["reason"] = json_reason(values["reason"], language)
        what, remedy = (what_zh, do_zh) if language == "zh" else (what_en, do_en)
        return what.format_map(values), remedy.format_map(values)


def json_reason(code: str, language: Language, **values: Any) -> str:
    """Why a text is not JSON, as part of a sentence."""
    place = ""
    if "line" in values:
        place = (
            f"第 {values['line']} 行第 {values['column']} 列"
            if language == "zh"
            else f" (line {values['line']}, column {values['column']})"
        )
    return JSON[code][language == "zh"].format_map({**values, "place": place})


def schema_reason(keyword: str, language: Language, **values: Any) -> str:
    """Why a value breaks its schema, as part of a sentence."""
    return SCHEMA.get(keyword, SCHEMA["other"])[language == "zh"].format_map(values)
