"""Texts of the login, where other computers reach the lab."""

TEXTS: dict[str, tuple[str, str]] = {
    "login_title": ("Log in to Qwenlab", "登录 Qwenlab"),
    "login_name": ("Name", "用户名"),
    "login_password": ("Password", "密码"),
    "login_do": ("Log in", "登录"),
    "login_wrong": (
        "Name or password is wrong. Whoever runs the lab can set a new one with `qwenlab user add NAME`.",
        "用户名或密码错误。管理员可以用 `qwenlab user add 用户名` 重设密码。",
    ),
    "login_wait": (
        "Too many wrong passwords from this computer. Try again in {seconds} s.",
        "这台电脑输错密码次数过多。请 {seconds} 秒后再试。",
    ),
    "logout": ("Log out {name}", "退出 {name}"),
}
