"""Texts of the page around the tabs: header, tab names, errors, shared components."""

TEXTS: dict[str, tuple[str, str]] = {
    "title": ("Qwenlab", "Qwenlab"),
    "app_description": (
        "Teach a small Qwen chat model your business, and prove that it learned.",
        "教会小型 Qwen 对话模型您的业务，并证明它学会了。",
    ),
    "tab_data": ("Data", "数据"),
    "tab_train": ("Train", "训练"),
    "tab_compare": ("Compare", "对比"),
    "tab_test": ("Test", "测试"),
    "tab_export": ("Export", "导出"),
    "header_data": ("Data", "数据"),
    "header_model": ("Model", "模型"),
    "header_run": ("Run", "训练"),
    "header_suite": ("Suite", "测试集"),
    "header_none": ("none yet", "暂无"),
    "header_sample": ("1 sample", "1 个样本"),
    "header_samples": ("{number} samples", "{number} 个样本"),
    "header_problems": ("{number} with problems", "{number} 个有问题"),
    "header_unsaved": ("unsaved", "未保存"),
    "header_unreadable": ("cannot be read", "无法读取"),
    "state_new": ("new", "新建"),
    "state_running": ("running", "进行中"),
    "state_finished": ("finished", "已完成"),
    "state_stopped": ("stopped", "已停止"),
    "state_failed": ("failed", "失败"),
    "state_interrupted": ("interrupted", "已中断"),
    "error_title": ("That did not work", "未能完成"),
    "error_unexpected": (
        "Something went wrong that the lab did not expect ({kind}). The details are in the window where the lab was "
        "started.",
        "出现了意料之外的错误（{kind}）。详情见启动程序的窗口。",
    ),
    "details": ("Details", "详情"),
    "copy": ("Copy", "复制"),
    "copied": ("Copied", "已复制"),
    "thinking": ("Think first", "先思考"),
    "thinking_about": (
        "A model whose chat template knows thinking (Qwen3) reasons before it answers: slower, and not what it was "
        "trained for unless the data holds thoughts.",
        "聊天模板支持思考的模型（如 Qwen3）先推理再回答：更慢；除非训练数据含有思考内容，否则与训练时不同。",
    ),
    "time_left": ("{time} left", "剩余 {time}"),
    "seconds": ("{number} s", "{number} 秒"),
    "minutes": ("{number} min", "{number} 分钟"),
    "hours": ("{hours} h {minutes} min", "{hours} 小时 {minutes} 分钟"),
}
