"""How pages look: one style sheet for light, dark and paper, from a phone's width up."""

STYLE = """
:root { color-scheme: light dark;
  --paper: light-dark(#ffffff, #16181c); --card: light-dark(#f6f7f9, #1f2228);
  --ink: light-dark(#1b1f24, #e6e8eb); --faint: light-dark(#5c6570, #9aa3ae);
  --line: light-dark(#d8dde3, #363c45); --link: light-dark(#0b5cad, #7db8f5);
  --a: light-dark(#0072b2, #56b4e9); --b: light-dark(#c04d00, #f0883e);
  --good: light-dark(#00704f, #3fc99a); --bad: light-dark(#b02a37, #ff8a8a); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(.9rem, 3vw, 2.5rem) 4rem; max-width: 78rem;
  background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .4rem; }
p { max-width: 48rem; }
a { color: var(--link); }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
.faint, figcaption, caption { color: var(--faint); font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.text, th.text { text-align: left; white-space: normal; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .5rem 1.5rem; margin: 1rem 0; }
dt { color: var(--faint); font-size: .82rem; }
dl .long { grid-column: 1 / -1; }
dd { margin: 0; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.5rem; }
figure { margin: 0; }
svg { display: block; width: 100%; height: auto; font: 13px system-ui, sans-serif; fill: var(--ink); }
svg .grid { stroke: var(--line); } svg .faint { fill: var(--faint); }
svg .a { stroke: var(--a); } svg .b { stroke: var(--b); } svg .bar { fill: var(--a); }
svg polyline { fill: none; stroke-width: 2; } svg .b { stroke-dasharray: 7 3; }
.case { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem;
  margin: 0 0 1rem; break-inside: avoid; }
.case > p { margin: 0 0 .6rem; font-size: 1.05rem; overflow-wrap: anywhere; }
.rank { color: var(--faint); font-size: .88rem; }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .7rem; }
.tile { min-width: 0; font-size: .82rem; overflow-wrap: anywhere; }
.tile img { display: block; width: 100%; height: auto; border-radius: 4px; background: var(--line); }
.tile.meant img { outline: 3px solid var(--good); } .tile.meant b { color: var(--good); }
.none { display: grid; place-items: center; aspect-ratio: 3; border-radius: 4px; background: var(--line);
  color: var(--faint); }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: .8rem 1.4rem; }
.sides h4 { margin: .2rem 0 .4rem; font-size: .9rem; }
.right { color: var(--good); } .wrong { color: var(--bad); }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; }
@media (max-width: 34rem) { svg { font-size: 15px; }
  dl { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .row { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media print { :root { color-scheme: light; } body { max-width: none; padding: 0; font-size: 11pt; }
  h2, h3 { break-after: avoid; } nav { display: none; } .case { background: none; }
  * { print-color-adjust: exact; } }
"""
