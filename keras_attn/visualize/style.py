"""How the page of heat maps looks."""

STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1b1f24; --faint: #6b7280; --line: #d8dde3; --heat: 18 58 160; --on-heat: #fff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e6e9ed; --faint: #98a1ac; --line: #353b43; --heat: 122 178 255;
    --on-heat: #08131f;
  }
}
body {
  margin: 2rem; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", "Apple SD Gothic Neo",
    "Malgun Gothic", "Noto Sans CJK KR", "Noto Sans KR", NanumGothic, "Hiragino Sans", "Yu Gothic",
    "Noto Sans CJK JP", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
}
:lang(ja) { font-family: "Hiragino Sans", "Yu Gothic", Meiryo, "Noto Sans CJK JP", sans-serif; }
:lang(zh) { font-family: "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 1.4rem; }
figure { margin: 1.5rem 0 2.5rem; }
figcaption { margin-bottom: .5rem; font-size: 1.1rem; overflow-wrap: anywhere; }
.score { color: var(--faint); font-size: .85rem; margin-left: .75rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .95rem; font-variant-numeric: tabular-nums; }
th { font-weight: 600; padding: .15rem .3rem; white-space: nowrap; }
thead th { vertical-align: bottom; }
th.long span { writing-mode: vertical-rl; }
th[scope="row"] { text-align: right; position: sticky; left: 0; background: var(--paper); }
tbody td {
  min-width: 1.5rem; height: 1.6rem; padding: 0; border: 1px solid var(--line); text-align: center;
  font-size: .75rem; background: rgb(var(--heat) / var(--w));
}
td.strong { color: var(--on-heat); }
tbody tr:hover { outline: 2px solid var(--ink); }
tbody tr:hover th { text-decoration: underline; }
#numbers:not(:checked) ~ main td span { opacity: 0; }
#numbers:not(:checked) ~ main td:hover span { opacity: 1; }"""
