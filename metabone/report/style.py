"""How the pages look: by day, by night, in print and on a phone."""

STYLE = """
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --soft: #59636e; --line: #d5dae0; --wash: #f4f6f8;
  --c0: #1d62c9; --c1: #b4530a; --c2: #1a7f53; --c3: #8250c4;
  --badge: #7a4a00; --badge-wash: #fff3d6; --real: #0b5a3c; --real-wash: #dcf5e8;
  --heat: 29 98 201; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --ink: #e6e9ed; --soft: #9aa4af; --line: #343b44; --wash: #1c2127;
  --c0: #74a9ff; --c1: #f0a060; --c2: #5ecf9b; --c3: #bd9bf0;
  --badge: #ffd591; --badge-wash: #3d2f10; --real: #8fe3bd; --real-wash: #12382a;
  --heat: 96 150 240; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .6rem; letter-spacing: -.015em; }
h2 { font-size: 1.2rem; margin: 3rem 0 .9rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { max-width: 44rem; margin: .5rem 0; overflow-wrap: anywhere; }
.whole { white-space: nowrap; }
.lead { color: var(--soft); font-size: 1.05rem; }
.answer { font-size: 1.2rem; line-height: 1.45; margin: 1.2rem 0 .6rem; }
nav { margin: 1.4rem 0; padding: .6rem 1rem; background: var(--wash); font-size: .92rem; }
nav ul { margin: 0; padding: 0; list-style: none; columns: 13rem auto; column-gap: 1.5rem; }
nav li { padding: .1rem 0; }
a { color: var(--c0); } nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }
.note, figcaption, caption { color: var(--soft); font-size: .88rem; line-height: 1.45; }
.badge { display: inline-block; padding: .05rem .5rem; border-radius: 1rem; font-size: .78rem;
  font-weight: 600; white-space: nowrap; color: var(--badge); background: var(--badge-wash);
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
.badge.real { color: var(--real); background: var(--real-wash); }
.warning { border-left: .3rem solid var(--c1); background: var(--wash); padding: .7rem 1rem;
  margin: 1rem 0; max-width: none; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.scroll > table { min-width: min(100%, 26rem); }
caption { text-align: left; padding-bottom: .5rem; position: sticky; left: 0;
  max-width: calc(100vw - 2rem); }
th, td { padding: .4rem .8rem; text-align: right; border-bottom: 1px solid var(--line);
  font-weight: 400; white-space: nowrap; vertical-align: top; }
thead th { color: var(--soft); font-size: .88rem; border-bottom-color: var(--soft);
  vertical-align: bottom; }
th.label { text-align: left; padding-left: 0; }
.many table { font-size: .88rem; }
.many th, .many td { padding-left: .4rem; padding-right: .4rem; }
.many th.label:first-child { padding-left: 0; }
.scroll.crowded { width: max(100%, min(72rem, 50vw + 27.5rem, 100vw - 3rem)); }
.crowded table { font-size: .8rem; } .crowded th { white-space: normal; }
.crowded th, .crowded td { padding-left: .25rem; padding-right: .25rem; }
.crowded th.label { min-width: 4.5rem; } .crowded th.label + th.label { min-width: 9rem; }
td .aside { display: block; color: var(--soft); font-size: .82rem; }
figcaption { margin-top: .35rem; }
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; }
.grid { display: grid; gap: 1.6rem 2rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
.grid.small { gap: 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 13.5rem), 1fr)); }
.wide { max-width: 36rem; margin: 1rem 0; }
.matrix { width: 100%; font-size: .85rem; }
.matrix th, .matrix td { padding: .3rem .2rem; text-align: center; }
.matrix tbody th { text-align: left; white-space: normal; }
.matrix td { border: 1px solid var(--line); background: rgb(var(--heat) / var(--share));
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
.matrix td small { display: block; color: var(--soft); font-size: .72rem; }
.key i { display: inline-block; width: 1.4rem; border-top: 3px solid; margin-right: .35rem;
  vertical-align: middle; }
.key .right { border-color: #0a86c2; } .key .wrong { border-color: #d9660a;
  border-top-style: dashed; }
.key span { margin-right: 1.2rem; white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .5rem 0 1.5rem;
  font-size: .92rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
details { margin: .6rem 0; } summary { cursor: pointer; }
code { font: .85em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
@media (max-width: 34rem) { main { padding: 1.5rem 1rem 3rem; } h1 { font-size: 1.5rem; }
  body { font-size: 15px; } td, tbody th { font-size: .78rem; }
  thead th { font-size: .74rem; } th, td { padding: .35rem .16rem; }
  .many th, .many td { font-size: .78rem; } .answer { font-size: 1.1rem; } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444;
    --line: #bbb; --wash: #f4f4f4; --c0: #1d62c9; --c1: #b4530a; --c2: #1a7f53; --c3: #8250c4;
    --badge: #7a4a00; --badge-wash: #fff3d6; --real: #0b5a3c;
    --real-wash: #dcf5e8; --heat: 29 98 201; }
  main { max-width: none; padding: 0; } figure, table, .film { break-inside: avoid; }
  h2, h3, h2 + p { break-after: avoid; } .scroll { overflow: visible; } }
"""
